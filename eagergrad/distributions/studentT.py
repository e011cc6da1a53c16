"""Student's t-distribution."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.chi2 import Chi2
from eagergrad.distributions.distribution import Distribution
from eagergrad.distributions.utils import broadcast_all

__all__ = ["StudentT"]


class StudentT(Distribution):
    """Student's t-distribution of ``df`` degrees of freedom, moved and scaled."""

    arg_constraints = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        super().__init__(self.df.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return eg.where(self.df > 1, self.loc, math.nan)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        df = eg.where(self.df > 2, self.df, 3.0)  # no gradient from what is not finite
        finite = self.scale.pow(2) * df / (df - 2)
        return eg.where(self.df > 2, finite, eg.where(self.df > 1, math.inf, math.nan))

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        x = eg.randn(shape, dtype=self.df.dtype, device=self.df.device)
        z = Chi2(self.df, validate_args=False).rsample(sample_shape)
        return self.loc + self.scale * x * eg.rsqrt(z / self.df)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        y = (value - self.loc) / self.scale
        half = 0.5 * (self.df + 1)
        norm = (
            self.scale.log()
            + 0.5 * (self.df.log() + math.log(math.pi))
            + eg.lgamma(0.5 * self.df)
            - eg.lgamma(half)
        )
        return -half * eg.log1p(y * y / self.df) - norm

    def entropy(self) -> Any:
        half = 0.5 * (self.df + 1)
        log_beta = eg.lgamma(0.5 * self.df) + math.lgamma(0.5) - eg.lgamma(half)
        spread = half * (eg.digamma(half) - eg.digamma(0.5 * self.df))
        return self.scale.log() + spread + 0.5 * self.df.log() + log_beta
