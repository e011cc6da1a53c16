"""Factorisations as recorded functions: kernels forward, gradients in recorded operations.

Formulas: M. Giles, "An extended collection of matrix derivative results" (2008). Others are functions of the core.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from eagergrad import _C
from eagergrad.autograd.function import Function, vmaps
from eagergrad.linalg import _host
from eagergrad.tensor.refusals import LinAlgError

_ops = _C.op_table
_first_nonzero = _ops["_first_nonzero"]
_check_matrices = _ops["_check_matrices"]
inv_ex = _ops["linalg_inv_ex"]


def check_float(op: str, A: Any, wanted: int = 0) -> None:
    """Raises unless A is a tensor of float32 or float64."""
    if not isinstance(A, _C.TensorBase):
        raise TypeError(f"{op}: expected a Tensor, got {type(A).__name__}")
    _check_matrices(A, op, wanted)


def check_matrices(op: str, A: Any) -> None:
    """Raises unless A holds matrices of float32 or float64."""
    check_float(op, A, 1)


def check_square(op: str, A: Any) -> None:
    """Raises unless A holds square matrices of float32 or float64."""
    check_float(op, A, 2)


def factorized_elsewhere(name: str, inputs: tuple[Any, ...], flag: bool, second: bool) -> Any:
    """What the core's functions with gradients ask for where tensors lie on a GPU: a tuple of results. Not recorded.

    Where the library tells by an exception that there is no result, the host says of which matrices, and why.
    """
    if name == "linalg_lu_factor_ex":
        from eagergrad.linalg._lu import eliminate

        return eliminate(inputs[0].detach())
    op = name.removeprefix("linalg_").removesuffix("_ex")
    options: dict[str, Any] = {}
    if op == "qr":
        options = {"mode": "complete" if flag else "reduced"}
    elif op == "solve_triangular":
        options = {"upper": flag, "unitriangular": second}
    try:
        made = factorized(f"linalg.{op}", name, *inputs, **options)
    except LinAlgError:
        on_host = _ops[name](*(x.detach().cpu() for x in inputs))
        return tuple(x.to(inputs[0].device) for x in on_host)
    return made if isinstance(made, tuple) else (made,)


def factorized(op: str, name: str, *inputs: Any, **options: Any) -> Any:
    """What `_host.function(name)` or, on a GPU, CuPy makes of the inputs' values. Not recorded."""
    if len(inputs) == 1 and not inputs[0].is_cuda:
        return _host.function(name)(inputs[0].detach(), **options)
    device = inputs[0].device
    for x in inputs[1:]:
        if x.device != device:
            raise RuntimeError(
                f"{op}: Expected all tensors to be on the same device, but found at least two devices, {device} and {x.device}!"
            )
    if device.type == "cpu":
        return _host.function(name)(*(x.detach() for x in inputs), **options)
    try:
        from eagergrad.cuda import linalg

        made = linalg.factorized(name, *inputs, **options)
    except ImportError:  # a CuPy without cuSOLVER
        made = None
    except np.linalg.LinAlgError as e:
        raise LinAlgError(f"{op}: {_TROUBLE.get(op, _SINGULAR)} ({e}).") from None
    if made is None:
        made = _host.function(name)(*(x.detach().cpu() for x in inputs), **options)
    return tuple(x.to(device) for x in made) if isinstance(made, tuple) else made.to(device)


_SINGULAR = "The inversion could not be completed because the input matrix is singular"
_TROUBLE = {
    "linalg.cholesky": "The factorization could not be completed because the input is not positive-definite",
    "linalg.solve": "The solver failed because the input matrix is singular",
}


def check_info(op: str, info: Any) -> None:
    """Raises unless it is 0 of all matrices."""
    i = _first_nonzero(info.cpu())
    if i < 0:
        return
    kind = op.removesuffix("_ex")
    element = f"(Batch element {i}): " if info.dim() else ""
    k = info.reshape(-1)[i].item()
    trouble = _TROUBLE.get(kind, _SINGULAR)
    if kind == "linalg.cholesky":
        trouble += f" (the leading minor of order {k} is not positive-definite)"
    elif kind == "linalg.inv":
        trouble = f"The diagonal element {k} is zero, the{trouble[3:]}"
    raise LinAlgError(f"{op}: {element}{trouble}.")


def recorded(*inputs: Any) -> bool:
    """Whether what is made of them goes on the tape."""
    return any(x.requires_grad for x in inputs) and _C.is_grad_enabled()


def eye_like(A: Any, rows: int, columns: int | None = None) -> Any:
    """The identity, or what a rectangle shows of it, in A's dtype on A's device."""
    return _ops["eye"](rows, rows if columns is None else columns, dtype=A.dtype, device=A.device)


def by_columns(x: Any) -> Any:
    """x with its matrices column by column in memory, as LAPACK leaves them and PyTorch hands them on."""
    return _ops["clone"](x.mT, memory_format="contiguous_format").mT


class Factorisation(Function):
    """A function that needs no context for its values alone, and keeps for its gradient what `kept` chooses."""

    _silent: tuple[int, ...] = ()  # which of its results have no gradient
    _fills_in = True  # are missing gradients zeros?

    _of_matrices = True

    @staticmethod
    def value(*args: Any) -> Any:
        """The results."""
        raise NotImplementedError

    @staticmethod
    def kept(args: Any, made: Any) -> Any:
        """Of the arguments and the results, what the gradient is made of."""
        return made

    @classmethod
    def forward(cls, ctx: Any, *args: Any) -> Any:
        made = cls.value(*args)
        ctx.save_for_backward(*cls.kept(args, made))
        ctx.mark_non_differentiable(*(made[i] for i in cls._silent))
        ctx.set_materialize_grads(cls._fills_in)
        return made

    @classmethod
    def of(cls, *args: Any) -> Any:
        """`apply`, or without a tape `value`, which is several microseconds less."""
        if vmaps.sizes:
            from eagergrad.func._batched import level_of, of_matrices

            if level_of(args) >= 0:
                return of_matrices(cls.of, args)
        if _C.is_grad_enabled():
            for x in args:
                if isinstance(x, _C.TensorBase) and x.requires_grad:
                    return cls.apply(*args)
        return cls.value(*args)


