"""LU factors with their gradients.

With P^T A = L U and L, U cut to k = min(m, n) columns and rows, of which L1 and U1 are the squares:
    M = tril(L1^T gL1 - gU2 U2^T, -1) + triu(gU1 U1^T - L2^T gL2)
    P^T gA = L1^-T M U1^-T, beside it L1^-T gU2, or below it gL2 U1^-T
where L2 are the rows of L below L1, U2 the columns of U beyond U1.
"""

from __future__ import annotations

import math
from typing import Any

from eagergrad import _C
from eagergrad.linalg._factors import Factorisation, by_columns, check_float, solve_triangular
from eagergrad.tensor.dtype import int32

_ops = _C.op_table


class LuFactor(Factorisation):
    """L below the diagonal and U, pivots from 1, and from 1 where the first zero pivot is, or 0."""

    _title = "LinalgLuFactorExBackward0"
    _silent = (1, 2)

    @staticmethod
    def value(A: Any) -> Any:
        return (_ops["_lu_factor"] if A.device.type == "cpu" else eliminate)(A.detach())

    @staticmethod
    def kept(args: Any, made: Any) -> Any:
        return made[:2]

    @staticmethod
    def backward(ctx: Any, g: Any, *_: Any) -> Any:
        LU, pivots = ctx.saved_tensors
        m, n = LU.shape[-2:]
        k = min(m, n)
        square, U, gU = LU[..., :k, :k], LU[..., :k, :].triu(), g[..., :k, :].triu()
        gL = g[..., :k, :k].tril(-1)
        from_l, from_u = gL + square.tril(-1).mT @ gL, gU[..., :k] @ U[..., :k].mT
        if n > k:
            from_l = from_l - gU[..., k:] @ U[..., k:].mT
        if m > k:
            from_u = from_u - LU[..., k:, :].mT @ g[..., k:, :]
        M = from_l.tril(-1) + from_u.triu()

        def over_u(x: Any) -> Any:  # x U1^-T
            return solve_triangular(square, x.mT, True).mT

        def under_l(x: Any) -> Any:  # L1^-T x
            return solve_triangular(square.mT, x, True, unitriangular=True)

        rows = under_l(over_u(M))
        if m > k:
            rows = _ops["cat"]([rows, over_u(g[..., k:, :])], -2)
        elif n > k:
            rows = _ops["cat"]([rows, under_l(gU[..., k:])], -1)
        return rows.gather(-2, inverse_order(pivots, m).unsqueeze(-1).expand(rows.shape))


def eliminate(A: Any) -> tuple[Any, Any, Any]:
    """_lu_factor from tensor operations, for devices without a kernel of their own."""
    check_float("linalg.lu_factor", A)
    m, n = A.shape[-2:]
    k = min(m, n)
    x = A.double().reshape(math.prod(A.shape[:-2]), m, n).clone()
    found, zero = [], []
    for i in range(k):
        j = x[:, i:, i].abs().argmax(1, keepdim=True) + i
        found.append(j)
        _exchange(x, i, j)
        pivot = x[:, i : i + 1, i : i + 1]
        zero.append(pivot[:, 0] == 0)
        factors = (x[:, i + 1 :, i : i + 1] / pivot).masked_fill(pivot == 0, 0.0)
        x[:, i + 1 :, i + 1 :] -= factors * x[:, i : i + 1, i + 1 :]
        x[:, i + 1 :, i : i + 1] = factors
    batch = tuple(A.shape[:-2])
    LU = by_columns(x.reshape(A.shape).to(A.dtype))
    if not found:
        pivots = x.new_empty((*batch, 0), dtype=int32)
        return LU, pivots, x.new_zeros(batch, dtype=int32)
    zeros = _ops["cat"](zero, 1)
    info = _ops["where"](zeros.any(1), zeros.to(int32).argmax(1) + 1, 0)
    pivots = (_ops["cat"](found, 1) + 1).to(int32).reshape((*batch, k))
    return LU, pivots, info.to(int32).reshape(batch)


def _exchange(x: Any, i: int, j: Any) -> None:
    """Exchange rows i and j[b] of each x[b], in place."""
    places = _ops["cat"]([j * 0 + i, j], 1).unsqueeze(-1).expand(-1, -1, x.shape[2])
    x.scatter_(1, places.flip(1), x.gather(1, places))


def order(pivots: Any, n: int) -> Any:
    """Where each of n rows came from: (P^T A)[i] = A[order[i]]."""
    return _ops["_lu_order"](pivots.cpu(), n).to(pivots.device)


def inverse_order(pivots: Any, n: int) -> Any:
    """Where each of n rows went: A[i] = (P^T A)[inverse_order[i]]."""
    return order(pivots, n).argsort(-1)


def permutation(pivots: Any, n: int, dtype: Any) -> Any:
    """P, (..., n, n)."""
    return _ops["_lu_permutation"](pivots.cpu(), n, dtype).to(pivots.device)
