"""Rows of the elementwise ops: arithmetic, comparison, logic, rounding, special functions."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from table import (
    ALL,
    FLOATS,
    INTEGRAL,
    INTS,
    NUMBERS,
    WIDE_FLOATS,
    A,
    C,
    D,
    E,
    M,
    Row,
    V,
    binary,
    unary,
)

REAL_AND_INT = FLOATS + ("int64", "int32", "uint8")
NAN, INF = math.nan, math.inf


def sp(name: str) -> Any:
    """SciPy's special function of that name, imported when it is called."""

    def call(*args: Any) -> Any:
        import scipy.special

        return getattr(scipy.special, name)(*args)

    return call


def _f(f: Any) -> Any:
    """A reference that wants floats: integers and booleans are converted first."""
    return lambda x, *a, **k: f(np.asarray(x, np.float64), *a, **k)


def _round_half_even(x: np.ndarray, decimals: int = 0) -> np.ndarray:
    return np.round(x, decimals)


def _lib(f: Any) -> Any:
    return np.vectorize(f, otypes=[np.float64])


# -- exponential, trigonometric, hyperbolic --------------------------------------------------------

EXP_TRIG = [
    unary("exp", _f(np.exp)),
    unary("exp2", _f(np.exp2), aliases=("special.exp2",)),
    unary("expm1", _f(np.expm1), aliases=("special.expm1",)),
    unary("log", _f(np.log), domain=(0.1, 4), ints=(1, 6)),
    unary("log2", _f(np.log2), domain=(0.1, 4), ints=(1, 6)),
    unary("log10", _f(np.log10), domain=(0.1, 4), ints=(1, 6)),
    unary("log1p", _f(np.log1p), domain=(-0.8, 4), ints=(0, 6), aliases=("special.log1p",)),
    unary("sqrt", _f(np.sqrt), domain=(0.1, 4), ints=(0, 6)),
    unary("rsqrt", _f(lambda x: 1 / np.sqrt(x)), domain=(0.2, 4), ints=(1, 6)),
    unary("sin", _f(np.sin)),
    unary("cos", _f(np.cos)),
    unary("tan", _f(np.tan), domain=(-1.2, 1.2), ints=(-1, 2)),
    unary("asin", _f(np.arcsin), domain=(-0.9, 0.9), ints=(-1, 2), aliases=("arcsin",)),
    unary("acos", _f(np.arccos), domain=(-0.9, 0.9), ints=(-1, 2), aliases=("arccos",)),
    unary("atan", _f(np.arctan), aliases=("arctan",)),
    unary("sinh", _f(np.sinh)),
    unary("cosh", _f(np.cosh)),
    unary("tanh", _f(np.tanh)),
    unary("asinh", _f(np.arcsinh), aliases=("arcsinh",), torch_bugs=("inplace",)),
    unary("acosh", _f(np.arccosh), domain=(1.2, 4), ints=(1, 6), dtypes=FLOATS + ("int64",),
          aliases=("arccosh",), torch_bugs=("inplace",)),
    unary("atanh", _f(np.arctanh), domain=(-0.8, 0.8), dtypes=FLOATS, aliases=("arctanh",), torch_bugs=("inplace",)),
    unary("sigmoid", _f(lambda x: 1 / (1 + np.exp(-x))), aliases=("special.expit",)),
    unary("sinc", _f(np.sinc), aliases=("special.sinc",)),
    unary("deg2rad", _f(np.deg2rad), domain=(-180, 180)),
    unary("rad2deg", _f(np.rad2deg)),
]  # fmt: skip

# -- sign, rounding, reciprocal: integers stay integers --------------------------------------------

