"""The Python array API standard (2024.12) over eagergrad's functions: what ``x.__array_namespace__()`` gives.

Code that is written for the standard runs on tensors, on their device, and is recorded:

>>> import eagergrad as eg
>>> x = eg.tensor([3.0, 1.0, 2.0], requires_grad=True)
>>> xp = x.__array_namespace__()
>>> xp.std(xp.concat([x, 2 * x]), correction=1).backward()
>>> xp.unique_counts(xp.asarray([2, 1, 2])).counts
tensor([1, 2])

What differs from the standard: no complex dtypes, hence no ``fft`` extension, and no unsigned integers but uint8
(`__array_namespace_info__` lists what there is); integers sum to int64. ``x.size`` is a method, as in PyTorch: `size`
gives the number. The operators of tensors promote as PyTorch's, where an array without dimensions is weak; the functions
here promote by dtype alone.
"""

from __future__ import annotations

import builtins
import math
import operator
from typing import Any, NamedTuple

import eagergrad as eg
from eagergrad import (
    asarray,
    bfloat16,
    bool,
    e,
    float16,
    float32,
    float64,
    from_dlpack,
    inf,
    int8,
    int16,
    int32,
    int64,
    nan,
    newaxis,
    pi,
    uint8,
)
from eagergrad.array_api import linalg
from eagergrad.array_api._adapters import (
    alike,
    axes_of,
    binary,
    dtype_of,
    only_axis,
    reduction,
    renamed,
    result_type,
)
from eagergrad.array_api.linalg import matmul, matrix_transpose, tensordot, vecdot

__array_api_version__ = "2024.12"

# -- Tables: functions that eagergrad has under this or another name ---------------------------------------

_SAME = (
    "abs acos acosh asin asinh atan atanh ceil cos cosh exp expm1 floor isfinite isinf isnan log log10 log1p log2 "
    "logical_not moveaxis positive reciprocal round signbit sin sinh sqrt square tan tanh trunc "
    "empty_like full_like ones_like zeros_like"
)
_RENAMED: dict[str, tuple[str, dict[str, str]]] = {
    "argmax": ("argmax", {"axis": "dim", "keepdims": "keepdim"}),
    "argmin": ("argmin", {"axis": "dim", "keepdims": "keepdim"}),
    "bitwise_invert": ("bitwise_not", {}),
    "broadcast_arrays": ("broadcast_tensors", {}),
    "broadcast_to": ("broadcast_to", {"shape": "size"}),
    "conj": ("positive", {}),
    "diff": ("diff", {"axis": "dim"}),
    "empty": ("empty", {"shape": "size"}),
    "full": ("full", {"shape": "size"}),
    "imag": ("zeros_like", {}),
    "negative": ("neg", {}),
    "ones": ("ones", {"shape": "size"}),
    "permute_dims": ("permute", {"axes": "dims"}),
    "real": ("positive", {}),
    "tile": ("tile", {"repetitions": "dims"}),
    "tril": ("tril", {"k": "diagonal"}),
    "triu": ("triu", {"k": "diagonal"}),
    "unique_values": ("unique", {}),
    "unstack": ("unbind", {"axis": "dim"}),
    "zeros": ("zeros", {"shape": "size"}),
}
_OPERATORS = {
    "add": operator.add,
    "bitwise_and": operator.and_,
    "bitwise_left_shift": operator.lshift,
    "bitwise_or": operator.or_,
    "bitwise_right_shift": operator.rshift,
    "bitwise_xor": operator.xor,
    "divide": operator.truediv,
    "equal": operator.eq,
    "floor_divide": operator.floordiv,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "less": operator.lt,
    "less_equal": operator.le,
    "multiply": operator.mul,
    "not_equal": operator.ne,
    "pow": operator.pow,
    "remainder": operator.mod,
    "subtract": operator.sub,
}
_BINARY = (
    "atan2 copysign hypot logaddexp logical_and logical_or logical_xor maximum minimum nextafter"
)
_REDUCTIONS = {"max": "amax", "mean": "mean", "min": "amin", "sum": "sum"}

globals().update(
    {name: getattr(eg, name) for name in _SAME.split()}
    | {name: renamed(getattr(eg, ours), **names) for name, (ours, names) in _RENAMED.items()}
    | {name: binary(op, takes_numbers=True) for name, op in _OPERATORS.items()}
    | {name: binary(getattr(eg, name)) for name in _BINARY.split()}
    | {name: reduction(getattr(eg, ours)) for name, ours in _REDUCTIONS.items()}
)

# -- Data types --------------------------------------------------------------------------------------------

_KINDS = {
    "bool": {bool},
    "signed integer": {int8, int16, int32, int64},
    "unsigned integer": {uint8},
    "real floating": {float16, bfloat16, float32, float64},
    "complex floating": set(),
}
_KINDS["integral"] = _KINDS["signed integer"] | _KINDS["unsigned integer"]
_KINDS["numeric"] = _KINDS["integral"] | _KINDS["real floating"]


