"""NumPy's functions on tensors, recorded; DLPack.

``np.tanh(x @ W).sum().backward()`` works: NumPy hands its ufuncs and functions over, and they run as the op of the same
meaning. A function without such an op runs on plain arrays if nothing requires grad, and raises TypeError with its name if something
does: history is never dropped in silence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from eagergrad import _C
from eagergrad.tensor.dtype import bfloat16

_ops = _C.op_table

# NumPy's name -> ours, where they differ.
_UFUNCS = {
    "absolute": "abs",
    "bitwise_invert": "bitwise_not",
    "invert": "bitwise_not",
    "conjugate": "positive",
    "divide": "div",
    "equal": "eq",
    "fabs": "abs",
    "float_power": "float_power",
    "greater": "gt",
    "greater_equal": "ge",
    "left_shift": "bitwise_left_shift",
    "less": "lt",
    "less_equal": "le",
    "mod": "remainder",
    "multiply": "mul",
    "negative": "neg",
    "not_equal": "ne",
    "power": "pow",
    "radians": "deg2rad",
    "degrees": "rad2deg",
    "right_shift": "bitwise_right_shift",
    "rint": "round",
    "subtract": "sub",
    "true_divide": "div",
}
_REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "amax",
    "minimum": "amin",
    "logical_and": "all",
    "logical_or": "any",
}


def _is_recorded(values: Any) -> bool:
    if isinstance(values, _C.TensorBase):
        return values.requires_grad
    if isinstance(values, (list, tuple)):
        return any(_is_recorded(v) for v in values)
    if isinstance(values, dict):
        return any(_is_recorded(v) for v in values.values())
    return False


def _plain(values: Any) -> Any:
    if isinstance(values, _C.TensorBase):
        return values.detach().__array__()
    if isinstance(values, (list, tuple)):
        return type(values)(_plain(v) for v in values)
    if isinstance(values, dict):
        return {k: _plain(v) for k, v in values.items()}
    return values


def _on_arrays(function: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Any:
    if _is_recorded(args) or _is_recorded(kwargs):
        raise TypeError(
            f"numpy.{name} has no counterpart that records gradients, and an argument requires grad. "
            "Call it on x.detach() if the gradient is not wanted."
        )
    return function(*_plain(args), **_plain(kwargs))


def _as_operand(x: Any) -> Any:
    """Arrays and NumPy scalars as tensors; numbers stay weak."""
    if isinstance(x, np.ndarray):
        from eagergrad.tensor.creation import as_tensor

        return as_tensor(x)
    return x


def array_ufunc(self: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Tensor.__array_ufunc__."""
    name = ufunc.__name__
    out = kwargs.pop("out", None)
    if method == "reduce" and name in _REDUCTIONS:
        result = _reduce(_REDUCTIONS[name], inputs[0], kwargs)
    elif method == "__call__" and not kwargs:
        op = _ops.get(_UFUNCS.get(name, name))
        if op is None:
            result = _on_arrays(ufunc, name, inputs, kwargs)
        else:
            result = op(*(_as_operand(x) for x in inputs))
    else:
        result = _on_arrays(getattr(ufunc, method), f"{name}.{method}", inputs, kwargs)
    if out is None:
        return result
    return _write(out[0], result, name)


def _reduce(op: str, x: Any, kwargs: dict[str, Any]) -> Any:
    axis = kwargs.get("axis", 0)
    keep = kwargs.get("keepdims", False)
    x = _as_operand(x)
    if op in ("sum", "amax", "amin", "all", "any"):
        return _ops[op](x, () if axis is None else axis, keep)
    if axis is None:
        return _ops[op](x)
    return _ops[op](x, axis, keep)


def _write(out: Any, result: Any, name: str) -> Any:
    if isinstance(out, _C.TensorBase):
        return out.copy_(_as_operand(result))
    if _is_recorded(result):
        raise TypeError(
            f"numpy.{name} would write a recorded result into an array, which has no history. "
            "Use a new name (y = a + x) or x.detach()."
        )
    out[...] = _plain(result)
    return out


def left_to_the_tensor() -> Any:
    """For ``__array__``: what scipy.sparse's product takes for "no array", so that it leaves ``matrix @ x`` to x; None for
    any other caller."""
    caller = sys._getframe(2).f_code
    return np.array(None, object) if caller.co_name == "_matmul_dispatch" else None


# -- functions ---------------------------------------------------------------------------------------


