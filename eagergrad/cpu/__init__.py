"""The CPU as a device."""

from __future__ import annotations

from typing import Any

__all__ = ["current_device", "device_count", "is_available", "synchronize"]


def is_available() -> bool:
    """Return True.

    >>> is_available()
    True
    """
    return True


def device_count() -> int:
    """Return 1."""
    return 1


def current_device() -> str:
    """Return "cpu"."""
    return "cpu"


def synchronize(device: Any = None) -> None:
    """Wait for the CPU's work: it is done when an op returns."""


def __getattr__(name: str) -> Any:
    if name == "amp":
        from importlib import import_module

        return import_module("eagergrad.cpu.amp")
    raise AttributeError(f"module 'eagergrad.cpu' has no attribute {name!r}")
