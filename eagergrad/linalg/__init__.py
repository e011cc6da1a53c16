"""Linear algebra with gradients, under PyTorch's names.

Factorisations take batches of matrices, in float32 or float64; their gradients are made of recorded operations, so that
higher orders follow.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from eagergrad import _C
from eagergrad.linalg._factors import (
    SVD,
    Det,
    Eigh,
    LdlSolve,
    LinAlgError,
    Lstsq,
    MatrixExp,
    Pinv,
    Slogdet,
    by_columns,
    check_float,
    check_info,
    check_matrices,
    check_square,
    eye_like,
    factorized,
    recorded,
)
from eagergrad.linalg._lu import inverse_order, order, permutation
from eagergrad.tensor.autocast import full_precision, full_precision_on_cuda
from eagergrad.tensor.dtype import bool_, int32
from eagergrad.tensor.out import REFUSALS, pytorch_names, refused, with_out
from eagergrad.tensor.products import vander as _vander
from eagergrad.tensor.results import result_type

_ops = _C.op_table

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "ldl_factor",
    "ldl_factor_ex",
    "ldl_solve",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]

_slogdet = result_type("linalg_slogdet", "sign", "logabsdet")
_svd = result_type("linalg_svd", "U", "S", "Vh")
_eigh = result_type("linalg_eigh", "eigenvalues", "eigenvectors")
_lstsq = result_type("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
_lu = result_type("linalg_lu", "P", "L", "U")
_lu_factor = result_type("linalg_lu_factor", "LU", "pivots")
_ldl_factor = result_type("linalg_ldl_factor", "LD", "pivots")
_ldl_factor_ex = result_type("linalg_ldl_factor_ex", "LD", "pivots", "info")
_cross = _ops["_cross"]
_vector_norm = _ops["_vector_norm"]
_multi_dot = _ops["linalg_multi_dot"]
_lu_factor_ex = _ops["linalg_lu_factor_ex"]
_qr_of = _ops["linalg_qr"]
_inv_ex = _ops["linalg_inv_ex"]
_cholesky_ex = _ops["linalg_cholesky_ex"]
_solve_ex = _ops["linalg_solve_ex"]
_solve_triangular = _ops["linalg_solve_triangular"]


# -- norms -------------------------------------------------------------------------------------------


@with_out
def vector_norm(
    x: Any,
    ord: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Any = None,
) -> Any:
    """The ord-norm of vectors along dims (of all elements by default)."""
    if isinstance(ord, str):
        raise TypeError("linalg_vector_norm(): argument 'ord' (position 2) must be Number, not str")
    return _vector_norm(x if dtype is None else x.to(dtype), ord, dim, keepdim)


@with_out
@full_precision_on_cuda
def matrix_norm(
    A: Any,
    ord: Any = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Any = None,
) -> Any:
    """A norm of matrices: "fro", "nuc", 2, -2 (singular values), 1, -1 (columns), inf, -inf (rows)."""
    A = A if dtype is None else A.to(dtype)
    if ord in ("nuc", 2, -2) or not A.dtype.is_floating_point:
        check_float("linalg.matrix_norm", A)
    if isinstance(dim, int) or len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {dim}")
    if ord == "fro" and dim == (-2, -1) and A.dim() > 1:
        return _vector_norm(A, 2.0, dim, keepdim)
    rows, columns = (d % A.dim() for d in dim)
    if rows == columns:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got {tuple(dim)}")
    if ord == "fro":
        return _vector_norm(A, 2.0, (rows, columns), keepdim)
    if ord in ("nuc", 2, -2):
        s = svdvals(A.movedim((rows, columns), (-2, -1)))
        empty = s.shape[-1] == 0 and ord != -2  # of which there is no least
        y = s.sum(-1) if ord == "nuc" or empty else s.amax(-1) if ord == 2 else s.amin(-1)
    elif ord in (1, -1, math.inf, -math.inf):
        first, second = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = A.abs().sum(first, True)
        empty = sums.shape[second] == 0 and ord > 0
        y = sums.sum(second, True) if empty else (sums.amax if ord > 0 else sums.amin)(second, True)
        y = y.squeeze((rows, columns))
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if keepdim:
        for d in sorted((rows, columns)):
            y = y.unsqueeze(d)
    return y


@with_out
def norm(
    A: Any,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    out: Any = None,
    dtype: Any = None,
) -> Any:
    """vector_norm or matrix_norm, by the number of dims and the kind of ord.

    >>> import eagergrad as eg
    >>> eg.linalg.norm(eg.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(5.)
    """
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None:
        if A.dim() not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.dim()}D."
            )
        dim = (0,) if A.dim() == 1 else (0, 1)
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    if isinstance(ord, str) or len(dims) == 2:
        return matrix_norm(A, ord, dims, keepdim, dtype=dtype)
    return vector_norm(A, ord, dims, keepdim, dtype=dtype)


# -- solving -----------------------------------------------------------------------------------------


@with_out
def inv(A: Any, *, out: Any = None) -> Any:
    """Inverses of square matrices (..., n, n). Raises LinAlgError for singular ones.

    >>> import eagergrad as eg
    >>> eg.linalg.inv(eg.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    y, info = _inv_ex(A)
    check_info("linalg.inv", info)
    return y


@with_out
def inv_ex(A: Any, *, check_errors: bool = False, out: Any = None) -> Any:
    """inv with a tensor of error codes instead of an exception."""
    made = _inv_ex(A)
    if check_errors:
        check_info("linalg.inv_ex", made[1])
    return made


def _solve(A: Any, B: Any, left: bool) -> Any:
    check_square("linalg.solve", A)
    check_float("linalg.solve", B)
    vector = B.dim() == 1 or (B.dim() == A.dim() - 1 and B.shape == A.shape[:-1])
    b = B.unsqueeze(-1) if vector else B
    made = _solve_ex(A, b) if left else _solve_ex(A.mT, b.mT)
    if left and not vector and b.dim() == A.dim():
        return made
    x, info = made
    x = x if left else x.mT
    for _ in range(info.dim() - A.dim() + 2):  # A's are the same for all of B's
        info = info[0] if info.shape[0] else info.new_zeros(info.shape[1:])
    if vector:
        x = by_columns(x.squeeze(-1)) if x.dim() > 2 else x.squeeze(-1)
    return type(made)((x, info))


@with_out
def solve(A: Any, B: Any, *, left: bool = True, out: Any = None) -> Any:
    """X of A X = B (or X A = B) for square A; B may be a vector or a batch of them."""
    x, info = _solve(A, B, left)
    check_info("linalg.solve", info)
    return x


@with_out
def solve_ex(
    A: Any, B: Any, *, left: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """solve with a tensor of error codes instead of an exception."""
    made = _solve(A, B, left)
    if check_errors:
        check_info("linalg.solve_ex", made[1])
    return made


@with_out
def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False, out: Any = None
) -> Any:
    """X of A X = B (or X A = B) for triangular A; the other triangle is not read."""
    return _solve_triangular(A, B, upper, left, unitriangular)


@with_out(casts=True)
def lstsq(
    A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None, out: Any = None
) -> Any:
    """Least squares solution of A X = B, with residuals, rank and singular values where LAPACK's driver gives them.

    Residuals: of "gels", "gelsd" and "gelss", for m > n and full rank. Rank: of all but "gels". Singular values: of "gelsd"
    and "gelss". What is not given is empty.
    """
    check_float("linalg.lstsq", A)
    if A.dim() < 2 or B.dim() < 1:
        raise RuntimeError(
            f"linalg.lstsq: expected at least 2 dimensions of A and 1 of B, got {tuple(A.shape)} and {tuple(B.shape)}"
        )
    driver = "gelsy" if driver is None else driver
    if driver not in ("gels", "gelsd", "gelss", "gelsy"):
        raise RuntimeError(
            f"linalg.lstsq: driver should be one of gels, gelsd, gelss, gelsy, got {driver}"
        )
    vector = B.dim() == 1 or (B.dim() == A.dim() - 1 and B.shape == A.shape[:-1])
    b = B.unsqueeze(-1) if vector else B
    m, n = A.shape[-2:]
    if b.shape[-2] != m or A.dtype is not B.dtype:
        raise RuntimeError(
            f"linalg.lstsq: expected A and B of as many rows and one dtype, got {tuple(A.shape)} {A.dtype} and "
            f"{tuple(B.shape)} {B.dtype}"
        )
    limit = _eps(A) * max(m, n) if rcond is None else float(rcond)
    x, s, rank = Lstsq.of(A, b, limit, driver)
    over = driver != "gelsy" and m > n
    full = over and (driver == "gels" or bool((rank == n).all()))
    residuals = ((A @ x - b) ** 2).sum(-2) if full else x.reshape(-1)[:0]
    return _lstsq(
        x.squeeze(-1) if vector else x,
        residuals,
        rank.new_empty(0) if driver == "gels" else rank,
        s if driver in ("gelsd", "gelss") else A.new_empty(0),
    )


def _largest(s: Any) -> Any:
    """The largest of the last dimension, kept; 0 of an empty one."""
    return s.amax(-1, True) if s.shape[-1] else s.sum(-1, True)


def _eps(A: Any) -> float:
    return float(np.finfo(np.float64 if A.dtype.itemsize == 8 else np.float32).eps)


@with_out(casts=True)
def pinv(
    A: Any,
    rcond: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
    out: Any = None,
) -> Any:
    """Moore-Penrose inverse, by the singular values above max(atol, rtol * largest); symmetric A may be called hermitian."""
    check_float("linalg.pinv", A)
    rtol = rcond if rtol is None else rtol
    if not hermitian:
        return Pinv.of(A, lambda s: _limit(s, A, atol, rtol))
    L, V = Eigh.of(A, "L")
    kept = L.detach().abs() > _limit(L.detach().abs(), A, atol, rtol)
    inverse = _ops["where"](kept, L, 1.0).reciprocal() * kept.to(L.dtype)
    return (V * inverse.unsqueeze(-2)) @ V.mT


def _limit(s: Any, A: Any, atol: Any, rtol: Any) -> Any:
    """The size up to which singular values s of A count as 0."""
    if rtol is None:
        rtol = 0.0 if _positive(atol) else _eps(A) * max(A.shape[-2:])

    def column(t: Any) -> Any:
        return t.unsqueeze(-1) if isinstance(t, _C.TensorBase) else t

    relative = _largest(s) * column(rtol)
    if atol is None:
        return relative
    return _ops["maximum"](relative, _ops["zeros_like"](relative) + column(atol))


def _positive(atol: Any) -> bool:
    return bool((atol > 0).any()) if isinstance(atol, _C.TensorBase) else bool(atol)


@with_out
def lu_factor(A: Any, *, pivot: bool = True, out: Any = None) -> Any:
    """Compact LU decomposition: LU and pivots (from 1, as LAPACK). Raises RuntimeError where a pivot is zero."""
    LU, pivots, info = _factored(A, pivot)
    _check_pivots("lu_factor", info)
    return _lu_factor(LU, pivots)


def _check_pivots(op: str, info: Any) -> None:
    i = _ops["_first_nonzero"](info.cpu())
    if i >= 0:
        element = f"(Batch element {i}): " if info.dim() else ""
        k = info.reshape(-1)[i].item()
        raise RuntimeError(
            f"linalg.{op}: {element}U[{k},{k}] is zero and using it on lu_solve would result in a division by zero. "
            "If you still want to perform the factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
        )


def _factored(A: Any, pivot: bool) -> Any:
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    return _lu_factor_ex(A)


@with_out
def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False, out: Any = None) -> Any:
    """lu_factor with a tensor of error codes: where, from 1, the first zero pivot is."""
    made = _factored(A, pivot)
    if check_errors:
        _check_pivots("lu_factor_ex", made[2])
    return made


@with_out
def lu_unpack(
    LU_data: Any,
    LU_pivots: Any,
    unpack_data: bool = True,
    unpack_pivots: bool = True,
    *,
    out: Any = None,
) -> Any:
    """P, L and U of lu_factor's result."""
    LU, pivots = LU_data, LU_pivots
    m, n = LU.shape[-2:]
    k = min(m, n)
    P = LU.new_empty(0)
    if unpack_pivots:
        P = permutation(pivots, m, LU.dtype)
    if not unpack_data:
        empty = LU.new_empty(0)
        return _lu(P, empty, empty)
    if LU.device.type == "cpu" and not recorded(LU):
        return _lu(P, *_ops["_lu_triangles"](LU))
    L = LU[..., :, :k].tril(-1) + eye_like(LU, m, k)
    return _lu(P, L, LU[..., :k, :].triu())


@with_out
def lu(A: Any, *, pivot: bool = True, out: Any = None) -> Any:
    """P, L and U with A = P L U (partial pivoting)."""
    LU, pivots, _ = _factored(A, pivot)
    return _lu(*lu_unpack(LU, pivots))


@with_out
def lu_solve(
    LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False, out: Any = None
) -> Any:
    """X of A X = B (left=False: X A = B) from lu_factor(A); adjoint: of A^T in the place of A."""
    check_square("linalg.lu_solve", LU)
    n = LU.shape[-1]
    if B.dim() < 2 or B.shape[-2 if left else -1] != n:
        raise RuntimeError(
            f"linalg.lu_solve: Incompatible shapes of A and B for the equation {'AX' if left else 'XA'} = B "
            f"({list(LU.shape)} and {list(B.shape)})"
        )
    if not left:
        return lu_solve(LU, pivots, B.mT, adjoint=not adjoint).mT
    batch = np.broadcast_shapes(tuple(LU.shape[:-2]), tuple(B.shape[:-2]))
    B = B.expand(*batch, *B.shape[-2:])

    def reordered(x: Any, rows: Any) -> Any:
        return x.gather(-2, rows.unsqueeze(-1).expand(x.shape))

    if adjoint:
        inner = _solve_triangular(LU.mT, B, False)
        x = _solve_triangular(LU.mT, inner, True, unitriangular=True)
        return by_columns(reordered(x, inverse_order(pivots, n)))
    inner = _solve_triangular(LU, reordered(B, order(pivots, n)), False, unitriangular=True)
    return _solve_triangular(LU, inner, True)


def _no_gradient(op: str, A: Any) -> None:
    if recorded(A):
        raise RuntimeError(f"{op} has no gradient: pass A.detach()")


@with_out
def ldl_factor(A: Any, *, hermitian: bool = False, out: Any = None) -> Any:
    """Compact A = L D L^T of symmetric matrices, by their lower triangle, with LAPACK's pivots; not recorded.

    >>> import eagergrad as eg
    >>> ldl_factor(eg.tensor([[4.0, 2.0], [2.0, 5.0]])).LD
    tensor([[4.0000, 0.0000],
            [0.5000, 4.0000]])
    """
    LD, pivots, _ = ldl_factor_ex(A, hermitian=hermitian, check_errors=True)
    return _ldl_factor(LD, pivots)


@with_out
def ldl_factor_ex(
    A: Any, *, hermitian: bool = False, check_errors: bool = False, out: Any = None
) -> Any:
    """ldl_factor with a tensor of error codes: where, from 1, the first zero block of D is."""
    check_square("linalg.ldl_factor_ex", A)
    _no_gradient("linalg.ldl_factor_ex", A)
    made = factorized("linalg.ldl_factor_ex", "_ldl_factor", A)
    if check_errors:
        check_info("linalg.ldl_factor_ex", made[2])
    return _ldl_factor_ex(*made)


@with_out
def ldl_solve(LD: Any, pivots: Any, B: Any, *, hermitian: bool = False, out: Any = None) -> Any:
    """X of A X = B from ldl_factor(A); recorded for B."""
    check_square("linalg.ldl_solve", LD)
    _no_gradient("linalg.ldl_solve", LD)
    check_matrices("linalg.ldl_solve", B)
    n = LD.shape[-1]
    if B.shape[-2] != n:
        raise RuntimeError(
            f"linalg.ldl_solve: Incompatible matrix sizes: each A matrix is {n} by {n} but each b matrix is "
            f"{B.shape[-2]} by {B.shape[-1]}"
        )
    if B.dtype is not LD.dtype:
        raise RuntimeError(
            f"linalg.ldl_solve: Expected b and A to have the same dtype, but found b of type {B.dtype} and A of type {LD.dtype} instead."
        )
    if pivots.shape != LD.shape[:-1]:
        raise RuntimeError(
            f"linalg.ldl_solve: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with shape {list(pivots.shape)} instead"
        )
    batch = np.broadcast_shapes(tuple(LD.shape[:-2]), tuple(B.shape[:-2]))
    B = B.expand(*batch, *B.shape[-2:])
    return LdlSolve.of(LD.expand(*batch, n, n), pivots.expand(*batch, n), B)


# -- determinants ------------------------------------------------------------------------------------


@with_out
def det(A: Any, *, out: Any = None) -> Any:
    """Determinants of square matrices."""
    check_square("linalg.det", A)
    y = Det.of(A)
    return _det_by_expansion(A) if recorded(A) and bool((y == 0).any()) else y


def _det_by_expansion(A: Any) -> Any:
    """Polynomial in the entries (Faddeev and LeVerrier): its gradient is right for singular matrices too."""
    n = A.shape[-1]
    eye = eye_like(A, n).expand(A.shape)
    M, c = eye, None
    for k in range(1, n + 1):
        AM = A @ M
        c = -AM.diagonal(0, -2, -1).sum(-1) / k
        M = AM + c.unsqueeze(-1).unsqueeze(-1) * eye
    return c if n % 2 == 0 else -c  # type: ignore[operator]


@with_out
def slogdet(A: Any, *, out: Any = None) -> Any:
    """Sign and log of the absolute value of determinants."""
    check_square("linalg.slogdet", A)
    return _slogdet(*Slogdet.of(A))


# -- factorisations ----------------------------------------------------------------------------------


@with_out
def cholesky(A: Any, *, upper: bool = False, out: Any = None) -> Any:
    """L with A = L L^T for positive definite A (U = L^T if upper). Raises LinAlgError for others."""
    L, info = _cholesky_ex(A, upper)
    check_info("linalg.cholesky", info)
    return L


@with_out
def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False, out: Any = None) -> Any:
    """cholesky with a tensor of error codes instead of an exception."""
    made = _cholesky_ex(A, upper)
    if check_errors:
        check_info("linalg.cholesky_ex", made[1])
    return made


