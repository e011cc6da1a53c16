"""Reductions, scans and softmax."""

import math

import numpy as np

from eagergrad.export.numpy_forms.arguments import _axes


def sum(input, dim=None, keepdim=False, dtype=None):
    return np.sum(input, _axes(dim, input), dtype, keepdims=keepdim)


def mean(input, dim=None, keepdim=False, dtype=None):
    return np.mean(input, _axes(dim, input), dtype, keepdims=keepdim)


def prod(input, dim=None, keepdim=False, dtype=None):
    return np.prod(input, dim, dtype, keepdims=keepdim)


def all(input, dim=None, keepdim=False):
    return np.all(input, _axes(dim, input), keepdims=keepdim)


def any(input, dim=None, keepdim=False):
    return np.any(input, _axes(dim, input), keepdims=keepdim)


def amax(input, dim=(), keepdim=False):
    return np.max(input, _axes(dim, input), keepdims=keepdim)


def amin(input, dim=(), keepdim=False):
    return np.min(input, _axes(dim, input), keepdims=keepdim)


def argmax(input, dim=None, keepdim=False):
    return np.argmax(input, dim, keepdims=keepdim)


def argmin(input, dim=None, keepdim=False):
    return np.argmin(input, dim, keepdims=keepdim)


def max(input, dim=None, keepdim=False, other=None):
    other = dim if isinstance(dim, np.ndarray) else other
    if other is not None:
        return np.maximum(input, other)
    return (
        np.max(input)
        if dim is None
        else (np.max(input, dim, keepdims=keepdim), np.argmax(input, dim, keepdims=keepdim))
    )


def min(input, dim=None, keepdim=False, other=None):
    other = dim if isinstance(dim, np.ndarray) else other
    if other is not None:
        return np.minimum(input, other)
    return (
        np.min(input)
        if dim is None
        else (np.min(input, dim, keepdims=keepdim), np.argmin(input, dim, keepdims=keepdim))
    )


def var(input, dim=None, unbiased=None, keepdim=False, correction=None):
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    unbiased = True if unbiased is None else unbiased
    return np.var(
        input,
        _axes(dim, input),
        ddof=int(unbiased) if correction is None else correction,
        keepdims=keepdim,
    )


def std(input, dim=None, unbiased=None, keepdim=False, correction=None):
    return np.sqrt(var(input, dim, unbiased, keepdim, correction))


def var_mean(input, dim=None, unbiased=None, keepdim=False, correction=None):
    axes = None if isinstance(dim, bool) else dim
    return var(input, dim, unbiased, keepdim, correction), mean(input, axes, keepdim)


def std_mean(input, dim=None, unbiased=None, keepdim=False, correction=None):
    axes = None if isinstance(dim, bool) else dim
    return std(input, dim, unbiased, keepdim, correction), mean(input, axes, keepdim)


def _vector_norm(input, p, dim=None, keepdim=False):
    a, axes = np.abs(input), _axes(dim, input)
    if math.isinf(p):
        return (np.max if p > 0 else np.min)(a, axes, keepdims=keepdim)
    if p == 0:
        return np.sum(a != 0, axes, keepdims=keepdim)
    return np.sum(a**p, axes, keepdims=keepdim) ** (1 / p)


def nansum(input, dim=None, keepdim=False, dtype=None):
    return np.nansum(input, _axes(dim, input), dtype, keepdims=keepdim)


def nanmean(input, dim=None, keepdim=False, dtype=None):
    return np.nanmean(input, _axes(dim, input), dtype, keepdims=keepdim)


def count_nonzero(input, dim=None):
    return np.asarray(np.count_nonzero(input, _axes(dim, input)))


def aminmax(input, dim=None, keepdim=False):
    return np.min(input, dim, keepdims=keepdim), np.max(input, dim, keepdims=keepdim)


def diff(input, n=1, dim=-1, prepend=None, append=None):
    parts = [x for x in (prepend, input, append) if x is not None]
    return np.diff(np.concatenate(parts, dim), n, dim)


def cumsum(input, dim, dtype=None):
    return np.cumsum(input, dim, dtype)


def cumprod(input, dim, dtype=None):
    return np.cumprod(input, dim, dtype)


def logsumexp(input, dim, keepdim=False):
    axes = _axes(dim, input)
    top = np.max(input, axes, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    y = np.log(np.sum(np.exp(input - top), axes, keepdims=True)) + top
    return y if keepdim else y.squeeze(axes)


def softmax(input, dim, dtype=None):
    e = np.exp(input - np.max(input, dim, keepdims=True))
    return e / np.sum(e, dim, keepdims=True)


def log_softmax(input, dim, dtype=None):
    shifted = input - np.max(input, dim, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), dim, keepdims=True))
