"""What stands beside the tensor: data loading, checkpointing, logging. Parts are imported when they
are first named."""

from __future__ import annotations

from typing import Any

_PARTS = (
    "_pytree",
    "benchmark",
    "checkpoint",
    "data",
    "dlpack",
    "hooks",
    "model_zoo",
    "tensorboard",
)


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        from importlib import import_module

        return import_module(f"eagergrad.utils.{name}")
    raise AttributeError(f"module 'eagergrad.utils' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PARTS})
