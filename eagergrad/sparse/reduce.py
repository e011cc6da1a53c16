"""Sums, means, norms and softmax of sparse tensors, and of segments."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops
from eagergrad.sparse.construct import as_sparse
from eagergrad.sparse.pattern import Form
from eagergrad.sparse.tensor import SparseTensor

# ---- segments -----------------------------------------------------------------------------------------


def _by_segments(op: Any, values: Tensor, offsets: Any, *options: Any) -> Tensor:
    if not isinstance(values, Tensor):
        raise TypeError(f"[segment] expected values as a Tensor, got {type(values).__name__}")
    t = eg.as_tensor(offsets).to(values.device)
    t = (t if t.dtype is eg.int32 else t.long()).contiguous()
    return op(values, t, *options)


def segment_sum(values: Tensor, offsets: Any) -> Tensor:
    """Sums of ``values[offsets[i]:offsets[i + 1]]``; empty segments give 0.

    >>> import eagergrad as eg
    >>> segment_sum(eg.tensor([1.0, 2.0, 4.0]), [0, 2, 2, 3])
    tensor([3., 0., 4.])
    """
    return _by_segments(_ops._segment_sum, values, offsets)


def segment_softmax(values: Tensor, offsets: Any) -> Tensor:
    """Softmax within each of ``values[offsets[i]:offsets[i + 1]]``.

    >>> import eagergrad as eg
    >>> segment_softmax(eg.tensor([1.0, 1.0, 5.0]), [0, 2, 3])
    tensor([0.5000, 0.5000, 1.0000])
    """
    return _by_segments(_ops._segment_softmax, values, offsets, False)


def segment_log_softmax(values: Tensor, offsets: Any) -> Tensor:
    """Logarithm of `segment_softmax`."""
    return _by_segments(_ops._segment_softmax, values, offsets, True)


# ---- sums and means -----------------------------------------------------------------------------------


def _dims(x: SparseTensor, dim: Any) -> list[int]:
    if dim is None or dim == () or dim == []:
        return list(range(x.ndim))
    dims = [x._wrap(d) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))]
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"dim {dims[0]} appears multiple times in the list of dims")
    return dims


def _line_sums(form: Form, over: int) -> Tensor:
    """Sums of a matrix over its rows' entries (over = 1) or its columns'."""
    p = form.pattern
    values = form.values.to(eg.int64) if not form.values.is_floating_point() else form.values
    if form.turned == (over == 0):
        return _ops._segment_sum(values, p.ptr)
    zeros = eg.zeros(p.cols, dtype=values.dtype, device=values.device)
    return zeros.index_add(0, p.idx, values)


def total(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over all elements or some dimensions, as a dense tensor. Recorded."""
    x = as_sparse(input)
    x = x if dtype is None else x.to(dtype)
    dims = _dims(x, dim)
    if len(dims) == x.ndim:
        made = x._vals.sum()
        return made.reshape([1] * x.ndim) if keepdim else made
    if x.ndim == 2 and not x.dense_dim():
        made = _line_sums(x._form(), dims[0])
        return made.unsqueeze(dims[0]) if keepdim else made
    made = sum(x, dims)
    made = made.to_dense() if isinstance(made, SparseTensor) else made
    for d in sorted(dims) if keepdim else ():
        made = made.unsqueeze(d)
    return made


def sum(input: Any, dim: Any = None, dtype: Any = None) -> Any:
    """The sum of a sparse tensor; over some dimensions it is sparse (COO) as long as sparse ones remain.

    ``x.sum(dim)`` gives the dense tensor. Recorded.

    >>> import eagergrad as eg
    >>> x = eg.sparse.csr(eg.tensor([[0.0, 1.0], [0.0, 2.0]]))
    >>> sum(x, 0).to_dense(), float(sum(x))
    (tensor([0., 3.]), 3.0)
    """
    x = as_sparse(input)
    x = x if dtype is None else x.to(dtype)
    if dim is None:
        return x._vals.sum()
    x, dims = x.to_sparse(), _dims(x, dim)
    inner = [d - x.sparse_dim() + 1 for d in dims if d >= x.sparse_dim()]
    values = x._vals.sum(tuple(inner)) if inner else x._vals
    kept = [d for d in range(x.sparse_dim()) if d not in dims]
    if not kept:
        return values.sum(0)
    shape = tuple(n for d, n in enumerate(x.shape) if d not in dims)
    if len(kept) == x.sparse_dim():
        return x._coo(x._idx, values, shape, x._coalesced)
    return x._coo(x._idx[kept], values, shape, False).coalesce()