class LdlSolve(Factorisation):
    """X of A X = B; the factors of A have no gradient."""

    _title = "LinalgLdlSolveBackward0"

    @staticmethod
    def value(LD: Any, pivots: Any, B: Any) -> Any:
        return factorized("linalg.ldl_solve", "_ldl_solve", LD, pivots, B)

    @staticmethod
    def kept(args: Any, made: Any) -> Any:
        return args[:2]

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        LD, pivots = ctx.saved_tensors
        return None, None, LdlSolve.of(LD, pivots, g)


class Slogdet(Factorisation):
    _title = "LinalgSlogdetBackward0"

    @staticmethod
    def value(A: Any) -> Any:
        return factorized("linalg.slogdet", "slogdet", A)

    @staticmethod
    def kept(args: Any, made: Any) -> Any:
        return args

    @staticmethod
    def backward(ctx: Any, _: Any, g: Any) -> Any:
        (A,) = ctx.saved_tensors
        return g.unsqueeze(-1).unsqueeze(-1) * inv_ex(A)[0].mT


class Det(Factorisation):
    """Its gradient is that of regular matrices."""

    _title = "LinalgDetBackward0"

    @staticmethod
    def value(A: Any) -> Any:
        return factorized("linalg.det", "det", A)

    @staticmethod
    def kept(args: Any, made: Any) -> Any:
        return args[0], made

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        A, y = ctx.saved_tensors
        return (g * y).unsqueeze(-1).unsqueeze(-1) * inv_ex(A)[0].mT


class Eigh(Factorisation):
    _title = "LinalgEighBackward0"
    _fills_in = False

    @staticmethod
    def value(A: Any, uplo: str) -> Any:
        return factorized("linalg.eigh", "eigh", A, UPLO=uplo)

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


class SVD(Factorisation):
    _title = "LinalgSvdBackward0"
    _fills_in = False

    @staticmethod
    def value(A: Any, full: bool) -> Any:
        return factorized("linalg.svd", "svd", A, full_matrices=full)

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


class Pinv(Factorisation):
    """The gradient is made of the inverse itself: it exists for repeated and vanishing singular values too."""

    _title = "LinalgPinvBackward0"

    @staticmethod
    def value(A: Any, limit: Any) -> Any:
        if A.numel() == 0:
            return A.mT.clone()
        U, S, Vh = SVD.value(A, False)
        kept = limit(S) < S
        inverse = _ops["where"](kept, S, 1.0).reciprocal() * kept.to(S.dtype)
        return (Vh.mT * inverse.unsqueeze(-2)) @ U.mT

    @staticmethod
    def kept(args: Any, made: Any) -> Any:
        return args[0], made

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        A, P = ctx.saved_tensors
        return Pinv.gradient(A, P, g), None

    @staticmethod
    def gradient(A: Any, P: Any, g: Any) -> Any:
        """Of A, from that of its inverse P."""
        gt, Pt = g.mT, P.mT
        if A.shape[-2] <= A.shape[-1]:
            K = gt @ P
            KPt = K @ Pt
            return KPt - (P @ K).mT - (A @ P) @ KPt + (Pt @ P) @ (gt - K @ A)
        K = P @ gt
        PtK = Pt @ K
        return (gt - A @ K) @ P @ Pt + PtK - (K @ P).mT - (PtK @ P) @ A


class Lstsq(Factorisation):
    """The gradient is that of pinv(A) @ B, which X is."""

    _title = "LinalgLstsqBackward0"
    _silent = (1, 2)

    @staticmethod
    def value(A: Any, B: Any, rcond: float, driver: str) -> Any:
        return factorized("linalg.lstsq", "lstsq", A, B, rcond=rcond, driver=driver)

    @staticmethod
    def kept(args: Any, made: Any) -> Any:
        return args[:2]

    @classmethod
    def forward(cls, ctx: Any, *args: Any) -> Any:
        ctx.limit = args[2]
        return super().forward(ctx, *args)

    @staticmethod
    def backward(ctx: Any, g: Any, *_: Any) -> Any:
        A, B = ctx.saved_tensors
        P = Pinv.of(A, lambda s: s.amax(-1, True) * ctx.limit)
        gP = g @ B.mT
        return Pinv.gradient(A, P, gP), P.mT @ g, None, None


class MatrixExp(Factorisation):
    """Of small matrices. The gradient is the corner of the exponential of a matrix of twice the size: C. Van Loan (1978)."""

    _title = "LinalgMatrixExpBackward0"

    @staticmethod
    def value(A: Any) -> Any:
        return _ops["_matrix_exp"](A.detach())

    @staticmethod
    def kept(args: Any, made: Any) -> Any:
        return args

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        from eagergrad import linalg

        (A,) = ctx.saved_tensors
        n, cat = A.shape[-1], _ops["cat"]
        both = cat([cat([A.mT, g], -1), cat([_ops["zeros_like"](g), A.mT], -1)], -2)
        return linalg.matrix_exp(both)[..., :n, n:]
