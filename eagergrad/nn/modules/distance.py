"""Distances and similarities as layers."""

from __future__ import annotations

from eagergrad import Tensor

from .. import functional as F
from .module import Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 + eps over the last dimension: (N, D), (N, D) to (N,).

    >>> import eagergrad as eg
    >>> d = eg.nn.PairwiseDistance(p=1, eps=0.0)
    >>> d(eg.zeros(1, 2), eg.tensor([[3.0, 4.0]])).tolist()
    [7.0]
    """

    __constants__ = ["norm", "eps", "keepdim"]

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """The cosine of the angle between x1 and x2 along `dim`.

    >>> import eagergrad as eg
    >>> eg.nn.CosineSimilarity()(eg.tensor([[1.0, 0.0]]), eg.tensor([[0.0, 1.0]])).tolist()
    [0.0]
    """

    __constants__ = ["dim", "eps"]

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
