"""The Gumbel distribution."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad.distributions.location_scale import LocationScale

__all__ = ["Gumbel"]


_EULER = 0.57721566490153286061


class Gumbel(LocationScale):
    """Gumbel distribution of location ``loc`` and scale ``scale``."""

    @property
    def mean(self) -> Any:
        return self.loc + self.scale * _EULER

    @property
    def stddev(self) -> Any:
        return math.pi / math.sqrt(6) * self.scale

    @property
    def variance(self) -> Any:
        return self.stddev.pow(2)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        e = eg.empty(shape, dtype=self.loc.dtype, device=self.loc.device).exponential_()
        return self.loc - self.scale * e.clamp(min=eg.finfo(e.dtype).tiny).log()

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return y - y.exp() - self.scale.log()

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return eg.exp(-eg.exp((self.loc - value) / self.scale))

    def icdf(self, value: Any) -> Any:
        return self.loc - self.scale * (-value.log()).log()

    def entropy(self) -> Any:
        return self.scale.log() + (1 + _EULER)
