"""Factorisations on the CPU: eagergrad's own kernels, and the LAPACK of its BLAS. Not recorded.

Each takes detached float32 or float64 tensors of matrices. Matrices among the results lie column by column, as PyTorch's; a
tensor `info` tells of each matrix what LAPACK would: 0, or where the trouble is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from eagergrad import _C
from eagergrad.tensor.dtype import int64
from eagergrad.tensor.refusals import LinAlgError

_ops = _C.op_table


def of_one_batch(A: Any, B: Any) -> tuple[Any, Any]:
    """Both, expanded to the batch that they have together."""
    if A.shape[:-2] == B.shape[:-2]:
        return A, B
    try:
        batch = np.broadcast_shapes(tuple(A.shape[:-2]), tuple(B.shape[:-2]))
    except ValueError:
        raise RuntimeError(
            f"linalg: the batches of matrices of shapes {list(A.shape)} and {list(B.shape)} do not fit"
        ) from None
    return A.expand(*batch, *A.shape[-2:]), B.expand(*batch, *B.shape[-2:])


def solve(A: Any, B: Any) -> tuple[Any, Any]:
    """The X of A X = B, and info."""
    return _ops["linalg_solve_ex"](A, B)


def inv(A: Any) -> tuple[Any, Any]:
    """The inverse, and info."""
    return _ops["linalg_inv_ex"](A)


def solve_triangular(A: Any, B: Any, *, upper: bool, unit: bool) -> Any:
    """The X of T X = B with a triangle T of A; infinities and NaN where its diagonal has zeros."""
    return _ops["linalg_solve_triangular"](A, B, upper, True, unit)


def cholesky(A: Any) -> tuple[Any, Any]:
    """The lower factor, from the lower triangle, and info."""
    return _ops["linalg_cholesky_ex"](A)


def ldl_factor(A: Any) -> tuple[Any, Any, Any]:
    """LD, pivots and info."""
    return _ops["_ldl_factor"](A)


def ldl_solve(LD: Any, pivots: Any, B: Any) -> Any:
    """The X of A X = B from ldl_factor's results."""
    return _ops["_ldl_solve"](LD, pivots, B)


def slogdet(A: Any) -> tuple[Any, Any]:
    """Sign and logarithm of the magnitude of determinants."""
    return _ops["_slogdet"](A, True)[:2]


def det(A: Any) -> Any:
    """Determinants."""
    return _ops["_slogdet"](A, False)[2]


def qr(A: Any, *, mode: str) -> tuple[Any, Any]:
    """Q (empty in mode "r") and R."""
    return _ops["_qr"](A, mode == "complete", mode != "r")


def geqrf(A: Any) -> tuple[Any, Any]:
    """R on and above the diagonal with the reflections' vectors below it, and their factors."""
    return _ops["_geqrf"](A)


def _converged(op: str, A: Any, info: Any, repeated: str) -> None:
    i = _ops["_first_nonzero"](info)
    if i < 0:
        return
    element = f"(Batch element {i}): " if info.dim() else ""
    finite = bool(A.isfinite().all())
    why = (
        f"is ill-conditioned or has too many repeated {repeated} (error code: {info.reshape(-1)[i].item()})"
        if finite
        else "contained non-finite values"
    )
    raise LinAlgError(
        f"{op}: {element}The algorithm failed to converge because the input matrix {why}."
    )


def eigh(A: Any, *, UPLO: str, vectors: bool = True) -> tuple[Any, Any]:
    """Eigenvalues, rising, and eigenvectors (empty unless asked for), by one triangle."""
    L, V, info = _ops["_eigh"](A, UPLO == "U", vectors)
    _converged("linalg.eigh", A, info, "eigenvalues")
    return L, V


def eigvalsh(A: Any, *, UPLO: str) -> Any:
    """Eigenvalues alone."""
    return eigh(A, UPLO=UPLO, vectors=False)[0]


def svd(A: Any, *, full_matrices: bool, vectors: bool = True) -> tuple[Any, Any, Any]:
    """U, S and Vh (U and Vh empty unless asked for)."""
    U, S, Vh, info = _ops["_svd"](A, full_matrices, vectors)
    _converged("linalg.svd", A, info, "singular values")
    return U, S, Vh


def svdvals(A: Any) -> Any:
    """S alone."""
    return svd(A, full_matrices=False, vectors=False)[1]


def real_eig(A: Any, *, vectors: bool = True) -> tuple[Any, Any]:
    """Eigenvalues and eigenvectors (empty unless asked for) of matrices whose eigenvalues are real."""
    real, imaginary, V, info = _ops["_eig"](A, vectors)
    _converged("linalg.eig", A, info, "eigenvalues")
    refuse_complex(bool(imaginary.any()))
    return real, V


def refuse_complex(is_complex: bool) -> None:
    """Raises if eigenvalues are."""
    if is_complex:
        raise RuntimeError(
            "linalg.eig: the eigenvalues are complex, and complex dtypes are not supported"
        )


_DRIVERS = ("gels", "gelsd", "gelss", "gelsy")


def lstsq(A: Any, B: Any, *, rcond: float, driver: str) -> tuple[Any, Any, Any]:
    """The X of least squares, singular values if the driver finds them, and ranks (int64) unless it is gels."""
    X, s, rank, info = _ops["_lstsq"](*of_one_batch(A, B), rcond, _DRIVERS.index(driver))
    i = _ops["_first_nonzero"](info)
    if i >= 0:
        element = f"(Batch element {i}): " if info.dim() else ""
        raise LinAlgError(
            f"linalg.lstsq: {element}The least squares solution could not be computed because the input matrix does not have full rank (error code: {info.reshape(-1)[i].item()})."
        )
    return X[..., : A.shape[-1], :], s, rank.to(int64)