@with_out
def qr(A: Any, mode: str = "reduced", *, out: Any = None) -> Any:
    """Q and R with A = Q R; mode "reduced", "complete" or "r" (Q is then empty)."""
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode {mode!r} but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    if mode != "r":
        return _qr_of(A, mode == "complete")
    check_matrices("linalg.qr", A)
    if not recorded(A):
        return _qr_of.result_type(factorized("linalg.qr", "qr", A, mode=mode))
    return _qr_of.result_type((A.new_empty(0), _qr_of(A)[1]))


@with_out
def svd(A: Any, full_matrices: bool = True, *, driver: str | None = None, out: Any = None) -> Any:
    """U, S and Vh with A = U diag(S) Vh, S falling."""
    check_matrices("linalg.svd", A)
    return _svd(*SVD.of(A, full_matrices))


@with_out
def svdvals(A: Any, *, driver: str | None = None, out: Any = None) -> Any:
    """Singular values, falling."""
    check_matrices("linalg.svd", A)
    return SVD.of(A, False)[1] if recorded(A) else factorized("linalg.svd", "svdvals", A)


@with_out
def eigh(A: Any, UPLO: str = "L", *, out: Any = None) -> Any:
    """Eigenvalues, rising, and eigenvectors (columns) of symmetric matrices; one triangle is read."""
    return _eigh(*Eigh.of(A, _triangle(A, UPLO)))


