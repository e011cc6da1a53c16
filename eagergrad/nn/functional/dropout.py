"""Dropout and its relatives."""

from __future__ import annotations

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops
from eagergrad.tensor.out import asking
from eagergrad.tensor.warn import warn

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]


def _check(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


@asking
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability p and scale the rest by 1/(1-p); without `training` the input itself.

    Source: Hinton et al., 2012.

    >>> import eagergrad as eg
    >>> dropout(eg.ones(3), 0.5, training=False).tolist()
    [1.0, 1.0, 1.0]
    """
    _check(p)
    if inplace and training:
        return input.mul_(_ops.dropout(eg.ones_like(input, requires_grad=False), p, True))
    return _ops.dropout(input, p, training)


def _feature_mask(input: Tensor, p: float) -> Tensor:
    """0/1 draws of shape (N, C, 1, ...)."""
    if input.dim() < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    shape = (*input.shape[:2], *(1 for _ in input.shape[2:]))
    return eg.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(1 - p)


def _feature_dropout(input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    if not training or p == 0:
        return input
    mask = _feature_mask(input, p)
    if p < 1:
        mask.div_(1 - p)
    return input.mul_(mask) if inplace else input * mask


def _nd(name: str, dims: int, input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    """Feature dropout over input of `dims` spatial dimensions, batched or not."""
    _check(p)
    if input.dim() not in (dims + 1, dims + 2):
        warn(
            f"{name}: Received a {input.dim()}-D input; expected {dims + 1}-D (unbatched) or "
            f"{dims + 2}-D. Use dropout for other shapes"
        )
    if input.dim() != dims + 1:
        return _feature_dropout(input, p, training, inplace)
    out = _feature_dropout(input.unsqueeze(0), p, training, inplace)
    return input if inplace else out.squeeze(0)


@asking
def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of (N, C, L) or (C, L) with probability p; the rest is scaled by 1/(1-p)."""
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input"
        )
    return _nd("dropout1d", 1, input, p, training, inplace)


@asking
def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of (N, C, H, W) with probability p (Tompson et al., 2014).

    A 3-D input counts as (N, C, L), with a warning, as in PyTorch.
    """
    _check(p)
    if input.dim() not in (3, 4):
        warn(f"dropout2d: Received a {input.dim()}-D input; expected 4-D (N, C, H, W)")
    if input.dim() == 3:
        warn("dropout2d: a 3-D input is taken as (N, C, L); use dropout1d for that")
    return _feature_dropout(input, p, training, inplace)


@asking
def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W) with probability p."""
    return _nd("dropout3d", 3, input, p, training, inplace)


# What SELU saturates at: -scale * alpha (Klambauer et al., 2017).
_SELU_FLOOR = -1.7580993408473766


def _alpha(input: Tensor, keep: Tensor, p: float, inplace: bool) -> Tensor:
    """Dropped units at SELU's floor; an affine map restores mean and variance."""
    if p == 1:
        return input.mul_(0.0) if inplace else input * 0.0
    a = ((1 - p) * (1 + p * _SELU_FLOOR**2)) ** -0.5
    shift = (keep - 1).mul_(-_SELU_FLOOR * a).add_(-_SELU_FLOOR * a * p)
    scale = keep * a
    if inplace:
        return input.mul_(scale).add_(shift)
    return input * scale + shift


@asking
def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps mean and variance, for SELU networks (Klambauer et al., 2017)."""
    _check(p)
    if not training or p == 0:
        return _ops.dropout(input, 0.0, False)
    keep = eg.empty_like(input, requires_grad=False).bernoulli_(1 - p)
    return _alpha(input, keep, p, inplace)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels."""
    _check(p)
    if not training or p == 0:
        return _ops.dropout(input, 0.0, False)
    return _alpha(input, _feature_mask(input, p), p, inplace)
