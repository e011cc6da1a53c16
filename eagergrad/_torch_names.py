"""Modules inside PyTorch that libraries import although they are not its interface: `as_torch` shows them by name.

They are about compiling and tracing, which never happen here, so that the answers are "no" and the settings change nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import eagergrad
from eagergrad import _C, compiler

__all__ = ["install"]


class Config(SimpleNamespace):
    """Settings of any name.

    >>> config = Config()
    >>> with config.patch(cache_size_limit=8):
    ...     config.cache_size_limit
    8
    >>> config
    Config()
    """

    @contextmanager
    def patch(self, *named: Any, **values: Any) -> Iterator[None]:
        """A block, or a decorator, in which settings have other values: keywords, a dict, or a name and its value."""
        before = dict(vars(self))
        given = named[0] if named and isinstance(named[0], dict) else dict([named] if named else [])
        vars(self).update(given, **values)
        try:
            yield
        finally:
            vars(self).clear()
            vars(self).update(before)


class FakeTensor:
    """A tensor without memory, of which there are none here."""


def _no(*args: Any, **options: Any) -> bool:
    return False


def _nothing(*args: Any, **options: Any) -> None:
    """For calls that tell something to compiled programs, and questions for what there is not."""


_MODULES: dict[str, dict[str, Any]] = {
    "_dynamo": {
        "OptimizedModule": compiler.OptimizedModule,
        "allow_in_graph": compiler.allow_in_graph,
        "config": Config(),
        "disable": compiler.disable,
        "graph_break": _nothing,
        "is_compiling": compiler.is_compiling,
        "mark_dynamic": _nothing,
        "mark_static": _nothing,
        "maybe_mark_dynamic": _nothing,
        "reset": compiler.reset,
    },
    "_dynamo.eval_frame": {"OptimizedModule": compiler.OptimizedModule},
    "_dynamo.utils": {"is_compile_supported": _no},
    "_subclasses": {},
    "_subclasses.fake_tensor": {"FakeTensor": FakeTensor, "is_fake": _no},
    "fx.experimental": {},
    "fx.experimental.proxy_tensor": {"get_proxy_mode": _nothing},
}


def install() -> None:
    """Make the modules importable, under ``torch`` and under ``eagergrad``."""
    # What a vmap runs may ask for the values of its tensors (`func.vmap`).
    _C._are_functorch_transforms_active = _no  # type: ignore[attr-defined]
    for name, members in _MODULES.items():
        module = ModuleType(f"eagergrad.{name}", __doc__)
        module.__dict__.update(members)
        parent, _, leaf = name.rpartition(".")
        above = sys.modules[f"eagergrad.{parent}"] if parent in _MODULES else eagergrad
        if parent in _MODULES or not parent:
            setattr(above, leaf, module)
        sys.modules[f"eagergrad.{name}"] = sys.modules[f"torch.{name}"] = module