def _triangle(A: Any, UPLO: str) -> str:
    check_square("linalg.eigh", A)
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return UPLO.upper()


@with_out
def eigvalsh(A: Any, UPLO: str = "L", *, out: Any = None) -> Any:
    """Eigenvalues of symmetric matrices, rising."""
    if recorded(A):
        return eigh(A, UPLO).eigenvalues
    return factorized("linalg.eigh", "eigvalsh", A, UPLO=_triangle(A, UPLO))


@with_out
def eigvals(A: Any, *, out: Any = None) -> Any:
    """Eigenvalues of matrices whose eigenvalues are all real; not recorded. Raises RuntimeError for complex ones."""
    return _real_eig(A, False)[0]


_eig = result_type("linalg_eig", "eigenvalues", "eigenvectors")


@with_out
def eig(A: Any, *, out: Any = None) -> Any:
    """Eigenvalues and eigenvectors where all are real; not recorded. Raises RuntimeError for complex ones."""
    return _eig(*_real_eig(A, True))


def _real_eig(A: Any, vectors: bool) -> tuple[Any, Any]:
    check_square("linalg.eig", A)
    if recorded(A):
        raise RuntimeError(
            "linalg.eig has no gradient here: use eigh for symmetric matrices, or A.detach()"
        )
    if not bool(A.isfinite().all()):
        raise RuntimeError("linalg.eig: input tensor should not contain infs or NaNs.")
    return factorized("linalg.eig", "real_eig", A, vectors=vectors)


