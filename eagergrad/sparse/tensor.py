"""The class of sparse tensors: COO of any dimension, and matrices with compressed rows (CSR) or columns (CSC).

Where the entries are is a constant; their values are an ordinary tensor, recorded as every other. So gradients
flow to values through all that is done with a sparse tensor, and have its pattern.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import eagergrad as eg
from eagergrad import Size, Tensor
from eagergrad._C import ops as _ops
from eagergrad.sparse.pattern import Form, Grouping, Pattern, group, summed
from eagergrad.tensor.stand_in import StandIn

COMPRESSED: dict[str, tuple[str, str]] = {
    eg.sparse_csr: ("crow_indices", "col_indices"),
    eg.sparse_csc: ("ccol_indices", "row_indices"),
}


class SparseTensor(StandIn):
    """A tensor of which only some entries are stored. Made by `eagergrad.sparse.csr`, `csc` and `coo`.

    ``isinstance(x, eagergrad.Tensor)`` holds, as programs that check it expect, though the class is no
    subclass: an op of the core that has no sparse form refuses it instead of reading its values as a vector.
    """

    is_sparse_csr: bool
    names: tuple[None, ...] = ()

    def __init__(self, layout: str, shape: tuple[int, ...], values: Tensor, **where: Any) -> None:
        self.layout = layout
        self.shape = Size(shape)
        self._vals = values
        self._pattern: Pattern = where.get("pattern")  # type: ignore[assignment]
        self._idx: Tensor = where.get("indices")  # type: ignore[assignment]
        self._coalesced: bool = where.get("coalesced", True)
        self._grouping: Grouping | None = None

    @staticmethod
    def _call(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        from eagergrad.sparse.dispatch import call

        return call(func, args, kwargs)

    @property
    def _held(self) -> Tensor:  # type: ignore[override]
        return self._vals

    # -- what it is ------------------------------------------------------------------------------------

    @property
    def is_sparse(self) -> bool:
        return self.layout == eg.sparse_coo

    @property
    def is_sparse_csr(self) -> bool:  # type: ignore[no-redef]
        return self.layout == eg.sparse_csr

    def _nnz(self) -> int:
        return self._vals.shape[0]

    def sparse_dim(self) -> int:
        return self._idx.shape[0] if self.is_sparse else 2

    def dense_dim(self) -> int:
        return self.ndim - self.sparse_dim()

    def is_contiguous(self, memory_format: Any = None) -> bool:
        return True

    def contiguous(self, memory_format: Any = None) -> SparseTensor:
        return self

    def stride(self, dim: int | None = None) -> Any:
        raise RuntimeError(f"[stride] sparse tensors ({self.layout}) do not have strides")

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))  # type: ignore[index]

    def __bool__(self) -> bool:
        if self.numel() != 1:
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(self.to_dense())

    # -- entries ---------------------------------------------------------------------------------------

    def values(self) -> Tensor:
        """The values of the entries, recorded: losses of them reach whatever the tensor was made from."""
        if self.is_sparse and not self._coalesced:
            raise RuntimeError(
                "Cannot get values on an uncoalesced tensor, please call .coalesce() first"
            )
        return self._vals

    def indices(self) -> Tensor:
        """(sparse_dim, nnz): the coordinates of the entries of a coalesced COO tensor."""
        if not self.is_sparse:
            raise RuntimeError(
                f"indices expected sparse coordinate tensor layout but got {self.layout}"
            )
        if not self._coalesced:
            raise RuntimeError(
                "Cannot get indices on an uncoalesced tensor, please call .coalesce() first"
            )
        return self._idx

    def _values(self) -> Tensor:
        return self._vals

    def _indices(self) -> Tensor:
        if not self.is_sparse:
            raise RuntimeError(
                f"_indices expected sparse coordinate tensor layout but got {self.layout}"
            )
        return self._idx

    def _compressed(self, layout: str, name: str, plain: bool) -> Tensor:
        if self.layout != layout:
            raise RuntimeError(f"{name} expected {layout} tensor layout but got {self.layout}")
        return self._pattern.idx if plain else self._pattern.ptr

    def crow_indices(self) -> Tensor:
        return self._compressed(eg.sparse_csr, "crow_indices", False)

    def col_indices(self) -> Tensor:
        return self._compressed(eg.sparse_csr, "col_indices", True)

    def ccol_indices(self) -> Tensor:
        return self._compressed(eg.sparse_csc, "ccol_indices", False)

    def row_indices(self) -> Tensor:
        return self._compressed(eg.sparse_csc, "row_indices", True)

    def is_coalesced(self) -> bool:
        """Whether entries are sorted and no two share a place; CSR and CSC always are."""
        return self._coalesced

    def coalesce(self) -> SparseTensor:
        """The same tensor with sorted entries, duplicates summed. Recorded."""
        if self._coalesced:
            return self
        sparse_shape = self.shape[: self.sparse_dim()]
        total = 1
        for n in sparse_shape:
            total *= n
        if total > 2**63 - 1:
            raise RuntimeError(f"[coalesce] the size {tuple(sparse_shape)} does not fit 64 bits")
        flat = eg.zeros(self._nnz(), dtype=eg.int64, device=self.device)
        for n, at in zip(sparse_shape, self._idx, strict=True):
            flat = flat * n + at
        flat, target = eg.unique(flat, return_inverse=True)
        values = summed(self._vals, target, flat.numel())
        rows = []
        for n in reversed(sparse_shape):
            rows.append(flat % max(n, 1))
            flat = flat // max(n, 1)
        return self._coo(eg.stack(rows[::-1]), values, self.shape, True)

    # -- making others like it -------------------------------------------------------------------------

    @staticmethod
    def _coo(
        indices: Tensor, values: Tensor, shape: tuple[int, ...], coalesced: bool
    ) -> SparseTensor:
        return SparseTensor(eg.sparse_coo, shape, values, indices=indices, coalesced=coalesced)

    @staticmethod
    def _of(form: Form, layout: str) -> SparseTensor:
        """A matrix in the wanted layout."""
        if layout == eg.sparse_coo:
            form = form.upright()
            indices = eg.stack([c.long() for c in form.coordinates()])
            return SparseTensor._coo(indices, form.values, form.shape, True)
        if form.turned != (layout == eg.sparse_csc):
            form = form.flipped()
        return SparseTensor(layout, form.shape, form.values, pattern=form.pattern)

    def _form(self) -> Form:
        """This matrix for computing. Raises RuntimeError if it is none."""
        if not self.is_sparse:
            return Form(self._vals, self._pattern, self.layout == eg.sparse_csc)
        if self.sparse_dim() != 2 or self.ndim != 2:
            raise RuntimeError(
                f"expected a sparse matrix, got sparse_dim {self.sparse_dim()} and dense_dim "
                f"{self.dense_dim()} (shape {tuple(self.shape)})"
            )
        if self._grouping is None and self._coalesced:
            ptr, _ = _ops._sparse_compress(self._idx[0].contiguous(), self.shape[0])
            pattern = Pattern(ptr, self._idx[1].contiguous(), *self.shape)
            self._grouping = Grouping(pattern, None, None)
        elif self._grouping is None:
            self._grouping = group(
                self._idx[0].contiguous(), self._idx[1].contiguous(), *self.shape
            )
        return Form(self._grouping(self._vals), self._grouping.pattern, False)

    def _with(self, values: Tensor) -> SparseTensor:
        """The same places with other values."""
        made = SparseTensor(
            self.layout, self.shape, values,
            pattern=self._pattern, indices=self._idx, coalesced=self._coalesced,
        )  # fmt: skip
        made._grouping = self._grouping
        return made

    # -- layouts ---------------------------------------------------------------------------------------

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
        """All elements as an ordinary tensor. Recorded; the gradient is read at the entries."""
        if self.is_sparse:
            indices, shape = self._idx, self.shape
        else:
            indices, shape = eg.stack([c.long() for c in self._form().coordinates()]), self.shape
        wide = self._vals.to(eg.int64) if self.dtype is eg.bool else self._vals
        zeros = eg.zeros(shape, dtype=wide.dtype, device=self.device)
        if not indices.shape[0]:
            dense = zeros + wide.sum(0)
        else:
            dense = zeros.index_put(tuple(indices), wide, accumulate=True)
        return dense.to(self.dtype if dtype is None else dtype)

    def to_sparse(self, sparse_dim: Any = None, *, layout: Any = None, **kw: Any) -> SparseTensor:
        """This tensor in a sparse layout: COO unless another is named."""
        if layout in COMPRESSED:
            return SparseTensor._of(self._form(), layout)
        if layout not in (None, eg.sparse_coo):
            raise RuntimeError(f"[to_sparse] expected a sparse layout, got {layout}")
        if sparse_dim is not None and sparse_dim != self.sparse_dim():
            raise RuntimeError(
                f"[to_sparse] expected sparse_dim {self.sparse_dim()}, got {sparse_dim}"
            )
        return self if self.is_sparse else SparseTensor._of(self._form(), eg.sparse_coo)

    def to_sparse_coo(self) -> SparseTensor:
        return self.to_sparse()

    def to_sparse_csr(self, dense_dim: int | None = None) -> SparseTensor:
        return self.to_sparse(layout=eg.sparse_csr)

    def to_sparse_csc(self, dense_dim: int | None = None) -> SparseTensor:
        return self.to_sparse(layout=eg.sparse_csc)

    def scipy(self) -> Any:
        """A scipy.sparse array over the same memory."""
        from eagergrad.sparse.interop import to_scipy

        return to_scipy(self)

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError(
            f"can't convert {self.layout} tensor to numpy. Use x.to_dense().numpy(), or x.scipy()"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        from eagergrad.tensor.interop import left_to_the_tensor

        nothing = left_to_the_tensor()
        return self.numpy() if nothing is None else nothing

    def tolist(self) -> Any:
        return self.to_dense().tolist()

    # -- the tape --------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        return self._vals.requires_grad

    @requires_grad.setter
    def requires_grad(self, on: bool) -> None:
        self._vals.requires_grad = on

    def requires_grad_(self, requires_grad: bool = True) -> SparseTensor:
        self._vals.requires_grad_(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        return self._vals.is_leaf

    @property
    def grad_fn(self) -> Any:
        return self._vals.grad_fn

    @property
    def _version(self) -> int:
        return self._vals._version

    @property
    def grad(self) -> SparseTensor | None:
        """The gradient of the values as a sparse tensor of the same pattern, or None."""
        g = self._vals.grad
        return None if g is None else self._with(g)

    @grad.setter
    def grad(self, value: Any) -> None:
        self._vals.grad = value._vals if isinstance(value, SparseTensor) else value

    def retain_grad(self) -> None:
        self._vals.retain_grad()

    def detach(self) -> SparseTensor:
        return self._with(self._vals.detach())

    @property
    def data(self) -> SparseTensor:
        return self._with(self._vals.data)

    def clone(self, *, memory_format: Any = None) -> SparseTensor:
        return self._with(self._vals.clone())

    # -- dtype and device ------------------------------------------------------------------------------

    def to(self, *args: Any, **kwargs: Any) -> SparseTensor:
        """This tensor with another dtype or on another device: ``to(dtype)``, ``to(device, dtype)``, ``to(other)``. Recorded."""
        if args and isinstance(args[0], SparseTensor):
            args = (args[0]._vals, *args[1:])
        values = self._vals.to(*args, **kwargs)
        if values is self._vals:
            return self
        return self._with(values) if values.device == self.device else self._moved(values)

    def _moved(self, values: Tensor) -> SparseTensor:
        """The same places, on the device of the values."""
        return SparseTensor(
            self.layout, self.shape, values,
            pattern=self._pattern and self._pattern.to(values.device),
            indices=self._idx if self._idx is None else self._idx.to(values.device),
            coalesced=self._coalesced,
        )  # fmt: skip

    def type_as(self, other: Any) -> SparseTensor:
        return self.to(device=other.device, dtype=other.dtype)

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        if dtype is None:
            return "eagergrad.sparse." + self._vals.type().rsplit(".", 1)[-1]
        return self._with(self._vals.type(dtype))

    def cpu(self, memory_format: Any = None) -> SparseTensor:
        return self.to("cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False, **kw: Any) -> SparseTensor:
        return self.to("cuda" if device is None else device)

    def pin_memory(self, device: Any = None) -> SparseTensor:
        return self

    def is_pinned(self, device: Any = None) -> bool:
        return False

    def share_memory_(self) -> SparseTensor:
        return self

    def is_shared(self) -> bool:
        return False

    # -- Python ----------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        from eagergrad.sparse.printing import sparse_repr

        return sparse_repr(self)

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self.is_sparse:
            where: tuple[Any, ...] = (self._idx, None)
        else:
            where = (self._pattern.ptr, self._pattern.idx)
        return rebuild, (self.layout, tuple(self.shape), self._vals, *where, self._coalesced)

    def __copy__(self) -> SparseTensor:
        return self._with(self._vals)

    def __deepcopy__(self, memo: dict[int, Any]) -> SparseTensor:
        import copy

        made = self._with(copy.deepcopy(self._vals, memo))
        memo[id(self)] = made
        return made


def rebuild(
    layout: str, shape: Any, values: Tensor, first: Tensor, second: Any, coalesced: bool
) -> SparseTensor:
    """A sparse tensor from the parts that pickles and files store, checked anew."""
    from eagergrad.sparse import construct

    if layout == eg.sparse_coo:
        made = construct.coo_tensor(first, values, shape, "unpickle")
        made._coalesced = coalesced and made.coalesce()._idx.equal(made._idx)
        return made
    return construct.compressed_tensor(layout, first, second, values, shape, "unpickle")
