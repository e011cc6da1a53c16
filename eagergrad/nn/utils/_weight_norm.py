"""The norm that keeps one dimension, and the weight made of direction and length."""

from __future__ import annotations

import eagergrad as eg
from eagergrad import Tensor

__all__ = ["norm_except_dim", "weight_of"]


def norm_except_dim(v: Tensor, dim: int) -> Tensor:
    """The 2-norm over all dimensions but `dim`, which keeps its place; dim -1 is the norm of everything."""
    if dim == -1:
        return eg.norm(v)
    dim = dim % v.dim() if v.dim() else 0
    others = [d for d in range(v.dim()) if d != dim]
    return (v * v).sum(others, keepdim=True).sqrt() if others else v.abs()


def weight_of(v: Tensor, g: Tensor, dim: int) -> Tensor:
    """g v / |v| (Salimans and Kingma, 2016)."""
    return v * (g / norm_except_dim(v, dim))
