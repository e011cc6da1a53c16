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

import numpy as np

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.distribution import Distribution
from eagergrad.distributions.utils import broadcast_all, numpy_generator

__all__ = ["Gamma", "log_gamma_sample"]

_LARGE = 1000.0


def _series_gradient(a: np.ndarray, log_z: np.ndarray, digamma: np.ndarray) -> np.ndarray:
    """d(log z)/da by the series; ``digamma`` of a + 1."""
    z = np.exp(log_z)
    c, psi = np.ones_like(a), digamma.copy()
    total, size = log_z - psi, np.ones_like(a)
    n = 0
    while True:
        n += 1
        c *= z / (a + n)
        psi += 1.0 / (a + n)
        total += c * (log_z - psi)
        size += c
        done = (c < 1e-18 * size) & (a + n > z) | ~np.isfinite(size)
        if n > 20 and bool(done.all()):
            return -total / a


def _large_gradient(a: np.ndarray, log_z: np.ndarray) -> np.ndarray:
    z, root = np.exp(log_z), np.sqrt(a)
    e = 3 * root * (np.cbrt(z / a) - 1 + 1 / (9 * a))  # Wilson and Hilferty
    dz = 1 + e / (2 * root) - (e**3 - 7 * e) / (72 * a * root)
    return dz / z


def _gradient(a: np.ndarray, log_z: np.ndarray) -> np.ndarray:
    flat_a, flat_z = a.reshape(-1), log_z.reshape(-1)
    out = np.empty_like(flat_a)
    large = flat_a > _LARGE
    out[large] = _large_gradient(flat_a[large], flat_z[large])
    small_a, small_z = flat_a[~large], flat_z[~large]
    if small_a.size:
        digamma = eg.digamma(eg.from_numpy(small_a + 1)).numpy()
        out[~large] = _series_gradient(small_a, small_z, digamma)
    return out.reshape(a.shape)


def _draw(a: np.ndarray) -> np.ndarray:
    """log z: a shape below 1 is drawn one higher and carried down by u^(1/a)."""
    rng = numpy_generator()
    boost = a < 1
    log_z = np.log(rng.standard_gamma(np.where(boost, a + 1, a)))
    return np.where(boost, log_z - rng.standard_exponential(a.shape) / a, log_z)


def _function() -> Any:
    class LogGammaSample(eg.autograd.Function):
        """The logarithm of a standard gamma sample, differentiable in the shape."""

        @staticmethod
        def forward(ctx: Any, concentration: Any) -> Any:
            a = concentration.detach().cpu().double().numpy()
            log_z = np.asarray(_draw(a))
            if ctx.needs_input_grad[0]:
                gradient = eg.from_numpy(np.asarray(_gradient(a, log_z)))
                ctx.save_for_backward(gradient.to(concentration.device, concentration.dtype))
            return eg.from_numpy(log_z).to(concentration.device, concentration.dtype)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (gradient,) = ctx.saved_tensors
            return g * gradient

    return LogGammaSample


_cached: list = []


def log_gamma_sample(concentration: Any) -> Any:
    """Return the logarithm of a standard gamma sample, one an element of ``concentration``."""
    if not _cached:
        _cached.append(_function())
    return _cached[0].apply(concentration)


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
