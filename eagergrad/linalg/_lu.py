"""LU on devices without a kernel of their own, and what pivots do to rows."""

from __future__ import annotations

import math
from typing import Any

from eagergrad import _C
from eagergrad.linalg._factors import by_columns, check_float
from eagergrad.tensor.dtype import int32

_ops = _C.op_table


def eliminate(A: Any) -> tuple[Any, Any, Any]:
    """linalg_lu_factor_ex from tensor operations; not recorded."""
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
