"""The gamma distribution, with gradients of its samples.

Note [Gradient of a gamma sample]
A sample z of shape a satisfies P(a, z) = u for a fixed u, P the regularised incomplete gamma
function, so dz/da = -(dP/da) / p(z) (Figurnov, Mohamed, Mnih 2018). With the series
P = z^a e^-z sum_n z^n / Gamma(a+n+1), differentiated term by term,
    d(log z)/da = -1/a sum_n c_n (log z - digamma(a+n+1)),  c_0 = 1,  c_n = c_(n-1) z / (a+n).
Cancellation costs as many digits as the sample's tail probability has zeros: few of the 16 here.
Only log z is needed, so that samples of tiny shapes, which underflow, have gradients too. From
a = 1000 on, z = a + sqrt(a) e + (e^2-1)/3 + (e^3-7e)/(36 sqrt(a)) (Cornish and Fisher) is
differentiated at the normal quantile e of the sample.
"""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad._C import ops as _ops
from eagergrad.distributions import constraints
from eagergrad.distributions.distribution import Distribution
from eagergrad.distributions.utils import broadcast_all

__all__ = ["Gamma", "log_gamma_sample"]


def log_gamma_sample(concentration: Any) -> Any:
    """Return the logarithm of a standard gamma sample, one an element of ``concentration``; differentiable in it."""
    return _ops._log_gamma(concentration)


class Gamma(Distribution):
    """Gamma distribution of shape ``concentration`` and rate ``rate`` (1 / scale)."""

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.concentration.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.rate

    @property
    def mode(self) -> Any:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Any:
        return self.concentration / self.rate.pow(2)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        z = log_gamma_sample(self.concentration.expand(shape)).exp() / self.rate
        return z.clamp(min=eg.finfo(z.dtype).tiny)

    def log_prob(self, value: Any) -> Any:
        value = eg.as_tensor(value, dtype=self.rate.dtype, device=self.rate.device)
        self._validate_sample(value)
        a, b = self.concentration, self.rate
        return eg.xlogy(a, b) + eg.xlogy(a - 1, value) - b * value - eg.lgamma(a)

    def entropy(self) -> Any:
        a = self.concentration
        return a - eg.log(self.rate) + eg.lgamma(a) + (1 - a) * eg.digamma(a)

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return eg.special.gammainc(self.concentration, self.rate * value)
