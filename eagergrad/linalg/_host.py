"""Factorisations on the CPU by eagergrad's own kernels, under the names of NumPy's functions. Not recorded.

Each takes float32 or float64 tensors of matrices and raises numpy.linalg.LinAlgError where NumPy's does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from eagergrad import _C

_ops = _C.op_table


def _of_one_batch(A: Any, B: Any) -> tuple[Any, Any]:
    batch = np.broadcast_shapes(tuple(A.shape[:-2]), tuple(B.shape[:-2]))
    return A.expand(*batch, *A.shape[-2:]), B.expand(*batch, *B.shape[-2:])


def _checked(result: Any, info: Any, problem: str) -> Any:
    if info.numel() and bool(info.any()):
        raise np.linalg.LinAlgError(problem)
    return result


def solve(A: Any, B: Any) -> Any:
    """The X of A X = B."""
    X, info = _ops["_solve"](*_of_one_batch(A, B))
    return _checked(X, info, "Singular matrix")


def inv(A: Any) -> Any:
    """The inverse."""
    return solve(A, _ops["eye"](A.shape[-1], dtype=A.dtype))


def solve_triangular(A: Any, B: Any, *, upper: bool, unit: bool) -> Any:
    """The X of T X = B with a triangle T of A; infinities and NaN where its diagonal has zeros."""
    return _ops["_solve_triangular"](*_of_one_batch(A, B), upper, unit)


def cholesky(A: Any) -> Any:
    """The lower factor, from the lower triangle."""
    L, info = _ops["_cholesky"](A)
    return _checked(L, info, "Matrix is not positive definite")


def slogdet(A: Any) -> tuple[Any, Any]:
    """Sign and logarithm of the magnitude of determinants."""
    LU, pivots, _ = _ops["_lu_factor"](A)
    diagonal = LU.diagonal(0, -2, -1)
    exchanged = (pivots != _ops["arange"](1, A.shape[-1] + 1)).sum(-1)
    return diagonal.sign().prod(-1) * (1 - exchanged % 2 * 2), diagonal.abs().log().sum(-1)
