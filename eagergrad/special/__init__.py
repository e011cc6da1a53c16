"""Special functions, under PyTorch's names."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad import _C, Tensor
from eagergrad.tensor.out import with_out

_ops = _C.op_table

# The core's ops under the names of this module.
_SAME = (
    "airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 digamma erf erfc erfcx erfinv exp2 expm1 frexp i0 i0e i1 i1e log1p log_ndtr "
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
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "entr",
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


def _operands(x: Any, n: Any) -> tuple[Any, Any]:
    """Both as floating point tensors of their common dtype; one of them may be a number."""
    from eagergrad.tensor.creation import as_tensor

    if not isinstance(x, _C.TensorBase) and not isinstance(n, _C.TensorBase):
        raise TypeError(f"expected a Tensor, got {type(x).__name__} and {type(n).__name__}")
    common = _ops["result_type"](x, n)
    if not common.is_floating_point:
        common = _C.get_default_dtype()
    return as_tensor(x).to(common), as_tensor(n).to(common)


def _float(x: Any) -> Any:
    if not isinstance(x, _C.TensorBase):
        raise TypeError(f"expected a Tensor, got {type(x).__name__}")
    return x if x.dtype.is_floating_point else x.to(_C.get_default_dtype())


@with_out(casts=True)
def logit(input: Tensor, eps: float | None = None, *, out: Any = None) -> Any:
    """log(x / (1 - x)), with x held in [eps, 1 - eps] if eps is given."""
    x = _float(input)
    return _ops["logit"](x) if eps is None else _ops["logit_eps"](x, eps)


@with_out(casts=True)
def polygamma(n: int, input: Tensor, *, out: Any = None) -> Any:
    """The n-th derivative of digamma."""
    return _ops["_polygamma"](_float(input), n)


@with_out(casts=True)
def mvlgamma(input: Tensor, p: int, *, out: Any = None) -> Any:
    """log of the multivariate gamma function of dimension p."""
    x = _float(input)
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    steps = _ops["arange"](p, dtype=x.dtype, device=x.device) / 2
    return _ops["lgamma"](x.unsqueeze(-1) - steps).sum(-1) + p * (p - 1) / 4 * math.log(math.pi)


multigammaln = mvlgamma


@with_out(casts=True)
def ndtr(input: Tensor, *, out: Any = None) -> Any:
    """The normal distribution function."""
    return 0.5 * _ops["erfc"](_float(input) * -math.sqrt(0.5))


@with_out(casts=True)
def entr(input: Tensor, *, out: Any = None) -> Any:
    """-x log(x); 0 at 0, -inf below."""
    return _ops["entr"](_float(input))


# -- orthogonal polynomials ----------------------------------------------------------------------------


def _polynomial(name: str, x: Any, n: Any, second: Any, step: Any) -> Any:
    """p_n of p_0 = 1, p_1 = second(x), p_(k+1) = step(k, x, p_k, p_(k-1)); x or n a tensor, the other perhaps a
    number. Orders are cut to whole numbers; below 0 the value is 0. Recorded, the steps themselves are."""
    x, n = _operands(x, n)
    if not (x.requires_grad and eg.is_grad_enabled()):
        return _ops[name](x, n.detach())
    orders = n.detach().trunc()
    top = int(orders.max()) if orders.numel() else 0
    values = [_ops["ones_like"](x), second(x)]
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
    return _polynomial(
        "chebyshev_polynomial_t", input, n, lambda x: x, lambda k, x, p, q: 2 * x * p - q
    )


@with_out(casts=True)
def chebyshev_polynomial_u(input: Any, n: Any, *, out: Any = None) -> Any:
    """Chebyshev polynomial of the second kind."""
    return _polynomial(
        "chebyshev_polynomial_u", input, n, lambda x: 2 * x, lambda k, x, p, q: 2 * x * p - q
    )


@with_out(casts=True)
def chebyshev_polynomial_v(input: Any, n: Any, *, out: Any = None) -> Any:
    """Chebyshev polynomial of the third kind."""
    return _polynomial(
        "chebyshev_polynomial_v", input, n, lambda x: 2 * x - 1, lambda k, x, p, q: 2 * x * p - q
    )


@with_out(casts=True)
def chebyshev_polynomial_w(input: Any, n: Any, *, out: Any = None) -> Any:
    """Chebyshev polynomial of the fourth kind."""
    return _polynomial(
        "chebyshev_polynomial_w", input, n, lambda x: 2 * x + 1, lambda k, x, p, q: 2 * x * p - q
    )


def _shifted(function: Any) -> Any:
    def call(input: Any, n: Any, *, out: Any = None) -> Any:
        """The polynomial of 2 x - 1."""
        x, order = _operands(input, n)
        return function(2 * x - 1, order)

    call.__name__ = call.__qualname__ = "shifted_" + function.__name__
    return with_out(casts=True)(call)


shifted_chebyshev_polynomial_t = _shifted(chebyshev_polynomial_t)
shifted_chebyshev_polynomial_u = _shifted(chebyshev_polynomial_u)
shifted_chebyshev_polynomial_v = _shifted(chebyshev_polynomial_v)
shifted_chebyshev_polynomial_w = _shifted(chebyshev_polynomial_w)


@with_out(casts=True)
def hermite_polynomial_h(input: Any, n: Any, *, out: Any = None) -> Any:
    """Physicist's Hermite polynomial."""
    return _polynomial(
        "hermite_polynomial_h", input, n, lambda x: 2 * x, lambda k, x, p, q: 2 * x * p - 2 * k * q
    )


@with_out(casts=True)
def hermite_polynomial_he(input: Any, n: Any, *, out: Any = None) -> Any:
    """Probabilist's Hermite polynomial."""
    return _polynomial(
        "hermite_polynomial_he", input, n, lambda x: x, lambda k, x, p, q: x * p - k * q
    )


@with_out(casts=True)
def laguerre_polynomial_l(input: Any, n: Any, *, out: Any = None) -> Any:
    """Laguerre polynomial."""
    return _polynomial(
        "laguerre_polynomial_l",
        input,
        n,
        lambda x: 1 - x,
        lambda k, x, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1),
    )


@with_out(casts=True)
def legendre_polynomial_p(input: Any, n: Any, *, out: Any = None) -> Any:
    """Legendre polynomial."""
    return _polynomial(
        "legendre_polynomial_p",
        input,
        n,
        lambda x: x,
        lambda k, x, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1),
    )