SIMPLE = [
    unary("abs", np.abs, rtype="same", dtypes=REAL_AND_INT, aliases=("absolute",)),
    unary("neg", np.negative, rtype="same", dtypes=FLOATS + ("int64", "int32"),
          aliases=("negative",), errors=[E(RuntimeError, M(2))]),
    unary("real", np.real, rtype="same", dtypes=REAL_AND_INT, inplace=False, out=False, method=None),
    unary("conj_physical", np.conj, rtype="same", dtypes=REAL_AND_INT, inplace=False, out=False),
    unary("angle", lambda x: np.where(np.isnan(x), x, np.where(np.asarray(x) < 0, math.pi, 0.0)),
          dtypes=WIDE_FLOATS, inplace=False),
    unary("positive", np.positive, rtype="same", dtypes=REAL_AND_INT, inplace=False, out=False),
    unary("sign", lambda x: np.where(np.isnan(x), 0, np.sign(x)), rtype="same", dtypes=REAL_AND_INT,
          more=[C(V([NAN, 0.0, -0.0, INF], "float32"))]),
    unary("sgn", np.sign, rtype="same", dtypes=REAL_AND_INT, torch_bugs=("gradient", "inplace")),
    unary("signbit", np.signbit, rtype="bool", order=0, dtypes=FLOATS + ("int64",), inplace=False,
          more=[C(V([-0.0, 0.0, -INF, 1.0], "float32"))]),
    unary("square", np.square, rtype="same", dtypes=REAL_AND_INT),
    unary("reciprocal", _f(lambda x: 1 / x), domain=(0.3, 4), ints=(1, 6),
          dtypes=FLOATS + ("int64",)),
    unary("floor", np.floor, rtype="same", dtypes=REAL_AND_INT),
    unary("ceil", np.ceil, rtype="same", dtypes=REAL_AND_INT),
    unary("trunc", np.trunc, rtype="same", dtypes=REAL_AND_INT, aliases=("fix",)),
    unary("round", _round_half_even, rtype="same", dtypes=REAL_AND_INT,
          more=[C(V([0.5, 1.5, 2.5, -0.5, -1.5], "float32")), C(D("float64", 4, low=0, high=9), decimals=2),
                C(D("float64", 4, low=0, high=999), decimals=-1)]),
    unary("frac", lambda x: x - np.trunc(x), rtype="same", dtypes=FLOATS),
    unary("nan_to_num", np.nan_to_num, rtype="same", dtypes=REAL_AND_INT,
          more=[C(V([NAN, INF, -INF, 1.0], "float64")),
                C(V([NAN, INF, -INF, 1.0], "float32"), nan=1.0, posinf=2.0, neginf=-3.0)]),
    unary("isnan", np.isnan, rtype="bool", order=0, dtypes=ALL, inplace=False, out=False,
          more=[C(V([NAN, INF, 0.0], "float32"))]),
    unary("isinf", np.isinf, rtype="bool", order=0, dtypes=ALL, inplace=False, out=False,
          more=[C(V([NAN, INF, -INF], "float16"))]),
    unary("isfinite", np.isfinite, rtype="bool", order=0, dtypes=ALL, inplace=False, out=False,
          more=[C(V([NAN, INF, 0.0], "float32"))]),
    unary("isposinf", np.isposinf, rtype="bool", order=0, dtypes=FLOATS + ("int64",), inplace=False,
          more=[C(V([NAN, INF, -INF], "float32"))]),
    unary("isneginf", np.isneginf, rtype="bool", order=0, dtypes=FLOATS + ("int64",), inplace=False,
          more=[C(V([NAN, INF, -INF], "float32"))]),
    unary("isreal", lambda x: np.ones(np.shape(x), bool), rtype="bool", order=0, dtypes=ALL,
          inplace=False, out=False),
    unary("logical_not", np.logical_not, rtype="bool", order=0, dtypes=ALL, inplace=True),
    unary("bitwise_not", np.bitwise_not, rtype="same", order=0, dtypes=INTEGRAL,
          errors=[E((RuntimeError, TypeError), A(2))]),
]  # fmt: skip

# -- special functions of one variable -------------------------------------------------------------

