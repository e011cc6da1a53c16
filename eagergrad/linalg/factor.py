"""Factorisations: Cholesky, QR, LU, eigenvalues and singular values of real matrices."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import eagergrad as eg
from eagergrad import Tensor
from eagergrad.autograd import Function

from ._base import LinAlgError, array, check, check_square, eye, tensor
from .solve import solve_triangular

__all__ = [
    "cholesky",
    "cholesky_ex",
    "eigh",
    "eigvalsh",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "qr",
    "svd",
    "svdvals",
]


# ---- Cholesky ----------------------------------------------------------------------------------------------------


class _Cholesky(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        y = tensor(np.linalg.cholesky(array(a)), a)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (l,) = ctx.saved_tensors
        inner = (l.mT @ g).tril()
        inner = inner - eg.diag_embed(inner.diagonal(dim1=-2, dim2=-1)) / 2
        half = solve_triangular(l.mT, inner, upper=True)
        s = solve_triangular(l, half, upper=False, left=False)
        return (s + s.mT) / 2


def cholesky(A: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """L of A = L L' (`upper`: U of U' U) for symmetric positive definite (..., n, n); LinAlgError for others.

    >>> import eagergrad as eg
    >>> cholesky(eg.tensor([[4.0, 2.0], [2.0, 5.0]])).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    check_square("linalg.cholesky", A)
    try:
        l = _Cholesky.apply(A.mT if upper else A)
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "linalg.cholesky: The factorization could not be completed because the input is not "
            "positive-definite."
        ) from None
    y = l.mT if upper else l
    return y if out is None else out.copy_(y)


class CholeskyEx(NamedTuple):
    """The factors, and per matrix 0 or a number above 0 where there is none."""

    L: Tensor
    info: Tensor


def cholesky_ex(
    A: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None
) -> CholeskyEx:
    """`cholesky` and an int32 info of the batch's shape; with `check_errors` a bad matrix raises."""
    check_square("linalg.cholesky_ex", A)
    flat = array(A).reshape(-1, *A.shape[-2:])
    info = np.zeros(len(flat), np.int32)
    for i, matrix in enumerate(flat):
        try:
            np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            info[i] = 1
    infos = eg.from_numpy(info).reshape(A.shape[:-2])
    if info.any() and not check_errors:
        return CholeskyEx(eg.full_like(A, float("nan")), infos)
    return CholeskyEx(cholesky(A, upper=upper), infos)


# ---- QR ----------------------------------------------------------------------------------------------------------


class QRResult(NamedTuple):
    """Orthonormal columns and an upper triangle."""

    Q: Tensor
    R: Tensor


class _QR(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, mode: str) -> tuple[Tensor, Tensor]:
        q, r = (tensor(m, a) for m in np.linalg.qr(array(a), mode))
        ctx.save_for_backward(a, q, r)
        ctx.mode = mode
        return q, r

    @staticmethod
    def backward(ctx: Any, gq: Tensor, gr: Tensor) -> tuple[Any, ...]:
        a, q, r = ctx.saved_tensors
        m, n = a.shape[-2:]
        if ctx.mode == "complete" and m > n:
            raise RuntimeError(
                "The QR decomposition is not differentiable when mode='complete' and nrows > ncols"
            )
        if m >= n:
            return _qr_gradient(q, r, gq, gr), None
        # wide: A = Q [U | V]; the columns behind the square only add to the gradient of Q
        rest = a[..., :, m:]
        gv = gr[..., :, m:]
        left = _qr_gradient(q, r[..., :, :m], gq + rest @ gv.mT, gr[..., :, :m])
        return eg.cat([left, q @ gv], -1), None


def _qr_gradient(q: Tensor, r: Tensor, gq: Tensor, gr: Tensor) -> Tensor:
    inner = r @ gr.mT - gq.mT @ q
    symmetric = inner.tril() + inner.tril(-1).mT
    return solve_triangular(r.mT, gq + q @ symmetric, upper=False, left=False)


