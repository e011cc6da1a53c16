"""Factorisations on the CPU: eagergrad's own kernels, and the LAPACK of its BLAS. Not recorded.

Those here do more than call an op of the core; `function` finds the others there. Each takes detached float32 or float64
tensors of matrices. Matrices among the results lie column by column, as PyTorch's; a tensor `info` tells of
each matrix what LAPACK would: 0, or where the trouble is.
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


_functions: dict[str, Any] = {}


def function(name: str) -> Any:
    """The one of that name: of this module, or the op."""
    return _functions.get(name) or _ops[name]


def _here(f: Any) -> Any:
    _functions[f.__name__] = f
    return f


@_here
def slogdet(A: Any) -> tuple[Any, Any]:
    """Sign and logarithm of the magnitude of determinants."""
    return _ops["_slogdet"](A, True)[:2]


@_here
def det(A: Any) -> Any:
    """Determinants."""
    return _ops["_slogdet"](A, False)[2]


@_here
def qr(A: Any, *, mode: str) -> tuple[Any, Any]:
    """Q (empty in mode "r") and R."""
    return _ops["_qr"](A, mode == "complete", mode != "r")


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


@_here
def eigh(A: Any, *, UPLO: str, vectors: bool = True) -> tuple[Any, Any]:
    """Eigenvalues, rising, and eigenvectors (empty unless asked for), by one triangle."""
    L, V, info = _ops["_eigh"](A, UPLO == "U", vectors)
    _converged("linalg.eigh", A, info, "eigenvalues")
    return L, V


@_here
def eigvalsh(A: Any, *, UPLO: str) -> Any:
    """Eigenvalues alone."""
    return eigh(A, UPLO=UPLO, vectors=False)[0]


@_here
def svd(A: Any, *, full_matrices: bool, vectors: bool = True) -> tuple[Any, Any, Any]:
    """U, S and Vh (U and Vh empty unless asked for)."""
    U, S, Vh, info = _ops["_svd"](A, full_matrices, vectors)
    _converged("linalg.svd", A, info, "singular values")
    return U, S, Vh


@_here
def svdvals(A: Any) -> Any:
    """S alone."""
    return svd(A, full_matrices=False, vectors=False)[1]


@_here
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


@_here
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
