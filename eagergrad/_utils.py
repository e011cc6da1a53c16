"""Several tensors in one vector: what programs take from PyTorch's module of this name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import eagergrad as eg

__all__ = ["_flatten_dense_tensors", "_unflatten_dense_tensors"]


def _flatten_dense_tensors(tensors: Sequence[Any]) -> Any:
    """One vector of the elements of all.

    >>> import eagergrad as eg
    >>> _flatten_dense_tensors([eg.ones(1, 2), eg.zeros(1)]).tolist()
    [1.0, 1.0, 0.0]
    """
    return eg.cat([t.reshape(-1) for t in tensors]) if len(tensors) != 1 else tensors[0].reshape(-1)


def _unflatten_dense_tensors(flat: Any, tensors: Sequence[Any]) -> tuple[Any, ...]:
    """Views of a vector, of the shapes of the tensors, one after another."""
    parts = flat.split([t.numel() for t in tensors])
    return tuple(p.view(t.shape) for p, t in zip(parts, tensors, strict=True))