# -- functions of matrices -----------------------------------------------------------------------------


@with_out(casts=True)
def matrix_power(A: Any, n: int, *, out: Any = None) -> Any:
    """The n-th power of square matrices; negative n inverts."""
    if n < 0 or A.dim() < 2 or A.shape[-1] != A.shape[-2]:
        check_square("linalg.matrix_power", A)
    if n < 0:
        return matrix_power(inv(A), -n)
    if n == 0:
        return A.clone().copy_(eye_like(A, A.shape[-1]))
    result, base = None, A
    while n:
        if n & 1:
            result = base if result is None else result @ base
        n >>= 1
        base = base @ base if n else base
    return result


def matrix_exp(A: Any) -> Any:
    """exp of square matrices: Taylor series of the matrix scaled by 2^-s, then s squarings."""
    if A.dtype.is_floating_point and A.dtype.itemsize < 4:
        return matrix_exp(A.float()).to(A.dtype)
    check_square("linalg.matrix_exp", A)
    if A.numel() == 0:
        return A.clone()
    if A.shape[-1] <= _SMALL and A.device.type == "cpu":
        return MatrixExp.of(A)
    sizes = A.detach().abs().sum(-1).amax(-1)
    size = float(sizes.amax())
    if not math.isfinite(size):
        bad = ~sizes.isfinite()[..., None, None]
        nothing = A.masked_fill(~bad, 0) * math.nan
        return _ops["where"](bad, nothing, matrix_exp(A.masked_fill(bad, 0)))
    s = math.ceil(math.log2(size)) if size > 1 else 0
    result = _taylor_of_exp(A / 2**s if s else A)
    for _ in range(s):
        result = result @ result
    return _C.named(result, "LinalgMatrixExpBackward0")


