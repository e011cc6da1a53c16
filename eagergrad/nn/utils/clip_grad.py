"""Limiting gradients."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]

Tensors = Tensor | Iterable[Tensor]


def _as_list(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _grads(parameters: Tensors) -> list[Tensor]:
    return [p.grad for p in _as_list(parameters) if p.grad is not None]


def _dense(t: Tensor) -> Tensor:
    """The elements that a row-sparse gradient stores; a dense tensor itself."""
    return t._values() if t.is_sparse else t


def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of all tensors as one vector; RuntimeError for nan or inf if asked.

    >>> import eagergrad as eg
    >>> float(get_total_norm([eg.tensor([3.0]), eg.tensor([4.0])]))
    5.0
    """
    norm_type = float(norm_type)
    values = [_dense(t.detach()) for t in _as_list(tensors)]
    if not values:
        return eg.tensor(0.0)
    if len({v.device for v in values}) == 1:
        total = _ops._global_norm(values, norm_type)
    else:
        norms = [eg.norm(v, norm_type).to(values[0].device) for v in values]
        total = eg.norm(eg.stack(norms), norm_type)
    if error_if_nonfinite and not math.isfinite(float(total)):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it "
            "cannot be clipped. To scale the gradients by it all the same, set error_if_nonfinite=False"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Multiply all gradients by max_norm / (total_norm + 1e-6) where that is below 1, in place."""
    grads = [_dense(g) for g in _grads(parameters)]
    if not grads:
        return
    if not isinstance(total_norm, Tensor):
        total_norm = eg.tensor(float(total_norm), dtype=eg.float64)
    with eg.no_grad():
        _ops._limit_norm_(grads, total_norm.detach(), float(max_norm))


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients in place so that their total norm is at most `max_norm`; returns the norm they had.

    Source: Pascanu et al., 2012. RuntimeError for a nan or inf norm if asked.

    >>> import eagergrad as eg
    >>> p = eg.nn.Parameter(eg.zeros(2))
    >>> p.grad = eg.tensor([3.0, 4.0])
    >>> float(clip_grad_norm_(p, 1.0)), round(float(p.grad.norm()), 4)
    (5.0, 1.0)
    """
    params = _as_list(parameters)
    if not params and not isinstance(parameters, Tensor):
        warnings.warn("`parameters` is empty: no gradient clipping will occur.", stacklevel=2)
    total = get_total_norm(_grads(params), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(params, max_norm, total)
    return total


def clip_grad_norm(*args: Any, **kwargs: Any) -> Tensor:
    """The old name of `clip_grad_norm_`."""
    warnings.warn(
        "`clip_grad_norm` is now deprecated in favor of `clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(*args, **kwargs)


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Cut all elements of all gradients to [-clip_value, clip_value], in place.

    >>> import eagergrad as eg
    >>> p = eg.nn.Parameter(eg.zeros(2))
    >>> p.grad = eg.tensor([-3.0, 0.5])
    >>> clip_grad_value_([p], 1.0)
    >>> p.grad.tolist()
    [-1.0, 0.5]
    """
    limit = float(clip_value)
    grads = [_dense(g) for g in _grads(parameters)]
    if not grads:
        return
    with eg.no_grad():
        _ops._clamp_all_(grads, -limit, limit)
