"""The multinomial distribution."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.binomial import Binomial
from eagergrad.distributions.categorical import Categorical, OverCategorical

__all__ = ["Multinomial"]


class Multinomial(OverCategorical):
    """Counts of each category among ``total_count`` draws of a `Categorical`."""

    _handed_on = ("total_count",)

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
        categorical = Categorical(probs, logits, validate_args=validate_args)
        super().__init__(categorical, validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

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