def astype(x: Any, dtype: Any, /, *, copy: builtins.bool = True, device: Any = None) -> Any:
    """The array in a dtype; the array itself only if asked by ``copy=False``."""
    return x.to(device=device, dtype=dtype, copy=copy)


def can_cast(from_: Any, to: Any, /) -> builtins.bool:
    """Whether promotion of the array's (or given) dtype with another gives the other."""
    return result_type(from_, to) is dtype_of(to)


def finfo(type: Any, /) -> Any:
    """Limits of an array's or given floating point dtype."""
    limits = eg.finfo(dtype_of(type))
    limits.dtype = dtype_of(type)  # the name, under PyTorch's rules
    return limits


def iinfo(type: Any, /) -> Any:
    """Limits of an array's or given integer dtype."""
    limits = eg.iinfo(dtype_of(type))
    limits.dtype = dtype_of(type)
    return limits


def isdtype(dtype: Any, kind: Any) -> builtins.bool:
    """Whether a dtype is of a kind ("bool", "signed integer", "integral", "numeric" ...), another or one of several.

    >>> isdtype(int8, ("bool", "integral"))
    True
    """
    if isinstance(kind, tuple):
        return builtins.any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, str):
        if kind not in _KINDS:
            raise ValueError(f"[isdtype] expected one of {', '.join(_KINDS)}, got {kind!r}")
        return dtype in _KINDS[kind]
    return dtype is kind


class __array_namespace_info__:
    """What this namespace can do: its devices, its dtypes (none of them complex) and their defaults."""

    def capabilities(self) -> dict[str, Any]:
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> Any:
        return eg.empty(0).device

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        return {"real floating": eg.get_default_dtype(), "integral": int64, "indexing": int64}

    def devices(self) -> list[Any]:
        return [eg.device("cpu"), *(eg.device("cuda", i) for i in range(eg.cuda.device_count()))]

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, Any]:
        of_standard = (bool, int8, int16, int32, int64, uint8, float32, float64)
        return {t.name: t for t in of_standard if kind is None or isdtype(t, kind)}


# -- Creation ----------------------------------------------------------------------------------------------


def arange(
    start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None
) -> Any:
    """Evenly spaced numbers of ``[start, stop)``; none if the step leads away from stop."""
    if stop is None:
        start, stop = 0, start
    if (stop - start) * step < 0:
        stop = start
    return eg.arange(start, stop, step, dtype=dtype, device=device)


def eye(
    n_rows: int, n_cols: Any = None, /, *, k: int = 0, dtype: Any = None, device: Any = None
) -> Any:
    """Ones on the k-th diagonal."""
    columns = eg.arange(n_rows if n_cols is None else n_cols, device=device)
    ones = columns - eg.arange(n_rows, device=device)[:, None] == k
    return ones.to(eg.get_default_dtype() if dtype is None else dtype)


def linspace(
    start: Any,
    stop: Any,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: Any = None,
    endpoint: builtins.bool = True,
) -> Any:
    """``num`` evenly spaced numbers, the last of them stop if ``endpoint``."""
    found = eg.linspace(start, stop, num + (not endpoint), dtype=dtype, device=device)
    return found[:num]


def meshgrid(*arrays: Any, indexing: str = "xy") -> Any:
    """Coordinate matrices of coordinate vectors."""
    return eg.meshgrid(*arrays, indexing=indexing)


# -- Elementwise -------------------------------------------------------------------------------------------


def _any_array(*xs: Any) -> builtins.bool:
    return builtins.any(isinstance(x, eg.Tensor) for x in xs)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """The array within bounds, numbers or arrays that broadcast with it; of its dtype."""
    if not _any_array(min, max):
        return x.clone() if min is None and max is None else eg.clip(x, min, max)
    for bound, op in ((min, eg.maximum), (max, eg.minimum)):
        if bound is not None:
            x = op(x, asarray(bound, dtype=x.dtype, device=x.device))
    return x


def sign(x: Any, /) -> Any:
    """-1, 0 or 1; NaN for NaN, where PyTorch gives 0."""
    found = eg.sign(x)
    return found.masked_fill(x.isnan(), nan) if x.dtype.is_floating_point else found


# -- Manipulation ------------------------------------------------------------------------------------------


def concat(arrays: Any, /, *, axis: Any = 0) -> Any:
    """Arrays one after the other along an axis (None: flattened)."""
    return eg.concat([x.flatten() for x in arrays] if axis is None else list(arrays), axis or 0)


def expand_dims(x: Any, /, *, axis: int = 0) -> Any:
    """A new axis of length 1."""
    return eg.unsqueeze(x, axis)


def flip(x: Any, /, *, axis: Any = None) -> Any:
    """The order of the elements reversed along axes (None: all)."""
    return eg.flip(x, axes_of(x, axis))


def repeat(x: Any, repeats: Any, /, *, axis: Any = None) -> Any:
    """Each element ``repeats`` times, along an axis or flattened."""
    return eg.repeat_interleave(x, repeats, axis)


def reshape(x: Any, /, shape: Any, *, copy: Any = None) -> Any:
    """The elements in another shape; ValueError where that needs a copy and ``copy`` is False."""
    if copy is not False:
        return (x.clone() if copy else x).reshape(shape)
    try:
        return x.view(shape)
    except RuntimeError as error:
        raise ValueError("[reshape] expected memory that the new shape can view") from error


