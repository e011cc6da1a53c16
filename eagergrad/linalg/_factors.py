"""Factorisations as recorded functions: LAPACK forward, gradients in recorded operations.

Formulas: M. Giles, "An extended collection of matrix derivative results" (2008); for QR, Walter and Lehmann, "Algorithmic
differentiation of linear algebra functions" (2010).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from eagergrad import _C
from eagergrad.autograd.function import Function
from eagergrad.linalg import _host
from eagergrad.tensor.refusals import LinAlgError

_ops = _C.op_table


def check_float(op: str, A: Any) -> None:
    """Raises unless A holds matrices of float32 or float64."""
    if not isinstance(A, _C.TensorBase):
        raise TypeError(f"{op}: expected a Tensor, got {type(A).__name__}")
    if not A.dtype.is_floating_point or A.dtype.itemsize < 4:
        raise NotImplementedError(
            f"{op}: Expected a floating point or complex tensor as input. Got {A.dtype}"
        )


def check_square(op: str, A: Any) -> None:
    """Raises unless A holds square matrices of float32 or float64."""
    check_float(op, A)
    if A.dim() < 2:
        raise RuntimeError(
            f"{op}: The input tensor A must have at least 2 dimensions. Got shape {list(A.shape)}"
        )
    if A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"{op}: A must be batches of square matrices, but they are {A.shape[-2]} by {A.shape[-1]} matrices"
        )


def factorized(op: str, function: Any, *inputs: Any, **options: Any) -> Any:
    """NumPy's `function` of the inputs' values, or that of its name in _host or, on a GPU, in CuPy. Not recorded."""
    device = inputs[0].device
    one_device = all(x.device == device for x in inputs)
    name = function.__name__.strip("_")
    try:
        if one_device and device.type == "cpu" and hasattr(_host, name):
            return getattr(_host, name)(*(x.detach() for x in inputs), **options)
        if one_device and device.type == "cuda":
            from eagergrad.cuda import linalg

            made = linalg.factorized(name, *inputs, **options)
            if made is not None:
                return made
    except ImportError:  # a CuPy without cuSOLVER
        pass
    except np.linalg.LinAlgError as e:
        raise _impossible(op, e) from None
    return on_host(op, function, *inputs, **options)


def _impossible(op: str, error: Exception) -> LinAlgError:
    why = {
        "linalg.cholesky": "The factorization could not be completed because the input is not positive-definite",
    }.get(
        op,
        "The diagonal element is zero, the inversion could not be completed because the input matrix is singular",
    )
    return LinAlgError(f"{op}: {why} ({error}).")


def on_host(op: str, function: Any, *inputs: Any, **options: Any) -> Any:
    """NumPy's `function` of the inputs' values; its arrays come back as tensors on the inputs' device. Not recorded."""
    device = inputs[0].device
    for x in inputs:
        if x.device != device:
            raise RuntimeError(
                f"{op}: Expected all tensors to be on the same device, but found at least two devices, {device} and {x.device}!"
            )

    def tensor(a: Any) -> Any:
        return _C.from_array(np.ascontiguousarray(a) if a.ndim else np.array(a)).to(device)

    try:
        result = function(*(np.asarray(memoryview(x.detach().cpu())) for x in inputs), **options)
        return tuple(map(tensor, result)) if isinstance(result, tuple) else tensor(result)
    except np.linalg.LinAlgError as e:
        raise _impossible(op, e) from None


def real_eig(A: Any, library: Any = np.linalg) -> Any:
    """`library`'s eigenvalues and vectors of an array; RuntimeError unless all are real."""
    values, vectors = library.eig(A)
    if np.iscomplexobj(values) and bool(values.imag.any()):
        raise RuntimeError(
            "linalg.eig: the eigenvalues are complex, and complex dtypes are not supported"
        )
    return values.real, vectors.real


def eye_like(A: Any, rows: int, columns: int | None = None) -> Any:
    """The identity, or what a rectangle shows of it, in A's dtype on A's device."""
    return _ops["eye"](rows, rows if columns is None else columns, dtype=A.dtype, device=A.device)


def by_columns(x: Any) -> Any:
    """x with its matrices column by column in memory, as LAPACK leaves them and PyTorch hands them on."""
    return _ops["clone"](x.mT, memory_format="contiguous_format").mT


class Inverse(Function):
    _title = "LinalgInvExBackward0"

    @staticmethod
    def forward(ctx: Any, A: Any) -> Any:
        y = by_columns(factorized("linalg.inv", np.linalg.inv, A))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (y,) = ctx.saved_tensors
        return -(y.mT @ g @ y.mT)


class Solve(Function):
    _title = "LinalgSolveExBackward0"

    @staticmethod
    def forward(ctx: Any, A: Any, B: Any) -> Any:
        X = by_columns(factorized("linalg.solve", np.linalg.solve, A, B))
        ctx.save_for_backward(A, X)
        return X

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        A, X = ctx.saved_tensors
        gB = Solve.apply(A.mT, g)
        return -(gB @ X.mT), gB


