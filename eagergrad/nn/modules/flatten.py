"""Merging and splitting dimensions as layers."""

from __future__ import annotations

from typing import Any

from eagergrad import Tensor

from .module import Module

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """Merges dimensions start_dim to end_dim; by default all but the batch.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.Flatten()(eg.zeros(2, 3, 4)).shape)
    (2, 12)
    """

    __constants__ = ["start_dim", "end_dim"]

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits dimension `dim` into `unflattened_size`.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.Unflatten(1, (3, 4))(eg.zeros(2, 12)).shape)
    (2, 3, 4)
    """

    __constants__ = ["dim", "unflattened_size"]

    def __init__(self, dim: Any, unflattened_size: Any) -> None:
        super().__init__()
        if isinstance(dim, int):
            self._require_sizes(unflattened_size)
        else:
            raise TypeError(
                f"'dim' should be an int: named dimensions do not exist here, found {type(dim).__name__}"
            )
        self.dim = dim
        self.unflattened_size = unflattened_size

    @staticmethod
    def _require_sizes(sizes: Any) -> None:
        if not isinstance(sizes, (tuple, list)):
            raise TypeError(
                f"unflattened_size must be a tuple of ints, but found type {type(sizes).__name__}"
            )
        for i, size in enumerate(sizes):
            if not isinstance(size, int):
                raise TypeError(
                    "unflattened_size must be tuple of ints, "
                    f"but found element of type {type(size).__name__} at pos {i}"
                )

    def forward(self, input: Tensor) -> Tensor:
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
