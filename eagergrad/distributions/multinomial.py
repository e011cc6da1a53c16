"""The multinomial distribution."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.binomial import Binomial
from eagergrad.distributions.categorical import Categorical
from eagergrad.distributions.distribution import Distribution

__all__ = ["Multinomial"]


class Multinomial(Distribution):
    """Counts of each category among ``total_count`` draws of a `Categorical`."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(
        self,
        total_count: int = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("[Multinomial] total_count expected one integer")
        self.total_count = total_count
        self._categorical = Categorical(probs, logits, validate_args=validate_args)
        batch = self._categorical.batch_shape
        super().__init__(batch, self._categorical.param_shape[-1:], validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = type(self).__new__(type(self)) if _instance is None else _instance
        new.total_count = self.total_count
        new._categorical = self._categorical.expand(batch_shape)
        Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    @property
    def probs(self) -> Any:
        """Normalised probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Any:
        """Normalised log-probabilities."""
        return self._categorical.logits

    @property
    def param_shape(self) -> Any:
        """Shape of the parameter."""
        return self._categorical.param_shape

    @property
    def mean(self) -> Any:
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        drawn = self._categorical.sample((self.total_count, *sample_shape))
        counts = eg.nn.functional.one_hot(drawn, self.event_shape[0]).sum(0)
        return counts.to(self.probs.dtype)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        logits = eg.where((value == 0) & eg.isinf(self.logits), 0.0, self.logits)
        return (
            eg.lgamma(value.sum(-1) + 1) - eg.lgamma(value + 1).sum(-1) + (logits * value).sum(-1)
        )

    def entropy(self) -> Any:
        n = eg.tensor(float(self.total_count), dtype=self.probs.dtype, device=self.probs.device)
        each = Binomial(self.total_count, self.probs.movedim(-1, 0), validate_args=False)
        counts = each.enumerate_support(expand=False)[1:]
        expected = (each.log_prob(counts).exp() * eg.lgamma(counts + 1)).sum((0, 1))
        return n * self._categorical.entropy() - eg.lgamma(n + 1) + expected
