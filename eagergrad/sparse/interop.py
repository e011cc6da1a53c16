"""SciPy's matrices without a copy, there and back."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.sparse.construct import compressed_tensor, coo_tensor
from eagergrad.sparse.tensor import SparseTensor


def from_scipy(m: Any, layout: str | None = None) -> SparseTensor:
    """A sparse tensor over a scipy.sparse matrix's arrays, which are checked.

    Values of a dtype that tensors have, and indices of int32 or int64, are shared: writing to the SciPy matrix's values
    writes to the tensor's. Formats other than CSR, CSC and COO are converted to CSR by SciPy.

    >>> import scipy.sparse
    >>> from_scipy(scipy.sparse.eye_array(2, format="csr")).to_dense().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if m.format not in ("csr", "csc", "coo"):
        m = m.tocsr()
    if m.format == "coo":
        coords = m.coords if hasattr(m, "coords") else (m.row, m.col)
        indices = eg.stack([eg.as_tensor(c).long() for c in coords])
        made = coo_tensor(indices, eg.as_tensor(m.data), m.shape, "scipy.coo")
    elif len(m.shape) == 1:
        return from_scipy(m.tocoo(), layout)
    else:
        own = eg.sparse_csr if m.format == "csr" else eg.sparse_csc
        made = compressed_tensor(
            own, m.indptr, m.indices, eg.as_tensor(m.data), m.shape, f"scipy.{m.format}"
        )
    return made if layout is None else made.to_sparse(layout=layout)


def to_scipy(x: SparseTensor) -> Any:
    """A scipy.sparse array over the tensor's memory. Raises RuntimeError if it requires grad."""
    try:
        import scipy.sparse as sp
    except ImportError:
        raise ImportError("scipy() needs SciPy: pip install eagergrad[sparse]") from None
    if x.requires_grad:
        raise RuntimeError(
            "Can't call scipy() on a tensor that requires grad. Use x.detach().scipy()."
        )
    if x.is_sparse:
        if x.dense_dim():
            raise RuntimeError(f"[scipy] SciPy has no dense dimensions: shape {tuple(x.shape)}")
        return sp.coo_array((x._vals.numpy(), tuple(x._idx.numpy())), tuple(x.shape))
    made = sp.csr_array if x.layout == eg.sparse_csr else sp.csc_array
    p = x._pattern
    array = made((x._vals.numpy(), p.idx.numpy(), p.ptr.numpy()), tuple(x.shape), copy=False)
    array.has_canonical_format = True
    return array