SPECIAL = [
    unary("erf", sp("erf"), aliases=("special.erf",), scipy=True),
    unary("erfc", sp("erfc"), aliases=("special.erfc",), scipy=True),
    unary("erfinv", sp("erfinv"), domain=(-0.9, 0.9), ints=(0, 1), aliases=("special.erfinv",),
          scipy=True),
    unary("lgamma", _f(_lib(math.lgamma)), domain=(0.3, 5), ints=(1, 6),
          dtypes=FLOATS + ("int64", "int32"),
          aliases=("special.gammaln",)),
    unary("digamma", _f(sp("digamma")), domain=(0.3, 5), ints=(1, 6), scipy=True,
          aliases=("special.digamma", "special.psi")),
    unary("i0", _f(sp("i0")), aliases=("special.i0",), scipy=True),
    unary("logit", _f(lambda x, eps=None: (lambda z: np.log(z / (1 - z)))(
          x if eps is None else np.clip(x, eps, 1 - eps))), domain=(0.1, 0.9), dtypes=FLOATS,
          aliases=("special.logit",), more=[C(A(4, low=0.0, high=1.0), eps=0.2)]),
    unary("special.i0e", _f(sp("i0e")), scipy=True),
    unary("special.i1", _f(sp("i1")), scipy=True),
    unary("special.i1e", _f(sp("i1e")), scipy=True),
    unary("special.entr", _f(sp("entr")), domain=(0.1, 3), ints=(0, 6), scipy=True,
          more=[C(V([-1.0, 0.0, NAN], "float64"))]),
    unary("special.erfcx", _f(sp("erfcx")), dtypes=WIDE_FLOATS + ("int64",), scipy=True, tol=4),
    unary("special.ndtr", _f(sp("ndtr")), scipy=True, torch_bugs=("out-gradient",)),
    unary("special.ndtri", _f(sp("ndtri")), domain=(0.05, 0.95), ints=(0, 2), scipy=True,
          dtypes=WIDE_FLOATS, tol=4),
    unary("special.log_ndtr", _f(sp("log_ndtr")), dtypes=WIDE_FLOATS, scipy=True, tol=4,
          more=[C(V([-12.0, -40.0], "float64"))]),
    unary("special.airy_ai", _f(lambda x: sp("airy")(x)[0]), dtypes=WIDE_FLOATS, order=0,
          scipy=True, tol=1e5, domain=(-3, 3), names=("x",)),
    unary("special.bessel_j0", _f(sp("j0")), dtypes=WIDE_FLOATS, order=0, scipy=True, tol=1e5,
          domain=(0, 9)),
    unary("special.bessel_j1", _f(sp("j1")), dtypes=WIDE_FLOATS, order=0, scipy=True, tol=1e5,
          domain=(0, 9)),
    unary("special.bessel_y0", _f(sp("y0")), dtypes=WIDE_FLOATS, order=0, scipy=True, tol=1e5,
          domain=(0.5, 9)),
    unary("special.bessel_y1", _f(sp("y1")), dtypes=WIDE_FLOATS, order=0, scipy=True, tol=1e5,
          domain=(0.5, 9)),
    unary("special.modified_bessel_i0", _f(sp("i0")), dtypes=WIDE_FLOATS, order=0, scipy=True),
    unary("special.modified_bessel_i1", _f(sp("i1")), dtypes=WIDE_FLOATS, order=0, scipy=True),
    unary("special.modified_bessel_k0", _f(sp("k0")), dtypes=WIDE_FLOATS, order=0, scipy=True,
          domain=(0.2, 5), tol=4),
    unary("special.modified_bessel_k1", _f(sp("k1")), dtypes=WIDE_FLOATS, order=0, scipy=True,
          domain=(0.2, 5), tol=4),
    unary("special.scaled_modified_bessel_k0", _f(sp("k0e")), dtypes=WIDE_FLOATS, order=0,
          scipy=True, domain=(0.2, 5), tol=4, names=("x",)),
    unary("special.scaled_modified_bessel_k1", _f(sp("k1e")), dtypes=WIDE_FLOATS, order=0,
          scipy=True, domain=(0.2, 5), tol=4, names=("x",)),
    unary("special.spherical_bessel_j0", _f(lambda x: np.sinc(x / np.pi)), dtypes=WIDE_FLOATS,
          order=0, names=("x",)),
    Row("polygamma", lambda n, x: sp("polygamma")(n, np.asarray(x, np.float64)),
        [C(0, A(3)), C(1, A(2, 2)), C(2, A(3)), C(1, A())], domain=(0.4, 4), dtypes=WIDE_FLOATS,
        rtype="float", method=None, aliases=("special.polygamma",), scipy=True, tol=10,
        names=("n", "input")),
    Row("mvlgamma", lambda x, p: sp("multigammaln")(x, p) if np.ndim(x) == 0 else
        np.array([sp("multigammaln")(v, p) for v in x.ravel()]).reshape(x.shape),
        [C(A(3), 1), C(A(2, 2), 2), C(A(), 3), C(A(3), p=2)], domain=(2, 6), dtypes=WIDE_FLOATS,
        rtype="float", inplace=True, aliases=("special.multigammaln",), scipy=True, tol=4,
        names=("input", "p")),
]  # fmt: skip


