"""The binomial distribution."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad._C import ops as _ops
from eagergrad.distributions import constraints
from eagergrad.distributions.bernoulli import ProbsOrLogits

__all__ = ["Binomial"]


class Binomial(ProbsOrLogits):
    """Number of successes of probability ``probs`` in ``total_count`` trials."""

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        (count,) = self._set_parameter(probs, logits, total_count)
        self.total_count = count.to(self._param.dtype)
        super().__init__(self._param.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Any:
        return self.total_count * self.probs

    @property
    def mode(self) -> Any:
        return ((self.total_count + 1) * self.probs).floor().minimum(self.total_count)

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        with eg.no_grad():
            count = self.total_count.detach().expand(shape)
            drawn = _ops._binomial(count, self.probs.detach().expand(shape))
            return drawn.to(self._param.dtype)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        n, logits = self.total_count, self.logits
        choose = eg.lgamma(n + 1) - eg.lgamma(value + 1) - eg.lgamma(n - value + 1)
        return choose + value * logits - n * eg.nn.functional.softplus(logits)

    def entropy(self) -> Any:
        n = int(self.total_count.max())
        if not bool((self.total_count == n).all()):
            raise NotImplementedError("[Binomial] entropy expected one total_count for the batch")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Any:
        n = int(self.total_count.max())
        if not bool((self.total_count == n).all()):
            raise NotImplementedError("[Binomial] support expected one total_count for the batch")
        p = self._param
        return self._enumerated(eg.arange(1 + n, dtype=p.dtype, device=p.device), expand)
