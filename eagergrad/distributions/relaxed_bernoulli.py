"""The relaxed Bernoulli distribution."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.bernoulli import ProbsOrLogits
from eagergrad.distributions.transformed_distribution import TransformedDistribution
from eagergrad.distributions.transforms import SigmoidTransform
from eagergrad.distributions.utils import broadcast_all, clamp_probs

__all__ = ["LogitRelaxedBernoulli", "Relaxed", "RelaxedBernoulli"]


class LogitRelaxedBernoulli(ProbsOrLogits):
    """Log-odds of a `RelaxedBernoulli` (Maddison, Mnih, Teh 2017)."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.real
    has_rsample = True

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self.temperature = temperature
        self._set_parameter(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new.temperature = self.temperature
        return new

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        u = clamp_probs(eg.rand(shape, dtype=self._param.dtype, device=self._param.device))
        return (u.log() - (-u).log1p() + self.logits.expand(shape)) / self.temperature

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        difference = logits - value * self.temperature
        log_t = eg.as_tensor(self.temperature, dtype=logits.dtype, device=logits.device).log()
        return log_t + difference - 2 * eg.nn.functional.softplus(difference)


class Relaxed(TransformedDistribution):
    """What the differentiable stand-ins of discrete distributions share."""

    has_rsample = True

    @property
    def temperature(self) -> Any:
        """Sharpness: towards 0 the values approach those of the discrete distribution."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """Log-odds of the event, or log-probabilities of the categories."""
        return self.base_dist.logits

    @property
    def probs(self) -> Any:
        """Probability of the event, or probabilities of the categories."""
        return self.base_dist.probs


class RelaxedBernoulli(Relaxed):
    """A differentiable stand-in for `Bernoulli` with values between 0 and 1."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)
