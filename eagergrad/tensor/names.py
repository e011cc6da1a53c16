"""Names that PyTorch has at its top, each a few lines over what is elsewhere; imported when first asked for."""

from __future__ import annotations

import builtins
import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import eagergrad as eg
from eagergrad.tensor.out import asking, with_out

# --- tensors ----------------------------------------------------------------------------------------------------


def is_distributed(input: Any) -> bool:
    """False: a tensor lies in one process."""
    return False


@asking
def to_dlpack(tensor: Any) -> Any:
    """The tensor's memory as a DLPack capsule."""
    return tensor.detach().__dlpack__()


@with_out
def frobenius_norm(input: Any, dim: Any = (), keepdim: bool = False, *, out: Any = None) -> Any:
    """The root of the sum of squares along dims, by default of all elements."""
    return eg.norm(input, "fro", dim or None, keepdim)


@with_out
def nuclear_norm(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The sum of the singular values of matrices."""
    return eg.norm(input, "nuc", dim, keepdim)


@asking
def norm_except_dim(v: Any, pow: int = 2, dim: int = 0) -> Any:
    """Norms over every dimension but one, which keeps its size; with ``dim=-1`` over all.

    >>> import eagergrad as eg
    >>> eg.norm_except_dim(eg.ones(2, 3, 3), 2, 0).shape
    eagergrad.Size([2, 1, 1])
    """
    if dim == -1:
        return eg.norm(v, pow)
    kept = dim % v.dim()
    return eg.norm(v, pow, [d for d in range(v.dim()) if d != kept], True)


def _weight_norm(v: Any, g: Any, dim: int = 0) -> Any:
    """The weight of direction v and lengths g along a dimension."""
    return v * (g / norm_except_dim(v, 2, dim))


@asking
def split_copy(input: Any, split_size: Any, dim: int = 0) -> list[Any]:
    """Copies of the parts that `split` gives."""
    return [part.clone() for part in input.split(split_size, dim)]


def from_file(
    filename: Any,
    shared: bool | None = None,
    size: int = 0,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Any:
    """A vector over the bytes of a file; writes reach the file if it is ``shared``, which also makes or grows it.

    RuntimeError where a file that is not shared holds less.
    """
    kind = eg.get_default_dtype() if dtype is None else dtype
    need = size * kind.itemsize
    if shared:
        with open(filename, "ab") as file:
            file.truncate(max(need, os.path.getsize(filename)))
    elif os.path.getsize(filename) < need:
        raise RuntimeError(
            f"[from_file] file {str(filename)!r} holds {os.path.getsize(filename)} bytes, expected {need}"
        )
    if size == 0:
        return eg.empty(0, dtype=kind, requires_grad=requires_grad)
    memory = np.memmap(filename, np.uint8, "r+" if shared else "c", shape=(need,))
    made = eg.from_numpy(np.asarray(memory)).view(kind)
    return made.requires_grad_() if requires_grad else made


# --- layers, with what their backward needs -------------------------------------------------------------------------


@asking
def native_layer_norm(
    input: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float
) -> tuple[Any, Any, Any]:
    """`layer_norm` with the means and the reciprocals of the deviations."""
    dims = tuple(range(-len(normalized_shape), 0))
    variance, mean = eg.var_mean(input, dims, correction=0, keepdim=True)
    result = eg.nn.functional.layer_norm(input, normalized_shape, weight, bias, eps)
    return result, mean.detach(), (variance + eps).rsqrt().detach()


@asking
def native_group_norm(
    input: Any, weight: Any, bias: Any, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Any, Any, Any]:
    """`group_norm` with the means and the reciprocals of the deviations, (N, group) each."""
    groups = input.reshape(N, group, C // group * HxW)
    variance, mean = eg.var_mean(groups, 2, correction=0)
    result = eg.nn.functional.group_norm(input, group, weight, bias, eps)
    return result, mean, (variance + eps).rsqrt()


def native_batch_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Any, Any, Any]:
    """`batch_norm` with, in training, the means and the reciprocals of the deviations; else with two empty tensors."""
    result = eg.nn.functional.batch_norm(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )
    if not training:
        return result, input.new_empty(0), input.new_empty(0)
    dims = [d for d in range(input.dim()) if d != 1]
    variance, mean = eg.var_mean(input.detach(), dims, correction=0)
    return result, mean, (variance + eps).rsqrt()


def native_dropout(input: Any, p: float, train: bool | None) -> tuple[Any, Any]:
    """`dropout` with the mask of what stayed."""
    if not train or p == 0:
        return input.clone(), eg.ones_like(input, dtype=eg.bool, requires_grad=False)
    mask = eg.rand_like(input, requires_grad=False) >= p
    return input * mask * (0.0 if p == 1 else 1 / (1 - p)), mask


# --- quantisation as it is trained -------------------------------------------------------------------------------


def fake_quantize_per_tensor_affine(
    input: Any, scale: Any, zero_point: Any, quant_min: int, quant_max: int
) -> Any:
    """The numbers that quantisation keeps: whole multiples of `scale`, `zero_point` and the others within the bounds.

    The gradient is 1 where the multiple is within the bounds, 0 elsewhere.

    >>> import eagergrad as eg
    >>> fake_quantize_per_tensor_affine(eg.tensor([0.24, 9.0]), 0.1, 0, 0, 50)
    tensor([0.2000, 5.0000])
    """
    return _fake_quantized(input, scale, zero_point, quant_min, quant_max)


@asking
def fake_quantize_per_channel_affine(
    input: Any, scale: Any, zero_point: Any, axis: int, quant_min: int, quant_max: int
) -> Any:
    """`fake_quantize_per_tensor_affine` with a scale and a zero point for each place along `axis`."""
    sizes = [1] * input.dim()
    sizes[axis] = -1
    n = input.shape[axis]
    if scale.dim() != 1 or zero_point.dim() != 1 or scale.numel() != n or zero_point.numel() != n:
        raise RuntimeError(
            f"[fake_quantize_per_channel_affine] expected {n} scales and zero points, "
            f"got shapes {list(scale.shape)} and {list(zero_point.shape)}"
        )
    return _fake_quantized(
        input, scale.reshape(sizes), zero_point.reshape(sizes), quant_min, quant_max
    )


def _fake_quantized(x: Any, scale: Any, zero_point: Any, low: int, high: int) -> Any:
    if low > high:
        raise RuntimeError("`quant_min` should be less than or equal to `quant_max`.")
    ends = eg.as_tensor(zero_point)
    if not bool(((ends >= low) & (ends <= high)).all()):
        raise RuntimeError("`zero_point` must be between `quant_min` and `quant_max`.")
    return _FakeQuantize.apply(x, scale, zero_point, low, high)


class _FakeQuantize(eg.autograd.Function):
    _title = "FakeQuantizeBackward"

    @staticmethod
    def forward(ctx: Any, x: Any, scale: Any, zero_point: Any, low: int, high: int) -> Any:
        whole = (x * (1.0 / scale)).round() + zero_point
        ctx.save_for_backward((whole >= low) & (whole <= high))
        return (whole.clamp(low, high) - zero_point) * scale

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (inside,) = ctx.saved_tensors
        return g * inside, None, None, None, None


# --- counting -------------------------------------------------------------------------------------------------------


class _Histogram(NamedTuple):
    """Counts, and the edges of each dimension's bins."""

    hist: Any
    bin_edges: tuple[Any, ...]


_Histogram.__name__ = "histogramdd"  # as PyTorch's result is named


def _edges(x: Any, bins: Any, limits: Any) -> Any:
    if isinstance(bins, eg.Tensor):
        return bins
    if limits is None:
        limits = (x.min().item(), x.max().item()) if x.numel() else (0.0, 1.0)
    low, high = limits
    if low == high:
        low, high = low - 0.5, high + 0.5
    return eg.linspace(low, high, bins + 1, dtype=x.dtype)


@asking
def histogramdd(
    input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False
) -> _Histogram:
    """Counts of the points (..., D) in the cells of D rows of bins: a number of bins, one for each
    dimension, or the edges as tensors. The last bin of a row holds its right edge.

    RuntimeError where the bins do not fit D.

    >>> import eagergrad as eg
    >>> points = eg.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [2.0, 2.0]])
    >>> eg.histogramdd(points, bins=[3, 3]).hist.tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0]]
    """
    if input.dim() < 2:
        raise RuntimeError(
            f"histogramdd(): input tensor should have at least 2 dimensions, but got {input.dim()}"
        )
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"[histogramdd] not implemented for {input.dtype}")
    points = input.detach().reshape(-1, input.shape[-1])
    n = points.shape[1]
    rows = [bins] * n if isinstance(bins, int) else list(bins)
    if len(rows) != n or (range is not None and len(range) != 2 * n):
        raise RuntimeError(
            f"histogramdd(): expected bins, and twice as many limits, for {n} dimensions"
        )
    limits = [None if range is None else range[2 * d : 2 * d + 2] for d in builtins.range(n)]
    edges = tuple(_edges(points[:, d], rows[d], limits[d]) for d in builtins.range(n))
    sizes = [e.numel() - 1 for e in edges]
    inside = eg.ones(points.shape[0], dtype=eg.bool)
    cell = eg.zeros(points.shape[0], dtype=eg.int64)
    for d, e in enumerate(edges):
        x = points[:, d].contiguous()
        at = eg.searchsorted(e, x, right=True) - 1
        at = eg.where(x == e[-1], sizes[d] - 1, at)
        inside &= (at >= 0) & (at < sizes[d]) & (x <= e[-1])
        cell = cell * sizes[d] + at.clamp(0, sizes[d] - 1)
    weights = eg.ones_like(points[:, 0]) if weight is None else weight.reshape(-1).to(points.dtype)
    hist = eg.zeros(math.prod(sizes), dtype=points.dtype)
    hist = hist.index_add(0, cell[inside], weights[inside]).reshape(sizes)
    if density:
        hist = hist / hist.sum()
        for d, e in enumerate(edges):
            shape = [1] * n
            shape[d] = -1
            hist = hist / e.diff().reshape(shape)
    return _Histogram(hist, edges)


