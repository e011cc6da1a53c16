"""Tensors as plain NumPy arrays and back, bfloat16 included (NumPy has none: its bits travel as
uint16)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import eagergrad as eg

if TYPE_CHECKING:
    from eagergrad import Tensor

__all__ = ["array_to_tensor", "dtype_from_name", "dtype_name", "tensor_to_array"]


def dtype_name(dtype: Any) -> str:
    """Name of a dtype without its package: ``"float32"``."""
    return str(dtype).rsplit(".", 1)[-1]


def dtype_from_name(name: str) -> Any:
    """The dtype of that name; ValueError where there is none."""
    dtype = getattr(eg, name, None) if name.isidentifier() else None
    if not isinstance(dtype, eg.dtype):
        raise ValueError(f"no dtype is named {name!r}")
    return dtype


def tensor_to_array(t: Tensor) -> np.ndarray:
    """The values as an array that shares memory where it can; bfloat16 as its bits in uint16."""
    t = t.detach()
    if t.device.type != "cpu":
        t = t.cpu()
    if t.dtype != eg.bfloat16:
        return t.numpy()
    bits = np.asarray(t.float().numpy()).view(np.uint32)
    return np.asarray(bits >> 16, np.uint16)


def array_to_tensor(a: np.ndarray, dtype: str | None = None) -> Tensor:
    """The inverse of `tensor_to_array`: a tensor on the memory of a writable array."""
    if dtype == "bfloat16":
        bits = np.asarray(np.asarray(a, np.uint32) << np.uint32(16))
        return eg.from_numpy(bits.view(np.float32)).to(eg.bfloat16)
    if not (a.flags.writeable and a.flags.aligned and a.dtype.isnative):
        a = a.astype(a.dtype.newbyteorder("="), copy=True)
    return eg.from_numpy(a)
