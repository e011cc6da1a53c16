"""The LKJ distribution of correlation matrices, as their Cholesky factors."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.beta import Beta
from eagergrad.distributions.distribution import Distribution

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Lower Cholesky factors of ``dim`` x ``dim`` correlation matrices M, with density of M proportional to
    ``det(M) ** (concentration - 1)``.

    Source: Lewandowski, Kurowicka and Joe, 2009; drawn by their onion method.

    Raises:
        ValueError: ``dim`` is below 2.

    >>> import eagergrad as eg
    >>> l = LKJCholesky(3, 0.5).sample()
    >>> (l @ l.T).diagonal().allclose(eg.ones(3))
    True
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    has_rsample = False

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(f"[LKJCholesky] dim expected an integer of at least 2, got {dim}")
        self.dim = dim
        self.concentration = eg.as_tensor(concentration)
        if not self.concentration.is_floating_point():
            self.concentration = self.concentration.to(eg.get_default_dtype())
        super().__init__(self.concentration.shape, (dim, dim), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new.dim = self.dim
        return new

    def sample(self, sample_shape: Any = ()) -> Any:
        with eg.no_grad():
            return self._onion(tuple(sample_shape))

    def _onion(self, sample_shape: tuple) -> Any:
        kind = {"dtype": self.concentration.dtype, "device": self.concentration.device}
        n = self.dim
        row = eg.arange(n - 1, **kind)
        # Row i + 1: squared length of what is left of the diagonal, in a direction drawn uniformly.
        below = Beta(row / 2 + 0.5, self.concentration.unsqueeze(-1) + (n - 2 - row) / 2)
        shape = self._extended_shape(sample_shape)
        length = eg.cat([eg.zeros(*shape[:-2], 1, **kind), below.sample(sample_shape)], -1)
        length = length.unsqueeze(-1)
        direction = eg.randn(shape, **kind).tril(-1)
        norm = direction.norm(dim=-1, keepdim=True)
        direction = direction / eg.where(norm > 0, norm, eg.ones_like(norm))
        tiny = eg.finfo(length.dtype).tiny
        diagonal = (1 - length).clamp(min=tiny).sqrt().squeeze(-1)
        return length.sqrt() * direction + eg.diag_embed(diagonal)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        n = self.dim
        kind = {"dtype": self.concentration.dtype, "device": self.concentration.device}
        # The Jacobian from M to its factor adds n - i to the exponent of entry i of the diagonal.
        order = 2 * (self.concentration.unsqueeze(-1) - 1) + n - eg.arange(2, n + 1, **kind)
        diagonal = value.diagonal(0, -2, -1)[..., 1:]
        density = (order * diagonal.log()).sum(-1)
        alpha = self.concentration + (n - 1) / 2
        norm = (n - 1) / 2 * math.log(math.pi) + eg.mvlgamma(alpha - 0.5, n - 1)
        return density - norm + eg.lgamma(alpha) * (n - 1)