def _functions() -> dict[Any, Callable[..., Any]]:
    import eagergrad as eg

    def axis_all(op: str) -> Callable[..., Any]:
        def call(
            a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **kw: Any
        ) -> Any:
            if kw and any(v is not np._NoValue for v in kw.values()):
                raise TypeError(f"numpy.{op}: {', '.join(kw)} are not supported on tensors")
            return _ops[op](a, () if axis is None else axis, bool(keepdims))

        return call

    def position(op: str) -> Callable[..., Any]:
        return lambda a, axis=None, out=None, keepdims=False: _ops[op](a, axis, bool(keepdims))

    def spread(op: str) -> Callable[..., Any]:
        def call(
            a: Any,
            axis: Any = None,
            dtype: Any = None,
            out: Any = None,
            ddof: Any = 0,
            keepdims: Any = False,
            **kw: Any,
        ) -> Any:
            return _ops[op](a, axis, correction=ddof, keepdim=bool(keepdims))

        return call

    def tensors(values: Any) -> list[Any]:
        return [eg.as_tensor(v) for v in values]

    return {
        np.sum: axis_all("sum"),
        np.mean: axis_all("mean"),
        np.nansum: axis_all("nansum"),
        np.nanmean: axis_all("nanmean"),
        np.max: axis_all("amax"),
        np.min: axis_all("amin"),
        np.amax: axis_all("amax"),
        np.amin: axis_all("amin"),
        np.all: axis_all("all"),
        np.any: axis_all("any"),
        np.prod: lambda a, axis=None, **kw: (
            _ops["prod"](a) if axis is None else _ops["prod"](a, axis)
        ),
        np.std: spread("std"),
        np.var: spread("var"),
        np.argmax: position("argmax"),
        np.argmin: position("argmin"),
        np.concatenate: lambda arrays, axis=0, out=None, **kw: (
            eg.cat(tensors(arrays), 0 if axis is None else axis)
            if axis is not None
            else eg.cat([t.reshape(-1) for t in tensors(arrays)])
        ),
        np.stack: lambda arrays, axis=0, out=None, **kw: eg.stack(tensors(arrays), axis),
        np.vstack: lambda tup, **kw: eg.vstack(tensors(tup)),
        np.hstack: lambda tup, **kw: eg.hstack(tensors(tup)),
        np.dstack: lambda tup, **kw: eg.dstack(tensors(tup)),
        np.where: lambda condition, *xy: eg.where(eg.as_tensor(condition), *map(_as_operand, xy)),
        np.reshape: lambda a, shape=None, *rest, newshape=None, **kw: a.reshape(
            newshape if shape is None else shape
        ),
        np.ravel: lambda a, order="C": a.reshape(-1),
        np.transpose: lambda a, axes=None: a.permute(
            *(range(a.ndim)[::-1] if axes is None else axes)
        ),
        np.swapaxes: lambda a, axis1, axis2: a.swapaxes(axis1, axis2),
        np.moveaxis: lambda a, source, destination: a.movedim(source, destination),
        np.expand_dims: lambda a, axis: a.unsqueeze(axis),
        np.squeeze: lambda a, axis=None: a.squeeze() if axis is None else a.squeeze(axis),
        np.broadcast_to: lambda array, shape, subok=False: array.expand(shape),
        np.repeat: lambda a, repeats, axis=None: a.repeat_interleave(repeats, axis),
        np.tile: lambda A, reps: eg.tile(A, (reps,) if isinstance(reps, int) else reps),
        np.flip: lambda m, axis=None: m.flip(tuple(range(m.ndim)) if axis is None else axis),
        np.roll: lambda a, shift, axis=None: (
            eg.roll(a, shift) if axis is None else eg.roll(a, shift, axis)
        ),
        np.split: lambda ary, indices_or_sections, axis=0: eg.tensor_split(
            ary, indices_or_sections, axis
        ),
        np.dot: lambda a, b, out=None: _dot(_as_operand(a), _as_operand(b)),
        np.vdot: lambda a, b: (_as_operand(a).reshape(-1) * _as_operand(b).reshape(-1)).sum(),
        np.inner: lambda a, b: eg.inner(_as_operand(a), _as_operand(b)),
        np.outer: lambda a, b, out=None: eg.outer(
            _as_operand(a).reshape(-1), _as_operand(b).reshape(-1)
        ),
        np.tensordot: lambda a, b, axes=2: eg.tensordot(_as_operand(a), _as_operand(b), axes),
        np.einsum: lambda equation, *operands, **kw: eg.einsum(
            equation, *map(_as_operand, operands)
        ),
        np.kron: lambda a, b: eg.kron(_as_operand(a), _as_operand(b)),
        np.trace: lambda a, *args, **kw: eg.trace(a),
        np.cumsum: lambda a, axis=None, dtype=None, out=None: (
            a.reshape(-1).cumsum(0) if axis is None else a.cumsum(axis)
        ),
        np.cumprod: lambda a, axis=None, dtype=None, out=None: (
            a.reshape(-1).cumprod(0) if axis is None else a.cumprod(axis)
        ),
        np.clip: lambda a, a_min=None, a_max=None, out=None, **kw: eg.clamp(a, a_min, a_max),
        np.diag: lambda v, k=0: eg.diag(v, k),
        np.tril: lambda m, k=0: eg.tril(m, k),
        np.triu: lambda m, k=0: eg.triu(m, k),
        np.sort: lambda a, axis=-1, **kw: eg.sort(a, axis)[0],
        np.argsort: lambda a, axis=-1, **kw: eg.argsort(a, axis),
        np.take: lambda a, indices, axis=None, **kw: (
            a.take(_as_operand(indices))
            if axis is None
            else a.index_select(axis, _as_operand(indices))
        ),
        np.take_along_axis: lambda arr, indices, axis=-1: eg.take_along_dim(
            arr, _as_operand(indices), axis
        ),
        np.zeros_like: lambda a, **kw: eg.zeros_like(a),
        np.ones_like: lambda a, **kw: eg.ones_like(a),
        np.empty_like: lambda prototype, **kw: eg.empty_like(prototype),
        np.full_like: lambda a, fill_value, **kw: eg.full_like(a, fill_value),
        np.copy: lambda a, **kw: a.clone(),
        np.round: lambda a, decimals=0, out=None: eg.round(a, decimals=decimals),
        np.shape: lambda a: tuple(a.shape),
        np.ndim: lambda a: a.ndim,
        np.size: lambda a, axis=None: a.numel() if axis is None else a.shape[axis],
        np.allclose: lambda a, b, **kw: bool(np.allclose(_plain(a), _plain(b), **kw)),
        np.array_equal: lambda a1, a2, **kw: bool(np.array_equal(_plain(a1), _plain(a2), **kw)),
        np.isclose: lambda a, b, **kw: _as_operand(np.isclose(_plain(a), _plain(b), **kw)),
        np.nan_to_num: lambda x, copy=True, nan=0.0, posinf=None, neginf=None: eg.nan_to_num(
            x, nan, posinf, neginf
        ),
        np.linalg.norm: lambda x, ord=None, axis=None, keepdims=False: eg.norm(
            x, 2 if ord is None else ord, axis, keepdims
        ),
        np.array_repr: lambda arr, *args, **kw: repr(arr),
        np.array_str: lambda a, *args, **kw: str(a),
    }


