"""The negative binomial distribution."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.bernoulli import ProbsOrLogits
from eagergrad.distributions.gamma import Gamma
from eagergrad.distributions.poisson import Poisson

__all__ = ["NegativeBinomial"]


class NegativeBinomial(ProbsOrLogits):
    """Number of successes of probability ``probs`` before ``total_count`` failures."""

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self,
        total_count: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        (count,) = self._set_parameter(probs, logits, total_count)
        self.total_count = count.to(self._param.dtype)
        super().__init__(self._param.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.total_count * eg.exp(self.logits)

    @property
    def mode(self) -> Any:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Any:
        return self.mean / eg.sigmoid(-self.logits)

    def sample(self, sample_shape: Any = ()) -> Any:
        with eg.no_grad():
            rate = Gamma(self.total_count, eg.exp(-self.logits), validate_args=False)
            return Poisson(rate.sample(sample_shape), validate_args=False).sample()

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        n, x = self.total_count, value
        log_sigmoid = eg.nn.functional.logsigmoid
        norm = eg.lgamma(n + x) - eg.lgamma(1.0 + x) - eg.lgamma(n)
        norm = eg.where(n + x == 0, eg.zeros_like(norm), norm)
        return n * log_sigmoid(-self.logits) + x * log_sigmoid(self.logits) + norm
