"""The older names of linear algebra at the top level of the package and as methods."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad import _C, linalg
from eagergrad.linalg import cholesky as _cholesky
from eagergrad.linalg import det, lu_unpack, matrix_exp, matrix_power, slogdet
from eagergrad.linalg._factors import (
    by_columns,
    check_float,
    check_square,
    factorized,
    recorded,
)
from eagergrad.tensor.autocast import full_precision
from eagergrad.tensor.out import with_out, write_results
from eagergrad.tensor.results import result_type

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "det",
    "geqrf",
    "inverse",
    "logdet",
    "lu",
    "lu_solve",
    "lu_unpack",
    "matrix_exp",
    "matrix_power",
    "orgqr",
    "ormqr",
    "pca_lowrank",
    "pinverse",
    "qr",
    "slogdet",
    "svd",
    "svd_lowrank",
    "triangular_solve",
]

_cholesky_solve = _C.op_table["cholesky_solve"]
_triangular = result_type("triangular_solve", "solution", "cloned_coefficient")
_geqrf = result_type("geqrf", "a", "tau")
_svd = result_type("svd", "U", "S", "V")


@with_out(casts=True)
def cholesky(input: Any, upper: bool = False, *, out: Any = None) -> Any:
    """The same as linalg.cholesky."""
    return _cholesky(input, upper=upper)


@with_out
def inverse(input: Any, *, out: Any = None) -> Any:
    """The same as linalg.inv."""
    return linalg.inv(input)


@with_out(casts=True)
def cholesky_solve(input: Any, input2: Any, upper: bool = False, *, out: Any = None) -> Any:
    """X of A X = input for the A whose Cholesky factor is input2."""
    return _cholesky_solve(input, input2, upper)


@with_out(casts=True)
def cholesky_inverse(input: Any, upper: bool = False, *, out: Any = None) -> Any:
    """The inverse of the matrix with this Cholesky factor.

    >>> import eagergrad as eg
    >>> cholesky_inverse(eg.tensor([[2.0]])).tolist()
    [[0.25]]
    """
    check_square("cholesky_inverse", input)
    eye = eg.eye(input.shape[-1], dtype=input.dtype, device=input.device)
    return _C.named(_cholesky_solve(eye, input, upper), "CholeskyInverseBackward0")


def lu(A: Any, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """The packed factors and pivots of linalg.lu_factor, and what went wrong if asked for."""
    result = tuple(linalg.lu_factor(A, pivot=pivot))
    if get_infos:
        zero = result[0].diagonal(0, -2, -1) == 0
        first = zero.to(eg.int32).argmax(-1) + 1
        result = (*result, eg.where(zero.any(-1), first, 0).to(eg.int32))
    if out is None:
        return result
    return write_results("lu", out, result, True)


@with_out
def lu_solve(input: Any, LU_data: Any, LU_pivots: Any, *, out: Any = None) -> Any:
    """X of A X = input for the A that lu factored."""
    return linalg.lu_solve(LU_data, LU_pivots, input)


@with_out(casts=True)
def orgqr(input: Any, input2: Any, *, out: Any = None) -> Any:
    """The same as linalg.householder_product."""
    return linalg.householder_product(input, input2)


@with_out(casts=True)
def geqrf(input: Any, *, out: Any = None) -> Any:
    """LAPACK's packed QR: R on and above the diagonal, Householder vectors below it, and their factors; not recorded."""
    check_float("geqrf", input)
    return _geqrf(*factorized("geqrf", "_geqrf", input))


@with_out(casts=True)
def ormqr(
    input: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False, *, out: Any = None
) -> Any:
    """Q @ other (other @ Q unless left; Q transposed if asked for), for the m x m matrix Q of geqrf's vectors and factors."""
    check_float("ormqr", input)
    if input.dim() < 2 or other.dim() < 2:
        raise RuntimeError(
            f"ormqr: input and other must have at least 2 dimensions, got {input.dim()} and {other.dim()}"
        )
    m = other.shape[-2 if left else -1]
    if input.shape[-2] != m:
        raise RuntimeError(
            f"ormqr: expected Householder vectors of length {m}, got a matrix of shape {tuple(input.shape)}"
        )
    k = tau.shape[-1]
    if input.device.type == "cpu" and not recorded(input, tau, other):
        product = _C.op_table["_ormqr"](input, tau, other if left else other.mT, transpose == left)
        return product if left else by_columns(product.mT)
    v = input[..., :k].tril(-1) + eg.eye(m, k, dtype=input.dtype, device=input.device)
    c = other if left else other.mT
    for i in range(k) if transpose == left else reversed(range(k)):
        vi = v[..., :, i : i + 1]
        c = c - tau[..., i, None, None] * (vi @ (vi.mT @ c))
    return by_columns(c if left else c.mT)


def _basis(A: Any, q: int, niter: int) -> Any:
    """Orthonormal columns that nearly span A's (Halko et al., 2009, algorithm 4.4)."""
    Q = linalg.qr(A @ eg.randn(A.shape[-1], q, dtype=A.dtype, device=A.device)).Q
    for _ in range(niter):
        Q = linalg.qr(A @ linalg.qr(A.mT @ Q).Q).Q
    return Q


def svd_lowrank(A: Any, q: int | None = 6, niter: int = 2, M: Any = None) -> Any:
    """U, S and V of A (less M, broadcast) by a random projection to q dimensions and niter rounds of refinement."""
    check_float("svd_lowrank", A)
    A = A if M is None else A - M.broadcast_to(A.shape)
    wide = A.shape[-2] < A.shape[-1]
    A = A.mT if wide else A
    Q = _basis(A, 6 if q is None else q, niter)
    U, S, Vh = linalg.svd(Q.mT @ A, full_matrices=False)
    U, V = Q @ U, Vh.mT
    return (V, S, U) if wide else (U, S, V)


def pca_lowrank(A: Any, q: int | None = None, center: bool = True, niter: int = 2) -> Any:
    """svd_lowrank of a matrix whose columns are centred first."""
    m, n = A.shape[-2:]
    if q is None:
        q = min(6, m, n)
    if not 0 <= q <= min(m, n):
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, True) if center else A, q, niter)


def logdet(input: Any) -> Any:
    """log of determinants; NaN where they are negative."""
    sign, logabs = linalg.slogdet(input)
    return logabs.masked_fill(sign < 0, float("nan")) if bool((sign < 0).any()) else logabs


def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """The same as linalg.pinv, with a smaller limit."""
    return linalg.pinv(input, rtol=rcond)


@with_out
def qr(input: Any, some: bool = True, *, out: Any = None) -> Any:
    """linalg.qr, reduced if ``some``."""
    return linalg.qr(input, "reduced" if some else "complete")


@with_out
def svd(input: Any, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> Any:
    """U, S and V (not its transpose) with input = U diag(S) V^T."""
    U, S, Vh = linalg.svd(input, not some)
    return _svd(U, S, Vh.mT)


@with_out
def triangular_solve(
    input: Any,
    A: Any,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
    *,
    out: Any = None,
) -> Any:
    """X of A X = input for triangular A."""
    M = A.mT if transpose else A
    x = linalg.solve_triangular(M, input, upper=upper != transpose, unitriangular=unitriangular)
    return _triangular(_C.named(x, "TriangularSolveBackward0"), by_columns(A.clone()))


globals().update({name: full_precision(globals()[name]) for name in __all__})
