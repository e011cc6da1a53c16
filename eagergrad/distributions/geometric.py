"""The geometric distribution."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.bernoulli import ProbsOrLogits
from eagergrad.distributions.utils import broadcast_all, require

__all__ = ["Geometric"]


class Geometric(ProbsOrLogits):
    """Number of failures before the first success of probability ``probs``."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._set_parameter(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)
        if self._validate_args and probs is not None:
            require(self.probs > 0, "Geometric", "expected probs > 0 everywhere")

    @property
    def mean(self) -> Any:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Any:
        return eg.zeros_like(self.probs)

    @property
    def variance(self) -> Any:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Any = ()) -> Any:
        with eg.no_grad():
            shape = self._extended_shape(sample_shape)
            u = eg.rand(shape, dtype=self.probs.dtype, device=self.probs.device)
            u = u.clamp(min=eg.finfo(u.dtype).tiny)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        value, probs = broadcast_all(value, self.probs)
        failing = eg.where(
            (value == 0) & (probs == 1), 0.0, probs
        )  # no gradient through 0 * log(0)
        return eg.special.xlog1py(value, -failing) + probs.log()

    def entropy(self) -> Any:
        binary = eg.nn.functional.softplus(self.logits) - self.probs * self.logits
        return binary / self.probs
