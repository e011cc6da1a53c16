"""Causal masks for queries and keys of different numbers."""

from __future__ import annotations

from typing import Any

import eagergrad as eg

__all__ = ["causal_lower_right", "causal_upper_left"]


def causal_upper_left(*size: int) -> Any:
    """The mask of `size` (queries, keys) by which query i sees the keys up to i: that of ``is_causal=True``.

    >>> causal_upper_left(2, 3).int().tolist()
    [[1, 0, 0], [1, 1, 0]]
    """
    return _mask(size, 0)


def causal_lower_right(*size: int) -> Any:
    """The mask of `size` (queries, keys) by which the last query sees all keys: that of queries at the end of a cache.

    >>> causal_lower_right(2, 3).int().tolist()
    [[1, 1, 0], [1, 1, 1]]
    """
    return _mask(size, size[1] - size[0] if len(size) == 2 else 0)


def _mask(size: tuple[int, ...], diagonal: int) -> Any:
    if len(size) != 2:
        raise RuntimeError(f"[causal mask] expected 2 sizes, queries and keys, got {size}")
    return eg.ones(size, dtype=eg.bool).tril(diagonal)