def _poly(name: str) -> Any:
    def ref(x: Any, n: Any) -> Any:
        return sp(name)(np.asarray(n, np.int64), np.asarray(x, np.float64))

    return ref


def _chebyshev(kind: str, shifted: bool) -> Any:
    def ref(x: Any, n: Any) -> Any:
        z = 2 * np.asarray(x, np.float64) - 1 if shifted else np.asarray(x, np.float64)
        n, theta = np.asarray(n, np.float64), np.arccos(z)
        if kind == "t":
            return np.cos(n * theta)
        if kind == "u":
            return np.sin((n + 1) * theta) / np.sin(theta)
        if kind == "v":
            return np.cos((n + 0.5) * theta) / np.cos(theta / 2)
        return np.sin((n + 0.5) * theta) / np.sin(theta / 2)

    return ref


_POLY_CALLS = [
    C(A(4), V([0, 1, 2, 5], "int64")),
    C(A(3, 1), V([0, 3], "int64")),
    C(A(), V(3, "int64")),
]
POLYNOMIALS = [
    Row(f"special.{name}", ref, _POLY_CALLS, domain=domain, dtypes=WIDE_FLOATS, order=0,
        rtype="float", method=None, out=True, scipy=True, tol=20)
    for name, ref, domain in [
        ("hermite_polynomial_h", _poly("eval_hermite"), (-1, 1)),
        ("hermite_polynomial_he", _poly("eval_hermitenorm"), (-1, 1)),
        ("laguerre_polynomial_l", _poly("eval_laguerre"), (0, 2)),
        ("legendre_polynomial_p", _poly("eval_legendre"), (-0.9, 0.9)),
        *((f"chebyshev_polynomial_{k}", _chebyshev(k, False), (-0.9, 0.9)) for k in "tuvw"),
        *((f"shifted_chebyshev_polynomial_{k}", _chebyshev(k, True), (0.1, 0.9)) for k in "tuvw"),
    ]
]  # fmt: skip

# -- arithmetic of two tensors ---------------------------------------------------------------------


def _add(a: Any, b: Any, alpha: Any = 1) -> Any:
    both = np.asarray(a).dtype == np.asarray(b).dtype == bool
    return np.logical_or(a, b) if both else a + alpha * b


def _sub(a: Any, b: Any, alpha: Any = 1) -> Any:
    return a - alpha * b


