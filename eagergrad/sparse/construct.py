"""Sparse tensors from index arrays, SciPy matrices and dense tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import eagergrad as eg
from eagergrad import Tensor
from eagergrad.sparse.pattern import INT32_MAX, checked
from eagergrad.sparse.tensor import COMPRESSED, SparseTensor
from eagergrad.tensor.foreign import is_scipy_sparse

# ---- arguments ----------------------------------------------------------------------------------


def _index_array(x: Any, op: str, name: str) -> Tensor:
    """Indices of any integer width as a tensor of int32 or int64; memory is shared where the width allows."""
    t = x if isinstance(x, Tensor) else eg.as_tensor(x)
    if t.numel() == 0 and t.dtype.is_floating_point:
        t = t.long()
    if t.dtype.is_floating_point or t.dtype is eg.bool:
        raise RuntimeError(f"[{op}] expected {name} to be integers, got {t.dtype}")
    if t.requires_grad:
        raise RuntimeError(f"[{op}] {name} cannot require grad")
    return t if t.dtype is eg.int32 else t.long()


def _values_array(x: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    """Values as a tensor, recorded if x is; a leaf of its own with requires_grad."""
    t = x if isinstance(x, Tensor) else eg.as_tensor(x)
    if dtype is not None or device is not None:
        t = t.to(device=device, dtype=dtype)
    return t.detach().clone().requires_grad_() if requires_grad else t


def _shape(size: Any, op: str) -> tuple[int, ...]:
    shape = tuple(int(n) for n in size)
    for i, n in enumerate(shape):
        if n < 0:
            raise RuntimeError(f"[{op}] expected sizes from 0 on, got {n} at dimension {i}")
    return shape


def compressed_tensor(
    layout: str, ptr: Any, idx: Any, values: Any, shape: Any, op: str
) -> SparseTensor:
    """A checked CSR or CSC matrix; shape None: from the largest index."""
    compressed, plain = COMPRESSED[layout]
    ptr = _index_array(ptr, op, compressed).to(values.device)
    idx = _index_array(idx, op, plain).to(values.device)
    for t, name in ((ptr, compressed), (idx, plain)):
        if t.dim() != 1:
            raise RuntimeError(
                f"[{op}] expected {name} to be 1-d, got shape {tuple(t.shape)}; batches are lists of matrices"
            )
    if values.dim() != 1 or values.shape[0] != idx.shape[0]:
        raise RuntimeError(
            f"[{op}] expected one value for each of {idx.shape[0]} {plain}, got shape {tuple(values.shape)}"
        )
    if ptr.numel() == 0:
        raise RuntimeError(f"[{op}] expected at least one entry in {compressed}, got none")
    if shape is None:
        inner = int(idx.max()) + 1 if idx.numel() else 0
        shape = (len(ptr) - 1, inner) if layout == eg.sparse_csr else (inner, len(ptr) - 1)
    shape = _shape(shape, op)
    if len(shape) != 2:
        raise RuntimeError(f"[{op}] expected a size of two dimensions, got {shape}")
    rows, cols = shape if layout == eg.sparse_csr else shape[::-1]
    if ptr.dtype is not idx.dtype or max(rows, cols, idx.numel()) > INT32_MAX:
        ptr, idx = ptr.long(), idx.long()
    if len(ptr) - 1 != rows:
        raise RuntimeError(
            f"[{op}] expected {rows} + 1 {compressed} for size {shape}, got {len(ptr)}"
        )
    grouping = checked(ptr.contiguous(), idx.contiguous(), rows, cols, op, compressed, plain)
    return SparseTensor(layout, shape, grouping(values), pattern=grouping.pattern)


def _first_fault(indices: Tensor, shape: tuple[int, ...], op: str) -> None:
    for d, n in enumerate(shape):
        row = indices[d]
        if row.numel() == 0:
            continue
        bad = (row < 0) | (row >= n)
        if bool(bad.any()):
            at = int(bad.nonzero()[0])
            raise RuntimeError(
                f"[{op}] size is inconsistent with indices: for dim {d}, size is {n} but found index "
                f"{int(row[at])} at position {at}"
            )


def coo_tensor(indices: Any, values: Tensor, shape: Any, op: str) -> SparseTensor:
    """A checked COO tensor; shape None: from the largest indices."""
    indices = _index_array(indices, op, "indices").to(values.device).long()
    if indices.dim() != 2:
        raise RuntimeError(
            f"[{op}] indices must be sparse_dim x nnz, got shape {tuple(indices.shape)}"
        )
    sparse_dim, nnz = indices.shape
    if values.dim() < 1 or values.shape[0] != nnz:
        raise RuntimeError(
            f"[{op}] number of dimensions must be sparse_dim + dense_dim: expected {nnz} values, one for each "
            f"column of indices, got shape {tuple(values.shape)}"
        )
    if shape is None:
        top = indices.amax(1).tolist() if nnz else [-1] * sparse_dim
        shape = (*(max(n, -1) + 1 for n in top), *values.shape[1:])
    shape = _shape(shape, op)
    if len(shape) != sparse_dim + values.dim() - 1 or shape[sparse_dim:] != tuple(values.shape[1:]):
        raise RuntimeError(
            f"[{op}] expected a size of {sparse_dim} sparse dimensions and then {tuple(values.shape[1:])}, "
            f"got {shape}"
        )
    _first_fault(indices, shape[:sparse_dim], op)
    return SparseTensor(
        eg.sparse_coo, shape, values, indices=indices, coalesced=nnz < 2 and sparse_dim > 0
    )


# ---- PyTorch's constructors -----------------------------------------------------------------------


def sparse_coo_tensor(
    indices: Any = None,
    values: Any = None,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> SparseTensor:
    """A tensor with the values at the columns of ``indices`` (sparse_dim x nnz), zero elsewhere.

    Several values for one place are added. Recorded: if ``values`` requires grad, losses reach it. Indices are always
    checked. Raises RuntimeError naming the first that is out of range.

    >>> import eagergrad as eg
    >>> x = sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3))
    >>> x.to_dense().tolist()
    [[0.0, 0.0, 3.0], [4.0, 0.0, 0.0]]
    """
    if values is None and size is None and indices is not None:  # sparse_coo_tensor((2, 3))
        indices, size = None, indices
    if indices is None:
        size = _shape(() if size is None else size, "sparse_coo_tensor")
        indices = eg.zeros((len(size), 0), dtype=eg.int64)
        values = eg.zeros(0, dtype=dtype or eg.get_default_dtype())
    values = _values_array(values, dtype, device, requires_grad)
    indices = _index_array(indices, "sparse_coo_tensor", "indices")
    if indices.dim() == 2 and indices.shape[1] and values.dim() == 0:
        values = values.expand(indices.shape[1])
    if indices.numel() == 0 and indices.dim() == 1 and size is not None:
        indices = indices.reshape(len(tuple(size)), 0)
    x = coo_tensor(indices, values, size, "sparse_coo_tensor")
    if is_coalesced:
        if x.coalesce()._nnz() != x._nnz():
            raise RuntimeError(
                "[sparse_coo_tensor] is_coalesced was set, but indices has duplicates"
            )
        if not x.coalesce()._idx.equal(x._idx):
            raise RuntimeError(
                "[sparse_coo_tensor] is_coalesced was set, but indices are not sorted"
            )
        x._coalesced = True
    return x


def sparse_compressed_tensor(
    compressed_indices: Any,
    plain_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> SparseTensor:
    """A CSR or CSC matrix, as ``layout`` says; see `sparse_csr_tensor`."""
    if layout not in COMPRESSED:
        raise RuntimeError(
            f"[sparse_compressed_tensor] expected layout sparse_csr or sparse_csc, got {layout}"
        )
    values = _values_array(values, dtype, device, requires_grad)
    op = layout.rsplit(".", 1)[-1] + "_tensor"
    return compressed_tensor(layout, compressed_indices, plain_indices, values, size, op)


def sparse_csr_tensor(
    crow_indices: Any, col_indices: Any, values: Any, size: Any = None, **options: Any
) -> SparseTensor:
    """A matrix with compressed rows: row r has ``values[crow_indices[r]:crow_indices[r + 1]]`` at ``col_indices``.

    Takes integers of any width, always checked; arrays of int32 and int64 are shared, not copied. Rows that are not
    ascending or have duplicates are sorted and summed. Recorded. Raises RuntimeError with the first fault's position.

    >>> x = sparse_csr_tensor([0, 1, 2], [1, 0], [5.0, 6.0], (2, 2))
    >>> x.to_dense().tolist()
    [[0.0, 5.0], [6.0, 0.0]]
    """
    return sparse_compressed_tensor(
        crow_indices, col_indices, values, size, layout=eg.sparse_csr, **options
    )


def sparse_csc_tensor(
    ccol_indices: Any, row_indices: Any, values: Any, size: Any = None, **options: Any
) -> SparseTensor:
    """A matrix with compressed columns; see `sparse_csr_tensor`.

    >>> x = sparse_csc_tensor([0, 1, 2], [1, 0], [5.0, 6.0], (2, 2))
    >>> x.to_dense().tolist()
    [[0.0, 6.0], [5.0, 0.0]]
    """
    return sparse_compressed_tensor(
        ccol_indices, row_indices, values, size, layout=eg.sparse_csc, **options
    )


# ---- SciPy's way of calling ------------------------------------------------------------------------


def _matrix(layout: str, data: Any, shape: Any, dtype: Any, requires_grad: bool) -> SparseTensor:
    """What csr(...), csc(...) and coo(...) take."""
    name = layout.rsplit(".", 1)[-1]
    if isinstance(data, SparseTensor):
        made = data.to_sparse(layout=layout)
    elif is_scipy_sparse(data):
        from eagergrad.sparse.interop import from_scipy

        made = from_scipy(data, layout)
    elif isinstance(data, tuple) and len(data) == 3:
        values, plain, ptr = data
        if layout == eg.sparse_coo:
            raise TypeError("[coo] expected (values, (rows, columns)), got a tuple of three")
        made = compressed_tensor(
            layout, ptr, plain, _values_array(values, None, None, False), shape, name
        )
    elif isinstance(data, tuple) and len(data) == 2 and isinstance(data[1], Sequence):
        values, places = data
        rows = [_index_array(p, name, "indices").long() for p in places]
        indices = eg.stack(rows)
        values = _values_array(values, None, None, False)
        made = coo_tensor(indices, values, shape, name).to_sparse(layout=layout)
    elif isinstance(data, tuple) and len(data) == 2 and all(isinstance(n, int) for n in data):
        return _matrix(
            layout, sparse_coo_tensor(size=data, dtype=dtype), None, dtype, requires_grad
        )
    else:
        made = to_sparse(eg.as_tensor(data), layout=layout)
    if shape is not None and tuple(shape) != tuple(made.shape):
        raise ValueError(f"[{name}] expected shape {tuple(shape)}, got {tuple(made.shape)}")
    made = made if dtype is None else made.to(dtype)
    if requires_grad:
        made = made._with(made._vals.detach().clone().requires_grad_())
    return made


def csr(
    data: Any, shape: Any = None, *, dtype: Any = None, requires_grad: bool = False
) -> SparseTensor:
    """A matrix with compressed rows, of anything that scipy.sparse.csr_matrix takes.

    ``csr(scipy_matrix)`` shares its memory; ``csr((values, columns, row_pointers))``, ``csr((values, (rows, columns)))``,
    ``csr(dense)``, ``csr(sparse_tensor)`` and ``csr((rows, columns))`` for an empty matrix. Index arrays are checked.

    >>> import eagergrad as eg
    >>> csr((eg.tensor([1.0, 2.0]), [1, 0], [0, 1, 2]), (2, 3)).to_dense().tolist()
    [[0.0, 1.0, 0.0], [2.0, 0.0, 0.0]]
    """
    return _matrix(eg.sparse_csr, data, shape, dtype, requires_grad)


def csc(
    data: Any, shape: Any = None, *, dtype: Any = None, requires_grad: bool = False
) -> SparseTensor:
    """A matrix with compressed columns; see `csr`."""
    return _matrix(eg.sparse_csc, data, shape, dtype, requires_grad)


def coo(
    data: Any, shape: Any = None, *, dtype: Any = None, requires_grad: bool = False
) -> SparseTensor:
    """A matrix as coordinates and values; see `csr`."""
    return _matrix(eg.sparse_coo, data, shape, dtype, requires_grad)


def to_sparse(
    x: Tensor, sparse_dim: int | None = None, *, layout: Any = None, **kw: Any
) -> SparseTensor:
    """The nonzero elements of a dense tensor, recorded; Tensor.to_sparse."""
    if layout in COMPRESSED:
        if x.dim() != 2:
            raise RuntimeError(
                f"[to_sparse] {layout} needs 2 dimensions, got shape {tuple(x.shape)}"
            )
        return to_sparse(x).to_sparse(layout=layout)
    if layout not in (None, eg.sparse_coo):
        raise RuntimeError(f"[to_sparse] expected a sparse layout, got {layout}")
    dims = x.dim() if sparse_dim is None else sparse_dim
    if not 0 <= dims <= x.dim() or (x.dim() and dims == 0):
        raise RuntimeError(f"[to_sparse] sparse_dim expected 1 to {x.dim()}, got {dims}")
    used = x.detach() != 0
    if dims < x.dim():
        used = used.any(tuple(range(dims, x.dim()))) if x.dim() - dims > 1 else used.any(-1)
    at = used.nonzero()
    values = x[tuple(at.unbind(1))] if dims else x.reshape(1)[: at.shape[0]]
    return SparseTensor._coo(at.t().contiguous(), values, tuple(x.shape), True)


def to_sparse_coo(x: Tensor) -> SparseTensor:
    """The nonzero elements as a COO tensor; Tensor.to_sparse_coo."""
    return to_sparse(x)


def to_sparse_csr(x: Tensor, dense_dim: int | None = None) -> SparseTensor:
    """The nonzero elements as a CSR matrix; Tensor.to_sparse_csr."""
    return to_sparse(x, layout=eg.sparse_csr)


def to_sparse_csc(x: Tensor, dense_dim: int | None = None) -> SparseTensor:
    """The nonzero elements as a CSC matrix; Tensor.to_sparse_csc."""
    return to_sparse(x, layout=eg.sparse_csc)


def spdiags(diagonals: Any, offsets: Any, shape: Any, layout: Any = None) -> SparseTensor:
    """A matrix with the rows of ``diagonals`` on the diagonals ``offsets``: element j goes to column j. Recorded.

    >>> import eagergrad as eg
    >>> spdiags(eg.tensor([1.0, 2.0]), eg.tensor([1]), (2, 2)).to_dense().tolist()
    [[0.0, 2.0], [0.0, 0.0]]
    """
    diagonals = diagonals if isinstance(diagonals, Tensor) else eg.as_tensor(diagonals)
    diagonals = diagonals.unsqueeze(0) if diagonals.dim() == 1 else diagonals
    offsets = _index_array(offsets, "spdiags", "offsets").long().reshape(-1)
    if offsets.numel() != diagonals.shape[0]:
        raise RuntimeError(
            f"[spdiags] number of diagonals ({diagonals.shape[0]}) does not match the number of offsets "
            f"({offsets.numel()})"
        )
    if len(set(offsets.tolist())) != offsets.numel():
        raise RuntimeError("[spdiags] offset tensor contains duplicate values")
    rows, cols = _shape(shape, "spdiags")
    length = min(diagonals.shape[1], cols)
    col = eg.arange(length, device=diagonals.device).repeat(offsets.numel())
    row = col - offsets.to(col.device).repeat_interleave(length)
    keep = (row >= 0) & (row < rows)
    values = diagonals[:, :length].reshape(-1)[keep]
    made = coo_tensor(eg.stack([row[keep], col[keep]]), values, (rows, cols), "spdiags")
    return made.to_sparse(layout=layout)


def as_sparse(x: Any) -> Any:
    """SciPy matrices as sparse tensors over their memory, arrays as tensors, everything else as it is."""
    if type(x) is Tensor or type(x) is SparseTensor:
        return x
    if is_scipy_sparse(x):
        from eagergrad.sparse.interop import from_scipy

        return from_scipy(x)
    return eg.as_tensor(x) if isinstance(x, np.ndarray) else x


# ---- old names --------------------------------------------------------------------------------------


def _old_type(name: str, dtype: Any) -> Any:
    def make(*args: Any) -> SparseTensor:
        if not args:
            return sparse_coo_tensor(size=(0,), dtype=dtype)
        if len(args) == 1 or not isinstance(args[1], Tensor):
            size = args[0] if len(args) == 1 else args
            return sparse_coo_tensor(size=size, dtype=dtype)
        if args[1].dtype is not dtype:
            raise TypeError(f"sparse.{name} expected values of {dtype}, got {args[1].dtype}")
        return sparse_coo_tensor(args[0], args[1], *args[2:])

    make.__name__ = make.__qualname__ = name
    make.__doc__ = (
        f"The old spelling of `sparse_coo_tensor` for {dtype}: ``(indices, values, size)``."
    )
    return make


OLD_TYPES = {
    name: _old_type(name, dtype)
    for name, dtype in {
        "FloatTensor": eg.float32,
        "DoubleTensor": eg.float64,
        "HalfTensor": eg.float16,
        "BFloat16Tensor": eg.bfloat16,
        "IntTensor": eg.int32,
        "LongTensor": eg.int64,
        "ByteTensor": eg.uint8,
    }.items()
}
