"""Inverses, systems of equations and determinants."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import eagergrad as eg
from eagergrad import Tensor
from eagergrad.autograd import Function

from ._base import LinAlgError, array, check, check_square, eye, tensor

__all__ = [
    "det",
    "inv",
    "inv_ex",
    "lstsq",
    "pinv",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "tensorinv",
    "tensorsolve",
]


# ---- inverse -----------------------------------------------------------------------------------------------------


class _Inverse(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        y = tensor(np.linalg.inv(array(a)), a)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        yt = ctx.saved_tensors[0].mT
        return -(yt @ g @ yt)


def _singular(name: str, a: Tensor) -> LinAlgError:
    return LinAlgError(
        f"{name}: The inversion could not be completed because an input matrix of {tuple(a.shape)} is singular."
    )


def inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of square (..., n, n); LinAlgError where one is singular.

    >>> import eagergrad as eg
    >>> inv(eg.tensor([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    check_square("linalg.inv", A)
    try:
        y = _Inverse.apply(A)
    except np.linalg.LinAlgError:
        raise _singular("linalg.inv", A) from None
    return y if out is None else out.copy_(y)


class InvEx(NamedTuple):
    """The inverses, and per matrix 0 or a number above 0 where there is none."""

    inverse: Tensor
    info: Tensor


def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> InvEx:
    """`inv` and an int32 info of the batch's shape; with `check_errors` a singular matrix raises."""
    check_square("linalg.inv_ex", A)
    info = _singular_info(A)
    if bool(info.any()):
        if check_errors:
            raise _singular("linalg.inv_ex", A)
        return InvEx(eg.full_like(A, float("nan")), info)
    return InvEx(inv(A), info)


def _singular_info(a: Tensor) -> Tensor:
    flat = array(a).reshape(-1, *a.shape[-2:])
    info = np.zeros(len(flat), np.int32)
    for i, matrix in enumerate(flat):
        try:
            np.linalg.inv(matrix)
        except np.linalg.LinAlgError:
            info[i] = a.shape[-1]
    return eg.from_numpy(info).reshape(a.shape[:-2])


# ---- systems -----------------------------------------------------------------------------------------------------


class _Solve(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        x = tensor(np.linalg.solve(array(a), array(b)), a)
        ctx.save_for_backward(a, x)
        return x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
        a, x = ctx.saved_tensors
        gb = _Solve.apply(a.mT, g)
        return -(gb @ x.mT), gb


def _is_vector(a: Tensor, b: Tensor) -> bool:
    return b.dim() == 1 or (b.dim() == a.dim() - 1 and b.shape == a.shape[:-1])


def solve(A: Tensor, B: Tensor, *, left: bool = True, out: Tensor | None = None) -> Tensor:
    """X of A X = B (or X A = B, if not `left`); B holds vectors where its shape is (n,) or that of A without the last.

    LinAlgError where A is singular, RuntimeError where shapes do not fit.

    >>> import eagergrad as eg
    >>> solve(eg.tensor([[2.0, 0.0], [0.0, 4.0]]), eg.tensor([2.0, 2.0])).tolist()
    [1.0, 0.5]
    """
    check_square("linalg.solve", A)
    if not left:
        x = solve(A.mT, B.mT).mT
        return x if out is None else out.copy_(x)
    vector = _is_vector(A, B)
    b = B.unsqueeze(-1) if vector else B
    if b.shape[-2] != A.shape[-1] or b.dtype != A.dtype:
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes or dtypes of A and B for the equation AX = B: "
            f"{tuple(A.shape)} {A.dtype} and {tuple(B.shape)} {B.dtype}"
        )
    try:
        x = _Solve.apply(A, b)
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "linalg.solve: The solver failed because the input matrix is singular."
        ) from None
    x = x.squeeze(-1) if vector else x
    return x if out is None else out.copy_(x)


class SolveEx(NamedTuple):
    """The solutions, and per matrix 0 or a number above 0 where there is none."""

    result: Tensor
    info: Tensor


def solve_ex(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False, out: Any = None
) -> SolveEx:
    """`solve` and an int32 info of the batch's shape; with `check_errors` a singular matrix raises."""
    check_square("linalg.solve_ex", A)
    info = _singular_info(A)
    if bool(info.any()) and not check_errors:
        return SolveEx(eg.full_like(B, float("nan")), info)
    return SolveEx(solve(A, B, left=left), info)