_SMALL = 8  # twice as many rows fit the kernel, which the gradient needs


def _taylor_of_exp(x: Any) -> Any:
    """Of a matrix of norm 1 at most: four powers, and powers of the fourth (Paterson and Stockmeyer)."""
    degree = 16 if x.dtype.itemsize == 8 else 12
    x2 = x @ x
    x3, x4 = x2 @ x, x2 @ x2
    powers = (eye_like(x, x.shape[-1]), x, x2, x3)
    result = x4 / math.factorial(degree)
    for first in range(degree - 4, -1, -4):
        terms = [p / math.factorial(first + i) for i, p in enumerate(powers)]
        result = terms[0] + terms[1] + (terms[2] + terms[3]) + result
        if first:
            result = result @ x4
    return result


@with_out(casts=True)
def matrix_rank(
    A: Any,
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
    out: Any = None,
) -> Any:
    """Number of singular values above max(atol, rtol * largest); symmetric A may be called hermitian."""
    check_float("linalg.matrix_rank", A)
    s = eigvalsh(A.detach()).abs() if hermitian else svdvals(A.detach())
    if tol is not None:
        atol, rtol = tol, 0.0 if rtol is None else rtol
    return (s > _limit(s, A, atol, rtol)).sum(-1)


@with_out(casts=True)
def cond(A: Any, p: Any = None, *, out: Any = None) -> Any:
    """Condition number: the norm of A times the norm of its inverse; 0 of an empty matrix."""
    check_matrices("linalg.cond", A)
    if A.numel() == 0:
        return A.new_zeros(tuple(A.shape[:-2]))
    if p is None or p in (2, -2):
        s = svdvals(A)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    check_square("linalg.cond", A)
    inverse, info = _inv_ex(A)
    if bool(info.any()):
        inverse = inverse.masked_fill((info > 0).unsqueeze(-1).unsqueeze(-1), math.inf)
    return matrix_norm(A, p) * matrix_norm(inverse, p)


