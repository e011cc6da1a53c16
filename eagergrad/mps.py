"""Apple's GPUs, which eagergrad does not use: there is none to choose."""

from __future__ import annotations

from eagergrad._absent import (
    device_count,
    empty_cache,
    is_available,
    manual_seed,
    synchronize,
)

__all__ = ["device_count", "empty_cache", "is_available", "manual_seed", "synchronize"]
