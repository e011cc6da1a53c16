"""Kullback-Leibler divergences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import eagergrad as eg
from eagergrad.distributions.bernoulli import Bernoulli
from eagergrad.distributions.beta import Beta
from eagergrad.distributions.binomial import Binomial
from eagergrad.distributions.categorical import Categorical
from eagergrad.distributions.cauchy import Cauchy
from eagergrad.distributions.dirichlet import Dirichlet
from eagergrad.distributions.exp_family import ExponentialFamily
from eagergrad.distributions.exponential import Exponential
from eagergrad.distributions.gamma import Gamma
from eagergrad.distributions.geometric import Geometric
from eagergrad.distributions.gumbel import _EULER, Gumbel
from eagergrad.distributions.half_normal import HalfNormal
from eagergrad.distributions.independent import Independent
from eagergrad.distributions.laplace import Laplace
from eagergrad.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from eagergrad.distributions.multivariate_normal import MultivariateNormal, squared_distance
from eagergrad.distributions.normal import Normal
from eagergrad.distributions.one_hot_categorical import OneHotCategorical
from eagergrad.distributions.pareto import Pareto
from eagergrad.distributions.poisson import Poisson
from eagergrad.distributions.transformed_distribution import TransformedDistribution
from eagergrad.distributions.uniform import Uniform
from eagergrad.distributions.utils import sum_rightmost
from eagergrad.distributions.wishart import Wishart

__all__ = ["kl_divergence", "register_kl"]

_rules: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}


def register_kl(type_p: type, type_q: type) -> Callable:
    """Decorator: the function computes KL(p || q) for these two kinds of distributions and, where
    nothing closer is registered, for their subclasses.

    Raises:
        TypeError: an argument is no class.
    """
    for t in (type_p, type_q):
        if not isinstance(t, type):
            raise TypeError(f"[register_kl] expected distribution classes, got {t!r}")

    def decorator(fn: Callable) -> Callable:
        _rules[type_p, type_q] = fn
        return fn

    return decorator


def _closest(p: type, q: type) -> Callable | None:
    """The rule whose classes come first in the two lines of ancestors, p's counting first."""
    for a in p.__mro__:
        for b in q.__mro__:
            if (a, b) in _rules:
                return _rules[a, b]
    return None


def kl_divergence(p: Any, q: Any) -> Any:
    """Return the divergence KL(p || q), one number for each element of the batch.

    Raises:
        NotImplementedError: no rule is registered for the two kinds.

    >>> import eagergrad as eg
    >>> from eagergrad.distributions import Normal
    >>> kl_divergence(Normal(1.0, 1.0), Normal(0.0, 1.0))
    tensor(0.5000)
    """
    rule = _closest(type(p), type(q))
    if rule is None:
        raise NotImplementedError(
            f"[kl_divergence] no rule for {type(p).__name__} and {type(q).__name__}; "
            "register one by register_kl"
        )
    return rule(p, q)


def _where_inside(inside: Any, value: Any) -> Any:
    return eg.where(inside, value, eg.full_like(value, math.inf))


# ---- the same kind ------------------------------------------------------------------------------


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_family(p: Any, q: Any) -> Any:
    """F(q) - F(p) - <q - p, grad F(p)> of the natural parameters, for families without a rule of their own."""
    if type(p) is not type(q):
        raise NotImplementedError(
            f"[kl_divergence] no rule for the exponential families {type(p).__name__} and {type(q).__name__}; "
            "register one by register_kl"
        )
    with eg.enable_grad():
        theta = [x if x.requires_grad else x.detach().requires_grad_() for x in p._natural_params]
        wanted = any(x.requires_grad for x in (*p._natural_params, *q._natural_params))
        log_norm = p._log_normalizer(*theta)
        slopes = eg.autograd.grad(log_norm.sum(), theta, create_graph=True)
        kl = q._log_normalizer(*q._natural_params) - log_norm
        for a, b, slope in zip(theta, q._natural_params, slopes, strict=True):
            term = (b - a) * slope
            kl = kl - sum_rightmost(term, term.dim() - kl.dim())
    return kl if wanted and eg.is_grad_enabled() else kl.detach()


