"""The linear algebra extension of the Python array API standard.

>>> import eagergrad as eg
>>> from eagergrad.array_api import linalg
>>> linalg.vector_norm(eg.tensor([[3.0, 4.0], [6.0, 8.0]]), axis=1)
tensor([ 5., 10.])
"""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.array_api._adapters import alike, binary, reduction

_SAME = (
    "cholesky det diagonal eigh eigvalsh inv matrix_power matrix_rank pinv qr slogdet svd svdvals"
)

globals().update({name: getattr(eg.linalg, name) for name in _SAME.split()})
matmul = binary(eg.matmul)
outer = binary(eg.outer)
vector_norm = reduction(
    lambda x, axes, keepdims, ord=2: eg.linalg.vector_norm(x, ord, axes, keepdims)
)


def matrix_transpose(x: Any, /) -> Any:
    """The last two axes swapped."""
    return x.mT


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """Contracts the last ``axes`` axes of x1 with the first of x2, or two lists of axes."""
    return eg.tensordot(*alike(x1, x2), dims=axes)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Products of the vectors along an axis, summed; the other axes broadcast."""
    x1, x2 = (x.movedim(axis, -1) for x in alike(x1, x2))
    return (x1[..., None, :] @ x2[..., None])[..., 0, 0]


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Cross products of the vectors of three along an axis."""
    return eg.linalg.cross(*eg.broadcast_tensors(*alike(x1, x2)), dim=axis)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Norms of the matrices in the last two axes."""
    return eg.linalg.matrix_norm(x, ord, keepdim=keepdims)


def solve(x1: Any, x2: Any, /) -> Any:
    """Solutions of ``x1 @ x = x2``; x2 is one vector if it has one axis, else matrices."""
    x1, x2 = alike(x1, x2)
    if x2.ndim == 1:
        return eg.linalg.solve(x1, x2[:, None])[..., 0]
    return eg.linalg.solve(x1, x2[(None,) * (x1.ndim - x2.ndim)])  # never a batch of vectors


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """Sums along the diagonals of the matrices in the last two axes."""
    return eg.sum(eg.linalg.diagonal(x, offset=offset), -1, dtype=dtype)
