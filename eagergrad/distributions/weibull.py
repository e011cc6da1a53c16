"""The Weibull distribution."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.exponential import Exponential
from eagergrad.distributions.gumbel import _EULER
from eagergrad.distributions.transformed_distribution import TransformedDistribution
from eagergrad.distributions.transforms import AffineTransform, PowerTransform
from eagergrad.distributions.utils import broadcast_all

__all__ = ["Weibull"]


class Weibull(TransformedDistribution):
    """Weibull distribution of scale ``scale`` and shape ``concentration``."""

    arg_constraints = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        base = Exponential(eg.ones_like(self.scale), validate_args=validate_args)
        steps = [
            PowerTransform(exponent=self.concentration.reciprocal()),
            AffineTransform(loc=0, scale=self.scale),
        ]
        super().__init__(base, steps, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return Weibull(
            self.scale.expand(batch_shape), self.concentration.expand(batch_shape), False
        )

    def _moment(self, order: int) -> Any:
        return self.scale**order * eg.exp(eg.lgamma(1 + order / self.concentration))

    @property
    def mean(self) -> Any:
        return self._moment(1)

    @property
    def mode(self) -> Any:
        k = self.concentration
        return self.scale * ((k - 1) / k).clamp(min=0) ** k.reciprocal()

    @property
    def variance(self) -> Any:
        return self._moment(2) - self._moment(1).pow(2)

    def entropy(self) -> Any:
        k = self.concentration
        return _EULER * (1 - k.reciprocal()) + eg.log(self.scale / k) + 1
