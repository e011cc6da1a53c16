"""The half-normal distribution, and what folded distributions share."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.location_scale import LocationScale
from eagergrad.distributions.normal import Normal
from eagergrad.distributions.transformed_distribution import TransformedDistribution
from eagergrad.distributions.transforms import AbsTransform

__all__ = ["Folded", "HalfNormal"]


class Folded(TransformedDistribution):
    """Absolute value of a distribution that is symmetric around 0."""

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _whole: type[LocationScale]

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        whole = self._whole(0, scale, validate_args=False)
        super().__init__(whole, AbsTransform(), validate_args)

    @property
    def scale(self) -> Any:
        """Scale of the distribution before folding."""
        return self.base_dist.scale

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


class HalfNormal(Folded):
    """Absolute value of a `Normal` centred at 0, of scale ``scale``."""

    _whole = Normal

    @property
    def mean(self) -> Any:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Any:
        return self.scale.pow(2) * (1 - 2 / math.pi)
