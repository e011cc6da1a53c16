"""The categorical distribution over one-hot vectors."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.categorical import Categorical, OverCategorical

__all__ = ["OneHotCategorical", "OneHotCategoricalStraightThrough"]


class OneHotCategorical(OverCategorical):
    """The vector with a 1 at an index drawn as by `Categorical`, else 0."""

    support = constraints.one_hot
    has_enumerate_support = True

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        categorical = Categorical(probs, logits, validate_args=validate_args)
        super().__init__(categorical, validate_args)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def _one_hot(self, index: Any) -> Any:
        width = self.event_shape[0]
        return eg.nn.functional.one_hot(index, width).to(self._categorical._param.dtype)

    @property
    def mode(self) -> Any:
        return self._one_hot(self._categorical.mode)

    def sample(self, sample_shape: Any = ()) -> Any:
        return self._one_hot(self._categorical.sample(sample_shape))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Any:
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Any:
        n = self.event_shape[0]
        p = self._categorical._param
        values = eg.eye(n, dtype=p.dtype, device=p.device)
        values = values.reshape(n, *(1 for _ in self.batch_shape), n)
        return values.expand(n, *self.batch_shape, n) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """As `OneHotCategorical`, with the gradient passed to the probabilities as it is
    (Bengio et al. 2013)."""

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Any:
        probs = self.probs
        return self.sample(sample_shape) + (probs - probs.detach())
