"""Divergences between different kinds of distributions, from moments.

KL(p || q) = -H(p) - E_p[log q], and the logarithms of these densities are linear in a few functions of x, whose means
under p are known: x, x^2, log x, exp(-x / s).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import eagergrad as eg
from eagergrad.distributions.bernoulli import Bernoulli
from eagergrad.distributions.beta import Beta
from eagergrad.distributions.continuous_bernoulli import ContinuousBernoulli
from eagergrad.distributions.exponential import Exponential
from eagergrad.distributions.gamma import Gamma
from eagergrad.distributions.gumbel import Gumbel
from eagergrad.distributions.kl import _wider, register_kl
from eagergrad.distributions.laplace import Laplace
from eagergrad.distributions.normal import Normal
from eagergrad.distributions.pareto import Pareto
from eagergrad.distributions.poisson import Poisson
from eagergrad.distributions.uniform import Uniform

__all__: list[str] = []


# ---- means under p ------------------------------------------------------------------------------


def _square(p: Any) -> Any:
    return p.variance + p.mean.pow(2)


def _log(p: Any) -> Any:
    if isinstance(p, Beta):
        return eg.digamma(p.concentration1) - eg.digamma(p.concentration1 + p.concentration0)
    if isinstance(p, Pareto):
        return p.scale.log() + 1 / p.alpha
    # Uniform: the integral of log.
    width = p.high - p.low
    return (eg.xlogy(p.high, p.high) - eg.xlogy(p.low, p.low)) / width - 1


def _exp_minus(p: Any, s: Any) -> Any:
    """E[exp(-x / s)]."""
    if isinstance(p, Exponential):
        return p.rate / (p.rate + 1 / s)
    if isinstance(p, Gamma):
        return (1 + 1 / (p.rate * s)).pow(-p.concentration)
    if isinstance(p, Normal):
        return eg.exp(-p.loc / s + 0.5 * (p.scale / s).pow(2))
    return (eg.exp(-p.low / s) - eg.exp(-p.high / s)) * s / (p.high - p.low)


# ---- E_p[log q] ---------------------------------------------------------------------------------


def _normal(p: Any, q: Any) -> Any:
    distance = _square(p) - 2 * q.loc * p.mean + q.loc.pow(2)
    return -distance / (2 * q.scale.pow(2)) - q.scale.log() - 0.5 * math.log(2 * math.pi)


def _exponential(p: Any, q: Any) -> Any:
    return q.rate.log() - q.rate * p.mean


def _gamma(p: Any, q: Any) -> Any:
    a, r = q.concentration, q.rate
    return a * r.log() - a.lgamma() + (a - 1) * _log(p) - r * p.mean


def _gumbel(p: Any, q: Any) -> Any:
    z = (p.mean - q.loc) / q.scale
    return -q.scale.log() - z - eg.exp(q.loc / q.scale) * _exp_minus(p, q.scale)


def _pareto(p: Any, q: Any) -> Any:
    return q.alpha.log() + q.alpha * q.scale.log() - (q.alpha + 1) * _log(p)


def _uniform(p: Any, q: Any) -> Any:
    return -(q.high - q.low).log()


def _continuous_bernoulli(p: Any, q: Any) -> Any:
    return p.mean * q.logits + eg.log1p(-q.probs) + q._log_norm()


def _poisson(p: Any, q: Any) -> Any:
    return p.mean * q.rate.log() - q.rate  # log x! is 0 for 0 and 1


def _always(p: Any, q: Any) -> Any:
    return True


def _positive(p: Any, q: Any) -> Any:
    return p.low >= 0


def _has_mean(p: Any, q: Any) -> Any:
    return p.alpha > 1


def _has_variance(p: Any, q: Any) -> Any:
    return p.alpha > 2


def _within_q(p: Any, q: Any) -> Any:
    return (q.low <= 0) & (q.high >= 1)


def _within_unit(p: Any, q: Any) -> Any:
    return (p.low >= 0) & (p.high <= 1)


def _above_scale(p: Any, q: Any) -> Any:
    return p.low >= q.scale


# p, q, E_p[log q], where it is finite
_FINITE: list[tuple[type, type, Callable, Callable]] = [
    (Bernoulli, Poisson, _poisson, _always),
    (Beta, ContinuousBernoulli, _continuous_bernoulli, _always),
    (Beta, Exponential, _exponential, _always),
    (Beta, Gamma, _gamma, _always),
    (Beta, Normal, _normal, _always),
    (Beta, Uniform, _uniform, _within_q),
    (ContinuousBernoulli, ContinuousBernoulli, _continuous_bernoulli, _always),
    (ContinuousBernoulli, Exponential, _exponential, _always),
    (ContinuousBernoulli, Normal, _normal, _always),
    (ContinuousBernoulli, Uniform, _uniform, _within_q),
    (Exponential, Gumbel, _gumbel, _always),
    (Gamma, Gumbel, _gumbel, _always),
    (Gamma, Normal, _normal, _always),
    (Gumbel, Normal, _normal, _always),
    (Normal, Gumbel, _gumbel, _always),
    (Pareto, Exponential, _exponential, _has_mean),
    (Pareto, Gamma, _gamma, _has_mean),
    (Pareto, Normal, _normal, _has_variance),
    (Uniform, ContinuousBernoulli, _continuous_bernoulli, _within_unit),
    (Uniform, Exponential, _exponential, _positive),
    (Uniform, Gamma, _gamma, _positive),
    (Uniform, Gumbel, _gumbel, _always),
    (Uniform, Pareto, _pareto, _above_scale),
]

# p has values that q never takes, whatever the parameters.
_INFINITE: dict[type, list[type]] = {
    Beta: [Pareto],
    ContinuousBernoulli: [Pareto],
    Exponential: [ContinuousBernoulli, Pareto],
    Gamma: [ContinuousBernoulli, Pareto],
    Gumbel: [Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform],
    Laplace: [ContinuousBernoulli, Pareto],
    Normal: [ContinuousBernoulli, Pareto],
    Pareto: [Beta, ContinuousBernoulli, Uniform],
}


def _register(kind_p: type, kind_q: type, log_q: Callable, finite: Callable) -> None:
    @register_kl(kind_p, kind_q)
    def divergence(p: Any, q: Any) -> Any:
        value = -p.entropy() - log_q(p, q)
        where = finite(p, q)
        return value if where is True else eg.where(where, value, eg.full_like(value, math.inf))


for _row in _FINITE:
    _register(*_row)
for _p, _qs in _INFINITE.items():
    for _q in _qs:
        register_kl(_p, _q)(_wider)
