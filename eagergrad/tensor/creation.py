"""Tensors from Python values and arrays."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np

from eagergrad import _C
from eagergrad.tensor import device as devices
from eagergrad.tensor.device import check_device, device
from eagergrad.tensor.dtype import ALL, bfloat16, dtype

_NUMPY_KINDS = {t._numpy for t in ALL}


def plain_array(a: Any) -> np.ndarray:
    """An array whose memory a tensor can share: native byte order, positive strides, a dtype we have.

    Raises TypeError for object, string, complex and other arrays without one.
    """
    if isinstance(a, np.generic) or not isinstance(a, np.ndarray):
        a = np.asarray(a)
    if a.dtype.kind in "OUSVcMm" or (a.dtype.kind == "f" and a.dtype.itemsize > 8):
        raise TypeError(
            f"can't convert np.ndarray of type {a.dtype}. The only supported types are: "
            "float64, float32, float16, int64, int32, int16, int8, uint8, and bool."
        )
    if not a.dtype.isnative:
        a = a.astype(a.dtype.newbyteorder("="))
    if a.dtype.kind == "u" and a.dtype.itemsize > 1:
        wide = {2: np.int32, 4: np.int64, 8: np.int64}[a.dtype.itemsize]
        if a.dtype.itemsize == 8 and a.size and a.max() > np.iinfo(np.int64).max:
            raise OverflowError("a uint64 value does not fit int64")
        a = a.astype(wide)
    return np.array(a, order="C", copy=True) if any(s < 0 for s in a.strides) else np.array(a)


def _sharable(a: Any) -> np.ndarray:
    """The array itself where its memory can be read as it lies, else a plain one."""
    if isinstance(a, np.ndarray) and a.dtype in _NUMPY_KINDS and min(a.strides, default=0) >= 0:
        return a
    return plain_array(a)


def from_numpy(array: np.ndarray) -> Any:
    """A tensor that shares the array's memory.

    NumPy's functions make tensors of tensors (`numpy.concatenate`), where programs expect an array: one on the CPU that
    needs no gradient is taken for the array that it stands for.

    Raises TypeError for anything but an array of a supported dtype and ValueError for negative strides.

    >>> import numpy as np, eagergrad as eg
    >>> a = np.zeros(2)
    >>> t = eg.from_numpy(a)
    >>> a[0] = 7
    >>> t
    tensor([7., 0.], dtype=eagergrad.float64)
    """
    if not isinstance(array, np.ndarray):
        stands_for_one = isinstance(array, _C.TensorBase) and array.device.type == "cpu"
        if stands_for_one and not array.requires_grad:
            return array.detach()
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    shared = _C.share_array(array)
    if shared is not None:
        return shared
    strides = array.strides
    if strides and min(strides) < 0:
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not supported. (Use array.copy().)"
        )
    dtype = array.dtype
    if dtype not in _NUMPY_KINDS or not dtype.isnative:
        if not dtype.isnative:
            raise ValueError(
                "given numpy array has byte order different from the native byte order. "
                "Conversion between byte orders is not supported: array.astype(array.dtype.newbyteorder('='))"
            )
        plain_array(array)  # raises with the list of supported types
    if not array.flags.writeable:
        warnings.warn(
            "The given NumPy array is not writable; the tensor that shares its memory is read-only too.",
            stacklevel=2,
        )
    return _C.from_array(array)


def _values(data: Any) -> Any:
    """Nested lists with tensors and arrays in them as plain nested lists."""
    if isinstance(data, _C.TensorBase):
        return data.item() if data.numel() == 1 else data.detach().tolist()
    if isinstance(data, np.ndarray):
        return data.tolist()
    if isinstance(data, (list, tuple)):
        return [_values(item) for item in data]
    if isinstance(data, str):
        raise ValueError(f"[tensor] too many dimensions: nested data holds the str {data!r}")
    if isinstance(data, (range, np.generic)) or not hasattr(data, "__len__"):
        return data
    return [_values(item) for item in data] if hasattr(data, "__getitem__") else data


def _array_of(data: Any) -> np.ndarray:
    """The array of nested Python values; floats are kept in float64 here."""
    if isinstance(data, (list, tuple)):
        if data and isinstance(data[0], np.ndarray) and len(data) > 1:
            return np.array(data)
        data = _values(data)
    try:
        array = np.array(data)
    except ValueError as e:
        found = _ragged(data)
        # Numbers beside sequences are of a wrong type, sequences of several lengths of a wrong value.
        kind = ValueError if found and "a number" not in found else TypeError
        raise kind(
            f"expected sequences of equal length to make a tensor of: {found or 'depths differ'}"
        ) from e
    if array.dtype.kind == "O":
        if all(isinstance(item, (int, float)) for item in array.flat):
            raise RuntimeError("Overflow when unpacking long: the number does not fit 64 bits")
        other = next(item for item in array.flat if not isinstance(item, (int, float)))
        raise RuntimeError(f"[tensor] Could not infer dtype of {type(other).__name__}")
    if array.dtype.kind in "US":
        raise TypeError("new(): invalid data type 'str'")
    if array.dtype.kind == "c":
        raise TypeError("complex numbers are not supported")
    return array


def _check_range(array: np.ndarray, kind: dtype) -> None:
    """RuntimeError for numbers out of an integer dtype's range; negative ones may wrap in uint8, as in PyTorch."""
    if kind.is_floating_point or kind is ALL[0] or array.size == 0:
        return
    high = 2 ** (8 * kind.itemsize - kind.is_signed) - 1
    if not (-high - kind.is_signed <= array.min() and array.max() <= high):
        raise RuntimeError(f"[tensor] value cannot be converted to type {kind} without overflow")


