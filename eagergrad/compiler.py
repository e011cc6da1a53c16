"""Names by which programs speak to PyTorch's compiler. Nothing is compiled here: a program runs as it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = [
    "allow_in_graph",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "reset",
]

T = TypeVar("T")


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
