"""Sparse matrices, products that cost what the entries cost, and gradients that have few rows.

>>> import eagergrad as eg
>>> x = eg.sparse.csr((eg.tensor([1.0, 2.0]), [0, 3], [0, 1, 2]), (2, 4))
>>> w = eg.ones(4, 1, requires_grad=True)
>>> (x @ w).sum().backward()
>>> w.grad.flatten()
tensor([1., 0., 0., 2.])
"""

from __future__ import annotations

import sys
from typing import Any

from . import dispatch as _dispatch
from .construct import (
    OLD_TYPES,
    coo,
    csc,
    csr,
    sparse_compressed_tensor,
    sparse_coo_tensor,
    sparse_csc_tensor,
    sparse_csr_tensor,
    spdiags,
)
from .files import SparseFile, load_npz, save_npz
from .interop import from_scipy
from .products import addmm, matmul, mm, row_gradient, sampled_addmm, structured_dot
from .products import mm as dsmm
from .products import mm as hspmm
from .products import mm as spmm
from .reduce import (
    log_softmax,
    mean,
    norm,
    segment_log_softmax,
    segment_softmax,
    segment_sum,
    softmax,
    sum,
)
from .row_sparse import *
from .row_sparse import __all__ as _row_sparse_names
from .shape import cat, hstack, vstack
from .tensor import SparseTensor

__all__ = [
    "Linear",  # noqa: F405
    "SparseFile",
    "SparseTensor",
    "addmm",
    "cat",
    "coo",
    "csc",
    "csr",
    "dsmm",
    "from_scipy",
    "hspmm",
    "hstack",
    "load_npz",
    "log_softmax",
    "matmul",
    "mean",
    "mm",
    "norm",
    "row_gradient",
    "sampled_addmm",
    "save_npz",
    "segment_log_softmax",
    "segment_softmax",
    "segment_sum",
    "softmax",
    "sparse_compressed_tensor",
    "sparse_coo_tensor",
    "sparse_csc_tensor",
    "sparse_csr_tensor",
    "spdiags",
    "spmm",
    "structured_dot",
    "sum",
    "vstack",
    *OLD_TYPES,
    *_row_sparse_names,
]

globals().update(OLD_TYPES)
_dispatch.attach()


def __getattr__(name: str) -> Any:
    if name == "Linear":  # nn imports what imports this package
        from .layers import Linear

        return Linear
    if name == "torch":  # old programs say torch.sparse.torch.eye
        return sys.modules[__name__.partition(".")[0]]
    raise AttributeError(f"module 'eagergrad.sparse' has no attribute {name!r}")