def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Any:
    """Elements moved by a number of places along axes, those past the end to the front."""
    several = isinstance(shift, int) and isinstance(axis, (tuple, list))
    return eg.roll(x, (shift,) * len(axis) if several else shift, axis)


def squeeze(x: Any, /, axis: Any) -> Any:
    """Axes of length 1 removed; ValueError for others."""
    axes = axes_of(x, axis)
    if builtins.any(x.shape[a] != 1 for a in axes):
        raise ValueError(f"[squeeze] expected axes of length 1, got axis {axis} of {x.shape}")
    return eg.squeeze(x, axes)


def stack(arrays: Any, /, *, axis: int = 0) -> Any:
    """The arrays along a new axis."""
    return eg.stack(alike(*arrays), axis)


# -- Searching, sorting, sets ------------------------------------------------------------------------------


class UniqueAll(NamedTuple):
    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    values: Any
    inverse_indices: Any


def unique_all(x: Any, /) -> UniqueAll:
    """Distinct values, where each is first, which of them each element is, and how often they occur."""
    values, inverse, counts = eg.unique(x, return_inverse=True, return_counts=True)
    order = eg.argsort(inverse.flatten(), stable=True)
    return UniqueAll(values, order[counts.cumsum(0) - counts], inverse, counts)


def unique_counts(x: Any, /) -> UniqueCounts:
    """Distinct values and how often they occur."""
    return UniqueCounts(*eg.unique(x, return_counts=True))


def unique_inverse(x: Any, /) -> UniqueInverse:
    """Distinct values, and which of them each element is."""
    return UniqueInverse(*eg.unique(x, return_inverse=True))


def _ordered(part: int) -> Any:
    def function(
        x: Any,
        /,
        *,
        axis: int = -1,
        descending: builtins.bool = False,
        stable: builtins.bool = True,
    ) -> Any:
        return eg.sort(x, axis, descending, stable)[part]

    return function


sort, argsort = _ordered(0), _ordered(1)


def count_nonzero(x: Any, /, *, axis: Any = None, keepdims: builtins.bool = False) -> Any:
    """How many elements are not zero."""
    return reduction(eg.sum)(x != 0, axis=axis, keepdims=keepdims)


def nonzero(x: Any, /) -> tuple[Any, ...]:
    """Indices of the elements that are not zero, one array for each axis."""
    if x.ndim == 0:
        raise ValueError("[nonzero] expected an array of one or more axes, got none")
    return eg.nonzero(x, as_tuple=True)


def searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Any:
    """Where to put the elements of x2 into the sorted x1."""
    sorter = None if sorter is None else sorter.to(int64)
    return eg.searchsorted(*alike(x1, x2), side=side, sorter=sorter)


def take(x: Any, indices: Any, /, *, axis: Any = None) -> Any:
    """The elements at indices along an axis; negative ones count from the end."""
    at = only_axis("take", x, axis)
    return x[(slice(None),) * (at % x.ndim) + (indices,)]


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """For each place of ``indices`` the element along the axis that it names."""
    return eg.take_along_dim(x, indices.to(int64), axis)


def where(condition: Any, /, *choices: Any) -> Any:
    """Elements of the first choice where the condition holds, else of the second; without choices its `nonzero`."""
    if not choices:  # scikit-learn asks so
        return nonzero(condition)
    return eg.where(condition, *(alike(*choices) if _any_array(*choices) else choices))


# -- Statistics and utilities ------------------------------------------------------------------------------


def _each_axis(x: Any, axes: tuple[int, ...], keepdims: builtins.bool, dtype: Any = None) -> Any:
    for axis in sorted((a % x.ndim for a in axes), reverse=True):
        x = eg.prod(x, axis, keepdims, dtype=dtype)
    return x


def _spread(op: Any) -> Any:
    return reduction(
        lambda x, axes, keepdims, correction=0.0: op(
            x, axes, correction=correction, keepdim=keepdims
        )
    )


def _truth(op: Any) -> Any:
    return reduction(lambda x, axes, keepdims: op(x.bool(), axes, keepdims))


prod = reduction(_each_axis)
std, var = _spread(eg.std), _spread(eg.var)
all, any = _truth(eg.all), _truth(eg.any)


def _cumulative(op: Any, first: int) -> Any:
    def function(
        x: Any,
        /,
        *,
        axis: Any = None,
        dtype: Any = None,
        include_initial: builtins.bool = False,
    ) -> Any:
        axis = only_axis(op.__name__, x, axis)
        found = op(x, axis, dtype=dtype)
        if not include_initial:
            return found
        shape = list(x.shape)
        shape[axis] = 1
        return eg.concat([found.new_full(shape, first), found], axis)

    return function


cumulative_prod, cumulative_sum = _cumulative(eg.cumprod, 1), _cumulative(eg.cumsum, 0)


def size(x: Any) -> int:
    """How many elements there are: what the attribute ``size`` is in the standard."""
    return math.prod(x.shape)
