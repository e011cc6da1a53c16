"""Gradients of which only some rows are not zero."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops
from eagergrad.tensor.subclass import disabled_torch_function

__all__ = ["RowSparse"]


class RowSparse(Tensor):
    """A tensor of shape `size` that is zero but for `rows`, where it has `values`: (n,) and (n, *size[1:]).

    What Embedding(sparse=True) and the like leave in `weight.grad`. Rows come in any order and are sorted, values of
    repeated rows added up, so that it is always coalesced. Sums with its like and products with numbers stay
    row-sparse; any other op gives what it gives for the dense tensor, and an in-place write of something dense makes it
    dense (`is_sparse` is False then). It is not recorded: with `create_graph` gradients are dense. IndexError for a row
    outside `size`, RuntimeError for shapes that do not fit.

    >>> import eagergrad as eg
    >>> g = eg.sparse.RowSparse(eg.tensor([2, 0, 2]), eg.tensor([[1.0], [2.0], [3.0]]), (4, 1))
    >>> g.indices().tolist(), g.values().tolist()
    ([[0, 2]], [[2.0], [4.0]])
    >>> (g * 0.5 + g).to_dense().flatten().tolist()
    [3.0, 0.0, 6.0, 0.0]
    """

    __slots__ = ()
    __torch_function__ = disabled_torch_function

    def __new__(cls, rows: Any, values: Any, size: Any) -> Any:
        values = values if isinstance(values, Tensor) else eg.tensor(values)
        if not isinstance(rows, Tensor):
            rows = eg.tensor(rows, dtype=None if len(rows) else eg.int64, device=values.device)
        return _ops._row_sparse(rows.detach(), values.detach(), tuple(size))

    # -- parts ---------------------------------------------------------------------------------------------

    @property
    def is_sparse(self) -> Any:
        """Whether it still has rows: False once it was written as a dense tensor."""
        return _ops._is_row_sparse(self)

    @property
    def layout(self) -> Any:
        return eg.sparse_coo if self.is_sparse else eg.strided

    def _parts(self) -> tuple[Tensor, Tensor]:
        parts = _ops._row_parts(self)
        if not parts:
            raise RuntimeError(
                "[RowSparse] expected a row-sparse tensor; this one was written as a dense tensor and is one now"
            )
        return parts[0], parts[1]

    def _indices(self) -> Tensor:
        return self._parts()[0].reshape(1, -1)

    def _values(self) -> Tensor:
        return self._parts()[1]

    def indices(self) -> Tensor:
        """The rows, ascending, as (1, n) int64: a copy."""
        return self._indices()

    def values(self) -> Tensor:
        """The values of these rows, (n, ...): the gradient's own memory."""
        return self._values()

    def _nnz(self) -> Any:
        return self._values().shape[0]

    def coalesce(self) -> Tensor:
        """This tensor: its rows are always ascending and distinct."""
        return self

    def is_coalesced(self) -> Any:
        return True

    def sparse_dim(self) -> Any:
        return 1 if self.is_sparse else 0

    def dense_dim(self) -> Any:
        return self.ndim - self.sparse_dim()

    def to_dense(self, dtype: Any = None, *, masked_grad: Any = None) -> Tensor:
        """The dense tensor, a copy."""
        dense = self._spread() if self.is_sparse else _ops.clone(self)
        return dense if dtype is None else dense.to(dtype)

    def _spread(self) -> Tensor:
        rows, values = self._parts()
        return _ops.zeros(*self.shape, dtype=self.dtype, device=self.device).index_add_(
            0, rows, values
        )

    def _like(self, values: Tensor) -> Any:
        """The same rows with other values."""
        return RowSparse(self._parts()[0].to(values.device), values, self.shape)

    # -- arithmetic ----------------------------------------------------------------------------------------

    def clone(self, *, memory_format: Any = None) -> Any:
        return self._like(self._values()) if self.is_sparse else super().clone()

    def add(self, other: Any, *, alpha: Any = 1) -> Any:
        if _both_sparse(self, other):
            return _ops._row_sparse_add(self, other if alpha == 1 else other * alpha)
        if not _is_sparse(other) and _is_sparse(self) and isinstance(other, Tensor) and alpha == 1:
            if other.shape == self.shape and other.dtype == self.dtype:
                rows, values = self._parts()
                return other.index_add(0, rows, values)
        return super().add(other, alpha=alpha)

    def sub(self, other: Any, *, alpha: Any = 1) -> Any:
        return (
            self.add(-other, alpha=alpha)
            if _both_sparse(self, other)
            else super().sub(other, alpha=alpha)
        )

    def mul(self, other: Any) -> Any:
        return self._like(self._values() * other) if self._scales(other) else super().mul(other)

    def div(self, other: Any, *, rounding_mode: Any = None) -> Any:
        if rounding_mode is None and self._scales(other):
            return self._like(self._values() / other)
        return super().div(other, rounding_mode=rounding_mode)

    def neg(self) -> Any:
        return self._like(-self._values()) if self._plain() else super().neg()

    def norm(self, p: Any = 2, dim: Any = None, keepdim: Any = False, dtype: Any = None) -> Tensor:
        """The norm of all elements from the stored ones alone, or along `dim` of the dense tensor."""
        whole = dim is None and not keepdim and self._plain()
        return eg.norm(self._values() if whole else self, p, dim, keepdim, dtype=dtype)

    def _plain(self) -> Any:
        """Row-sparse and outside the tape?"""
        return self.is_sparse and not (self.requires_grad and eg.is_grad_enabled())

    def _scales(self, other: Any) -> Any:
        """Is the product with `other` one with a number, which keeps the zeros?"""
        number = isinstance(other, (int, float)) or (
            isinstance(other, Tensor)
            and other.numel() == 1
            and other.ndim <= 1
            and not other.requires_grad
        )
        return number and self._plain()

    def __add__(self, other: Any) -> Any:
        return self.add(other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self.sub(other)

    def __mul__(self, other: Any) -> Any:
        return self.mul(other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self.div(other)

    def __neg__(self) -> Any:
        return self.neg()

    multiply, divide, true_divide = mul, div, div

    # -- in place ------------------------------------------------------------------------------------------

    def _become(self, other: Any) -> Any:
        _ops._row_sparse_take_(self, other)
        return self

    def add_(self, other: Any, *, alpha: Any = 1) -> Any:
        if _both_sparse(self, other):
            return self._become(self.add(other, alpha=alpha))
        return super().add_(other, alpha=alpha)

    def sub_(self, other: Any, *, alpha: Any = 1) -> Any:
        if _both_sparse(self, other):
            return self._become(self.sub(other, alpha=alpha))
        return super().sub_(other, alpha=alpha)

    def mul_(self, other: Any) -> Any:
        return self._become(self.mul(other)) if self._scales(other) else super().mul_(other)

    def div_(self, other: Any, *, rounding_mode: Any = None) -> Any:
        if rounding_mode is None and self._scales(other):
            return self._become(self.div(other))
        return super().div_(other, rounding_mode=rounding_mode)

    def neg_(self) -> Any:
        return self._become(self.neg()) if self._plain() else super().neg_()

    def zero_(self) -> Any:
        """Drops all rows."""
        if not self._plain():
            return super().zero_()
        rows, values = self._parts()
        return self._become(RowSparse(rows[:0], values[:0], self.shape))

    def copy_(self, source: Any, non_blocking: Any = False) -> Any:
        return self._become(source.clone()) if _both_sparse(self, source) else super().copy_(source)

    def __iadd__(self, other: Any) -> Any:
        return self.add_(other)

    def __isub__(self, other: Any) -> Any:
        return self.sub_(other)

    def __imul__(self, other: Any) -> Any:
        return self.mul_(other)

    def __itruediv__(self, other: Any) -> Any:
        return self.div_(other)

    # -- leaving ---------------------------------------------------------------------------------------------

    def to(self, *args: Any, **kwargs: Any) -> Any:
        if not self._plain():
            return super().to(*args, **kwargs)
        values = self._values().to(*args, **kwargs)
        return self if values is self._values() else self._like(values)

    def type(self, dtype: Any = None, non_blocking: Any = False) -> Any:
        return super().type() if dtype is None else self.to(super().type(dtype).dtype)

    def float(self) -> Any:
        return self.to(eg.float32)

    def double(self) -> Any:
        return self.to(eg.float64)

    def half(self) -> Any:
        return self.to(eg.float16)

    def bfloat16(self) -> Any:
        return self.to(eg.bfloat16)

    def numpy(self, *, force: Any = False) -> Any:
        if self.is_sparse:
            raise TypeError(
                "can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() to convert to a strided tensor first."
            )
        return super().numpy(force=force)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        self.numpy(force=True)
        return super().__array__(dtype, copy)

    def data_ptr(self) -> Any:
        if self.is_sparse:
            raise RuntimeError("Cannot access data pointer of a sparse Tensor: it has none")
        return super().data_ptr()

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        if not self.is_sparse:
            return super().__repr__()
        rows, values = self._parts()
        return (
            f"tensor(rows={rows.tolist() if len(rows) <= 10 else rows}, values={values},\n"
            f"       size={tuple(self.shape)}, nnz={len(rows)}, layout={self.layout})"
        )

    __str__ = __repr__

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        if not self.is_sparse:
            return super().__reduce_ex__(protocol)
        return RowSparse, (*self._parts(), tuple(self.shape))

    def __deepcopy__(self, memo: dict[Any, Any]) -> Any:
        return memo.setdefault(id(self), self.clone())

    def __copy__(self) -> Any:
        return self.clone()


def as_rows(x: Any) -> RowSparse:
    """The rows in which a sparse tensor has entries, each of them dense."""
    coo = eg.sparse.coo(x).detach().coalesce()
    row, *columns = coo.indices().unbind(0)
    rows, place = eg.unique(row, return_inverse=True)
    values = eg.zeros(len(rows), *coo.shape[1:], dtype=coo.dtype)
    values[(place, *columns)] = coo.values()
    return RowSparse(rows, values, coo.shape)


def _is_sparse(x: Any) -> Any:
    return isinstance(x, RowSparse) and x._plain()


def _both_sparse(a: Any, b: Any) -> Any:
    return _is_sparse(a) and _is_sparse(b)
