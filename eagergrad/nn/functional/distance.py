"""Distances and similarities."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops
from eagergrad.tensor.autocast import full_precision_on_cuda
from eagergrad.tensor.out import with_numpy_names

__all__ = ["cosine_similarity", "one_hot", "pairwise_distance", "pdist"]

one_hot = _ops.one_hot
pdist = eg.pdist


@with_numpy_names
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps over the last dimension.

    >>> import eagergrad as eg
    >>> pairwise_distance(eg.zeros(1, 2), eg.tensor([[3.0, 4.0]]), eps=0.0).tolist()
    [5.0]
    """
    return eg.norm(x1 - x2 + eps, p, -1, keepdim)


@full_precision_on_cuda
@with_numpy_names
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim`; shapes broadcast.

    >>> import eagergrad as eg
    >>> cosine_similarity(eg.tensor([[2.0, 0.0]]), eg.tensor([[5.0, 0.0]])).tolist()
    [1.0]
    """
    common: Any = eg.result_type(x1, x2)
    if not common.is_floating_point:
        raise RuntimeError(
            f"[cosine_similarity] expected a floating point tensor, came {x1.dtype} and {x2.dtype}"
        )
    x1, x2 = eg.broadcast_tensors(x1.to(common), x2.to(common))
    return ((x1 / _limited_norm(x1, dim, eps)) * (x2 / _limited_norm(x2, dim, eps))).sum(dim)


def _limited_norm(x: Tensor, dim: int, eps: float) -> Tensor:
    """The norm, at least `eps`, with the gradient of the norm itself (PyTorch's)."""
    norm = eg.norm(x, 2, dim, True)
    if not norm.requires_grad:
        return norm.clamp_min(eps)
    norm = norm.clone()
    with eg.no_grad():
        norm.clamp_min_(eps)
    return norm