def _triangle(A: Any, upper: bool, unit: bool) -> Any:
    if unit:
        T = A.triu(1) if upper else A.tril(-1)
        return T + eye_like(A, A.shape[-1])
    return A.triu() if upper else A.tril()


def _solve_triangle(T: np.ndarray, B: np.ndarray) -> np.ndarray:
    diagonal = np.diagonal(T, axis1=-2, axis2=-1)
    if (diagonal == 0).any():  # as LAPACK's trtrs would: infinities rather than an error
        batch = np.broadcast_shapes(T.shape[:-2], B.shape[:-2])
        return np.full(batch + B.shape[-2:], np.inf, T.dtype)
    return np.linalg.solve(T, B)


class SolveTriangular(Function):
    _title = "LinalgSolveTriangularBackward0"

    @staticmethod
    def forward(ctx: Any, A: Any, B: Any, upper: bool, unit: bool) -> Any:
        if B.shape[-2] != A.shape[-1]:
            raise RuntimeError(
                f"linalg.solve_triangular: Incompatible shapes of A and B ({list(A.shape)} and {list(B.shape)})"
            )
        if A.device.type == "cpu" and B.device == A.device:
            result = _host.solve_triangular(A.detach(), B.detach(), upper=upper, unit=unit)
        else:
            T = _triangle(A.detach(), upper, unit)
            result = factorized("linalg.solve_triangular", _solve_triangle, T, B)
        result = by_columns(result)
        ctx.upper, ctx.unit = upper, unit
        ctx.save_for_backward(A, result)
        return result

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        A, X = ctx.saved_tensors
        gB = SolveTriangular.apply(A.mT, g, not ctx.upper, ctx.unit)
        gA = -(gB @ X.mT)
        offset = 1 if ctx.unit else 0
        gA = gA.triu(offset) if ctx.upper else gA.tril(-offset)
        return gA, gB, None, None


class CholeskySolve(Function):
    """X of A X = B, by the factor L of A = L L^T (upper: A = U^T U); the gradient of the factor is not cut to its triangle."""

    _title = "CholeskySolveBackward0"

    @staticmethod
    def forward(ctx: Any, B: Any, factor: Any, upper: bool) -> Any:
        lower = factor.mT if upper else factor
        X = SolveTriangular.apply(
            lower.mT, SolveTriangular.apply(lower, B, False, False), True, False
        )
        ctx.upper = upper
        ctx.save_for_backward(factor, X)
        return X

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        factor, X = ctx.saved_tensors
        gB = CholeskySolve.apply(g, factor, ctx.upper)
        both = gB @ X.mT
        both = both + both.mT
        g_factor = -(factor @ both if ctx.upper else both @ factor)
        return gB, g_factor, None


class Slogdet(Function):
    _title = "LinalgSlogdetBackward0"

    @staticmethod
    def forward(ctx: Any, A: Any) -> Any:
        ctx.save_for_backward(A)
        return factorized("linalg.slogdet", np.linalg.slogdet, A)

    @staticmethod
    def backward(ctx: Any, _: Any, g: Any) -> Any:
        (A,) = ctx.saved_tensors
        return g.unsqueeze(-1).unsqueeze(-1) * Inverse.apply(A).mT


def _half_lower(M: Any) -> Any:
    return M.tril() - 0.5 * _ops["diag_embed"](M.diagonal(0, -2, -1))


class Cholesky(Function):
    _title = "LinalgCholeskyExBackward0"

    @staticmethod
    def forward(ctx: Any, A: Any) -> Any:
        L = by_columns(factorized("linalg.cholesky", np.linalg.cholesky, A))
        ctx.save_for_backward(L)
        return L

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (L,) = ctx.saved_tensors
        inner = _half_lower(L.mT @ g)
        left = SolveTriangular.apply(L.mT, inner, True, False)
        S = SolveTriangular.apply(L.mT, left.mT, True, False).mT
        return 0.5 * (S + S.mT)


class QR(Function):
    _title = "LinalgQrBackward0"

    @staticmethod
    def forward(ctx: Any, A: Any, mode: Any) -> Any:
        Q, R = map(by_columns, factorized("linalg.qr", np.linalg.qr, A, mode=mode))
        ctx.save_for_backward(Q, R)
        ctx.wide = A.shape[-2] < A.shape[-1]
        ctx.refused = mode == "complete" and A.shape[-2] > A.shape[-1]
        ctx.save_a = A.shape
        return Q, R

    @staticmethod
    def backward(ctx: Any, gQ: Any, gR: Any) -> Any:
        if ctx.refused:
            raise RuntimeError(
                "The QR decomposition is not differentiable when mode='complete' and nrows > ncols"
            )
        Q, R = ctx.saved_tensors
        m = Q.shape[-2]
        if not ctx.wide:
            return _qr_gradient(Q, R, gQ, gR), None
        # A = (X, Y): Q, U = qr(X), V = Q^T Y.
        U, V = R[..., :m], R[..., m:]
        gU, gV = gR[..., :m], gR[..., m:]
        gX = _qr_gradient(Q, U, gQ + (Q @ V) @ gV.mT, gU)
        return _ops["cat"]([gX, Q @ gV], -1), None


