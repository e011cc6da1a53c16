"""Tensors from and for other libraries, without a copy."""

from __future__ import annotations

from typing import Any

import eagergrad as eg

__all__ = ["from_dlpack", "to_dlpack"]


def from_dlpack(ext_tensor: Any) -> Any:
    """Return a tensor on the memory of another library's array."""
    return eg.from_dlpack(ext_tensor)


def to_dlpack(tensor: Any) -> Any:
    """Return the capsule that other libraries read a tensor's memory from."""
    return tensor.detach().__dlpack__()