# -- products ------------------------------------------------------------------------------------------


@with_out
def matmul(input: Any, other: Any, *, out: Any = None) -> Any:
    """The same as eagergrad.matmul."""
    return _ops["matmul"](input, other)


@with_out
def multi_dot(tensors: Any, *, out: Any = None) -> Any:
    """Product of a chain of matrices (vectors at the ends) in the cheapest order."""
    return _multi_dot(tensors)


@with_out
def vecdot(x: Any, y: Any, *, dim: int = -1, out: Any = None) -> Any:
    """Inner products along dim."""
    if not x.dtype.is_floating_point:
        raise RuntimeError(
            f"linalg.vecdot: Expected a floating point or complex tensor as input. Got {x.dtype}"
        )
    return (x * y).sum(dim)


@with_out
def cross(input: Any, other: Any, *, dim: int = -1, out: Any = None) -> Any:
    """Cross products along dim."""
    if input.dim() != other.dim():
        raise RuntimeError(
            f"linalg.cross: inputs must have the same number of dimensions, got {input.dim()} and {other.dim()}"
        )
    return _cross(input, other, dim)


def vander(x: Any, *, N: int | None = None) -> Any:
    """Rising powers of the last dimension's elements."""
    if x.dtype is bool_:
        raise RuntimeError(
            "linalg.vander supports floating point and integer tensors, but got Bool"
        )
    x = x.unsqueeze(0) if x.dim() == 0 else x
    n = x.shape[-1] if N is None else N
    if n < 2:
        raise RuntimeError(f"N must be greater than 1, got {N}")
    if x.dim() == 1:
        return _vander(x, n, True)
    return x.unsqueeze(-1) ** _ops["arange"](n, device=x.device)


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Diagonals of matrices."""
    return A.diagonal(offset, dim1, dim2)


@with_out(casts=True)
def householder_product(A: Any, tau: Any, *, out: Any = None) -> Any:
    """The first k columns of H_1 ... H_k, H_i = 1 - tau_i v_i v_i', v_i in column i below a 1 on the diagonal."""
    check_float("linalg.householder_product", A)
    n, k = A.shape[-2:]
    if n < k or tau.shape[-1] > k:
        raise RuntimeError(
            f"linalg.householder_product: expected (m, n) with m >= n >= the length of tau, came "
            f"{tuple(A.shape)} and {tuple(tau.shape)}"
        )
    if A.device.type == "cpu" and not recorded(A, tau):
        return _ops["_householder_product"](A, tau)
    columns = eye_like(A, n, k)
    v = A.tril(-1) + columns
    q = columns.expand(*A.shape[:-2], n, k)
    for i in range(tau.shape[-1] - 1, -1, -1):
        vi = v[..., :, i : i + 1]
        q = q - tau[..., i, None, None] * (vi @ (vi.mT @ q))
    return by_columns(q)