def _qr_gradient(Q: Any, R: Any, gQ: Any, gR: Any) -> Any:
    M = R @ gR.mT - gQ.mT @ Q
    copied = M.tril() + M.tril(-1).mT
    return SolveTriangular.apply(R, (gQ + Q @ copied).mT, True, False).mT


class Eigh(Function):
    _title = "LinalgEighBackward0"

    @staticmethod
    def forward(ctx: Any, A: Any, uplo: str) -> Any:
        L, V = factorized("linalg.eigh", np.linalg.eigh, A, UPLO=uplo)
        V = by_columns(V)
        ctx.save_for_backward(L, V)
        ctx.set_materialize_grads(False)
        return L, V

    @staticmethod
    def backward(ctx: Any, gL: Any, gV: Any) -> Any:
        L, V = ctx.saved_tensors
        if gV is None:  # equal eigenvalues do no harm
            return None if gL is None else (V * gL.unsqueeze(-2)) @ V.mT, None
        gL = _ops["zeros_like"](L) if gL is None else gL
        eye = eye_like(L, L.shape[-1])
        gap = L.unsqueeze(-2) - L.unsqueeze(-1)
        inner = (V.mT @ gV) * (1 - eye) / (gap + eye)
        gA = V @ (inner + _ops["diag_embed"](gL)) @ V.mT
        return 0.5 * (gA + gA.mT), None


class SVD(Function):
    _title = "LinalgSvdBackward0"

    @staticmethod
    def forward(ctx: Any, A: Any, full: bool) -> Any:
        U, S, Vh = factorized("linalg.svd", np.linalg.svd, A, full_matrices=full)
        U, Vh = by_columns(U), by_columns(Vh)
        ctx.save_for_backward(U, S, Vh)
        ctx.set_materialize_grads(False)
        return U, S, Vh

    @staticmethod
    def backward(ctx: Any, gU: Any, gS: Any, gVh: Any) -> Any:
        U, S, Vh = ctx.saved_tensors
        k = S.shape[-1]
        if gU is None and gVh is None:  # equal singular values do no harm
            return None if gS is None else (U[..., :k] * gS.unsqueeze(-2)) @ Vh[..., :k, :], None
        gU, gS, gVh = (
            _ops["zeros_like"](t) if g is None else g for g, t in ((gU, U), (gS, S), (gVh, Vh))
        )
        # Columns beyond the k-th span a null space whose basis is arbitrary: nothing differentiable depends on it.
        U, Vh, gU, gVh = U[..., :k], Vh[..., :k, :], gU[..., :k], gVh[..., :k, :]
        V, gV = Vh.mT, gVh.mT
        eye = eye_like(S, k)
        gap = (S.unsqueeze(-2) - S.unsqueeze(-1)) * (S.unsqueeze(-2) + S.unsqueeze(-1))
        F = (1 - eye) / (gap + eye)
        inner_u, inner_v = U.mT @ gU, V.mT @ gV
        su, sv = S.unsqueeze(-2), S.unsqueeze(-1)
        core = (
            (F * (inner_u - inner_u.mT)) * su
            + sv * (F * (inner_v - inner_v.mT))
            + _ops["diag_embed"](gS)
        )
        gA = U @ core @ Vh
        m, n = U.shape[-2], V.shape[-2]
        if m > k:
            gA = gA + ((gU - U @ inner_u) / su) @ Vh
        if n > k:
            gA = gA + U @ ((gV - V @ inner_v) / su).mT
        return gA, None


class Pinv(Function):
    """The gradient is made of the inverse itself: it exists for repeated and vanishing singular values too."""

    _title = "LinalgPinvBackward0"

    @staticmethod
    def forward(ctx: Any, A: Any, limit: Any) -> Any:
        if A.numel() == 0:
            P = A.mT.clone()
        else:
            U, S, Vh = SVD.apply(A, False)
            kept = limit(S) < S
            inverse = _ops["where"](kept, S, 1.0).reciprocal() * kept.to(S.dtype)
            P = (Vh.mT * inverse.unsqueeze(-2)) @ U.mT
        ctx.save_for_backward(A, P)
        return P

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        A, P = ctx.saved_tensors
        gt, Pt = g.mT, P.mT
        if A.shape[-2] <= A.shape[-1]:
            K = gt @ P
            KPt = K @ Pt
            return KPt - (P @ K).mT - (A @ P) @ KPt + (Pt @ P) @ (gt - K @ A), None
        K = P @ gt
        PtK = Pt @ K
        return (gt - A @ K) @ P @ Pt + PtK - (K @ P).mT - (PtK @ P) @ A, None
