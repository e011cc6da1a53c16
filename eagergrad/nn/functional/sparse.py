"""Lookups in a table of vectors."""

from __future__ import annotations

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops
from eagergrad.tensor.out import asking

__all__ = ["embedding", "embedding_bag"]


def _row_of(padding_idx: int | None, weight: Tensor) -> int:
    """`padding_idx`, which may be negative, as a row of `weight`; -1 for none. AssertionError outside."""
    if padding_idx is None:
        return -1
    rows = weight.shape[0]
    if not -rows <= padding_idx < rows:
        raise AssertionError(
            f"Padding_idx must be within num_embeddings: {padding_idx} is not a row of {rows}"
        )
    return padding_idx % rows


def _renorm_(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    """Shrink the rows of `weight` that `input` names to a norm of at most `max_norm`, in place and unrecorded."""
    with eg.no_grad():
        rows = eg.unique(input.reshape(-1))
        vectors = weight.detach()[rows]
        norms = eg.norm(vectors, norm_type, 1, True)
        scale = eg.where(norms > max_norm, max_norm / (norms + 1e-7), eg.ones_like(norms))
        weight.detach()[rows] = vectors * scale


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """weight[input]: integers (...) into (V, D) give (..., D).

    Row `padding_idx` gets no gradient; `max_norm` first shrinks the rows in use, in place; `scale_grad_by_freq`
    divides a row's gradient by how often it occurs; `sparse` makes the gradient of a leaf row-sparse
    (`eagergrad.sparse.RowSparse`). IndexError for an index outside the table.

    >>> import eagergrad as eg
    >>> embedding(eg.tensor([1, 0]), eg.tensor([[1.0], [2.0]])).tolist()
    [[2.0], [1.0]]
    """
    row = -1 if padding_idx is None else _row_of(padding_idx, weight)
    if max_norm is not None:
        _renorm_(weight, input, max_norm, norm_type)
    return _ops.embedding(input, weight, row, scale_grad_by_freq, sparse)


@asking
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sum, mean or max of the rows of `weight` over bags of indices: (B, N), or (N,) cut at `offsets`, give (B, D).

    Empty bags give zeros; `padding_idx` counts for nothing; `per_sample_weights` (with mode "sum") scales rows.
    `sparse` makes the gradient of a leaf row-sparse, except with mode "max".

    >>> import eagergrad as eg
    >>> table = eg.tensor([[1.0], [2.0], [4.0]])
    >>> embedding_bag(eg.tensor([0, 1, 2]), table, eg.tensor([0, 2]), mode="sum").tolist()
    [[3.0], [4.0]]
    """
    _check_bags(input, offsets, mode, per_sample_weights, scale_grad_by_freq)
    if mode == "max" and sparse:
        raise ValueError("[embedding_bag] max mode does not support sparse weights")
    if input.dim() == 2:
        bags, length = input.shape
        bag = eg.arange(bags, device=input.device).repeat_interleave(length)
    else:
        bags, bag = _bags(input, offsets, include_last_offset)  # type: ignore[arg-type]
    flat = input.reshape(-1)
    if max_norm is not None:
        _renorm_(weight, flat, max_norm, norm_type)
    scale = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    if padding_idx is not None:
        keep = flat != _row_of(padding_idx, weight)
        flat, bag = flat[keep], bag[keep]
        scale = None if scale is None else scale[keep]
    return _ops.embedding_bag(flat, bag, bags, weight, mode, scale, scale_grad_by_freq, sparse)


def _check_bags(
    input: Tensor,
    offsets: Tensor | None,
    mode: str,
    per_sample_weights: Tensor | None,
    by_freq: bool,
) -> None:
    if per_sample_weights is not None and input.shape != per_sample_weights.shape:
        raise ValueError(
            f"[embedding_bag] per_sample_weights {tuple(per_sample_weights.shape)} must have the shape "
            f"of input {tuple(input.shape)}"
        )
    if input.dim() == 2 and offsets is not None:
        raise ValueError(
            "[embedding_bag] if input is 2D, then offsets has to be None: rows are bags"
        )
    if input.dim() == 1:
        if not isinstance(offsets, Tensor):
            raise ValueError(
                f"[embedding_bag] offsets has to be a 1D Tensor but got {type(offsets)}"
            )
        if offsets.dim() != 1:
            raise ValueError("[embedding_bag] offsets has to be a 1D Tensor")
    elif input.dim() != 2:
        raise ValueError(f"[embedding_bag] input has to be 1D or 2D Tensor, but got {input.dim()}D")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("[embedding_bag] mode has to be one of sum, mean or max")
    if mode == "max" and by_freq:
        raise ValueError(
            "[embedding_bag] max mode does not support scaling the gradient by the frequency"
        )
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            f"[embedding_bag] per_sample_weights is only supported for mode='sum', got mode={mode!r}"
        )


def _bags(input: Tensor, offsets: Tensor, include_last_offset: bool) -> tuple[int, Tensor]:
    """The number of bags, and the bag of each position."""
    if len(offsets):
        _ops._require(
            offsets[0] == 0,
            "embedding_bag",
            "offsets[0] has to be 0, i.e., the first sequence starts at 0",
        )
        _ops._require(
            offsets[-1] <= len(input),
            "embedding_bag",
            "offsets[-1] can not be greater than input's length",
        )
    if include_last_offset:
        if len(offsets) == 0:
            raise RuntimeError(
                "[embedding_bag] include_last_offset: number of offsets should be at least 1"
            )
        offsets = offsets[:-1]
    at = eg.arange(len(input), device=input.device)
    return len(offsets), eg.searchsorted(offsets.to(eg.int64), at, right=True) - 1
