"""The Laplace distribution."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.distributions.location_scale import LocationScale

__all__ = ["Laplace"]


class Laplace(LocationScale):
    """Laplace distribution of mean ``loc`` and scale ``scale``."""

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return 2 * self.scale.pow(2)

    @property
    def stddev(self) -> Any:
        return 2**0.5 * self.scale

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        eps = eg.finfo(self.loc.dtype).eps
        u = eg.rand(shape, dtype=self.loc.dtype, device=self.loc.device) * (2 - eps) + (eps - 1)
        return self.loc - self.scale * u.sign() * eg.log1p(-u.abs())

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return -eg.log(2 * self.scale) - eg.abs(value - self.loc) / self.scale

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        d = value - self.loc
        return 0.5 - 0.5 * d.sign() * eg.expm1(-d.abs() / self.scale)

    def icdf(self, value: Any) -> Any:
        term = value - 0.5
        return self.loc - self.scale * term.sign() * eg.log1p(-2 * term.abs())

    def entropy(self) -> Any:
        return 1 + eg.log(2 * self.scale)