def _leaf_type(data: Any) -> dtype | None:
    """What nested values promote to: tensors, arrays and NumPy scalars by their dtype, Python floats by the default."""
    if isinstance(data, _C.TensorBase):
        return data.dtype
    if isinstance(data, (np.ndarray, np.generic)):
        return _C.from_array(plain_array(data)).dtype
    if isinstance(data, (list, tuple)):
        kinds = {_leaf_type(item) for item in data} - {None}
        return functools.reduce(_promoted, kinds) if kinds else None
    if isinstance(data, float):
        return _C.get_default_dtype()
    return ALL[0] if isinstance(data, bool) else ALL[5] if isinstance(data, int) else None


def _promoted(a: dtype | None, b: dtype | None) -> Any:
    empty = _C.op_table["empty"]
    return _C.op_table["maximum"](empty(0, dtype=a), empty(0, dtype=b)).dtype


def _ragged(data: Any, at: str = "data") -> str:
    if isinstance(data, (list, tuple)):
        lengths = [len(item) if isinstance(item, (list, tuple)) else -1 for item in data]
        if len(set(lengths)) > 1:
            words = ["a number" if n < 0 else f"length {n}" for n in lengths[:6]]
            return f"{at} holds {', '.join(words)}"
        for i, item in enumerate(data):
            found = _ragged(item, f"{at}[{i}]")
            if found:
                return found
    return ""


def _place(device: Any) -> Any:
    """Where a factory puts its result: None leaves it on the host."""
    if device is None and devices.get_default_device() is not devices.CPU:
        return devices.get_default_device()
    return device


def _from_cuda_array(data: Any) -> Any:
    from eagergrad.cuda.interop import from_cuda_array

    return from_cuda_array(data)


def tensor(
    data: Any,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """A tensor with a copy of the data: a number, nested sequences, an array or a tensor.

    Python floats become the default dtype, integers int64, bools bool; arrays keep their dtype.

    >>> import eagergrad as eg
    >>> eg.tensor([[1, 2], [3, 4]]).shape
    eagergrad.Size([2, 2])
    """
    quick = _C.from_nested(data, dtype)
    device = _place(device)
    if quick is not None:
        if device is not None:
            quick = quick.to(device)
        return quick.requires_grad_() if requires_grad else quick
    if isinstance(data, _C.TensorBase):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() "
            "or sourceTensor.detach().clone().requires_grad_(True), rather than tensor(sourceTensor).",
            stacklevel=2,
        )
        result = data.detach().clone()
    elif isinstance(data, (np.ndarray, np.generic)):
        result = _C.from_array(_sharable(data)).clone()
    elif hasattr(data, "__cuda_array_interface__"):
        result = _from_cuda_array(data).clone()
    elif hasattr(data, "__dlpack__") or hasattr(data, "__array__"):
        result = _C.from_array(plain_array(np.asarray(data))).clone()
    else:
        array = _array_of(data)
        if dtype is not None:
            _check_range(array, dtype)
        result = _C.from_array(plain_array(array))
        if dtype is None:
            dtype = _leaf_type(data)
        if dtype is None and array.dtype.kind == "f":
            dtype = _C.get_default_dtype()
    if dtype is not None:
        result = _C.op_table["_cast"](result, dtype)
    if device is not None:
        result = result.to(device)
    return result.requires_grad_() if requires_grad else result


