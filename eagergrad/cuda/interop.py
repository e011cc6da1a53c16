"""Memory shared with CuPy, PyTorch, JAX and Numba, without a copy."""

from __future__ import annotations

from typing import Any

import numpy as np

from eagergrad import _C
from eagergrad.cuda import _runtime

__all__ = ["cuda_array_interface", "from_cuda_array", "to_cupy"]


def _numpy_dtype(t: Any) -> np.dtype:
    kind = t.dtype._numpy
    if str(t.dtype).endswith("bfloat16"):
        raise TypeError("bfloat16 has no NumPy dtype: use x.float(), or x.view(eagergrad.int16)")
    return np.dtype(kind)


def _strides(t: Any) -> tuple[int, ...]:
    return tuple(s * t.element_size() for s in t.stride())


def to_cupy(t: Any) -> Any:
    """The tensor's memory as a CuPy array. TypeError on the CPU and for bfloat16, RuntimeError where grad is required."""
    if t.requires_grad:
        raise RuntimeError(
            "Can't call cupy() on Tensor that requires grad. Use tensor.detach().cupy() instead."
        )
    if not t.is_cuda:
        raise TypeError(f"cupy() needs a tensor on a GPU, got one on {t.device}: use x.cuda()")
    kind = _numpy_dtype(t)
    cupy = _runtime.import_cupy()
    number = t.device.index
    size = t.untyped_storage().nbytes() - t.storage_offset() * t.element_size()
    with cupy.cuda.Device(number):
        memory = cupy.cuda.UnownedMemory(t.data_ptr(), size, t, number)
        return cupy.ndarray(
            tuple(t.shape), kind, cupy.cuda.MemoryPointer(memory, 0), strides=_strides(t)
        )


def cuda_array_interface(t: Any) -> dict[str, Any]:
    """Tensor.__cuda_array_interface__, version 3. AttributeError on the CPU, RuntimeError where grad is required."""
    if not t.is_cuda:
        raise AttributeError(f"Can't get __cuda_array_interface__ on a tensor on {t.device}")
    if t.requires_grad:
        raise RuntimeError(
            "Can't get __cuda_array_interface__ on Tensor that requires grad. Use tensor.detach()."
        )
    return {
        "shape": tuple(t.shape),
        "typestr": _numpy_dtype(t).str,
        "strides": None if t.is_contiguous() else _strides(t),
        "data": (t.data_ptr() if t.numel() else 0, False),
        "version": 3,
        "stream": None,
    }


def from_cuda_array(source: Any) -> Any:
    """A tensor over the memory of an object with ``__cuda_array_interface__``."""
    from eagergrad.tensor.dtype import dtype_from_numpy

    _runtime.start()
    if not hasattr(source, "dtype") or not hasattr(source, "device"):
        source = _runtime.import_cupy().asarray(source)
    described = source.__cuda_array_interface__
    kind = np.dtype(described["typestr"])
    target = dtype_from_numpy(kind)
    if target is None:
        raise TypeError(f"can't convert a GPU array of dtype {kind} to a tensor")
    shape = tuple(described["shape"])
    strides = described.get("strides")
    if strides is None:
        steps = [int(np.prod(shape[d + 1 :], dtype=np.int64)) for d in range(len(shape))]
    elif any(s % kind.itemsize for s in strides):
        raise TypeError(f"the strides {strides} of the GPU array are not multiples of its elements")
    else:
        steps = [s // kind.itemsize for s in strides]
    address, read_only = described["data"]
    place = getattr(source, "device", None)  # CuPy's has an id, PyTorch's an index
    number = getattr(place, "id", getattr(place, "index", None))
    number = _C.cuda_current() if number is None else number
    return _C.from_device_memory(address, list(shape), steps, target, number, source, not read_only)
