"""Rows, columns, transposes and joins of sparse tensors."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops
from eagergrad.sparse.construct import as_sparse
from eagergrad.sparse.pattern import Form, Pattern
from eagergrad.sparse.tensor import SparseTensor

# ---- transposes -------------------------------------------------------------------------------------


def transpose(input: Any, dim0: int, dim1: int) -> SparseTensor:
    """Two dimensions exchanged. A CSR matrix becomes CSC over the same memory, and back."""
    x = as_sparse(input)
    a, b = x._wrap(dim0), x._wrap(dim1)
    if a == b:
        return x
    shape = list(x.shape)
    shape[a], shape[b] = shape[b], shape[a]
    if not x.is_sparse:
        layout = eg.sparse_csc if x.layout == eg.sparse_csr else eg.sparse_csr
        return SparseTensor(layout, tuple(shape), x._vals, pattern=x._pattern)
    if max(a, b) < x.sparse_dim():
        order = list(range(x.sparse_dim()))
        order[a], order[b] = order[b], order[a]
        return x._coo(x._idx[order], x._vals, tuple(shape), x._nnz() < 2)
    if min(a, b) < x.sparse_dim():
        raise RuntimeError("[transpose] cannot exchange a sparse and a dense dimension")
    shift = x.sparse_dim() - 1
    values = x._vals.transpose(a - shift, b - shift)
    return x._coo(x._idx, values, tuple(shape), x._coalesced)


def t(input: Any) -> SparseTensor:
    """The transpose of a matrix, a vector itself."""
    x = as_sparse(input)
    if x.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {x.ndim}D")
    return x if x.ndim < 2 else transpose(x, 0, 1)


def unsqueeze(input: SparseTensor, dim: int) -> SparseTensor:
    """A dimension of size 1 among the sparse ones."""
    x = input.to_sparse()
    if not -x.ndim - 1 <= dim <= x.ndim or dim % (x.ndim + 1) > x.sparse_dim():
        raise IndexError(f"[unsqueeze] dimension {dim} is out of the sparse dimensions of {x.ndim}")
    at = dim % (x.ndim + 1)
    rows = list(x._idx.unbind(0))
    rows.insert(at, eg.zeros(x._nnz(), dtype=eg.int64, device=x.device))
    return x._coo(eg.stack(rows), x._vals, (*x.shape[:at], 1, *x.shape[at:]), x._coalesced)


# ---- rows and columns ---------------------------------------------------------------------------------


def _along(form: Form, dim: int) -> Form:
    """The matrix compressed along a dimension."""
    return form if form.turned == (dim == 1) else form.flipped()


def _sliced(form: Form, start: int, stop: int) -> Form:
    """Neighbouring rows of the compressed dimension: views of indices and values."""
    p = form.pattern
    ends = p.ptr[start : stop + 1]
    low, high = int(ends[0]), int(ends[-1])
    pattern = Pattern(ends - low, p.idx[low:high], stop - start, p.cols)
    return Form(form.values[low:high], pattern, form.turned)


def _filtered(form: Form, start: int, stop: int) -> Form:
    """Neighbouring places of the other dimension, at the cost of the entries alone."""
    p = form.pattern
    inside = (p.idx >= start) & (p.idx < stop)
    before = eg.cat([eg.zeros(1, dtype=eg.int64, device=inside.device), inside.cumsum(0)])
    ptr = before.index_select(0, p.ptr).to(p.ptr.dtype)
    pattern = Pattern(ptr, p.idx[inside] - start, p.rows, stop - start)
    return Form(form.values[inside], pattern, form.turned)


def _taken(form: Form, rows: Tensor) -> Form:
    p = form.pattern
    ptr, idx, at = _ops._sparse_take_rows(p.ptr, p.idx, p.cols, rows.to(p.ptr.device))
    pattern = Pattern(ptr, idx, ptr.numel() - 1, p.cols)
    return Form(form.values.index_select(0, at), pattern, form.turned)


def _positions(index: Any, size: int) -> Tensor:
    """The rows that a list, array, tensor or mask names, as a 1-d integer tensor."""
    if isinstance(index, range):
        index = list(index)
    if isinstance(index, (list, tuple)):
        index = eg.tensor(list(index)) if index else eg.zeros(0, dtype=eg.int64)
    index = eg.as_tensor(index)
    if index.dim() != 1:
        raise IndexError(
            f"[index] expected a 1-d index for a sparse dimension, got shape {tuple(index.shape)}"
        )
    if index.dtype in (eg.bool, eg.uint8):
        if index.shape[0] != size:
            raise IndexError(
                f"[index] the shape of the mask [{index.shape[0]}] does not match the sparse dimension of size {size}"
            )
        return index.nonzero().squeeze(1)
    if index.dtype.is_floating_point:
        raise IndexError(f"[index] expected integers, a mask or a slice, got {index.dtype}")
    return index


def _select_many(x: SparseTensor, dim: int, index: Any) -> SparseTensor:
    """x with the chosen places of one sparse dimension."""
    if isinstance(index, slice) and index == slice(None):
        return x
    size = x.shape[dim]
    if x.is_sparse and (x.ndim != 2 or x.dense_dim()):
        return _select_coo(x, dim, index)
    form = x._form()
    start, stop, step = index.indices(size) if isinstance(index, slice) else (0, 0, 0)
    if step == 1 and form.turned != (dim == 1):
        return SparseTensor._of(_filtered(form, start, max(start, stop)), x.layout)
    form = _along(form, dim)
    if step == 1:
        made = _sliced(form, start, max(start, stop))
    elif step:
        made = _taken(form, _positions(range(start, stop, step), size))
    else:
        made = _taken(form, _positions(index, size))
    return SparseTensor._of(made, x.layout)


def _select_coo(x: SparseTensor, dim: int, index: Any) -> SparseTensor:
    """The same by way of a matrix whose rows are the chosen dimension."""
    if dim >= x.sparse_dim():
        at = dim - x.sparse_dim() + 1
        where = (slice(None),) * at + (index,)
        values = x._vals[where]
        shape = (*x.shape[:dim], values.shape[at], *x.shape[dim + 1 :])
        return x._coo(x._idx, values, shape, x._coalesced)
    size = x.shape[dim]
    chosen = range(size)[index] if isinstance(index, slice) else index
    ptr, order = _ops._sparse_compress(x._idx[dim].contiguous(), size)
    chosen = _positions(chosen, size).to(ptr.device)
    ptr, old, at = _ops._sparse_take_rows(ptr, order, max(x._nnz(), 1), chosen)
    rows = [r.index_select(0, old) for r in x._idx.unbind(0)]
    rows[dim] = _ops._sparse_expand(ptr, old.numel())
    shape = (*x.shape[:dim], ptr.numel() - 1, *x.shape[dim + 1 :])
    return x._coo(eg.stack(rows), x._vals.index_select(0, old), shape, False).coalesce()


def select(input: Any, dim: int, index: int) -> Any:
    """One place of a dimension: a COO tensor of one dimension less; an ordinary tensor without any."""
    x = as_sparse(input)
    dim = x._wrap(dim)
    size = x.shape[dim]
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of bounds for dimension {dim} with size {size}")
    index %= size
    if dim >= x.sparse_dim():
        values = x._vals.select(dim - x.sparse_dim() + 1, index)
        shape = (*x.shape[:dim], *x.shape[dim + 1 :])
        return x._coo(x._idx, values, shape, x._coalesced)
    part = _select_many(x, dim, slice(index, index + 1)).to_sparse()
    if x.sparse_dim() == 1:
        return part.to_dense()[0]
    rows = [r for d, r in enumerate(part._idx.unbind(0)) if d != dim]
    shape = (*x.shape[:dim], *x.shape[dim + 1 :])
    return x._coo(eg.stack(rows), part._vals, shape, part._coalesced)


def index_select(input: Any, dim: int, index: Tensor) -> SparseTensor:
    """The chosen rows, columns or other places of a dimension, in the order of the index."""
    x = as_sparse(input)
    return _select_many(x, x._wrap(dim), index)


def narrow(input: Any, dim: int, start: int, length: int) -> SparseTensor:
    """length places of a dimension from start on."""
    x = as_sparse(input)
    dim = x._wrap(dim)
    if start < 0 or length < 0 or start + length > x.shape[dim]:
        raise RuntimeError(
            f"start ({start}) + length ({length}) exceeds dimension size ({x.shape[dim]})."
        )
    return _select_many(x, dim, slice(start, start + length))


def getitem(x: SparseTensor, index: Any) -> Any:
    """``x[i]``, ``x[i:j]``, ``x[permutation]``, ``x[mask]``, ``x[:, columns]``, ``x[rows, columns]``, ``x[i, j]``.

    Raises IndexError for several lists at once, which NumPy takes in pairs: ``x[rows][:, columns]`` says which is meant.
    """
    parts = list(index) if isinstance(index, tuple) else [index]
    if sum(isinstance(p, (list, Tensor, np.ndarray)) and bool(np.ndim(p)) for p in parts) > 1:
        raise IndexError("[index] expected one list, mask or array; write x[rows][:, columns]")
    if sum(p is Ellipsis for p in parts) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    if len([p for p in parts if p is not Ellipsis]) > x.ndim:
        raise IndexError(
            f"too many indices for tensor of dimension {x.ndim}: {len(parts)} were given"
        )
    for at, p in enumerate(parts):
        if p is Ellipsis:
            parts[at : at + 1] = [slice(None)] * (x.ndim - len(parts) + 1)
            break
    dim = 0
    for p in parts:
        if p is None or isinstance(p, bool):
            raise IndexError("[index] sparse tensors take no None and no single bool in an index")
        if isinstance(p, slice):
            x = _select_many(x, dim, p)
            dim += 1
        elif hasattr(p, "__index__") and not (isinstance(p, (Tensor, np.ndarray)) and p.ndim):
            x = select(x, dim, operator.index(p))
        else:
            x = _select_many(x, dim, p)
            dim += 1
    return x


# ---- joins ----------------------------------------------------------------------------------------------


def _cat_compressed(parts: list[SparseTensor], dim: int) -> SparseTensor:
    """Along the compressed dimension: pointers one after the other."""
    forms = [_along(p._form(), dim) for p in parts]
    width = forms[0].pattern.cols
    dtypes = {f.pattern.ptr.dtype for f in forms}
    total = sum(f.pattern.nnz for f in forms)
    rows = sum(f.pattern.rows for f in forms)
    wide = len(dtypes) > 1 or max(total, rows) > 2**31 - 1
    patterns = [f.pattern.as_int64() if wide else f.pattern for f in forms]
    ptrs, before = [patterns[0].ptr[:1]], 0
    for p in patterns:
        ptrs.append(p.ptr[1:] + before)
        before += p.nnz
    pattern = Pattern(eg.cat(ptrs), eg.cat([p.idx for p in patterns]), rows, width)
    form = Form(eg.cat([f.values for f in forms]), pattern, dim == 1)
    return SparseTensor._of(form, parts[0].layout)


def cat(tensors: Sequence[Any], dim: int = 0) -> SparseTensor:
    """Sparse tensors one after the other along a dimension. Recorded."""
    parts = [as_sparse(x) for x in tensors]
    first = parts[0]
    for x in parts:
        if not isinstance(x, SparseTensor):
            raise TypeError(
                "[cat] expected sparse tensors only; x.to_sparse() or x.to_dense() first"
            )
    dim = first._wrap(dim)
    for x in parts:
        if x.ndim != first.ndim or any(
            d != dim and a != b for d, (a, b) in enumerate(zip(first.shape, x.shape, strict=True))
        ):
            raise RuntimeError(
                f"[cat] sizes of tensors must match except in dimension {dim}. Got {tuple(first.shape)} "
                f"and {tuple(x.shape)}"
            )
    if first.ndim == 2 and not any(x.is_sparse for x in parts):
        return _cat_compressed(parts, dim)
    parts = [x.to_sparse() for x in parts]
    if any(x.sparse_dim() != first.sparse_dim() for x in parts) or dim >= first.sparse_dim():
        raise RuntimeError("[cat] expected equal sparse_dim, and a sparse dimension to join along")
    shape = list(first.shape)
    shape[dim] = 0
    places = []
    for x in parts:
        rows = list(x._idx.unbind(0))
        rows[dim] = rows[dim] + shape[dim]
        places.append(eg.stack(rows))
        shape[dim] += x.shape[dim]
    values = eg.cat([x._vals for x in parts])
    sorted_already = dim == 0 and all(x._coalesced for x in parts)
    return first._coo(eg.cat(places, 1), values, tuple(shape), sorted_already)


def vstack(tensors: Sequence[Any]) -> SparseTensor:
    """Sparse matrices on top of each other; vectors become rows."""
    return cat([_at_least_2d(x) for x in tensors], 0)


def hstack(tensors: Sequence[Any]) -> SparseTensor:
    """Sparse matrices side by side; vectors one after the other."""
    parts = [as_sparse(x) for x in tensors]
    return cat(parts, 0 if parts[0].ndim == 1 else 1)


def stack(tensors: Sequence[Any], dim: int = 0) -> SparseTensor:
    """Sparse tensors along a new dimension; vectors become the rows of a CSR matrix."""
    parts = [as_sparse(x) for x in tensors]
    made = cat([unsqueeze(x, dim) for x in parts], dim)
    return made.to_sparse_csr() if made.ndim == 2 and not made.dense_dim() else made


def _at_least_2d(x: Any) -> SparseTensor:
    x = as_sparse(x)
    return unsqueeze(x, 0) if x.ndim == 1 else x