def as_tensor(data: Any, dtype: dtype | None = None, device: Any = None) -> Any:
    """The data as a tensor; shares the memory of arrays and returns tensors as they are where it can."""
    if isinstance(data, _C.TensorBase):
        result = data
    elif isinstance(data, np.ndarray):
        device = _place(device)
        result = _C.from_array(data if data.dtype in _NUMPY_KINDS else plain_array(data))
    elif hasattr(data, "__cuda_array_interface__"):
        result = _from_cuda_array(data)
    elif dtype is not None and not isinstance(data, np.generic):
        return tensor(data, dtype=dtype, device=device)
    else:
        result = tensor(data, device=device)
    if dtype is not None or device is not None:
        result = result.to(device=device, dtype=dtype)
    return result


def asarray(
    obj: Any,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Any:
    """The object as a tensor: tensors, arrays, DLPack producers, buffers, numbers and sequences.

    ``copy=True`` always copies, ``copy=False`` raises ValueError if it must. `requires_grad` is that of a tensor, unless it is
    given: a tensor with a history keeps it.
    """
    if isinstance(obj, _C.TensorBase):
        result = obj
    elif isinstance(obj, np.ndarray):
        result = as_tensor(obj)
    elif hasattr(obj, "__dlpack__"):
        from eagergrad.tensor.interop import from_dlpack

        result = from_dlpack(obj)
    else:
        if copy is False and not isinstance(obj, (bytes, bytearray, memoryview)):
            raise ValueError("can't alias this object: it has no memory of its own to share")
        if isinstance(obj, (bytes, bytearray, memoryview)):
            result = frombuffer(obj, dtype=dtype or _C.get_default_dtype())
        else:
            result = tensor(obj, dtype=dtype)
    before = result
    if dtype is not None or device is not None:
        result = result.to(device=device, dtype=dtype)
    if copy is False and result is not before:
        raise ValueError("can't alias the object: a conversion of dtype or device needs a copy")
    if copy and result is before:
        result = result.clone()
    if requires_grad is None or requires_grad == result.requires_grad:
        return result
    return result.requires_grad_() if requires_grad else result.detach()


def frombuffer(
    buffer: Any, *, dtype: dtype, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Any:
    """A 1-d tensor over the memory of an object with the buffer protocol."""
    if offset < 0 or (count < 0 and count != -1) or count == 0:
        raise ValueError(f"offset ({offset}) and count ({count}) must not be negative or empty")
    if isinstance(buffer, np.ndarray) and buffer.dtype.hasobject:
        raise ValueError("[frombuffer] an array of Python objects has no numbers to share")
    array = np.frombuffer(buffer, dtype=dtype._numpy, count=count, offset=offset)
    if dtype is bfloat16:
        result = _C.from_array(array.view(np.int16)).view(bfloat16)
    else:
        result = _C.from_array(array)
    return result.requires_grad_() if requires_grad else result


def index_tensor(items: Any) -> Any:
    """The index tensor that a list, tuple or range in a subscript stands for."""
    t = tensor(list(items))
    if t.numel() == 0:
        return t.to(_long())
    if t.dtype.is_floating_point:
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return t


def _long() -> dtype:
    return ALL[5]


__all__ = [
    "as_tensor",
    "asarray",
    "check_device",
    "device",
    "from_numpy",
    "frombuffer",
    "tensor",
]
