"""The accelerator of this machine, if it has one."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad import cuda

__all__ = [
    "current_accelerator",
    "current_device_index",
    "device_count",
    "is_available",
    "set_device_index",
    "synchronize",
]


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