def _div(a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode is None:
        return np.true_divide(a, b)
    q = np.floor_divide(a, b) if rounding_mode == "floor" else np.trunc(np.true_divide(a, b))
    return q


def _power(a: Any, b: Any) -> Any:
    return np.power(a, b)


NONZERO = ((-2, 2), (0.5, 2.5))
POSITIVE = ((0.3, 3), (0.3, 3))
ARITHMETIC = [
    binary("add", _add, dtypes=ALL,
           more=[C(A(2, 3), 2), C(A(2, 3), A(3), alpha=2), C(A(3), D("int64", 3, low=0, high=5))],
           errors=[E((RuntimeError, TypeError), D("int64", 2), D("int64", 2), alpha=1.5)]),
    binary("sub", _sub, dtypes=NUMBERS, aliases=("subtract",),
           more=[C(A(2, 3), 2), C(A(2, 3), A(3), alpha=2)], errors=[E(RuntimeError, M(2), M(2))]),
    binary("rsub", lambda a, b, alpha=1: b - alpha * a, dtypes=FLOATS + ("int64",), out=False,
           inplace=False, method=None, more=[C(A(3), 2), C(A(3), 2.5, alpha=2)]),
    binary("mul", np.multiply, dtypes=ALL, aliases=("multiply",), more=[C(A(2, 3), 2)]),
    binary("div", _div, dtypes=FLOATS + ("int64", "uint8"), rtype="float", domains=NONZERO,
           ints=(1, 6), aliases=("divide", "true_divide"), more=[C(A(2, 3), 2),
           C(A(4), A(4, low=0.5, high=1), rounding_mode=None)],
           errors=[E(RuntimeError, A(2), A(2), rounding_mode="up", match="rounding_mode")]),
    Row("div", _div, [C(A(6), A(6), rounding_mode="floor"), C(A(6), A(6), rounding_mode="trunc"),
        C(A(5), 2, rounding_mode="floor"), C(A(5), -3, rounding_mode="trunc")], domain=(1.2, 9.4),
        ints=(1, 9), dtypes=WIDE_FLOATS + ("int64",), order=0, inplace=True, out=True),
    binary("floor_divide", np.floor_divide, dtypes=FLOATS + ("int64", "uint8"), order=0,
           domains=((-5, 5), (0.6, 2.5)), ints=(1, 6), more=[C(A(4), 2), C(D("float32", 4), -2)],
           errors=[E((RuntimeError, ZeroDivisionError), D("int64", 2), V([0, 1], "int64"))]),
    binary("remainder", np.remainder, dtypes=FLOATS + ("int64", "uint8"),
           domains=((-5, 5), (0.6, 2.5)), ints=(1, 6), more=[C(A(4), 2), C(A(4), -1.5)],
           errors=[E((RuntimeError, ZeroDivisionError), D("int64", 2), V([0, 1], "int64"))]),
    binary("fmod", np.fmod, dtypes=FLOATS + ("int64", "uint8"), domains=((-5, 5), (0.6, 2.5)),
           ints=(1, 6), more=[C(A(4), 2), C(A(4), -1.5)]),
    binary("pow", _power, dtypes=FLOATS + ("int64",), domains=POSITIVE, ints=(1, 5),
           names=("input", "exponent"),
           more=[C(A(2, 3), 2), C(A(3, low=-2, high=2), 3), C(A(3, low=0.2, high=2), 0.5),
                 C(A(3, low=0.2, high=2), -1.5), C(2.5, A(3)), C(A(2), 0),
                 C(A(3, low=0.5, high=2), -2.0), C(A(3, low=0.2, high=2), -0.5)],
           errors=[E(RuntimeError, D("int64", 2, low=1, high=4), -1)],
           skips={"method": "a number may come first"}),
    binary("float_power", lambda a, b: np.float_power(np.float64(a), b),
           dtypes=FLOATS + ("int64",), domains=POSITIVE, ints=(1, 5), rtype="float64",
           names=("input", "exponent"), more=[C(A(3), 2)],
           skips={"inplace": "only for float64", "method": ""}),
    binary("atan2", np.arctan2, dtypes=FLOATS + ("int64",), rtype="float", ints=(1, 5),
           aliases=("arctan2",)),
    binary("hypot", np.hypot, dtypes=FLOATS, domains=POSITIVE),
    binary("copysign", lambda a, b: np.copysign(np.float64(a), b), dtypes=FLOATS + ("int64",),
           rtype="float", more=[C(A(3), -1.0)]),
    binary("nextafter", np.nextafter, dtypes=WIDE_FLOATS, order=0, tol=1e-6,
           skips={"reference": ""}),
    binary("ldexp", lambda a, b: a * np.exp2(np.float64(b)), dtypes=WIDE_FLOATS,
           more=[C(A(3), V([1, 2, -3], "int64"))], torch_bugs=("gradient",)),
    binary("logaddexp", np.logaddexp, dtypes=FLOATS, inplace=False),
    binary("logaddexp2", np.logaddexp2, dtypes=FLOATS, inplace=False),
    binary("xlogy", sp("xlogy"), dtypes=FLOATS + ("int64",), rtype="float", domains=POSITIVE,
           ints=(0, 5), aliases=("special.xlogy",), scipy=True,
           more=[C(V([0.0, 0.0, NAN], "float64"), V([0.0, NAN, 1.0], "float64")),
                 C(A(3), 2.0), C(2.0, A(3, low=0.5, high=2))],
           skips={"method": "a number may come first"}),
    binary("special.xlog1py", sp("xlog1py"), dtypes=FLOATS + ("int64",), rtype="float",
           domains=POSITIVE, ints=(0, 5), scipy=True,
           more=[C(V([0.0, NAN], "float64"), V([-1.0, 1.0], "float64"))]),
    binary("special.zeta", sp("zeta"), dtypes=WIDE_FLOATS, rtype="float", order=0,
           domains=((1.5, 5), (0.5, 4)), scipy=True, tol=10),
    binary("igamma", sp("gammainc"), dtypes=WIDE_FLOATS, order=0, domains=POSITIVE, scipy=True,
           aliases=("special.gammainc",), tol=10),
    binary("igammac", sp("gammaincc"), dtypes=WIDE_FLOATS, order=0, domains=POSITIVE, scipy=True,
           aliases=("special.gammaincc",), tol=10),
    binary("maximum", np.maximum, dtypes=ALL, inplace=False,
           more=[C(V([NAN, 1.0], "float64"), V([1.0, NAN], "float64"))]),
    binary("minimum", np.minimum, dtypes=ALL, inplace=False,
           more=[C(V([NAN, 1.0], "float64"), V([1.0, NAN], "float64"))]),
    binary("fmax", np.fmax, dtypes=ALL, inplace=False,
           more=[C(V([NAN, 1.0], "float64"), V([1.0, NAN], "float64"))]),
    binary("fmin", np.fmin, dtypes=ALL, inplace=False,
           more=[C(V([NAN, 1.0], "float64"), V([1.0, NAN], "float64"))]),
    binary("heaviside", np.heaviside, dtypes=FLOATS + ("int64",), order=0,
           names=("input", "values"), more=[C(V([-1.0, 0.0, 2.0], "float64"), V(0.5, "float64"))]),
    binary("gcd", np.gcd, dtypes=INTS, order=0),
    binary("lcm", np.lcm, dtypes=("int64", "int32", "int16"), order=0),
]  # fmt: skip

# -- comparison, logic, bits -----------------------------------------------------------------------

COMPARISON = [
    binary(name, ref, dtypes=ALL, order=0, rtype="bool", ints=(0, 3), more=[C(A(2, 3), 1)],
           aliases=alias, method=name)
    for name, ref, alias in [
        ("eq", np.equal, ()),
        ("ne", np.not_equal, ("not_equal",)),
        ("lt", np.less, ("less",)),
        ("le", np.less_equal, ("less_equal",)),
        ("gt", np.greater, ("greater",)),
        ("ge", np.greater_equal, ("greater_equal",)),
    ]
]  # fmt: skip
LOGIC = [
    binary(f"logical_{k}", getattr(np, f"logical_{k}"), dtypes=ALL, order=0, rtype="bool",
           ints=(0, 2))
    for k in ("and", "or", "xor")
] + [
    binary(f"bitwise_{k}", getattr(np, f"bitwise_{k}"), dtypes=INTEGRAL, order=0,
           more=[C(A(2, 3), A(2, 1))], errors=[E(RuntimeError, A(2), A(2))])
    for k in ("and", "or", "xor")
] + [
    binary("bitwise_left_shift", np.left_shift, dtypes=INTS, order=0, ints=(0, 4),
           more=[C(A(3), 2)]),
    binary("bitwise_right_shift", np.right_shift, dtypes=INTS, order=0, ints=(0, 4),
           more=[C(A(3), 1)]),
    binary("isclose", np.isclose, dtypes=("float64", "float32", "int64"), order=0, rtype="bool",
           inplace=False, out=False,
           more=[C(V([1.0, NAN, INF], "float64"), V([1.0 + 1e-9, NAN, INF], "float64")),
                 C(V([1.0, NAN], "float64"), V([1.05, NAN], "float64"), rtol=0.1, equal_nan=True)]),
    Row("allclose", lambda *a, **k: np.allclose(*a, **k),
        [C(A(3), A(3)), C(V([1.0, 2.0], "float64"), V([1.0, 2.0 + 1e-9], "float64")),
         C(V([NAN], "float32"), V([NAN], "float32"), equal_nan=True),
         C(V([1.0], "float32"), V([1.5], "float32"), rtol=1.0, atol=0.0)],
        dtypes=WIDE_FLOATS, order=0, rtype=None, names=("input", "other")),
    Row("equal", np.array_equal, [C(A(3), A(3)), C(V([1, 2]), V([1, 2])), C(A(2), A(3))],
        dtypes=("float32", "int64"), order=0, rtype=None, names=("input", "other")),
    Row("isin", lambda a, b, assume_unique=False, invert=False: np.isin(a, b, invert=invert),
        [C(A(3, 3), V([1, 2, -3])), C(A(4), A(4), invert=True), C(A(3), 2)],
        dtypes=("float32", "int64", "int32"), order=0, rtype="bool", method=None),
    Row("is_nonzero", lambda x: bool(x), [C(V([0.0], "float32")), C(V(2, "int64"))], order=0,
        dtypes=("float32",), rtype=None, errors=[E(RuntimeError, A(2)), E(RuntimeError, A(0))]),
]  # fmt: skip

# -- three operands and parameters -----------------------------------------------------------------


def _clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    if min is not None:
        x = np.maximum(x, min)
    return np.minimum(x, max) if max is not None else x


TERNARY = [
    Row("clamp", _clamp,
        [C(A(2, 3), -1, 1), C(A(4), min=0), C(A(4), max=0), C(A(2, 3), A(3, low=-2, high=-0.5),
         A(3, low=0.5, high=2)), C(A(2, 3), min=A(1, 3)), C(A(), 0, 1), C(A(0), -1, 1),
         C(V([NAN, -3.0, 3.0], "float64"), -1.0, 1.0), C(A(3), 2, -1)],
        dtypes=FLOATS + ("int64", "int32"), inplace=True, out=True, aliases=("clip",),
        names=("input", "min", "max"), errors=[E((RuntimeError, ValueError), A(3))],
        skips={"out": "", "inplace": ""}),
    Row("clamp_min", lambda x, m: np.maximum(x, m), [C(A(2, 3), 0), C(A(3), A(3))],
        dtypes=REAL_AND_INT, inplace=True),
    Row("clamp_max", lambda x, m: np.minimum(x, m), [C(A(2, 3), 0), C(A(3), A(3))],
        dtypes=REAL_AND_INT, inplace=True),
    Row("lerp", lambda a, b, w: a + w * (b - a),
        [C(A(2, 3), A(2, 3), 0.3), C(A(2, 3), A(3), A(2, 1)), C(A(), A(), 0.5),
         C(A(0), A(0), 0.5)],
        inplace=True, out=True, names=("input", "end", "weight"),
        errors=[E(RuntimeError, A(2), A(3), 0.5), E(RuntimeError, D("float64", 2), A(2), 0.5)]),
    Row("addcmul", lambda x, a, b, value=1: x + value * a * b,
        [C(A(2, 3), A(2, 3), A(2, 3)), C(A(2, 3), A(3), A(2, 1), value=2), C(A(), A(), A())],
        dtypes=FLOATS + ("int64",), inplace=True, out=True,
        names=("input", "tensor1", "tensor2")),
    Row("addcdiv", lambda x, a, b, value=1: x + value * a / b,
        [C(A(2, 3), A(2, 3), A(2, 3, low=0.5, high=2)), C(A(), A(), A(low=0.5, high=2)),
         C(A(2, 3), A(3), A(2, 1, low=0.5, high=2), value=0.5)],
        inplace=True, out=True, names=("input", "tensor1", "tensor2"),
        errors=[E(RuntimeError, D("int64", 2), D("int64", 2), V([1, 2], "int64"))]),
    Row("where", np.where,
        [C(M(2, 3), A(2, 3), A(2, 3)), C(M(3), A(2, 3), A(2, 1)), C(M(2), A(2), 0.0),
         C(M(2), 1, A(2)), C(M(), A(), A()), C(M(0), A(0), A(0))],
        dtypes=FLOATS, method=None, names=("condition", "input", "other"),
        errors=[E((RuntimeError, TypeError), A(2), A(2), A(2)), E(RuntimeError, M(2), A(2), A(3))]),
    Row("frexp", lambda x: np.frexp(x), [C(A(2, 3)), C(A()), C(V([0.0, 8.0, -0.3]))],
        dtypes=WIDE_FLOATS, order=0, rtype=None),
    Row("gradient", lambda x, spacing=1.0, dim=None, edge_order=1: np.gradient(
        x, spacing, axis=dim, edge_order=edge_order) if np.ndim(x) > 1 and dim is None
        else [np.gradient(x, spacing, axis=dim, edge_order=edge_order)],
        [C(A(5)), C(A(4, 5)), C(A(5), spacing=2.0), C(A(4, 4), dim=1), C(A(5), edge_order=2)],
        dtypes=WIDE_FLOATS, rtype=None, method=None),
    Row("special.softmax", lambda x, dim: (lambda e: e / e.sum(dim, keepdims=True))(np.exp(x)),
        [C(A(2, 3), 1), C(A(3), -1)], method=None, dtypes=WIDE_FLOATS),
]  # fmt: skip

# -- activations of nn.functional ------------------------------------------------------------------


def _softplus(x: Any, beta: float = 1, threshold: float = 20) -> Any:
    x = np.asarray(x, np.float64)
    return np.where(x * beta > threshold, x, np.log1p(np.exp(beta * x)) / beta)


def _gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * np.power(x, 3))
        return 0.5 * x * (1 + np.tanh(inner))
    return 0.5 * x * (1 + sp("erf")(x / math.sqrt(2)))