# --- control flow ---------------------------------------------------------------------------------------------------


def cond(
    pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Any = ()
) -> Any:
    """``true_fn(*operands)`` or ``false_fn(*operands)``: here simply an ``if``."""
    return true_fn(*operands) if bool(pred) else false_fn(*operands)


def while_loop(
    cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried_inputs: Any
) -> Any:
    """``while cond_fn(*x): x = body_fn(*x)``."""
    x = tuple(carried_inputs)
    while bool(cond_fn(*x)):
        made = body_fn(*x)
        x = tuple(made) if isinstance(made, (tuple, list)) else (made,)
    return x


class SymInt:
    """A number that a compiler leaves open: there are none, so that ``isinstance`` says no."""


class SymFloat(SymInt):
    """The same of a float."""


class SymBool(SymInt):
    """The same of a bool."""


sym_int, sym_float = int, float
sym_max, sym_min, sym_sum, sym_sqrt = max, min, sum, math.sqrt


def _assert_async(input: Any, assert_msg: str = "") -> None:
    """Raises RuntimeError, with the message if one is given, unless the one element is true."""
    if not eg.is_nonzero(input):
        raise RuntimeError(assert_msg or "Expected Tensor with single nonzero value, but got zero")


def sym_not(a: Any) -> bool:
    """``not a``."""
    return not a


