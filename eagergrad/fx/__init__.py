"""Names of PyTorch's graph rewriting that programs use as decorators."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["wrap"]

T = TypeVar("T")


def wrap(fn_or_name: T) -> T:
    """Return what is given; there is no tracer that would have to know.

    >>> wrap(len) is len
    True
    """
    return fn_or_name
