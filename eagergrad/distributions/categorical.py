"""The categorical distribution."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.bernoulli import one_of
from eagergrad.distributions.distribution import Distribution
from eagergrad.distributions.utils import lazy_property, logits_to_probs, probs_to_logits

__all__ = ["Categorical", "OverCategorical"]


class Categorical(Distribution):
    """Index i with probability ``probs[..., i]`` (normalised), or ``softmax(logits)[..., i]``.

    >>> import eagergrad as eg
    >>> Categorical(eg.tensor([1.0, 3.0])).log_prob(eg.tensor(1)).exp()
    tensor(0.7500)
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        one_of(probs, logits, type(self).__name__)
        given = logits if probs is None else probs
        if given.dim() < 1:
            raise ValueError(f"[{type(self).__name__}] expected at least one dimension, got none")
        if probs is not None:
            self.probs = probs / probs.sum(-1, keepdim=True)
        else:
            self.logits = logits - logits.logsumexp(-1, keepdim=True)
        self._num_events = given.shape[-1]
        super().__init__(given.shape[:-1], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._num_events = self._num_events
        return new

    @property
    def _param(self) -> Any:
        return self.logits if "logits" in self.__dict__ else self.probs

    @property
    def param_shape(self) -> Any:
        """Shape of the parameter."""
        return self._param.size()

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)

    @lazy_property
    def logits(self) -> Any:
        """Normalised log-probabilities."""
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Any:
        """Normalised probabilities."""
        return logits_to_probs(self.logits)

    def _nan(self) -> Any:
        p = self.probs
        return eg.full(self._extended_shape(), float("nan"), dtype=p.dtype, device=p.device)

    @property
    def mean(self) -> Any:
        return self._nan()

    @property
    def variance(self) -> Any:
        return self._nan()

    @property
    def mode(self) -> Any:
        return self.probs.argmax(-1)

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        with eg.no_grad():
            rows = self.probs.reshape(-1, self._num_events)
            drawn = eg.multinomial(rows, eg.Size(sample_shape).numel(), True)
            return drawn.t().reshape(shape)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        index = value.long()
        shape = eg.broadcast_shapes(index.shape, self.logits.shape[:-1])
        logits = self.logits.expand(*shape, self._num_events)
        return logits.gather(-1, index.expand(shape).unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Any:
        logits = self.logits.clamp(min=eg.finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Any:
        return self._enumerated(eg.arange(self._num_events, device=self._param.device), expand)


class OverCategorical(Distribution):
    """What distributions over vectors, one entry a category of a `Categorical`, share."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    _handed_on: tuple[str, ...] = ()  # attributes that do not depend on the batch

    def __init__(self, categorical: Categorical, validate_args: bool | None) -> None:
        self._categorical = categorical
        super().__init__(categorical.batch_shape, categorical.param_shape[-1:], validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = type(self).__new__(type(self)) if _instance is None else _instance
        for name in self._handed_on:
            setattr(new, name, getattr(self, name))
        OverCategorical.__init__(new, self._categorical.expand(batch_shape), False)
        new._validate_args = self._validate_args
        return new

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
