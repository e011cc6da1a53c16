"""The generalised Pareto distribution: what exceeds a high threshold."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.distribution import Distribution
from eagergrad.distributions.utils import broadcast_all

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """Excess over ``loc`` of size ``scale``; the tail is bounded, exponential or heavy as ``concentration`` is
    negative, zero or positive.

    >>> import eagergrad as eg
    >>> GeneralizedPareto(0.0, 1.0, 0.0).cdf(eg.tensor(1.0))
    tensor(0.6321)
    """

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True

    def __init__(
        self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def _shape(self) -> tuple[Any, Any]:
        """Where the concentration is zero, and the concentration made safe to divide by there."""
        zero = eg.isclose(self.concentration, eg.zeros_like(self.concentration))
        return zero, eg.where(zero, eg.ones_like(self.concentration), self.concentration)

    @constraints.dependent_property
    def support(self) -> Any:
        end = eg.where(
            self.concentration < 0,
            self.loc - self.scale / self._shape()[1],
            eg.full_like(self.loc, math.inf),
        )
        return constraints.interval(self.loc, end)

    @property
    def mean(self) -> Any:
        c = self.concentration
        finite = self.loc + self.scale / (1 - c)
        return eg.where(c < 1, finite, eg.full_like(finite, math.inf))

    @property
    def variance(self) -> Any:
        c = self.concentration
        finite = self.scale.pow(2) / ((1 - c).pow(2) * (1 - 2 * c))
        return eg.where(c < 0.5, finite, eg.full_like(finite, math.inf))

    @property
    def mode(self) -> Any:
        return self.loc

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        return self.icdf(eg.rand(shape, dtype=self.loc.dtype, device=self.loc.device))

    def _log_survival(self, value: Any) -> Any:
        """Logarithm of the probability of more than value."""
        z = (value - self.loc) / self.scale
        zero, c = self._shape()
        return eg.where(zero, -z, -(c * z).log1p() / c)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        # The density is the survival to the power 1 + concentration, over the scale.
        return (1 + self.concentration) * self._log_survival(value) - self.scale.log()

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return -eg.expm1(self._log_survival(value))

    def icdf(self, value: Any) -> Any:
        log_survival = eg.log1p(-value)
        zero, c = self._shape()
        return self.loc + self.scale * eg.where(
            zero, -log_survival, eg.expm1(-c * log_survival) / c
        )

    def entropy(self) -> Any:
        return self.scale.log() + self.concentration + 1
