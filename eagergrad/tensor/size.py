"""Shapes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    SizeBase = tuple
else:
    from eagergrad._C import SizeBase


def wrap_dim(dim: int, ndim: int) -> int:
    """`dim` counted from the front; a 0-d tensor has one dimension to this end.

    Raises:
        IndexError: there is no such dimension.
    """
    n = max(ndim, 1)
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
        )
    return dim % n


class Size(SizeBase):
    """Shape of a tensor: a tuple of integers.

    >>> import eagergrad as eg
    >>> eg.zeros(2, 3).shape.numel()
    6
    """

    __module__ = "eagergrad"  # where programs find it, and what `type(x)` prints
    __slots__ = ()

    def numel(self) -> int:
        """Product of the lengths."""
        return math.prod(self)

    def __repr__(self) -> str:
        return f"eagergrad.Size({list(self)})"

    def __add__(self, other: Any) -> Size:
        return Size(tuple.__add__(self, tuple(other)))

    def __radd__(self, other: Any) -> Size:
        return Size(tuple(other) + tuple(self))

    def __mul__(self, times: Any) -> Size:
        return Size(tuple.__mul__(self, times))

    def __reduce__(self) -> tuple[Any, ...]:
        return Size, (tuple(self),)