def _selu(x: Any) -> Any:
    a, s = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return s * np.where(x > 0, x, a * np.expm1(x))


def _elu(x: Any, alpha: float = 1.0) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(x))


def _sig(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


_act = functools.partial(unary, dtypes=FLOATS, rtype="same", inplace=False, out=False, method=None)


def act(name: str, ref: Any, **kw: Any) -> Row:
    row = _act(f"nn.functional.{name}", ref, **kw)
    row.errors = [E((TypeError, AttributeError), "text")]
    return row


ACTIVATIONS = [
    unary("relu", lambda x: np.maximum(x, 0), rtype="same", dtypes=FLOATS + ("int64",), out=False),
    act("relu", lambda x: np.maximum(x, 0)),
    act("relu6", lambda x: np.clip(x, 0, 6), domain=(-2, 9)),
    act("leaky_relu", lambda x, s=0.01: np.where(x > 0, x, s * x), more=[C(A(4), 0.2)]),
    act("elu", _elu, more=[C(A(4), alpha=0.5)]),
    act("celu", lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x / alpha)),
        more=[C(A(4), alpha=0.5)]),
    act("selu", _selu),
    act("gelu", _gelu, scipy=True, more=[C(A(4), approximate="tanh")]),
    act("silu", lambda x: x * _sig(x)),
    act("mish", lambda x: x * np.tanh(_softplus(x))),
    act("softplus", _softplus, more=[C(A(4), beta=2, threshold=1)]),
    act("softsign", lambda x: x / (1 + np.abs(x))),
    act("tanhshrink", lambda x: x - np.tanh(x), dtypes=WIDE_FLOATS),
    act("logsigmoid", lambda x: -_softplus(-x)),
    act("hardtanh", lambda x, lo=-1.0, hi=1.0: np.clip(x, lo, hi), more=[C(A(4), -0.5, 0.7)]),
    act("hardsigmoid", lambda x: np.clip(x / 6 + 0.5, 0, 1), domain=(-5, 5),
        torch_bugs=("gradient",)),
    act("hardswish", lambda x: x * np.clip(x + 3, 0, 6) / 6, domain=(-5, 5)),
    act("hardshrink", lambda x, lambd=0.5: np.where(np.abs(x) > lambd, x, 0),
        more=[C(A(4), 0.9)]),
    act("softshrink", lambda x, lambd=0.5: np.sign(x) * np.maximum(np.abs(x) - lambd, 0),
        more=[C(A(4), 0.9)]),
    Row(
        "nn.functional.threshold", lambda x, t, v: np.where(x > t, x, v),
        [C(A(2, 3), 0.1, 5.0), C(A(), 0.1, -1.0)], method=None),
    Row("nn.functional.prelu", lambda x, w: np.where(x > 0, x, (
        np.reshape(w, (1, -1) + (1,) * (np.ndim(x) - 2)) if np.ndim(x) > 1 else w) * x),
        [C(A(2, 3), A(1)), C(A(2, 3, 4), A(3))], method=None,
        errors=[E(RuntimeError, A(2, 3), A(2))]),
    Row("nn.functional.glu", lambda x, dim=-1: (lambda a, b: a * _sig(b))(
        *np.split(x, 2, dim)), [C(A(2, 4)), C(A(4, 2), dim=0)], method=None,
        errors=[E(RuntimeError, A(2, 3))]),
]  # fmt: skip

ROWS = [
    *EXP_TRIG, *SIMPLE, *SPECIAL, *POLYNOMIALS, *ARITHMETIC, *COMPARISON, *LOGIC, *TERNARY,
    *ACTIVATIONS,
]  # fmt: skip
