"""Sparse matrices in SciPy's .npz format, and matrices on disk that are larger than memory."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

import eagergrad as eg
from eagergrad import Tensor
from eagergrad.sparse.construct import as_sparse, compressed_tensor, coo_tensor
from eagergrad.sparse.shape import _positions
from eagergrad.sparse.tensor import SparseTensor

_FORMATS = {"csr": eg.sparse_csr, "csc": eg.sparse_csc}


def save_npz(file: Any, matrix: Any, compressed: bool = False) -> None:
    """Write a sparse matrix so that ``scipy.sparse.load_npz`` and `load_npz` read it.

    Only uncompressed files, the default here, can be mapped. bfloat16 is refused, which NumPy lacks.
    """
    x = as_sparse(matrix).detach().cpu()
    if x.dtype is eg.bfloat16:
        raise TypeError("[save_npz] NumPy has no bfloat16; use x.float()")
    if x.ndim != 2 or x.dense_dim():
        raise RuntimeError(f"[save_npz] expected a sparse matrix, got shape {tuple(x.shape)}")
    parts: dict[str, Any] = {"shape": np.array(tuple(x.shape)), "data": x._vals.numpy()}
    if x.is_sparse:
        parts |= {"format": b"coo", "row": x._idx[0].numpy(), "col": x._idx[1].numpy()}
    else:
        kind = x.layout.rsplit("_", 1)[-1].encode()
        parts |= {
            "format": kind,
            "indices": x._pattern.idx.numpy(),
            "indptr": x._pattern.ptr.numpy(),
        }
    (np.savez_compressed if compressed else np.savez)(file, **parts)


def load_npz(file: Any, mmap: bool = False) -> Any:
    """Read a file of `save_npz` or ``scipy.sparse.save_npz``: a checked sparse tensor.

    With ``mmap=True``, and a file of CSR that is not compressed, a `SparseFile`: rows are read when they are asked
    for. Raises ValueError for other files. Never runs code from the file.
    """
    if mmap:
        return SparseFile(file)
    with np.load(file, allow_pickle=False) as z:
        kind = _kind(z.get("format"))
        shape = tuple(int(n) for n in z["shape"])
        values = eg.as_tensor(z["data"])
        if kind == "coo":
            rows = [eg.as_tensor(z[name]).long() for name in ("row", "col")]
            return coo_tensor(eg.stack(rows), values, shape, "load_npz")
        if kind not in _FORMATS:
            raise ValueError(f"[load_npz] expected a file of csr, csc or coo, got format {kind!r}")
        return compressed_tensor(
            _FORMATS[kind], z["indptr"], z["indices"], values, shape, "load_npz"
        )


def _kind(item: Any) -> str:
    if item is None:
        raise ValueError("[load_npz] the file does not contain a sparse matrix: it has no 'format'")
    found = np.asarray(item).item()
    return found.decode("ascii") if isinstance(found, bytes) else str(found)


def _mapped(path: str, archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """A member of an uncompressed .npz as an array over the file."""
    try:
        info = archive.getinfo(name + ".npy")
    except KeyError:
        raise ValueError(f"[load_npz] the file has no {name!r}") from None
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(
            "[load_npz] mmap needs a file that is not compressed: save_npz(file, x, compressed=False)"
        )
    with open(path, "rb") as f:
        f.seek(info.header_offset)
        head = f.read(30)
        if len(head) < 30 or head[:4] != b"PK\x03\x04":
            raise ValueError(f"[load_npz] the file is damaged at {name!r}")
        name_length, extra_length = struct.unpack("<HH", head[26:30])
        f.seek(info.header_offset + 30 + name_length + extra_length)
        version = np.lib.format.read_magic(f)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(f)
        start = f.tell()
    if dtype.hasobject or len(shape) != 1:
        raise ValueError(f"[load_npz] expected {name!r} as one row of numbers, got {dtype} {shape}")
    if start + shape[0] * dtype.itemsize > os.path.getsize(path):
        raise ValueError(f"[load_npz] the file is cut off in {name!r}")
    if shape[0] == 0:
        return np.zeros(0, dtype)
    return np.memmap(path, dtype, "r", start, shape)


class SparseFile:
    """A CSR matrix on disk: rows are read, and checked, when they are asked for.

    ``x[i:j]``, ``x[rows]`` and ``x[mask]`` are CSR tensors in memory, so a DataLoader can draw minibatches from it;
    ``x @ W`` goes through it block by block, recorded. Only the row pointers are kept in memory.
    """

    layout = eg.sparse_csr
    ndim = 2
    takes_index_tensor = True  # for DataLoader: whole batches at once

    def __init__(self, file: Any) -> None:
        path = os.fspath(file)
        with zipfile.ZipFile(path) as archive:
            small = {}
            for name in ("format", "shape"):
                with archive.open(name + ".npy") as f:
                    small[name] = np.lib.format.read_array(f, allow_pickle=False)
            kind = _kind(small["format"])
            if kind != "csr":
                raise ValueError(f"[load_npz] mmap needs a file of csr, got {kind}")
            self._ptr = np.array(_mapped(path, archive, "indptr"), np.int64)
            self._idx = _mapped(path, archive, "indices")
            self._data = _mapped(path, archive, "data")
        self.path = path
        self.shape = eg.Size(int(n) for n in small["shape"])
        self._check()

    def _check(self) -> None:
        rows, nnz = self.shape[0], len(self._idx)
        if self._idx.dtype.kind not in "iu" or len(self._data) != nnz or len(self._ptr) != rows + 1:
            raise ValueError(
                f"[load_npz] {len(self._ptr)} row pointers, {nnz} indices of {self._idx.dtype} and "
                f"{len(self._data)} values do not make a matrix of shape {tuple(self.shape)}"
            )
        steps = np.diff(self._ptr)
        if self._ptr[0] != 0 or self._ptr[-1] != nnz or (steps < 0).any():
            at = int(np.argmax(steps < 0)) + 1 if (steps < 0).any() else 0
            raise ValueError(
                f"[load_npz] expected row pointers that rise from 0 to {nnz}, got {self._ptr[at]} at position {at} "
                f"and {self._ptr[-1]} at the end"
            )

    @property
    def dtype(self) -> Any:
        return eg.as_tensor(self._data[:0]).dtype

    def __reduce__(self) -> Any:
        return SparseFile, (self.path,)

    def dim(self) -> int:
        return 2

    def _nnz(self) -> int:
        return len(self._idx)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"SparseFile({self.path!r}, size={tuple(self.shape)}, nnz={self._nnz()}, dtype={self.dtype})"

    def __getitem__(self, index: Any) -> SparseTensor:
        """Rows in memory."""
        rows = len(self)
        if isinstance(index, slice):
            start, stop, step = index.indices(rows)
            if step == 1:
                return self._range(start, max(start, stop))
            index = range(start, stop, step)
        elif hasattr(index, "__index__") and not getattr(index, "ndim", 0):
            return self._range(*_single(int(index), rows)).select(0, 0)  # type: ignore[attr-defined]
        at = _positions(index, rows).cpu().numpy().astype(np.int64)
        if at.size and not -rows <= at.min() <= at.max() < rows:
            bad = int(at.min() if at.min() < -rows else at.max())
            raise IndexError(f"[index] index {bad} is out of range for {rows} rows")
        at = at % max(rows, 1)
        lengths = self._ptr[at + 1] - self._ptr[at]
        ptr = np.concatenate([[0], np.cumsum(lengths)])
        entries = np.arange(ptr[-1]) + np.repeat(self._ptr[at] - ptr[:-1], lengths)
        return self._matrix(ptr, self._idx[entries], self._data[entries])

    def _range(self, start: int, stop: int) -> SparseTensor:
        low, high = self._ptr[start], self._ptr[stop]
        ptr = self._ptr[start : stop + 1] - low
        return self._matrix(ptr, np.array(self._idx[low:high]), np.array(self._data[low:high]))

    def _matrix(self, ptr: np.ndarray, idx: np.ndarray, data: np.ndarray) -> SparseTensor:
        values = eg.as_tensor(np.ascontiguousarray(data))
        shape = (len(ptr) - 1, self.shape[1])
        return compressed_tensor(
            eg.sparse_csr, ptr.astype(idx.dtype, copy=False) if len(idx) < 2**31 else ptr,
            idx, values, shape, "SparseFile",
        )  # fmt: skip

    def blocks(self, entries: int = 1 << 22) -> Iterator[SparseTensor]:
        """All rows in order, in matrices of about that many entries."""
        start = 0
        while start < len(self):
            stop = int(np.searchsorted(self._ptr, self._ptr[start] + entries, "right")) - 1
            stop = min(max(stop, start + 1), len(self))
            yield self._range(start, stop)
            start = stop

    def __matmul__(self, other: Tensor) -> Tensor:
        parts = [block @ other for block in self.blocks()]
        return eg.cat(parts) if parts else self._range(0, 0) @ other

    def load(self) -> SparseTensor:
        """The whole matrix in memory."""
        return self._range(0, len(self))


def _single(index: int, rows: int) -> tuple[int, int]:
    if not -rows <= index < rows:
        raise IndexError(f"index {index} is out of bounds for dimension 0 with size {rows}")
    return index % rows, index % rows + 1