def _dot(a: Any, b: Any) -> Any:
    if (
        not isinstance(a, _C.TensorBase)
        or not isinstance(b, _C.TensorBase)
        or not a.ndim
        or not b.ndim
    ):
        return a * b
    if b.ndim <= 2:
        return a @ b
    import eagergrad as eg

    return eg.tensordot(a, b, ([a.ndim - 1], [b.ndim - 2]))


_table: dict[Any, Callable[..., Any]] = {}


def array_function(self: Any, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """Tensor.__array_function__."""
    if not _table:
        _table.update(_functions())
    ours = _table.get(func)
    if ours is None:
        name = f"{func.__module__}.{func.__name__}".removeprefix("numpy.")
        return _on_arrays(getattr(func, "_implementation", func), name, args, kwargs)
    return ours(*args, **kwargs)


# -- DLPack --------------------------------------------------------------------------------------------


def to_dlpack_capsule(
    self: Any,
    *,
    stream: Any = None,
    max_version: Any = None,
    dl_device: Any = None,
    copy: bool | None = None,
) -> Any:
    """Tensor.__dlpack__: the memory as a DLPack capsule; BufferError if grad is required."""
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if stream is not None and self.device.type == "cpu" and stream != -1:
        raise BufferError("stream must be None on the CPU")
    options: dict[str, Any] = {}
    if self.is_cuda:
        array = to_cupy(self)
        options["stream"] = stream
    else:
        array = np.asarray(memoryview(self))  # bfloat16 as uint16
    if max_version is not None:
        options["max_version"] = max_version
    if dl_device is not None:
        options["dl_device"] = dl_device
    if copy is not None:
        options["copy"] = copy
    capsule = array.__dlpack__(**options)
    if self.dtype is bfloat16:
        _element_type(capsule)[0] = _BFLOAT
    return capsule


# NumPy knows no bfloat16: for it such memory is exported, and imported, as whole numbers of 16 bits, and the type's code in
# the capsule is rewritten.
_INT, _BFLOAT = 0, 4


def _device_of(capsule: Any) -> Any:
    """Where a DLPack capsule's description of its device begins: two integers, then the number of dimensions."""
    import ctypes

    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    name = api.PyCapsule_GetName(capsule)
    if name not in (b"dltensor", b"dltensor_versioned"):
        raise RuntimeError(
            f"[from_dlpack] expected a capsule that holds a tensor, got {name!r}; a capsule can be read once"
        )
    pointer = ctypes.sizeof(ctypes.c_void_p)
    # version, manager and deleter, flags; then data and device
    header = 8 + 2 * pointer + 8 if name == b"dltensor_versioned" else 0
    return api.PyCapsule_GetPointer(capsule, name) + header + pointer


def _element_type(capsule: Any) -> Any:
    """The bytes (code, bits) of a DLPack capsule's element type."""
    import ctypes

    return (ctypes.c_uint8 * 2).from_address(_device_of(capsule) + 8 + 4)


class _Capsule:
    """The exporter of a capsule that is already made, as PyTorch's older interface hands it over."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        import ctypes

        kind, index = (ctypes.c_int32 * 2).from_address(_device_of(self.capsule))
        return kind, index


class _Readable:
    """An exporter whose bfloat16 looks like int16."""

    def __init__(self, exporter: Any) -> None:
        self.exporter = exporter
        self.bfloat16 = False
        self.says_what_is_read_only = False

    def __dlpack__(self, **options: Any) -> Any:
        try:
            capsule = self.exporter.__dlpack__(**options)
        except TypeError:  # written before the options were
            capsule = self.exporter.__dlpack__()
        self.says_what_is_read_only = "versioned" in repr(capsule)
        element = _element_type(capsule)
        if tuple(element) == (_BFLOAT, 16):
            element[0] = _INT
            self.bfloat16 = True
        return capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.exporter.__dlpack_device__()


class _Writable:
    """An array that NumPy holds to be read-only for want of a word: DLPack had none before version 1."""

    def __init__(self, array: Any) -> None:
        described = array.__array_interface__
        self.array = array  # keeps the memory
        self.__array_interface__ = {**described, "data": (described["data"][0], False)}


def dlpack_device(self: Any) -> tuple[int, int]:
    """Tensor.__dlpack_device__."""
    return (2, self.device.index) if self.is_cuda else (1, 0)


def to_cupy(self: Any) -> Any:
    """The memory of a tensor on a GPU as a CuPy array; TypeError on the CPU."""
    from eagergrad.cuda import interop

    return interop.to_cupy(self)


def cuda_array_interface(self: Any) -> dict[str, Any]:
    """How other GPU libraries find the tensor's memory; AttributeError on the CPU."""
    from eagergrad.cuda import interop

    return interop.cuda_array_interface(self)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor over the memory of any object with ``__dlpack__``: NumPy, PyTorch, JAX, CuPy; or of a capsule.

    With ``copy`` its values in memory of their own; with ``device`` a tensor there, copied where it must be. ValueError
    where that contradicts ``copy=False``.
    """
    made = _shared(ext_tensor)
    moved = made if device is None else made.to(device)
    if copy is False and moved is not made:
        raise ValueError(
            f"[from_dlpack] cannot move a tensor from {made.device} to {device} without a copy"
        )
    return moved.clone() if copy and moved is made else moved


def _shared(ext_tensor: Any) -> Any:
    if type(ext_tensor).__name__ == "PyCapsule":
        ext_tensor = _Capsule(ext_tensor)
    if getattr(ext_tensor, "__dlpack_device__", lambda: (1, 0))()[0] == 2:
        from eagergrad.cuda import _runtime
        from eagergrad.cuda.interop import from_cuda_array

        _runtime.start()
        return from_cuda_array(_runtime.import_cupy().from_dlpack(ext_tensor))
    if isinstance(ext_tensor, _C.TensorBase):
        ext_tensor.__dlpack__()  # its refusals
        return ext_tensor.detach()
    source = _Readable(ext_tensor)
    array = np.from_dlpack(source)
    if not array.flags.writeable and not source.says_what_is_read_only:
        array = np.asarray(_Writable(array))
    tensor = _C.from_array(array)  # before NumPy 2.2.6: read-only
    return tensor.view(bfloat16) if source.bfloat16 else tensor


def install(tensor_class: Any) -> None:
    """Gives Tensor the protocols of this file."""
    tensor_class.__array_ufunc__ = array_ufunc
    tensor_class.__array_function__ = array_function
    tensor_class.__dlpack__ = to_dlpack_capsule
    tensor_class.__dlpack_device__ = dlpack_device
    tensor_class.cupy = to_cupy
    tensor_class.__cuda_array_interface__ = property(cuda_array_interface)
