"""What a mixture of experts computes: the largest scores, and products by groups of rows."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops
from eagergrad.tensor.out import asking

__all__ = ["grouped_mm", "keep_topk"]


@asking
def keep_topk(input: Tensor, k: int, neg: float = -float("inf"), dim: int = -1) -> Tensor:
    """The k largest along `dim` where they are, `neg` everywhere else: equation 5 of arXiv 1701.06538.

    With the default a softmax afterwards gives 0 there. Gradients go to what is kept; of equal numbers the first are.
    ValueError for a k outside [1, size].

    >>> import eagergrad as eg
    >>> keep_topk(eg.tensor([3.0, 1.0, 2.0]), 2, neg=0.0).tolist()
    [3.0, 0.0, 2.0]
    """
    size = input.shape[dim] if input.dim() else 1
    if not 1 <= k <= size:
        raise ValueError(
            f"[keep_topk] expected 1 <= k <= {size}, the size of dimension {dim}; got k={k}"
        )
    values, index = input.topk(k, dim)
    return eg.full_like(input, neg).detach().scatter(dim, index, values)


def grouped_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    *,
    offs: Tensor | None = None,
    bias: Tensor | None = None,
    out_dtype: Any = None,
) -> Tensor:
    """One product a group: with `offs`, the ends of the groups, cutting the dimension that a 2-d operand has alone.

    (N, K) and (G, K, M) give (N, M), row n times the matrix of its group, plus the row of `bias` (G, M) if there is
    one; (G, M, K) and (K, N) give (M, N); (M, N) and (N, K) give (G, M, K), a product for each group of N; two stacks
    need no `offs`. What lies beyond the last end is left out: rows of zeros. Empty groups are fine. RuntimeError for
    offsets that fall or exceed the dimension.

    >>> import eagergrad as eg
    >>> x, w = eg.ones(3, 1), eg.tensor([[[1.0]], [[5.0]]])
    >>> grouped_mm(x, w, offs=eg.tensor([1, 3])).flatten().tolist()
    [1.0, 5.0, 5.0]
    """
    out = _ops._grouped_mm(mat_a, mat_b, offs, bias)
    return out if out_dtype is None else out.to(out_dtype)
