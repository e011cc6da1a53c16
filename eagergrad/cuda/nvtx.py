"""Ranges for NVIDIA's profilers, through CuPy where there is a GPU; without one there is nothing to mark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eagergrad import cuda

__all__ = ["mark", "range", "range_pop", "range_push"]

_depth = 0


def _nvtx() -> Any:
    if not cuda.is_available():
        return None
    import cupy

    return cupy.cuda.nvtx


def range_push(msg: str) -> int:
    """Open a range; returns how many were open before it.

    >>> range_push("step"), range_pop()
    (0, 0)
    """
    global _depth
    nvtx = _nvtx()
    if nvtx is not None:
        nvtx.RangePush(msg)
    _depth += 1
    return _depth - 1


def range_pop() -> int:
    """Close the latest range; returns how many are open below it."""
    global _depth
    nvtx = _nvtx()
    if nvtx is not None:
        nvtx.RangePop()
    _depth = max(_depth - 1, 0)
    return _depth


def mark(msg: str) -> None:
    """Mark an instant."""
    nvtx = _nvtx()
    if nvtx is not None:
        nvtx.Mark(msg)


@contextmanager
def range(msg: str, *args: Any, **kwargs: Any) -> Iterator[None]:
    """A range around a block; the arguments fill the message as `str.format` does."""
    range_push(msg.format(*args, **kwargs))
    try:
        yield
    finally:
        range_pop()
