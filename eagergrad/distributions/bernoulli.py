"""The Bernoulli distribution."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.distribution import Distribution
from eagergrad.distributions.utils import (
    broadcast_all,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)

__all__ = ["Bernoulli", "ProbsOrLogits"]


def one_of(probs: Any, logits: Any, name: str) -> None:
    """ValueError unless exactly one of the two is given."""
    if (probs is None) == (logits is None):
        raise ValueError(f"[{name}] expected either probs or logits, got both or neither")


class ProbsOrLogits(Distribution):
    """What distributions of a binary event share: the parameter as probability or log-odds."""

    def _set_parameter(self, probs: Any, logits: Any, *others: Any) -> tuple:
        """Store the one that is given, broadcast with the others, which are returned."""
        one_of(probs, logits, type(self).__name__)
        name, given = ("probs", probs) if logits is None else ("logits", logits)
        value, *rest = broadcast_all(given, *others)
        self.__dict__[name] = value
        return tuple(rest)

    @property
    def _param(self) -> Any:
        return self.logits if "logits" in self.__dict__ else self.probs

    @property
    def param_shape(self) -> Any:
        """Shape of the parameter."""
        return self._param.size()

    @lazy_property
    def logits(self) -> Any:
        """Log-odds of the event."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Any:
        """Probability of the event."""
        return logits_to_probs(self.logits, is_binary=True)


class Bernoulli(ProbsOrLogits):
    """1 with probability ``probs`` (or log-odds ``logits``), else 0.

    >>> import eagergrad as eg
    >>> Bernoulli(eg.tensor([0.25])).mean
    tensor([0.2500])
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._set_parameter(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        mode = (self.probs >= 0.5).to(self.probs.dtype)
        return eg.where(self.probs == 0.5, eg.full_like(mode, float("nan")), mode)

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        with eg.no_grad():
            return eg.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return value * logits - eg.nn.functional.softplus(logits)

    def entropy(self) -> Any:
        return eg.nn.functional.softplus(self.logits) - self.probs * self.logits

    def enumerate_support(self, expand: bool = True) -> Any:
        p = self._param
        return self._enumerated(eg.arange(2, dtype=p.dtype, device=p.device), expand)
