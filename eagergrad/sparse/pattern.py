"""Where the entries of a sparse matrix are: checked once, never changed, shared by all tensors with the same entries."""

from __future__ import annotations

from typing import Any, NamedTuple

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops

INT32_MAX = 2**31 - 1


class Pattern:
    """Compressed rows of a rows x cols matrix: entry k of row r, ``ptr[r] <= k < ptr[r + 1]``, is in column ``idx[k]``.

    Rows are ascending and free of duplicates. The transposed pattern is kept from its second use on.
    """

    __slots__ = ("_expanded", "_turned", "_uses", "cols", "idx", "ptr", "rows")

    def __init__(self, ptr: Tensor, idx: Tensor, rows: int, cols: int) -> None:
        self.ptr, self.idx, self.rows, self.cols = ptr, idx, rows, cols
        self._turned: tuple[Tensor, Tensor, Tensor] | None = None
        self._expanded: Tensor | None = None
        self._uses = 0

    @property
    def nnz(self) -> int:
        return self.idx.numel()

    def expanded(self) -> Tensor:
        """The row of each entry."""
        if self._expanded is None:
            self._expanded = _ops._sparse_expand(self.ptr, self.nnz)
        return self._expanded

    def turned(self) -> tuple[Tensor, Tensor, Tensor]:
        """Pointers and indices of the transposed pattern, and the order that the values have there."""
        if self._turned is None:
            self._turned = _ops._sparse_transpose(self.ptr, self.idx, self.rows, self.cols)
        return self._turned

    def kept(self) -> list[Tensor]:
        """The transpose if this pattern is used again; nothing for a minibatch that is used once."""
        self._uses += 1
        return list(self.turned()) if self._turned is not None or self._uses > 1 else []

    def transposed(self) -> tuple[Pattern, Tensor]:
        """The pattern of the transpose, and the order of the values there."""
        ptr, idx, order = self.turned()
        return Pattern(ptr, idx, self.cols, self.rows), order

    def to(self, device: Any) -> Pattern:
        """The same pattern on another device."""
        return Pattern(self.ptr.to(device), self.idx.to(device), self.rows, self.cols)

    def as_int64(self) -> Pattern:
        if self.ptr.dtype is eg.int64:
            return self
        return Pattern(self.ptr.long(), self.idx.long(), self.rows, self.cols)

    def same(self, other: Pattern) -> bool:
        """Whether both have the same entries."""
        if self is other or (self.ptr is other.ptr and self.idx is other.idx):
            return self.rows == other.rows and self.cols == other.cols
        return (
            (self.rows, self.cols, self.nnz) == (other.rows, other.cols, other.nnz)
            and self.ptr.equal(other.ptr.to(self.ptr))
            and self.idx.equal(other.idx.to(self.idx))
        )


class Form(NamedTuple):
    """A sparse matrix for computing: the pattern, or its transpose if ``turned``, with the values in its order."""

    values: Tensor
    pattern: Pattern
    turned: bool

    def upright(self) -> Form:
        """The same matrix with compressed rows."""
        return self.flipped() if self.turned else self

    def flipped(self) -> Form:
        """The same matrix compressed along the other dimension."""
        pattern, order = self.pattern.transposed()
        return Form(self.values.index_select(0, order), pattern, not self.turned)

    def t(self) -> Form:
        return Form(self.values, self.pattern, not self.turned)

    @property
    def shape(self) -> tuple[int, int]:
        p = self.pattern
        return (p.cols, p.rows) if self.turned else (p.rows, p.cols)

    def coordinates(self) -> tuple[Tensor, Tensor]:
        """Row and column of each entry."""
        outer, inner = self.pattern.expanded(), self.pattern.idx
        return (inner, outer) if self.turned else (outer, inner)


class Grouping(NamedTuple):
    """How values given in any order, perhaps several for one place, become the values of a pattern."""

    pattern: Pattern
    order: Tensor | None  # None: as they are
    target: Tensor | None  # None: one for each entry

    def __call__(self, values: Tensor) -> Tensor:
        if self.order is not None:
            values = values.index_select(0, self.order)
        if self.target is None:
            return values
        return summed(values, self.target, self.pattern.nnz)


def summed(values: Tensor, target: Tensor, n: int) -> Tensor:
    """zeros(n) with values added at target; bool values are joined by or."""
    wide = values.to(eg.int64) if values.dtype is eg.bool else values
    zeros = eg.zeros((n, *values.shape[1:]), dtype=wide.dtype, device=wide.device)
    return zeros.index_add(0, target, wide).to(values.dtype)


def group(outer: Tensor, inner: Tensor, rows: int, cols: int) -> Grouping:
    """Sort coordinates, which are in range, into a canonical pattern; duplicates become one entry."""
    _, first = _ops._sparse_compress(inner, cols)
    outer = outer.index_select(0, first)
    ptr, second = _ops._sparse_compress(outer, rows)
    order = first.index_select(0, second)
    outer, inner = outer.index_select(0, second), inner.index_select(0, order)
    n = inner.numel()
    if n < 2:
        return Grouping(Pattern(ptr, inner, rows, cols), None, None)
    new = (outer[1:] != outer[:-1]) | (inner[1:] != inner[:-1])
    if bool(new.all()):
        return Grouping(Pattern(ptr, inner, rows, cols), order, None)
    one = eg.ones(1, dtype=eg.bool, device=new.device)
    target = eg.cat([one.long() - 1, new.cumsum(0)])
    keep = eg.cat([one, new])
    outer, inner = outer[keep], inner[keep]
    ptr, _ = _ops._sparse_compress(outer, rows)
    return Grouping(Pattern(ptr, inner, rows, cols), order, target)


def checked(
    ptr: Tensor, idx: Tensor, rows: int, cols: int, op: str, compressed: str, plain: str
) -> Grouping:
    """The pattern of untrusted arrays, and what becomes of their values.

    Raises RuntimeError with the position of the first fault. Rows that are not ascending, or have duplicates, are sorted
    and summed into new arrays; others are shared.
    """
    if _ops._sparse_check(ptr, idx, rows, cols, op, compressed, plain):
        return Grouping(Pattern(ptr, idx, rows, cols), None, None)
    return group(_ops._sparse_expand(ptr, idx.numel()), idx, rows, cols)
