"""Special functions, under PyTorch's names."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad import _C
from eagergrad.tensor.out import with_out
from eagergrad.tensor.results import result_type

_ops = _C.op_table

# The core's ops under the names of this module.
_SAME = (
    "bessel_j0 bessel_j1 bessel_y0 bessel_y1 digamma erf erfc erfcx erfinv exp2 expm1 i0 i0e i1 i1e log1p log_ndtr "
    "log_softmax logsumexp modified_bessel_k0 modified_bessel_k1 ndtri round scaled_modified_bessel_k0 "
    "scaled_modified_bessel_k1 sinc softmax spherical_bessel_j0 xlog1py xlogy zeta"
).split()
_RENAMED = {
    "expit": "sigmoid",
    "gammainc": "igamma",
    "gammaincc": "igammac",
    "gammaln": "lgamma",
    "modified_bessel_i0": "i0",
    "modified_bessel_i1": "i1",
    "psi": "digamma",
}
globals().update({name: _ops[name] for name in _SAME})
globals().update({name: _ops[op] for name, op in _RENAMED.items()})

__all__ = [
    *_SAME,
    *_RENAMED,
    "airy_ai",
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "entr",
    "frexp",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "logit",
    "multigammaln",
    "mvlgamma",
    "ndtr",
    "polygamma",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
]

_frexp = result_type("frexp", "mantissa", "exponent")


def _operands(x: Any, n: Any) -> tuple[Any, Any]:
    """Both as floating point tensors of their common dtype; one of them may be a number."""
    from eagergrad.tensor.creation import as_tensor
    from eagergrad.tensor.statistics import result_type

    if not isinstance(x, _C.TensorBase) and not isinstance(n, _C.TensorBase):
        raise TypeError(f"expected a Tensor, got {type(x).__name__} and {type(n).__name__}")
    common = result_type(x, n)
    if not common.is_floating_point:
        common = _C.get_default_dtype()
    return as_tensor(x).to(common), as_tensor(n).to(common)


def _float(x: Any) -> Any:
    if not isinstance(x, _C.TensorBase):
        raise TypeError(f"expected a Tensor, got {type(x).__name__}")
    return x if x.dtype.is_floating_point else x.to(_C.get_default_dtype())


@with_out(casts=True)
def logit(input: Any, eps: float | None = None, *, out: Any = None) -> Any:
    """log(x / (1 - x)), with x held in [eps, 1 - eps] if eps is given."""
    x = _float(input)
    return _ops["logit"](x) if eps is None else _ops["logit_eps"](x, eps)


@with_out(casts=True)
def polygamma(n: int, input: Any, *, out: Any = None) -> Any:
    """The n-th derivative of digamma."""
    return _ops["_polygamma"](_float(input), n)


@with_out(casts=True)
def mvlgamma(input: Any, p: int, *, out: Any = None) -> Any:
    """log of the multivariate gamma function of dimension p."""
    x = _float(input)
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    if bool((x.detach() <= (p - 1) / 2).any()):
        raise RuntimeError(f"All elements must be greater than (p-1)/2 = {(p - 1) / 2}")
    steps = _ops["arange"](p, dtype=x.dtype, device=x.device) / 2
    return _ops["lgamma"](x.unsqueeze(-1) - steps).sum(-1) + p * (p - 1) / 4 * math.log(math.pi)


multigammaln = mvlgamma


@with_out(casts=True)
def ndtr(input: Any, *, out: Any = None) -> Any:
    """The normal distribution function."""
    return 0.5 * _ops["erfc"](_float(input) * -math.sqrt(0.5))


@with_out(casts=True)
def entr(input: Any, *, out: Any = None) -> Any:
    """-x log(x); 0 at 0, -inf below."""
    return _ops["entr"](_float(input))


@with_out
def frexp(input: Any, *, out: Any = None) -> Any:
    """Mantissa in (-1, -0.5] or [0.5, 1) and exponent: input = mantissa * 2 ** exponent."""
    if not input.dtype.is_floating_point:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    x = input.detach().double()
    subnormal = x.abs() < 2.0**-1022
    bits = _ops["where"](subnormal, x * 2.0**54, x).contiguous().view(eg.int64)
    biased = (bits >> 52) & 2047
    exponent = biased - 1022 - 54 * subnormal.long()
    exponent = exponent.masked_fill((x == 0) | (biased == 2047), 0).int()
    # In two halves: 2 ** -exponent alone may overflow.
    half = exponent // 2
    mantissa = input * _power_of_two(-half, input) * _power_of_two(half - exponent, input)
    return _frexp(mantissa, exponent)


def _power_of_two(exponent: Any, like: Any) -> Any:
    return _ops["exp2"](exponent.double()).to(like.dtype)


@with_out(casts=True)
def airy_ai(x: Any, *, out: Any = None) -> Any:
    """The Airy function Ai: its power series near 0, asymptotic series beyond (Abramowitz & Stegun 10.4)."""
    values = _float(x).detach()
    z, where = values.double(), _ops["where"]
    near = (z > -6.5) & (z < 5.5)
    vanishes = (z.abs() > 1e30) | (z > 200)
    result = where(near, _airy_near(z.masked_fill(~near, 0.0)), _airy_far(where(near, 6.0, z)))
    return where(z.isnan(), z, result.masked_fill(vanishes, 0.0)).to(values.dtype)


def _airy_near(x: Any) -> Any:
    cube = x * x * x
    f, g = cube * 0 + 1, cube * 0 + 1
    for k in range(60, 0, -1):  # of the last term: 1e-30 at -6.5
        f = 1 + f * cube / ((3 * k - 1) * (3 * k))
        g = 1 + g * cube / ((3 * k) * (3 * k + 1))
    return 0.355028053887817239 * f - 0.258819403792806798 * x * g


def _airy_far(x: Any) -> Any:
    zeta = 2 / 3 * x.abs() ** 1.5
    term = zeta * 0 + 1
    falls = term > 0  # to the smallest term, where the series is best left
    alternating = term.clone()
    sums = [term.clone(), zeta * 0]  # of even and of odd terms, the signs in pairs
    for k in range(1, 24):
        later = term * ((6 * k - 5) * (6 * k - 3) * (6 * k - 1) / (216 * k * (2 * k - 1))) / zeta
        falls = falls & (later < term)
        term = later
        part = term.masked_fill(~falls, 0.0)
        alternating = alternating - part if k % 2 else alternating + part
        sums[k % 2] = sums[k % 2] - part if k // 2 % 2 else sums[k % 2] + part
    scale = math.sqrt(math.pi) * x.abs() ** 0.25
    angle = zeta + math.pi / 4
    waves = (angle.sin() * sums[0] - angle.cos() * sums[1]) / scale
    return _ops["where"](x > 0, (-zeta).exp() / (2 * scale) * alternating, waves)


# -- orthogonal polynomials ----------------------------------------------------------------------------


def _polynomial(x: Any, n: Any, first: Any, second: Any, step: Any) -> Any:
    """p_n of p_0 = first, p_1 = second(x), p_(k+1) = step(k, x, p_k, p_(k-1)); x or n a tensor, the other perhaps a
    number. Orders are cut to whole numbers; below 0 the value is 0."""
    x, n = _operands(x, n)
    orders = n.detach().trunc()
    top = int(orders.max()) if orders.numel() else 0
    values = [_ops["zeros_like"](x) + first, second(x)]
    for k in range(1, top):
        values.append(step(k, x, values[-1], values[-2]))
    if n.dim() == 0:
        return values[top] if top >= 0 else values[0] * 0
    result = values[0] * (orders == 0)
    for k in range(1, top + 1):
        result = _ops["where"](orders == k, values[k], result)
    return result


@with_out(casts=True)
def chebyshev_polynomial_t(input: Any, n: Any, *, out: Any = None) -> Any:
    """Chebyshev polynomial of the first kind."""
    return _polynomial(input, n, 1, lambda x: x, lambda k, x, p, q: 2 * x * p - q)


@with_out(casts=True)
def chebyshev_polynomial_u(input: Any, n: Any, *, out: Any = None) -> Any:
    """Chebyshev polynomial of the second kind."""
    return _polynomial(input, n, 1, lambda x: 2 * x, lambda k, x, p, q: 2 * x * p - q)


@with_out(casts=True)
def chebyshev_polynomial_v(input: Any, n: Any, *, out: Any = None) -> Any:
    """Chebyshev polynomial of the third kind."""
    return _polynomial(input, n, 1, lambda x: 2 * x - 1, lambda k, x, p, q: 2 * x * p - q)


@with_out(casts=True)
def chebyshev_polynomial_w(input: Any, n: Any, *, out: Any = None) -> Any:
    """Chebyshev polynomial of the fourth kind."""
    return _polynomial(input, n, 1, lambda x: 2 * x + 1, lambda k, x, p, q: 2 * x * p - q)


def _shifted(function: Any) -> Any:
    def call(input: Any, n: Any, *, out: Any = None) -> Any:
        """The polynomial of 2 x - 1."""
        return function(2 * input - 1, n)

    call.__name__ = call.__qualname__ = "shifted_" + function.__name__
    return with_out(casts=True)(call)


shifted_chebyshev_polynomial_t = _shifted(chebyshev_polynomial_t)
shifted_chebyshev_polynomial_u = _shifted(chebyshev_polynomial_u)
shifted_chebyshev_polynomial_v = _shifted(chebyshev_polynomial_v)
shifted_chebyshev_polynomial_w = _shifted(chebyshev_polynomial_w)


@with_out(casts=True)
def hermite_polynomial_h(input: Any, n: Any, *, out: Any = None) -> Any:
    """Physicist's Hermite polynomial."""
    return _polynomial(input, n, 1, lambda x: 2 * x, lambda k, x, p, q: 2 * x * p - 2 * k * q)


@with_out(casts=True)
def hermite_polynomial_he(input: Any, n: Any, *, out: Any = None) -> Any:
    """Probabilist's Hermite polynomial."""
    return _polynomial(input, n, 1, lambda x: x, lambda k, x, p, q: x * p - k * q)


@with_out(casts=True)
def laguerre_polynomial_l(input: Any, n: Any, *, out: Any = None) -> Any:
    """Laguerre polynomial."""
    return _polynomial(
        input, n, 1, lambda x: 1 - x, lambda k, x, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1)
    )


@with_out(casts=True)
def legendre_polynomial_p(input: Any, n: Any, *, out: Any = None) -> Any:
    """Legendre polynomial."""
    return _polynomial(
        input, n, 1, lambda x: x, lambda k, x, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1)
    )
