"""The older names of linear algebra at the top level of the package and as methods."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from eagergrad import linalg
from eagergrad.linalg import cholesky as _cholesky
from eagergrad.linalg import det, lu_solve, lu_unpack, matrix_exp, matrix_power, slogdet

__all__ = [
    "cholesky",
    "det",
    "inverse",
    "logdet",
    "lu_solve",
    "lu_unpack",
    "matrix_exp",
    "matrix_power",
    "pinverse",
    "qr",
    "slogdet",
    "svd",
    "triangular_solve",
]

_triangular = namedtuple("triangular_solve", ("solution", "cloned_coefficient"))
_svd = namedtuple("svd", ("U", "S", "V"))


def cholesky(input: Any, upper: bool = False, *, out: Any = None) -> Any:
    """The same as linalg.cholesky."""
    return _cholesky(input, upper=upper)


def inverse(input: Any, *, out: Any = None) -> Any:
    """The same as linalg.inv."""
    return linalg.inv(input)


def logdet(input: Any) -> Any:
    """log of determinants; NaN where they are negative."""
    sign, logabs = linalg.slogdet(input)
    return logabs.masked_fill(sign < 0, float("nan")) if bool((sign < 0).any()) else logabs


def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """The same as linalg.pinv, with a smaller limit."""
    return linalg.pinv(input, rtol=rcond)


def qr(input: Any, some: bool = True, *, out: Any = None) -> Any:
    """linalg.qr, reduced if ``some``."""
    return linalg.qr(input, "reduced" if some else "complete")


def svd(input: Any, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> Any:
    """U, S and V (not its transpose) with input = U diag(S) V^T."""
    U, S, Vh = linalg.svd(input, not some)
    return _svd(U, S, Vh.mT)


def triangular_solve(
    b: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False, *, out: Any = None
) -> Any:
    """X of A X = b for triangular A."""
    M = A.mT if transpose else A
    x = linalg.solve_triangular(M, b, upper=upper != transpose, unitriangular=unitriangular)
    return _triangular(x, A.clone())
