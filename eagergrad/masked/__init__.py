"""Reductions and normalisations of the elements that a mask selects, under the names of torch.masked.

A mask is a boolean tensor that broadcasts to the input; without one every element counts. Where no element counts, the result
is the operation's value of nothing: 0 for a sum, NaN for a mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad.tensor.size import wrap_dim

__all__ = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]


def _limits(dtype: Any) -> tuple[float, float]:
    if dtype.is_floating_point:
        return -math.inf, math.inf
    return (0, 1) if dtype is eg.bool else (eg.iinfo(dtype).min, eg.iinfo(dtype).max)


def _filled(input: Tensor, mask: Tensor | None, value: float) -> Tensor:
    """The input with `value` in place of what the mask leaves out."""
    if mask is None:
        return input
    _check(input, mask)
    return eg.where(mask, input, eg.tensor(value, dtype=input.dtype, device=input.device))


def _check(input: Tensor, mask: Tensor) -> None:
    if mask.dtype is not eg.bool:
        raise TypeError(f"[masked] expected a boolean mask, got {mask.dtype}")
    if eg.broadcast_shapes(tuple(mask.shape), tuple(input.shape)) != input.shape:
        raise RuntimeError(
            f"[masked] expected a mask that broadcasts to {tuple(input.shape)}, got {tuple(mask.shape)}"
        )


def _dims(input: Tensor, dim: Any) -> tuple[int, ...]:
    n = input.dim()
    if dim is None or (isinstance(dim, Sequence) and not dim):
        return tuple(range(n))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    dims = tuple(wrap_dim(d, n) for d in dims)
    if len(set(dims)) != len(dims):
        raise RuntimeError("dim appears multiple times in the list of dims")
    return dims if n else ()


def _cast(input: Tensor, dtype: Any) -> Tensor:
    return input if dtype is None else input.to(dtype)


def _summed(input: Tensor, dtype: Any) -> Tensor:
    """As sums are: whole numbers in int64."""
    if dtype is None and not input.dtype.is_floating_point:
        dtype = eg.int64
    return _cast(input, dtype)


def _counts(input: Tensor, mask: Tensor | None, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    there = eg.ones_like(input, dtype=eg.int64, requires_grad=False)
    return _total(_filled(there, mask, 0), dims, keepdim)


def _total(x: Tensor, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    return x.sum(dims, keepdim) if dims else x


def sum(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """Sum of the selected elements.

    >>> import eagergrad as eg
    >>> eg.masked.sum(eg.tensor([1, 2, 4]), mask=eg.tensor([True, False, True])).item()
    5
    """
    x = _filled(_summed(input, dtype), mask, 0)
    return _total(x, _dims(x, dim), keepdim)


def prod(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """Product of the selected elements."""
    x = _filled(_summed(input, dtype), mask, 1)
    for d in sorted(_dims(x, dim), reverse=True):
        x = x.prod(d, keepdim)
    return x


def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """Sums so far of the selected elements."""
    dtype = input.dtype if dtype is None else dtype
    return _filled(_cast(input, dtype), mask, 0).cumsum(dim, dtype=dtype)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """Products so far of the selected elements."""
    dtype = input.dtype if dtype is None else dtype
    return _filled(_cast(input, dtype), mask, 1).cumprod(dim, dtype=dtype)


def amax(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """Largest of the selected elements."""
    x = _cast(input, dtype)
    return _filled(x, mask, _limits(x.dtype)[0]).amax(_dims(x, dim), keepdim)


def amin(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """Smallest of the selected elements."""
    x = _cast(input, dtype)
    return _filled(x, mask, _limits(x.dtype)[1]).amin(_dims(x, dim), keepdim)


def argmax(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """Position of the largest selected element, in the dtype of the input or the one asked for."""
    x = _cast(input, dtype)
    return _filled(x, mask, _limits(x.dtype)[0]).argmax(dim, keepdim).to(x.dtype)


def argmin(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """Position of the smallest selected element, in the dtype of the input or the one asked for."""
    x = _cast(input, dtype)
    return _filled(x, mask, _limits(x.dtype)[1]).argmin(dim, keepdim).to(x.dtype)


def mean(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """Mean of the selected elements."""
    x = _cast(input, dtype)
    if not x.dtype.is_floating_point:
        raise ValueError(
            f"mean(): Could not infer output dtype. Input dtype must be a floating point dtype. Got: {x.dtype}"
        )
    dims = _dims(x, dim)
    if mask is None:
        return x.mean(dims, keepdim)
    return _total(_filled(x, mask, 0), dims, keepdim) / _counts(x, mask, dims, keepdim)


def median(
    input: Tensor,
    dim: int = -1,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """Lower median of the selected elements; NaN where there is none."""
    x = _cast(input, dtype)
    if not x.dtype.is_floating_point:
        x = x.to(eg.get_default_dtype())
    if x.dim() == 0:
        return _filled(x, mask, math.nan)
    x = _filled(x, mask, math.nan)
    return x.nanmedian(dim, keepdim).values


def norm(
    input: Tensor,
    ord: float = 2.0,
    dim: Any = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """ord-norm of the selected elements."""
    x = _filled(_cast(input, dtype), mask, math.inf if ord == -math.inf else 0)
    return eg.linalg.vector_norm(x, ord, _dims(x, dim), keepdim)


def _variance(input: Tensor, dim: Any, correction: float, keepdim: bool, mask: Any) -> Tensor:
    dims = _dims(input, dim)
    x = input if input.dtype.is_floating_point else input.to(eg.get_default_dtype())
    n = _counts(x, mask, dims, keepdim)
    centre = mean(x, dims, keepdim=True, mask=mask)
    squares = _total(_filled((x - centre).square(), mask, 0), dims, keepdim)
    return squares / (n - correction).clamp(min=0).to(x.dtype)


def _correction(unbiased: bool | None, correction: float | None) -> float:
    if unbiased is not None and correction is not None:
        raise RuntimeError("Only one of unbiased and correction may be given")
    return (1 if unbiased is None or unbiased else 0) if correction is None else correction


def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """Variance of the selected elements."""
    return _variance(_cast(input, dtype), dim, _correction(unbiased, correction), keepdim, mask)


def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """Standard deviation of the selected elements."""
    return var(
        input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask
    ).sqrt()


def logsumexp(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """log of the sum of exp of the selected elements, in the dtype of the input or the one asked for."""
    x = _cast(input, dtype)
    return _filled(x, mask, _limits(x.dtype)[0]).logsumexp(_dims(x, dim), keepdim).to(x.dtype)


def logaddexp(
    input: Tensor,
    other: Tensor,
    *,
    dtype: Any = None,
    input_mask: Any = None,
    other_mask: Any = None,
) -> Tensor:
    """log(exp(input) + exp(other)), each where its mask selects it."""
    a, b = _cast(input, dtype), _cast(other, dtype)
    return eg.logaddexp(_filled(a, input_mask, -math.inf), _filled(b, other_mask, -math.inf))


def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """softmax over the selected elements; the others get 0."""
    x = _cast(input, dtype)
    return _filled(x, mask, _limits(x.dtype)[0]).softmax(dim)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """log of softmax()."""
    x = _cast(input, dtype)
    return _filled(x, mask, _limits(x.dtype)[0]).log_softmax(dim)


def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """softmax of the negated elements."""
    x = _cast(input, dtype)
    return (-_filled(x, mask, _limits(x.dtype)[1])).softmax(dim)


def normalize(
    input: Tensor,
    ord: float,
    dim: int,
    *,
    eps: float = 1e-12,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The selected elements divided by their ord-norm along dim, or by eps where that is larger."""
    x = _cast(input, dtype)
    length = norm(x, ord, dim, keepdim=True, mask=mask)
    return _filled(x, mask, 0) / length.clamp(min=eps)
