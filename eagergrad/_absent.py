"""What a module of devices says of which there are none."""

from __future__ import annotations

from typing import Any

__all__ = ["device_count", "empty_cache", "is_available", "manual_seed", "synchronize"]


def is_available() -> bool:
    """Return False: eagergrad has no backend for these devices.

    >>> is_available()
    False
    """
    return False


def device_count() -> int:
    """Return 0."""
    return 0


def synchronize(device: Any = None) -> None:
    """Wait for work that there cannot be."""


def empty_cache() -> None:
    """Give back memory that there cannot be."""


def manual_seed(seed: int) -> None:
    """Seed generators that there cannot be: the CPU's is `eagergrad.manual_seed`'s."""
