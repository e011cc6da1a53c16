"""The Dirichlet distribution."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.distribution import Distribution
from eagergrad.distributions.gamma import log_gamma_sample

__all__ = ["Dirichlet"]


class Dirichlet(Distribution):
    """Dirichlet distribution over probability vectors, of the given concentrations."""

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("[Dirichlet] concentration expected at least one dimension, got none")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Any:
        excess = (self.concentration - 1).clamp(min=0.0)
        mode = excess / excess.sum(-1, True)
        corner = (self.concentration < 1).all(-1, True)
        largest = self.concentration.argmax(-1)
        peak = eg.nn.functional.one_hot(largest, self.concentration.shape[-1]).to(mode.dtype)
        return eg.where(corner, peak, mode)

    @property
    def variance(self) -> Any:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        return eg.softmax(log_gamma_sample(self.concentration.expand(shape)), -1)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        a = self.concentration
        return eg.xlogy(a - 1, value).sum(-1) + eg.lgamma(a.sum(-1)) - eg.lgamma(a).sum(-1)

    def entropy(self) -> Any:
        a, k = self.concentration, self.concentration.shape[-1]
        total = a.sum(-1)
        return (
            eg.lgamma(a).sum(-1)
            - eg.lgamma(total)
            - (k - total) * eg.digamma(total)
            - ((a - 1) * eg.digamma(a)).sum(-1)
        )
