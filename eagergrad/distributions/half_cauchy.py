"""The half-Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.cauchy import Cauchy
from eagergrad.distributions.transformed_distribution import TransformedDistribution
from eagergrad.distributions.transforms import AbsTransform

__all__ = ["HalfCauchy"]


class HalfCauchy(TransformedDistribution):
    """Absolute value of a `Cauchy` centred at 0, of scale ``scale``."""

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Cauchy(0, scale, validate_args=False), AbsTransform(), validate_args)

    @property
    def scale(self) -> Any:
        """Scale of the distribution before folding."""
        return self.base_dist.scale

    @property
    def mean(self) -> Any:
        return eg.full_like(self.scale, math.inf)

    @property
    def variance(self) -> Any:
        return eg.full_like(self.scale, math.inf)

    @property
    def mode(self) -> Any:
        return eg.zeros_like(self.scale)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        log_prob = self.base_dist.log_prob(value) + math.log(2)
        return eg.where(value >= 0, log_prob, -math.inf)

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, value: Any) -> Any:
        return self.base_dist.icdf((value + 1) / 2)

    def entropy(self) -> Any:
        return self.base_dist.entropy() - math.log(2)
