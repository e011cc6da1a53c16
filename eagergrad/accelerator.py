"""The accelerator of this machine, if it has one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import eagergrad as eg
from eagergrad import cuda

__all__ = [
    "current_accelerator",
    "current_device_idx",
    "current_device_index",
    "device_count",
    "device_index",
    "empty_cache",
    "is_available",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_peak_memory_stats",
    "set_device_idx",
    "set_device_index",
    "synchronize",
]

# Of the current device, or of a given one.
empty_cache = cuda.empty_cache
max_memory_allocated = cuda.max_memory_allocated
max_memory_reserved = cuda.max_memory_reserved
memory_allocated = cuda.memory_allocated
memory_reserved = cuda.memory_reserved
memory_stats = cuda.memory_stats
reset_peak_memory_stats = cuda.reset_peak_memory_stats


def is_available() -> bool:
    """Return whether there is an accelerator."""
    return cuda.is_available()


def device_count() -> int:
    """Return the number of accelerators."""
    return cuda.device_count()


def current_accelerator(check_available: bool = False) -> Any:
    """Return the accelerator's device, None where there is none.

    >>> current_accelerator() is None or current_accelerator().type
    True
    """
    return eg.device("cuda") if cuda.is_available() else None


def current_device_index() -> int:
    """Return the current accelerator's number; RuntimeError where there is none."""
    return cuda.current_device()


def set_device_index(device: Any) -> None:
    """Choose the current accelerator; RuntimeError where there is none."""
    cuda.set_device(device)


def synchronize(device: Any = None) -> None:
    """Wait for the accelerator's work; without one there is nothing to wait for."""
    cuda.synchronize(device)


@contextlib.contextmanager
def device_index(device: int | None, /) -> Iterator[None]:
    """A region in which an accelerator is the current one; None changes nothing. RuntimeError where there is none.

    >>> with device_index(None):
    ...     pass
    """
    if device is None:
        yield
        return
    before = current_device_index()
    set_device_index(device)
    try:
        yield
    finally:
        set_device_index(before)


current_device_idx = current_device_index
set_device_idx = set_device_index