def qr(A: Tensor, mode: str = "reduced", *, out: Any = None) -> QRResult:
    """Q and R of A = Q R; mode "reduced", "complete" or "r" (then Q is empty).

    >>> import eagergrad as eg
    >>> q, r = qr(eg.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> bool(eg.allclose(q @ r, eg.tensor([[3.0, 1.0], [4.0, 2.0]]), atol=1e-6))
    True
    """
    check("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    if mode == "r":
        if A.requires_grad and eg.is_grad_enabled():
            raise RuntimeError(
                "The derivative of linalg.qr depends on Q, which mode='r' does not keep"
            )
        return QRResult(eg.empty(0, dtype=A.dtype), tensor(np.linalg.qr(array(A), "r"), A))
    return QRResult(*_QR.apply(A, mode))


# ---- symmetric eigenvalues ---------------------------------------------------------------------------------------


class EighResult(NamedTuple):
    """Eigenvalues in rising order and the eigenvectors as columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class _Eigh(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, uplo: str) -> tuple[Tensor, Tensor]:
        values, vectors = np.linalg.eigh(array(a), uplo)
        w, v = tensor(values, a), tensor(vectors, a)
        ctx.save_for_backward(w, v)
        ctx.set_materialize_grads(False)
        return w, v

    @staticmethod
    def backward(ctx: Any, gw: Any, gv: Any) -> tuple[Any, ...]:
        w, v = ctx.saved_tensors
        inner = eg.zeros_like(v) if gw is None else eg.diag_embed(gw)
        if gv is not None:
            gaps = w.unsqueeze(-2) - w.unsqueeze(-1) + eye(w.shape[-1], w)
            off = (v.mT @ gv) / gaps
            inner = inner + off - eg.diag_embed(off.diagonal(dim1=-2, dim2=-1))
        ga = v @ inner @ v.mT
        return (ga + ga.mT) / 2, None


def eigh(A: Tensor, UPLO: str = "L", *, out: Any = None) -> EighResult:
    """Eigenvalues and eigenvectors of symmetric (..., n, n), of which the triangle UPLO is read.

    >>> import eagergrad as eg
    >>> eigh(eg.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues.tolist()
    [1.0, 2.0]
    """
    check_square("linalg.eigh", A)
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return EighResult(*_Eigh.apply(A, UPLO.upper()))


def eigvalsh(A: Tensor, UPLO: str = "L", *, out: Tensor | None = None) -> Tensor:
    """The eigenvalues of symmetric (..., n, n), rising."""
    values = eigh(A, UPLO).eigenvalues
    return values if out is None else out.copy_(values)


# ---- singular values ---------------------------------------------------------------------------------------------


class SVDResult(NamedTuple):
    """A = U diag(S) Vh, S falling."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class _SVD(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, full: bool) -> tuple[Tensor, Tensor, Tensor]:
        u, s, vh = (tensor(m, a) for m in np.linalg.svd(array(a), full_matrices=full))
        ctx.save_for_backward(u, s, vh)
        ctx.set_materialize_grads(False)
        ctx.full = full and a.shape[-1] != a.shape[-2]
        return u, s, vh

    @staticmethod
    def backward(ctx: Any, gu: Any, gs: Any, gvh: Any) -> tuple[Any, ...]:
        u, s, vh = ctx.saved_tensors
        k = s.shape[-1]
        if gu is None and gvh is None:
            return (u[..., :, :k] * gs.unsqueeze(-2)) @ vh[..., :k, :], None
        if ctx.full:
            raise RuntimeError(
                "svd_backward: the singular vectors of full_matrices=True have no derivative for matrices that "
                "are not square; use full_matrices=False"
            )
        return _svd_gradient(u, s, vh, gu, gs, gvh), None


def _svd_gradient(u: Tensor, s: Tensor, vh: Tensor, gu: Any, gs: Any, gvh: Any) -> Tensor:
    one = eye(s.shape[-1], s)
    squares = s * s
    gaps = (
        squares.unsqueeze(-2) - squares.unsqueeze(-1) + one
    )  # 1 on the diagonal, whose numerator is 0
    inner = eg.zeros_like(one) if gs is None else eg.diag_embed(gs)
    if gu is not None:
        rotation = u.mT @ gu
        inner = inner + (rotation - rotation.mT) / gaps * s.unsqueeze(-2)
    if gvh is not None:
        rotation = vh @ gvh.mT
        inner = inner + s.unsqueeze(-1) * ((rotation - rotation.mT) / gaps)
    ga = u @ inner @ vh
    m, n, k = u.shape[-2], vh.shape[-1], s.shape[-1]
    if gu is not None and m > k:
        outside = gu - u @ (u.mT @ gu)
        ga = ga + (outside / s.unsqueeze(-2)) @ vh
    if gvh is not None and n > k:
        outside = gvh - (gvh @ vh.mT) @ vh
        ga = ga + u @ (outside / s.unsqueeze(-1))
    return ga


def svd(
    A: Tensor, full_matrices: bool = True, *, driver: str | None = None, out: Any = None
) -> SVDResult:
    """U, S, Vh of A = U diag(S) Vh; `full_matrices` completes U and Vh to square ones.

    >>> import eagergrad as eg
    >>> [round(v, 4) for v in svd(eg.tensor([[0.0, 2.0], [3.0, 0.0]])).S.tolist()]
    [3.0, 2.0]
    """
    check("linalg.svd", A)
    return SVDResult(*_SVD.apply(A, full_matrices))


def svdvals(A: Tensor, *, driver: str | None = None, out: Tensor | None = None) -> Tensor:
    """The singular values, falling."""
    values = svd(A, full_matrices=False).S
    return values if out is None else out.copy_(values)


# ---- LU ----------------------------------------------------------------------------------------------------------


class LUResult(NamedTuple):
    """A = P L U."""

    P: Tensor
    L: Tensor
    U: Tensor


class LUFactor(NamedTuple):
    """L below the diagonal (its ones left out) and U in one matrix, and the row exchanges, counted from 1."""

    LU: Tensor
    pivots: Tensor


class LUFactorEx(NamedTuple):
    """`LUFactor`, and per matrix 0 or the place of a zero pivot, counted from 1."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


def _eliminate(a: np.ndarray, pivot: bool) -> tuple[np.ndarray, np.ndarray, int]:
    lu = a.copy()
    m, n = lu.shape
    k = min(m, n)
    pivots = np.arange(1, k + 1, dtype=np.int32)
    info = 0
    for i in range(k):
        if pivot:
            best = i + int(np.argmax(np.abs(lu[i:, i])))
            pivots[i] = best + 1
            if best != i:
                lu[[i, best]] = lu[[best, i]]
        if lu[i, i] == 0:
            info = info or i + 1
            continue
        lu[i + 1 :, i] /= lu[i, i]
        lu[i + 1 :, i + 1 :] -= np.outer(lu[i + 1 :, i], lu[i, i + 1 :])
    return lu, pivots, info


def _permutation(pivots: np.ndarray, m: int) -> np.ndarray:
    """P of A = P L U."""
    order = np.arange(m)
    for i, p in enumerate(pivots):
        order[[i, p - 1]] = order[[p - 1, i]]
    matrix = np.zeros((m, m))
    matrix[order, range(m)] = 1
    return matrix


class _LU(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, pivot: bool) -> tuple[Tensor, Tensor, Tensor]:
        flat = array(a).reshape(-1, *a.shape[-2:])
        parts = [_eliminate(matrix, pivot) for matrix in flat]
        batch, k = a.shape[:-2], min(a.shape[-2:])
        stacked = np.stack([p[0] for p in parts]) if parts else flat
        lu = tensor(stacked, a).reshape(a.shape)
        pivots = eg.from_numpy(np.array([p[1] for p in parts], np.int32)).reshape((*batch, k))
        info = eg.from_numpy(np.array([p[2] for p in parts], np.int32)).reshape(batch)
        ctx.save_for_backward(lu)
        ctx.permutation = permutation_of(pivots, a.shape[-2], a)
        ctx.mark_non_differentiable(pivots, info)
        return lu, pivots, info

    @staticmethod
    def backward(ctx: Any, g: Tensor, *_: Any) -> tuple[Any, ...]:
        (lu,) = ctx.saved_tensors
        m, n = lu.shape[-2:]
        if m != n:
            raise RuntimeError(
                f"[lu] the derivative is there for square matrices only, came {tuple(lu.shape)}"
            )
        l, u = lu.tril(-1) + eye(n, lu), lu.triu()
        inner = (l.mT @ g.tril(-1)).tril(-1) + (g.triu() @ u.mT).triu()
        half = solve_triangular(l.mT, inner, upper=True, unitriangular=True)
        ga = solve_triangular(u.mT, half, upper=False, left=False)
        return ctx.permutation @ ga, None


def permutation_of(pivots: Tensor, m: int, like: Tensor) -> Tensor:
    """The permutation matrices (..., m, m) of pivots (..., k)."""
    flat = pivots.numpy().reshape(-1, pivots.shape[-1])
    matrices = np.array([_permutation(p, m) for p in flat]).reshape(*pivots.shape[:-1], m, m)
    return tensor(matrices, like)


def lu_factor_ex(
    A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None
) -> LUFactorEx:
    """The compact LU factorisation with an int32 info of the batch's shape."""
    check("linalg.lu_factor", A)
    lu, pivots, info = _LU.apply(A, pivot)
    if check_errors and bool(info.any()):
        raise LinAlgError(
            f"linalg.lu_factor_ex: U has a zero on its diagonal in a matrix of {tuple(A.shape)}"
        )
    return LUFactorEx(lu, pivots, info)


def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> LUFactor:
    """The compact LU factorisation with partial pivoting.

    >>> import eagergrad as eg
    >>> LU, pivots = lu_factor(eg.tensor([[1.0, 2.0], [2.0, 2.0]]))
    >>> LU.tolist(), pivots.tolist()
    ([[2.0, 2.0], [0.5, 1.0]], [2, 2])
    """
    return LUFactor(*lu_factor_ex(A, pivot=pivot)[:2])


def lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> LUResult:
    """P, L and U of A = P L U."""
    packed, pivots = lu_factor(A, pivot=pivot)
    return unpacked(packed, pivots)


def unpacked(packed: Tensor, pivots: Tensor) -> LUResult:
    """P, L and U of a compact factorisation."""
    m, n = packed.shape[-2:]
    k = min(m, n)
    l = packed[..., :, :k].tril(-1) + eg.eye(m, k, dtype=packed.dtype)
    return LUResult(permutation_of(pivots, m, packed), l, packed[..., :k, :].triu())


def lu_solve(
    LU: Tensor,
    pivots: Tensor,
    B: Tensor,
    *,
    left: bool = True,
    adjoint: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """X of A X = B (or X A = B, or with A' if `adjoint`) for A factored by `lu_factor`."""
    if not left:
        return lu_solve(LU, pivots, B.mT, adjoint=not adjoint).mT
    p, l, u = unpacked(LU, pivots)
    if adjoint:
        y = solve_triangular(u.mT, B, upper=False)
        return p @ solve_triangular(l.mT, y, upper=True, unitriangular=True)
    y = solve_triangular(l, p.mT @ B, upper=False, unitriangular=True)
    return solve_triangular(u, y, upper=True)