@register_kl(Wishart, Wishart)
def _wishart(p: Any, q: Any) -> Any:
    n = p.event_shape[0]
    half = p.df / 2
    degrees = half.unsqueeze(-1) - eg.arange(n, dtype=half.dtype, device=half.device) / 2
    trace = (q.precision_matrix * p.covariance_matrix).sum((-2, -1))
    return (
        q.df * (q._log_det_tril() - p._log_det_tril())
        + half * (trace - n)
        + eg.mvlgamma(q.df / 2, n)
        - eg.mvlgamma(half, n)
        + (p.df - q.df) / 2 * eg.digamma(degrees).sum(-1)
    )


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Any:
    softplus = eg.nn.functional.softplus
    a = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    a = eg.where(q.probs == 0, math.inf, a)
    a = eg.where(p.probs == 0, 0.0, a)
    b = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    b = eg.where(q.probs == 1, math.inf, b)
    b = eg.where(p.probs == 1, 0.0, b)
    return a + b


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Any:
    if bool((p.total_count < q.total_count).any()):
        raise NotImplementedError("[kl_divergence] Binomial: q has more trials than p")
    kl = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return eg.where(p.total_count > q.total_count, math.inf, kl)


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Any:
    t = p.probs * (p.logits - q.logits)
    t = eg.where((q.probs == 0).expand(t.shape), math.inf, t)
    t = eg.where((p.probs == 0).expand(t.shape), 0.0, t)
    return t.sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: Any, q: Any) -> Any:
    return _categorical(p._categorical, q._categorical)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Any:
    kl = ((q.high - q.low) / (p.high - p.low)).log()
    return _where_inside((q.low <= p.low) & (q.high >= p.high), kl)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    norms = total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
    return norms + ((a - b) * (a.digamma() - total.digamma().unsqueeze(-1))).sum(-1)


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Any:
    return _dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Any:
    return (
        q.concentration * (p.rate / q.rate).log()
        + eg.lgamma(q.concentration)
        - eg.lgamma(p.concentration)
        + (p.concentration - q.concentration) * eg.digamma(p.concentration)
        + (q.rate - p.rate) * (p.concentration / p.rate)
    )


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Any:
    distance = (p.loc - q.loc).abs()
    spread = p.scale * (-distance / p.scale).exp() + distance
    return spread / q.scale - 1 - (p.scale / q.scale).log()


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Any:
    # Chyzak and Nielsen 2019
    top = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return top.log() - (4 * p.scale * q.scale).log()


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Any:
    ratio, shift = p.scale / q.scale, (p.loc - q.loc) / q.scale
    moment = (eg.lgamma(1 + ratio) - shift).exp()
    return shift - ratio.log() - 1 + moment + (ratio - 1) * _EULER


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Any:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Any:
    scale, ratio = p.scale / q.scale, q.alpha / p.alpha
    return _where_inside(p.scale >= q.scale, q.alpha * scale.log() - ratio.log() + ratio - 1)


def _root(p: Any) -> Any:
    """A matrix whose product with its transpose is the covariance."""
    if isinstance(p, LowRankMultivariateNormal):
        factor, diag = p._unbroadcasted_cov_factor, p._unbroadcasted_cov_diag
        batch = eg.broadcast_shapes(factor.shape[:-2], diag.shape[:-1])
        n, m = factor.shape[-2:]
        diagonal = eg.diag_embed(diag.sqrt()).expand(*batch, n, n)
        return eg.cat([factor.expand(*batch, n, m), diagonal], -1)
    return p._unbroadcasted_scale_tril


def _trace_and_distance(p: Any, q: Any) -> tuple[Any, Any]:
    """Trace of the second covariance's inverse times the first, and the distance of the means."""
    root = _root(p)
    if isinstance(q, LowRankMultivariateNormal):
        columns = LowRankMultivariateNormal(
            q.loc.unsqueeze(-2),
            q._unbroadcasted_cov_factor.unsqueeze(-3),
            q._unbroadcasted_cov_diag.unsqueeze(-2),
            False,
        )
        return columns._squared_distance(root.mT).sum(-1), q._squared_distance(q.loc - p.loc)
    n = p.event_shape[0]
    batch = eg.broadcast_shapes(p.batch_shape, q.batch_shape)
    ratio = eg.linalg.solve_triangular(
        q._unbroadcasted_scale_tril.expand(*batch, n, n),
        root.expand(*batch, n, root.shape[-1]),
        upper=False,
    )
    return ratio.pow(2).sum((-2, -1)), squared_distance(q._unbroadcasted_scale_tril, q.loc - p.loc)