class _SolveTriangular(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, upper: bool, unit: bool) -> Tensor:
        x = tensor(np.linalg.solve(_triangle(array(a), upper, unit), array(b)), a)
        ctx.save_for_backward(a, x)
        ctx.upper, ctx.unit = upper, unit
        return x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        a, x = ctx.saved_tensors
        gb = _SolveTriangular.apply(a.mT, g, not ctx.upper, ctx.unit)
        ga = -(gb @ x.mT)
        shift = 1 if ctx.unit else 0
        ga = ga.triu(shift) if ctx.upper else ga.tril(-shift)
        return ga, gb, None, None


def _triangle(a: np.ndarray, upper: bool, unit: bool) -> np.ndarray:
    t = np.triu(a) if upper else np.tril(a)
    if unit:
        n = t.shape[-1]
        t[..., range(n), range(n)] = 1
    return t


def solve_triangular(
    A: Tensor,
    B: Tensor,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """X of A X = B (or X A = B, if not `left`) where only one triangle of A counts.

    >>> import eagergrad as eg
    >>> a = eg.tensor([[2.0, 9.0], [2.0, 4.0]])
    >>> solve_triangular(a, eg.tensor([[2.0], [6.0]]), upper=False).tolist()
    [[1.0], [1.0]]
    """
    check_square("linalg.solve_triangular", A)
    check("linalg.solve_triangular", B)
    if not left:
        x = solve_triangular(A.mT, B.mT, upper=not upper, unitriangular=unitriangular).mT
        return x if out is None else out.copy_(x)
    if B.shape[-2] != A.shape[-1]:
        raise RuntimeError(
            f"linalg.solve_triangular: Incompatible shapes of A and B for the equation AX = B: "
            f"{tuple(A.shape)} and {tuple(B.shape)}"
        )
    try:
        x = _SolveTriangular.apply(A, B, upper, unitriangular)
    except np.linalg.LinAlgError:  # PyTorch divides by the zero on the diagonal
        batch = np.broadcast_shapes(tuple(A.shape[:-2]), tuple(B.shape[:-2]))
        x = eg.full((*batch, *B.shape[-2:]), float("inf"), dtype=A.dtype)
    return x if out is None else out.copy_(x)


class Lstsq(NamedTuple):
    """The solution of least squares and what is known of the matrix (empty where the driver does not tell)."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Lstsq:
    """X that makes |A X - B| least (and of those the shortest); (..., m, n) and (..., m, k) or (..., m).

    >>> import eagergrad as eg
    >>> a = eg.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    >>> [round(v, 4) for v in lstsq(a, eg.tensor([[1.0], [3.0], [5.0]])).solution.flatten().tolist()]
    [1.0, 2.0]
    """
    check("linalg.lstsq", A)
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            f"linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), came {driver}"
        )
    vector = B.dim() == A.dim() - 1
    b = B.unsqueeze(-1) if vector else B
    m, n = A.shape[-2:]
    x = pinv(A, rtol=rcond) @ b
    values = np.linalg.svd(array(A), compute_uv=False)
    limit = max(m, n) * np.finfo(values.dtype).eps if rcond is None else rcond
    rank = eg.from_numpy(np.asarray((values > limit * values.max(-1, keepdims=True)).sum(-1)))
    residuals = eg.empty(0, dtype=A.dtype)
    if m > n and bool((rank == n).all()):
        residuals = ((A @ x - b) ** 2).sum(-2)
    singular = tensor(values, A) if driver in ("gelsd", "gelss") else eg.empty(0, dtype=A.dtype)
    known = rank if driver != "gels" else eg.empty(0, dtype=eg.int64)
    return Lstsq(x.squeeze(-1) if vector else x, residuals, known, singular)


class _PseudoInverse(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, rtol: Any, hermitian: bool) -> Tensor:
        y = tensor(np.linalg.pinv(array(a), rcond=rtol, hermitian=hermitian), a)
        ctx.save_for_backward(a, y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        # dP = -P dA P + P P' dA' (1 - A P) + (1 - P A) dA' P' P  (Golub and Pereyra, 1973)
        a, p = ctx.saved_tensors
        pt, gt = p.mT, g.mT
        m, n = a.shape[-2:]
        ga = -(pt @ g @ pt)
        ga = ga + (eye(m, a) - a @ p) @ gt @ p @ pt + pt @ p @ gt @ (eye(n, a) - p @ a)
        return ga, None, None


def pinv(
    A: Tensor,
    *,
    atol: Any = None,
    rtol: Any = None,
    hermitian: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """The Moore-Penrose inverse; singular values up to max(atol, rtol * the largest) count as zero.

    >>> import eagergrad as eg
    >>> pinv(eg.tensor([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    check("linalg.pinv", A)
    if 0 in A.shape:
        return eg.zeros((*A.shape[:-2], A.shape[-1], A.shape[-2]), dtype=A.dtype)
    limit = 0.0 if atol is not None else max(A.shape[-2:]) * eg.finfo(A.dtype).eps
    relative = array(rtol) if isinstance(rtol, Tensor) else limit if rtol is None else rtol
    if atol is not None:
        largest = np.linalg.norm(array(A), 2, axis=(-2, -1))
        absolute = array(atol) if isinstance(atol, Tensor) else atol
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.maximum(relative, np.nan_to_num(absolute / largest))
    y = _PseudoInverse.apply(A, relative, hermitian)
    return y if out is None else out.copy_(y)


# ---- determinants ------------------------------------------------------------------------------------------------


class _Det(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        y = tensor(np.linalg.det(array(a)), a)
        ctx.save_for_backward(a, y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        a, y = ctx.saved_tensors
        if bool((y.detach() == 0).any()):
            return g[..., None, None] * _cofactors(a)
        return (g * y)[..., None, None] * inv(a).mT


def _cofactors(a: Tensor) -> Tensor:
    """The derivative of det, singular or not: det(U) det(V) U diag(products of the other singular values) V'."""
    u, s, vt = np.linalg.svd(array(a))
    n = s.shape[-1]
    others = np.stack([np.delete(s, i, -1).prod(-1) for i in range(n)], -1)
    sign = np.linalg.det(u) * np.linalg.det(vt)
    return tensor(sign[..., None, None] * (u * others[..., None, :]) @ vt, a)


def det(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The determinant of square (..., n, n).

    >>> import eagergrad as eg
    >>> round(det(eg.tensor([[2.0, 1.0], [0.0, 4.0]])).item(), 4)
    8.0
    """
    check_square("linalg.det", A)
    y = _Det.apply(A)
    return y if out is None else out.copy_(y)


class SlogdetResult(NamedTuple):
    """The sign of a determinant and the logarithm of its size."""

    sign: Tensor
    logabsdet: Tensor


class _Slogdet(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> tuple[Tensor, Tensor]:
        sign, log = np.linalg.slogdet(array(a))
        signs, logs = tensor(sign, a), tensor(log, a)
        ctx.save_for_backward(a)
        ctx.mark_non_differentiable(signs)
        return signs, logs

    @staticmethod
    def backward(ctx: Any, _: Any, g: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        return g[..., None, None] * inv(a).mT


def slogdet(A: Tensor, *, out: Any = None) -> SlogdetResult:
    """Sign and log |det| of square (..., n, n); (0, -inf) for singular ones.

    >>> import eagergrad as eg
    >>> sign, log = slogdet(eg.tensor([[-1.0, 0.0], [0.0, 1.0]]))
    >>> sign.item(), log.item()
    (-1.0, 0.0)
    """
    check_square("linalg.slogdet", A)
    return SlogdetResult(*_Slogdet.apply(A))


# ---- tensors as matrices -----------------------------------------------------------------------------------------


def tensorinv(A: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:
    """The inverse of A as a map from its dimensions from `ind` on to those before."""
    if ind <= 0:
        raise RuntimeError("linalg.tensorinv: Expected a strictly positive integer for 'ind'")
    left, right = A.shape[:ind], A.shape[ind:]
    rows = int(np.prod(left))
    if rows != int(np.prod(right)):
        raise RuntimeError(
            "linalg.tensorinv: Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {tuple(right)} and {tuple(left)}"
        )
    return inv(A.reshape(rows, rows)).reshape(*right, *left)


def tensorsolve(A: Tensor, B: Tensor, dims: Any = None, *, out: Tensor | None = None) -> Tensor:
    """X of tensordot(A, X) = B."""
    if dims is not None:
        order = [d for d in range(A.dim()) if d not in dims] + list(dims)
        A = A.permute(order)
    shape = A.shape[B.dim() :]
    n = int(np.prod(shape))
    if A.numel() != n * n:
        raise RuntimeError(
            "linalg.tensorsolve: Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {tuple(A.shape)}"
        )
    return solve(A.reshape(n, n), B.reshape(n)).reshape(shape)