@with_out(casts=True)
def tensorinv(A: Any, ind: int = 2, *, out: Any = None) -> Any:
    """Inverse of the map that tensordot(A, ., ind) is."""
    rows, columns = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    return inv(A.reshape(math.prod(rows), math.prod(columns))).reshape(columns + rows)


@with_out(casts=True)
def tensorsolve(A: Any, B: Any, dims: Any = None, *, out: Any = None) -> Any:
    """X with tensordot(A, X, X.ndim) = B."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.dim() - len(dims), A.dim())))
    shape = tuple(A.shape[B.dim() :])
    return solve(A.reshape(B.numel(), math.prod(shape)), B.reshape(-1)).reshape(shape)


# Not composed of products that autocast would make of half precision.
_AS_THEY_COME = {
    *("cross", "diagonal", "matmul", "multi_dot", "vander", "vecdot"),
    *("matrix_norm", "norm", "vector_norm"),
}


def _public(function: Any) -> Any:
    """Outside autocast, and with the matrix also under the name `input`, which PyTorch knows it by."""
    careful = function if function.__name__ in _AS_THEY_COME else full_precision(function)
    bare = getattr(function, "__wrapped__", function)  # without what `out` would need

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            kwargs = pytorch_names(kwargs)
        if not _C.autocast_on() and "out" not in kwargs and "input" not in kwargs:
            try:
                return bare(*args, **kwargs)
            except REFUSALS as error:
                return refused(error, bare, args, kwargs)
        if "input" in kwargs:
            args = (kwargs.pop("input"), *args)
        return careful(*args, **kwargs)

    return call


globals().update({name: _public(globals()[name]) for name in __all__ if name != "LinAlgError"})
