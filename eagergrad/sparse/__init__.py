"""Sparse data: gradients that have few rows."""

from __future__ import annotations

from .row_sparse import *
from .row_sparse import __all__ as _row_sparse_names

__all__ = [*_row_sparse_names]