def sym_ite(b: Any, t: Any, f: Any) -> Any:
    """``t if b else f``."""
    return t if b else f


# --- switches -------------------------------------------------------------------------------------------------------


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """``autograd.set_detect_anomaly`` as a plain function."""
    eg.autograd.set_detect_anomaly(enabled, check_nan)


def is_anomaly_enabled() -> bool:
    """Whether backward checks each gradient for NaN."""
    return eg.autograd.anomaly_enabled()


is_anomaly_check_nan_enabled = is_anomaly_enabled
_DEBUG_MODES = {"default": 0, "warn": 1, "error": 2}


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """ "default" (0), or "warn" (1) and "error" (2), which ask for deterministic algorithms: all are."""
    mode = _DEBUG_MODES.get(debug_mode, debug_mode) if isinstance(debug_mode, str) else debug_mode
    if mode not in (0, 1, 2):
        raise RuntimeError(
            f"invalid value of debug_mode, expected 0, 1, 2, 'default', 'warn' or 'error', got {debug_mode!r}"
        )
    eg.use_deterministic_algorithms(mode != 0, warn_only=mode == 1)


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2: what `set_deterministic_debug_mode` set."""
    if not eg.are_deterministic_algorithms_enabled():
        return 0
    return 1 if eg.is_deterministic_algorithms_warn_only_enabled() else 2
