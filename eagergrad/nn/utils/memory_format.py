"""Memory formats: eagergrad has one, so the conversions return their module as it is."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]

M = TypeVar("M")


def convert_conv2d_weight_memory_format(module: M, memory_format: Any) -> M:
    """There to be called: results do not depend on a memory format, and only the contiguous one exists."""
    return module


def convert_conv3d_weight_memory_format(module: M, memory_format: Any) -> M:
    """There to be called: results do not depend on a memory format, and only the contiguous one exists."""
    return module
