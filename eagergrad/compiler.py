"""Names by which programs speak to PyTorch's compiler. Nothing is compiled here: a program runs as it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from eagergrad.nn import Module

__all__ = [
    "OptimizedModule",
    "allow_in_graph",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "reset",
]

T = TypeVar("T")


class OptimizedModule(Module):
    """What `eagergrad.compile` makes of a module: the module itself, as ``_orig_mod``, with all its attributes in sight."""

    _orig_mod: Module

    def __init__(self, module: Module) -> None:
        object.__setattr__(self, "_orig_mod", module)  # attributes are looked up there, even now
        super().__init__()
        del self.__dict__["_orig_mod"]
        super().__setattr__("_orig_mod", module)

    @property
    def training(self) -> bool:  # type: ignore[override]
        return self._orig_mod.training

    @training.setter
    def training(self, value: bool) -> None:
        if self._modules:  # not yet while Module is initialised
            self._orig_mod.training = value

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._orig_mod(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self._modules["_orig_mod"]
        return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN or hasattr(type(self), name):
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._orig_mod, name)

    def __len__(self) -> int:
        return len(self._orig_mod)  # type: ignore[arg-type]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self._orig_mod)})

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._orig_mod,)


_OWN = {"_orig_mod", *vars(Module())}


def compiled(model: Any) -> Any:
    """A module wrapped, anything else as it is."""
    return OptimizedModule(model) if isinstance(model, Module) else model


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Return the function itself, or with no function a decorator that does.

    >>> disable(len) is len
    True
    """
    return _itself if fn is None else fn


def _itself(fn: T) -> T:
    return fn


def allow_in_graph(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function itself."""
    return fn


def is_compiling() -> bool:
    """Is the running code being compiled? Never."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def reset() -> None:
    """Forget what was compiled, which is nothing."""


def cudagraph_mark_step_begin() -> None:
    """Tell where a step begins; only compiled programs need to know."""
