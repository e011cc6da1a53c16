"""Norms, ranks, powers and products of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import eagergrad as eg
from eagergrad import Tensor

from ._base import array, check, check_square, eye
from .factor import svdvals
from .solve import inv

__all__ = [
    "cond",
    "cross",
    "diagonal",
    "householder_product",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "vander",
    "vecdot",
    "vector_norm",
]


def _in(value: Tensor, out: Tensor | None) -> Tensor:
    return value if out is None else out.copy_(value)


def vector_norm(
    x: Tensor,
    ord: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """The norm of order `ord` of all elements, or along the dimensions `dim`.

    >>> import eagergrad as eg
    >>> vector_norm(eg.tensor([[3.0, 0.0], [0.0, 4.0]])).item()
    5.0
    """
    if isinstance(ord, str):
        raise TypeError(f"linalg.vector_norm: expected a number as ord, came {ord!r}")
    if isinstance(dim, (tuple, list)) and len(dim) == 0:
        dim = None
    return _in(eg.norm(x, ord, dim, keepdim, dtype=dtype), out)


def matrix_norm(
    A: Tensor,
    ord: Any = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """The matrix norm "fro", "nuc", inf, -inf, 1, -1, 2 or -2 over two dimensions.

    >>> import eagergrad as eg
    >>> matrix_norm(eg.tensor([[1.0, -2.0], [3.0, 4.0]]), 1).item()
    6.0
    """
    x = A if dtype is None else A.to(dtype)
    if not x.is_floating_point():
        raise RuntimeError(
            f"linalg.matrix_norm: Expected a floating point tensor as input. Got {x.dtype}"
        )
    if x.dim() < 2:
        raise RuntimeError(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions."
        )
    rows, cols = (d % x.dim() for d in dim)
    if rows == cols:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got {tuple(dim)}")
    if ord == "fro":
        return _in(eg.norm(x, 2, (rows, cols), keepdim), out)
    if ord in ("nuc", 2, -2):
        values = svdvals(x.movedim((rows, cols), (-2, -1)))
        y = values.sum(-1) if ord == "nuc" else values.amax(-1) if ord == 2 else values.amin(-1)
        if keepdim:
            for d in sorted((rows, cols)):
                y = y.unsqueeze(d)
        return _in(y, out)
    if ord not in (1, -1, math.inf, -math.inf):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    added, kept = (rows, cols) if abs(ord) == 1 else (cols, rows)
    sums = x.abs().sum(added, keepdim=True)
    y = sums.amax(kept, keepdim=True) if ord > 0 else sums.amin(kept, keepdim=True)
    return _in(y if keepdim else y.squeeze((rows, cols)), out)


def norm(
    A: Tensor,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:
    """A vector norm over one dimension (or all, without `ord`), a matrix norm over two.

    >>> import eagergrad as eg
    >>> norm(eg.tensor([3.0, 4.0])).item()
    5.0
    """
    if isinstance(dim, int):
        dim = (dim,)
    if ord is not None and dim is None:
        if A.dim() > 2:
            raise RuntimeError(
                "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. "
                f"Got {A.dim()}D."
            )
        dim = tuple(range(A.dim()))
    if ord is None or len(dim) == 1:
        return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype, out=out)
    return matrix_norm(A, ord, dim, keepdim, dtype=dtype, out=out)


def cond(A: Tensor, p: Any = None, *, out: Tensor | None = None) -> Tensor:
    """The condition number |A| |A^-1| in the norm p; None is the ratio of the singular values.

    >>> import eagergrad as eg
    >>> round(cond(eg.tensor([[4.0, 0.0], [0.0, 2.0]])).item(), 4)
    2.0
    """
    if p is None or p in (2, -2):
        values = svdvals(A)
        high, low = values.amax(-1), values.amin(-1)
        return _in(low / high if p == -2 else high / low, out)
    check_square("linalg.cond", A)
    return _in(matrix_norm(A, p) * matrix_norm(inv(A), p), out)


def matrix_rank(
    A: Tensor,
    tol: Any = None,
    *,
    atol: Any = None,
    rtol: Any = None,
    hermitian: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """How many singular values exceed max(atol, rtol * the largest), as int64.

    >>> import eagergrad as eg
    >>> matrix_rank(eg.tensor([[1.0, 2.0], [2.0, 4.0]])).item()
    1
    """
    check("linalg.matrix_rank", A)
    values = np.linalg.svd(array(A), compute_uv=False)
    absolute = tol if tol is not None else atol

    def number(v: Any) -> Any:
        return array(v) if isinstance(v, Tensor) else v

    relative = number(rtol)
    if relative is None:
        relative = 0.0 if absolute is not None else max(A.shape[-2:]) * eg.finfo(A.dtype).eps
    limit = relative * values.max(-1, initial=0)
    if absolute is not None:
        limit = np.maximum(limit, number(absolute))
    rank = np.asarray((values > np.asarray(limit)[..., None]).sum(-1), np.int64)
    return _in(eg.from_numpy(rank), out)


def matrix_power(A: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """A^n for integers n; negative ones by the inverse.

    >>> import eagergrad as eg
    >>> matrix_power(eg.tensor([[1.0, 1.0], [0.0, 1.0]]), 5).tolist()
    [[1.0, 5.0], [0.0, 1.0]]
    """
    if A.dim() < 2 or A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"linalg.matrix_power: A must be batches of square matrices, came {tuple(A.shape)}"
        )
    if n < 0:
        return _in(matrix_power(inv(A), -n), out)
    result: Any = None
    square = A
    while n:
        if n & 1:
            result = square if result is None else result @ square
        n >>= 1
        if n:
            square = square @ square
    if result is None:
        result = eye(A.shape[-1], A).expand(A.shape).clone()
    return _in(result, out)


def matrix_exp(A: Tensor) -> Tensor:
    """e^A, by scaling, a Taylor polynomial of degree 18 and squaring.

    >>> import eagergrad as eg
    >>> matrix_exp(eg.zeros(2, 2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    check_square("linalg.matrix_exp", A)
    size = float(A.detach().abs().sum(-1).max()) if A.numel() else 0.0
    squarings = max(0, math.ceil(math.log2(size)) + 1) if 0 < size < math.inf else 0
    a = A / 2.0**squarings
    term = total = eye(A.shape[-1], A).expand(A.shape)
    for k in range(1, 19):
        term = (term @ a) / k
        total = total + term
    for _ in range(squarings):
        total = total @ total
    return total


def multi_dot(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """The product of two or more matrices in the cheapest order; the first and last may be vectors.

    >>> import eagergrad as eg
    >>> multi_dot([eg.ones(2, 3), eg.ones(3, 4), eg.ones(4)]).tolist()
    [12.0, 12.0]
    """
    chain = list(tensors)
    if len(chain) < 2:
        raise RuntimeError("multi_dot(): expected at least 2 tensors but got " + str(len(chain)))
    row, column = chain[0].dim() == 1, chain[-1].dim() == 1
    chain[0] = chain[0].unsqueeze(0) if row else chain[0]
    chain[-1] = chain[-1].unsqueeze(1) if column else chain[-1]
    for i, t in enumerate(chain):
        if t.dim() != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {t.dim()}D")
    y = _in_order(chain)
    y = y.squeeze(0) if row else y
    return _in(y.squeeze(-1) if column else y, out)


def _in_order(chain: list[Tensor]) -> Tensor:
    """The textbook dynamic program over where to split."""
    n = len(chain)
    sizes = [t.shape[0] for t in chain] + [chain[-1].shape[1]]
    cost = [[0] * n for _ in range(n)]
    split = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            costs = [
                cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1]
                for k in range(i, j)
            ]
            cost[i][j] = min(costs)
            split[i][j] = i + costs.index(cost[i][j])

    def product(i: int, j: int) -> Tensor:
        if i == j:
            return chain[i]
        return product(i, split[i][j]) @ product(split[i][j] + 1, j)

    return product(0, n - 1)


def householder_product(A: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first k columns of H_1 ... H_k, H_i = 1 - tau_i v_i v_i', v_i in column i below a 1 on the diagonal."""
    check("linalg.householder_product", A)
    n, k = A.shape[-2:]
    if n < k or tau.shape[-1] > k:
        raise RuntimeError(
            f"linalg.householder_product: expected (m, n) with m >= n >= the length of tau, came "
            f"{tuple(A.shape)} and {tuple(tau.shape)}"
        )
    columns = eye(n, A)[:, :k]
    v = A.tril(-1) + columns
    q = columns.expand(*A.shape[:-2], n, k)
    for i in range(tau.shape[-1] - 1, -1, -1):
        vi = v[..., :, i : i + 1]
        q = q - tau[..., i, None, None] * (vi @ (vi.mT @ q))
    return _in(q, out)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """The sum of x y along `dim`; shapes broadcast.

    >>> import eagergrad as eg
    >>> vecdot(eg.tensor([1.0, 2.0]), eg.tensor([3.0, 4.0])).item()
    11.0
    """
    return _in((x * y).sum(dim), out)


def cross(input: Tensor, other: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """The cross product along a dimension of size 3."""
    return _in(eg.cross(input, other, dim), out)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """`diagonal` of the last two dimensions, unless others are given."""
    return A.diagonal(offset, dim1, dim2)


def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The same as `eagergrad.matmul`."""
    return _in(eg.matmul(input, other), out)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Powers 0 to N - 1 of (..., n) as the columns of (..., n, N); N is n unless given."""
    count = x.shape[-1] if N is None else N
    return x.unsqueeze(-1).pow(eg.arange(count, device=x.device))