def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over all elements, zeros included, or over some dimensions, as a dense tensor."""
    x = as_sparse(input)
    x = x if dtype is None else x.to(dtype)
    if not x.is_floating_point():
        raise RuntimeError(f"[mean] expected a floating point dtype, got {x.dtype}")
    count = 1
    for d in _dims(x, dim):
        count *= x.shape[d]
    added = total(x, dim, keepdim)
    return added / count if count else added * float("nan")


def norm(
    input: Any, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    """The p-norm (p > 0, or inf) of all elements or of a matrix's rows or columns, as a dense tensor."""
    x = as_sparse(input).coalesce()
    x = x if dtype is None else x.to(dtype)
    order = 2.0 if p in (None, "fro") else float(p)
    if order <= 0:
        raise RuntimeError(f"[norm] expected p > 0 for a sparse tensor, got {p}")
    dims = _dims(x, dim)
    if len(dims) == x.ndim:
        made = eg.norm(x._vals, order) if x._nnz() else x._vals.sum()
        return made.reshape([1] * x.ndim) if keepdim else made
    if order == float("inf"):
        return _largest(x, dims[0], keepdim)
    if order == 1:
        return total(x._with(x._vals.abs()), dim, keepdim)
    powers = x._vals * x._vals if order == 2 else x._vals.abs() ** order
    added = total(x._with(powers), dim, keepdim)
    # The root of 0 has no slope: lines without entries get gradient 0.
    none = added == 0
    return (added.masked_fill(none, 1.0) ** (1 / order)).masked_fill(none, 0.0)


def _largest(x: SparseTensor, dim: int, keepdim: bool) -> Tensor:
    line = x._form().coordinates()[1 - dim].long()
    zeros = eg.zeros(x.shape[1 - dim], dtype=x.dtype, device=x.device)
    made = zeros.scatter_reduce(0, line, x._vals.abs(), "amax", include_self=True)
    return made.unsqueeze(dim) if keepdim else made


# ---- softmax ------------------------------------------------------------------------------------------


def _softmax(input: Any, dim: int, dtype: Any, log: bool) -> SparseTensor:
    x = as_sparse(input).coalesce()
    x = x if dtype is None else x.to(dtype)
    dim = x._wrap(dim)
    if dim >= x.sparse_dim():
        op = _ops.log_softmax if log else _ops.softmax
        return x._with(op(x._vals, dim - x.sparse_dim() + 1))
    if x.dense_dim() or x.ndim > 2:
        return _softmax_coo(x, dim, log)
    if x.ndim == 1:
        ends = [0, x._nnz()]
        return x._with(
            segment_log_softmax(x._vals, ends) if log else segment_softmax(x._vals, ends)
        )
    form = x._form()
    p = form.pattern
    if form.turned == (dim == 0):
        values = _ops._segment_softmax(form.values, p.ptr, log)
    else:
        ptr, _, order = p.turned()
        turned = _ops._segment_softmax(form.values.index_select(0, order), ptr, log)
        back = eg.empty_like(order)
        back[order] = eg.arange(order.numel(), dtype=order.dtype, device=order.device)
        values = turned.index_select(0, back)
    return SparseTensor._of(Form(values, p, form.turned), x.layout)


def _softmax_coo(x: SparseTensor, dim: int, log: bool) -> SparseTensor:
    """For more dimensions: entries that differ in `dim` alone are one line."""
    others = [d for d in range(x.sparse_dim()) if d != dim]
    _, line = eg.unique(x._idx[others], dim=1, return_inverse=True)
    lines = int(line.max()) + 1 if line.numel() else 0
    shape = (lines, *x._vals.shape[1:])
    where = line.reshape(-1, *[1] * x.dense_dim()).expand_as(x._vals)
    low = eg.full(shape, -float("inf"), dtype=x.dtype, device=x.device)
    top = low.scatter_reduce(0, where, x._vals.detach(), "amax").index_select(0, line)
    shifted = x._vals - top
    zeros = eg.zeros(shape, dtype=x.dtype, device=x.device)
    added = zeros.index_add(0, line, shifted.exp()).index_select(0, line)
    return x._with(shifted - added.log() if log else shifted.exp() / added)


def softmax(input: Any, dim: int, *, dtype: Any = None) -> SparseTensor:
    """Softmax along a dimension over the stored entries: what is not stored counts as -inf. Recorded.

    >>> import eagergrad as eg
    >>> x = eg.sparse.csr((eg.tensor([1.0, 1.0]), [0, 2], [0, 2]), (1, 3))
    >>> softmax(x, 1).to_dense()
    tensor([[0.5000, 0.0000, 0.5000]])
    """
    return _softmax(input, dim, dtype, False)


def log_softmax(input: Any, dim: int, *, dtype: Any = None) -> SparseTensor:
    """Logarithm of `softmax` at the stored entries."""
    return _softmax(input, dim, dtype, True)
