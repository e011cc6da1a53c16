"""The continuous Bernoulli distribution on [0, 1]."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.distribution import Distribution
from eagergrad.distributions.utils import (
    broadcast_all,
    clamp_probs,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(Distribution):
    """Density proportional to ``probs^x (1 - probs)^(1-x)`` on [0, 1] (Loaiza-Ganem and Cunningham, 2019).

    Between the two ``lims`` around 1/2, where the closed forms are 0/0, their series are used.

    Raises:
        ValueError: not exactly one of ``probs`` and ``logits`` is given.

    >>> import eagergrad as eg
    >>> ContinuousBernoulli(0.5).mean
    tensor(0.5000)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("[ContinuousBernoulli] expected either probs or logits")
        self._lims = lims
        if probs is not None:
            (self.probs,) = broadcast_all(probs)
            shape = self.probs.shape
        else:
            (self.logits,) = broadcast_all(logits)
            shape = self.logits.shape
        super().__init__(shape, validate_args=validate_args)
        if probs is not None:
            self.probs = clamp_probs(self.probs)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._lims = self._lims
        return new

    @lazy_property
    def logits(self) -> Any:
        """Log-odds of ``probs``."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Any:
        """The parameter in (0, 1)."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _outside(self) -> Any:
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _away(self) -> Any:
        """probs, moved away from 1/2 where the closed forms are not used: both their values and gradients stay
        finite there."""
        return eg.where(self._outside(), self.probs, eg.full_like(self.probs, self._lims[0]))

    def _log_norm(self) -> Any:
        p = self._away()
        ratio = (eg.log1p(-p) - p.log()).abs().log() - (1 - 2 * p).abs().log()
        x = (self.probs - 0.5).pow(2)
        return eg.where(self._outside(), ratio, math.log(2) + (4 / 3 + 104 / 45 * x) * x)

    @property
    def mean(self) -> Any:
        p = self._away()
        exact = p / (2 * p - 1) + 1 / (eg.log1p(-p) - p.log())
        x = self.probs - 0.5
        return eg.where(self._outside(), exact, 0.5 + (1 / 3 + 16 / 45 * x.pow(2)) * x)

    @property
    def variance(self) -> Any:
        p = self._away()
        exact = p * (p - 1) / (1 - 2 * p).pow(2) + 1 / (eg.log1p(-p) - p.log()).pow(2)
        x = (self.probs - 0.5).pow(2)
        return eg.where(self._outside(), exact, 1 / 12 - (1 / 15 - 128 / 945 * x) * x)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        return self.icdf(eg.rand(shape, dtype=self.probs.dtype, device=self.probs.device))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        cross = eg.nn.functional.binary_cross_entropy_with_logits(logits, value, reduction="none")
        return self._log_norm() - cross

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        p = self._away()
        exact = (p.pow(value) * (1 - p).pow(1 - value) + p - 1) / (2 * p - 1)
        return eg.where(self._outside(), exact, value).clamp(0, 1)

    def icdf(self, value: Any) -> Any:
        p = self._away()
        low = eg.log1p(-p)
        exact = (eg.log1p(-p + value * (2 * p - 1)) - low) / (p.log() - low)
        return eg.where(self._outside(), exact, value)

    def entropy(self) -> Any:
        low, high = eg.log1p(-self.probs), self.probs.log()
        return self.mean * (low - high) - self._log_norm() - low