@register_kl(MultivariateNormal, MultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _multivariate_normal(p: Any, q: Any) -> Any:
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"[kl_divergence] expected one event shape, got {tuple(p.event_shape)} and "
            f"{tuple(q.event_shape)}"
        )
    trace, distance = _trace_and_distance(p, q)
    return q._half_log_det() - p._half_log_det() + 0.5 * (trace + distance - p.event_shape[0])


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("[kl_divergence] Independent: different numbers of dimensions")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("[kl_divergence] the two distributions are transformed unlike")
    return kl_divergence(p.base_dist, q.base_dist)


# ---- different kinds ----------------------------------------------------------------------------


@register_kl(Uniform, Normal)
def _uniform_normal(p: Any, q: Any) -> Any:
    width = p.high - p.low
    second = (width / q.scale).pow(2) / 12 + (((p.high + p.low) / 2 - q.loc) / q.scale).pow(2)
    return (math.sqrt(2 * math.pi) * q.scale / width).log() + 0.5 * second


@register_kl(Uniform, Beta)
def _uniform_beta(p: Any, q: Any) -> Any:
    def mean_log(high: Any, low: Any) -> Any:
        return (eg.xlogy(high, high) - eg.xlogy(low, low)) / (high - low) - 1

    a, b = q.concentration1, q.concentration0
    norm = a.lgamma() + b.lgamma() - (a + b).lgamma()
    logs = (a - 1) * mean_log(p.high, p.low) + (b - 1) * mean_log(1 - p.low, 1 - p.high)
    return _where_inside((p.low >= 0) & (p.high <= 1), norm - logs - (p.high - p.low).log())


@register_kl(Laplace, Normal)
def _laplace_normal(p: Any, q: Any) -> Any:
    second = (2 * p.scale.pow(2) + (p.loc - q.loc).pow(2)) / (2 * q.scale.pow(2))
    return (q.scale / p.scale).log() + 0.5 * math.log(math.pi / 2) - 1 + second


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Any:
    z = (p.loc - q.loc) / p.scale
    folded = math.sqrt(2 / math.pi) * eg.exp(-0.5 * z.pow(2)) + z * eg.erf(z / math.sqrt(2))
    cross = p.scale * folded / q.scale + (2 * q.scale).log()
    return cross - p.entropy()


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    a = q.concentration
    return -a * ratio.log() + ratio + eg.lgamma(a) + a * _EULER - (1 + _EULER)


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


@register_kl(Exponential, Normal)
def _exponential_normal(p: Any, q: Any) -> Any:
    second = p.rate.reciprocal().pow(2) + (p.rate.reciprocal() - q.loc).pow(2)
    return -p.entropy() + 0.5 * (2 * math.pi * q.scale.pow(2)).log() + second / (2 * q.scale.pow(2))


@register_kl(Poisson, Bernoulli)
@register_kl(Poisson, Binomial)
@register_kl(Normal, Uniform)
@register_kl(Normal, Gamma)
@register_kl(Normal, Exponential)
@register_kl(Normal, Beta)
@register_kl(Laplace, Uniform)
@register_kl(Laplace, Gamma)
@register_kl(Laplace, Exponential)
@register_kl(Laplace, Beta)
@register_kl(Exponential, Uniform)
@register_kl(Exponential, Beta)
@register_kl(Gamma, Uniform)
@register_kl(Gamma, Beta)
def _wider(p: Any, q: Any) -> Any:
    """The first distribution reaches where the second has no density."""
    parameter = p.mean
    shape = eg.broadcast_shapes(p.batch_shape, q.batch_shape)
    return eg.full(shape, math.inf, dtype=parameter.dtype, device=parameter.device)
