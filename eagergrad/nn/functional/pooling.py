"""Pooling over windows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from operator import index
from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops
from eagergrad.tensor.autocast import full_precision_on_cpu
from eagergrad.tensor.out import asking

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]

avg_pool1d = _ops.avg_pool1d
avg_pool2d = _ops.avg_pool2d
avg_pool3d = _ops.avg_pool3d


def _numbers(value: Any, n: int) -> tuple[Any, ...]:
    """One for each of n dimensions."""
    several = not isinstance(value, int) and isinstance(value, Sequence)  # the second takes long
    return tuple(value) if several else (value,) * n


# --- maximum


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Greatest value of each window of (N, C, L); with `return_indices` also its positions.

    >>> import eagergrad as eg
    >>> max_pool1d(eg.tensor([[1.0, 3.0, 2.0, 0.0]]), 2).tolist()
    [[3.0, 2.0]]
    """
    pool = _ops.max_pool1d_with_indices if return_indices else _ops.max_pool1d
    return pool(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Greatest value of each window of (N, C, H, W); with `return_indices` also its positions.

    >>> import eagergrad as eg
    >>> max_pool2d(eg.arange(4.0).reshape(1, 2, 2), 2).tolist()
    [[[3.0]]]
    """
    pool = _ops.max_pool2d_with_indices if return_indices else _ops.max_pool2d
    return pool(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Greatest value of each window of (N, C, D, H, W); with `return_indices` also its positions.

    >>> import eagergrad as eg
    >>> max_pool3d(eg.arange(8.0).reshape(1, 2, 2, 2), 2).tolist()
    [[[[7.0]]]]
    """
    pool = _ops.max_pool3d_with_indices if return_indices else _ops.max_pool3d
    return pool(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """max_pool1d and the positions of the maxima."""
    return _ops.max_pool1d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """max_pool2d and the positions of the maxima in the flattened plane."""
    return _ops.max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """max_pool3d and the positions of the maxima in the flattened volume."""
    return _ops.max_pool3d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)


def _unpool(
    n: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
) -> Tensor:
    if input.dim() not in (n + 1, n + 2):
        raise RuntimeError(
            f"[max_unpool{n}d] expected a {n + 1}-d or {n + 2}-d input, got shape {tuple(input.shape)}"
        )
    kernel = _numbers(kernel_size, n)
    steps = kernel if stride is None else _numbers(stride, n)
    pads = _numbers(padding, n)
    spatial = tuple(input.shape)[-n:]
    default = [
        (i - 1) * s + k - 2 * p for i, s, k, p in zip(spatial, steps, kernel, pads, strict=True)
    ]
    if output_size is None:
        return _ops.max_unpool(input, indices, default)
    size = list(output_size)
    if len(size) == n + 2:
        size = size[2:]
    if len(size) != n:
        raise ValueError(
            f"[max_unpool{n}d] output_size should have {n} or {n + 2} elements, got {len(size)}"
        )
    for want, given, step in zip(default, size, steps, strict=True):
        if not want - step < given < want + step:
            raise ValueError(
                f"[max_unpool{n}d] output_size {size} is not within one stride of {default}"
            )
    return _ops.max_unpool(input, indices, size)


@full_precision_on_cpu
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Puts the maxima of max_pool1d back at their positions, zero elsewhere.

    >>> import eagergrad as eg
    >>> max_unpool1d(eg.tensor([[3.0, 2.0]]), eg.tensor([[1, 2]]), 2).tolist()
    [[0.0, 3.0, 2.0, 0.0]]
    """
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


@full_precision_on_cpu
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Puts the maxima of max_pool2d back at their positions, zero elsewhere."""
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


@full_precision_on_cpu
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Puts the maxima of max_pool3d back at their positions, zero elsewhere."""
    return _unpool(3, input, indices, kernel_size, stride, padding, output_size)


# --- as many windows as the output has places


def _output_size(input: Tensor, output_size: Any, n: int) -> list[int]:
    """Whole numbers for all n dimensions (TypeError for others); None keeps a dimension."""
    if type(output_size) is int and input.dim() > n:
        return [output_size] * n
    sizes, spatial = _numbers(output_size, n), input.shape[-n:]
    if len(sizes) != n or len(spatial) != n:
        raise RuntimeError(
            f"[adaptive_pool{n}d] expected {n} output sizes, got {output_size} for input {tuple(input.shape)}"
        )
    try:
        return [
            have if want is None else index(want) for want, have in zip(sizes, spatial, strict=True)
        ]
    except TypeError:
        raise TypeError(
            f"[adaptive_pool{n}d] expected whole numbers or None as output sizes, got {output_size!r}"
        ) from None


@asking
def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Means of `output_size` windows that cover (N, C, L).

    >>> import eagergrad as eg
    >>> adaptive_avg_pool1d(eg.arange(6.0).reshape(1, 1, 6), 2).tolist()
    [[[1.0, 4.0]]]
    """
    return _ops.adaptive_avg_pool(input, _output_size(input, output_size, 1))


@asking
def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means of windows that cover (N, C, H, W); None keeps a size."""
    return _ops.adaptive_avg_pool(input, _output_size(input, output_size, 2))


@full_precision_on_cpu
def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means of windows that cover (N, C, D, H, W); None keeps a size."""
    return _ops.adaptive_avg_pool(input, _output_size(input, output_size, 3))


def _adaptive_max(n: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    both = _ops.adaptive_max_pool(input, _output_size(input, output_size, n))
    return tuple(both) if return_indices else both[0]


@asking
def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of `output_size` windows that cover (N, C, L); with `return_indices` also positions.

    >>> import eagergrad as eg
    >>> adaptive_max_pool1d(eg.arange(6.0).reshape(1, 1, 6), 2).tolist()
    [[[2.0, 5.0]]]
    """
    return _adaptive_max(1, input, output_size, return_indices)


@asking
def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of windows that cover (N, C, H, W); None keeps a size."""
    return _adaptive_max(2, input, output_size, return_indices)


@full_precision_on_cpu
def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of windows that cover (N, C, D, H, W); None keeps a size."""
    return _adaptive_max(3, input, output_size, return_indices)


@asking
def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """adaptive_max_pool1d and the positions of the maxima."""
    return _adaptive_max(1, input, output_size, True)


@asking
def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """adaptive_max_pool2d and the positions of the maxima."""
    return _adaptive_max(2, input, output_size, True)


@full_precision_on_cpu
def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """adaptive_max_pool3d and the positions of the maxima."""
    return _adaptive_max(3, input, output_size, True)


# --- power means


def _lp(
    n: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Tensor:
    kernel = _numbers(kernel_size, n)
    if stride is not None:
        stride = _numbers(stride, n)
    pool = (avg_pool1d, avg_pool2d, avg_pool3d)[n - 1]
    mean = pool(input.pow(norm_type), kernel, stride, 0, ceil_mode)
    return (eg.sign(mean) * eg.relu(eg.abs(mean))).mul(math.prod(kernel)).pow(1.0 / norm_type)


@asking
def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Tensor:
    """(sum of x ** p over each window) ** (1 / p) of (N, C, L), p = norm_type.

    >>> import eagergrad as eg
    >>> lp_pool1d(eg.tensor([[3.0, 4.0]]), 2, 2).tolist()
    [[5.0]]
    """
    return _lp(1, input, norm_type, kernel_size, stride, ceil_mode)


@asking
def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Tensor:
    """(sum of x ** p over each window) ** (1 / p) of (N, C, H, W), p = norm_type."""
    return _lp(2, input, norm_type, kernel_size, stride, ceil_mode)


@asking
def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Tensor:
    """(sum of x ** p over each window) ** (1 / p) of (N, C, D, H, W), p = norm_type."""
    return _lp(3, input, norm_type, kernel_size, stride, ceil_mode)


# --- fractional maximum (Graham, 2014)


def _fractional_starts(samples: Tensor, size: int, out: int, kernel: int) -> Tensor:
    """First elements (planes, out) of the windows: pseudo-random steps, the last window at the end."""
    if out == 1:
        return samples.new_full((samples.shape[0], 1), size - kernel, dtype=eg.int64)
    alpha = (size - kernel) / (out - 1)
    steps = eg.arange(out - 1, dtype=samples.dtype, device=samples.device)
    u = samples.unsqueeze(1)
    starts = ((steps + u) * alpha).floor().long() - (u * alpha).floor().long()
    last = samples.new_full((samples.shape[0], 1), size - kernel, dtype=eg.int64)
    return eg.cat([starts, last], 1)


def _greatest_of_windows(
    flat: Tensor,
    samples: Tensor,
    spatial: tuple[int, ...],
    out: tuple[int, ...],
    kernel: tuple[int, ...],
) -> Tensor:
    """Positions (planes, 1, windows) of the maxima: the first of equal values, the last NaN."""
    n, planes = len(spatial), flat.shape[0]
    first = samples.new_zeros((planes, 1), dtype=eg.int64)  # of each window
    for d in range(n):
        # the samples are in the order width, height, (time first in three dimensions)
        column = n - 1 - d if n == 2 else d
        starts = _fractional_starts(samples[:, column], spatial[d], out[d], kernel[d])
        first = (first.unsqueeze(2) * spatial[d] + starts.unsqueeze(1)).flatten(1)
    best, at = None, first.unsqueeze(1)
    for taps in itertools.product(*map(range, kernel)):
        step = 0
        for tap, size in zip(taps, spatial, strict=True):
            step = step * size + tap
        position = first.unsqueeze(1) + step
        value = _ops._plane_gather(flat, position, 1)
        if best is None:
            best = value
            continue
        better = (value > best) | value.isnan()
        best, at = eg.where(better, value, best), eg.where(better, position, at)
    return at


def _fractional(
    n: int,
    input: Tensor,
    kernel_size: Any,
    output_size: Any,
    output_ratio: Any,
    random_samples: Any,
) -> tuple[Tensor, Tensor]:
    name = f"fractional_max_pool{n}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"[{name}] requires specifying either an output_size or an output_ratio")
    if input.dim() not in (n + 1, n + 2):
        raise RuntimeError(
            f"[{name}] expected {n + 1} or {n + 2} dimensions, got {tuple(input.shape)}"
        )
    spatial = tuple(input.shape)[-n:]
    if output_size is None:
        output_size = [int(s * r) for s, r in zip(spatial, _numbers(output_ratio, n), strict=True)]
    out, kernel = _numbers(output_size, n), _numbers(kernel_size, n)
    for o, k, s in zip(out, kernel, spatial, strict=True):
        if o < 1 or k < 1:
            raise RuntimeError(
                f"[{name}] expected positive sizes, got output {out}, kernel {kernel}"
            )
        if o + k - 1 > s:
            raise RuntimeError(
                f"[{name}] output {out} and kernel {kernel} do not fit in input {spatial}"
            )
    lead = tuple(input.shape)[:-n]
    batch = 1 if input.dim() == n + 1 else lead[0]
    if random_samples is None:
        random_samples = eg.rand(batch, lead[-1], n, dtype=input.dtype, device=input.device)
    drawn = tuple(random_samples.shape)
    if len(drawn) != 3 or drawn[0] < batch or drawn[1:] != (lead[-1], n):
        raise RuntimeError(
            f"[{name}] expected _random_samples of shape {(batch, lead[-1], n)}, got {drawn}"
        )
    if not bool(((random_samples >= 0) & (random_samples <= 1)).all()):
        raise RuntimeError(f"[{name}] expected _random_samples between 0 and 1")
    samples = random_samples[:batch].reshape(-1, n)
    planes = samples.shape[0]
    flat = input.reshape(planes, 1, math.prod(spatial))
    with eg.no_grad():
        indices = _greatest_of_windows(flat, samples, spatial, out, kernel)
    values = _ops._plane_gather(flat, indices, 1)
    return values.reshape(*lead, *out), indices.reshape(*lead, *out)


@full_precision_on_cpu
def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """fractional_max_pool2d and the positions of the maxima."""
    return _fractional(2, input, kernel_size, output_size, output_ratio, _random_samples)


@full_precision_on_cpu
def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """fractional_max_pool3d and the positions of the maxima."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, _random_samples)


@full_precision_on_cpu
def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Maxima of windows at pseudo-random steps, to a size or a fraction of it (Graham, 2014).

    >>> import eagergrad as eg
    >>> tuple(fractional_max_pool2d(eg.rand(1, 2, 9, 9), 3, output_size=(4, 5)).shape)
    (1, 2, 4, 5)
    """
    both = _fractional(2, input, kernel_size, output_size, output_ratio, _random_samples)
    return both if return_indices else both[0]


@full_precision_on_cpu
def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The same over three dimensions."""
    both = _fractional(3, input, kernel_size, output_size, output_ratio, _random_samples)
    return both if return_indices else both[0]
