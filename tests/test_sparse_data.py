"""Sparse matrices in files, datasets and loaders, and index arrays that nobody should trust."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import eagergrad as eg
from eagergrad.sparse import SparseFile, load_npz, save_npz
from eagergrad.utils.data import DataLoader, Subset, TensorDataset

sp = pytest.importorskip("scipy.sparse", reason="the reference needs SciPy")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of read-only arrays


def matrix(rows: int = 20, cols: int = 7, dtype: str = "float32") -> Any:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((rows, cols)) * (rng.random((rows, cols)) < 0.3)
    return sp.csr_array(a.astype(dtype))


# -- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
@pytest.mark.parametrize("compressed", [False, True])
def test_npz_is_scipys_format(kind: str, compressed: bool, tmp_path: Path) -> None:
    m = matrix().asformat(kind)
    save_npz(tmp_path / "ours.npz", getattr(eg.sparse, kind)(m), compressed)
    sp.save_npz(tmp_path / "theirs.npz", m, compressed)
    ours, theirs = load_npz(tmp_path / "theirs.npz"), sp.load_npz(tmp_path / "ours.npz")
    assert ours.layout == getattr(eg, f"sparse_{kind}") and theirs.format == kind
    np.testing.assert_array_equal(ours.to_dense().numpy(), m.toarray())
    np.testing.assert_array_equal(theirs.toarray(), m.toarray())


@pytest.mark.parametrize("writer", ["ours", "theirs"])
def test_rows_of_a_file_are_read_when_asked_for(writer: str, tmp_path: Path) -> None:
    m, path = matrix(), tmp_path / "m.npz"
    save_npz(path, m) if writer == "ours" else sp.save_npz(path, m, compressed=False)
    x = load_npz(path, mmap=True)
    assert isinstance(x, SparseFile) and isinstance(x._idx, np.memmap)
    assert (x.shape, len(x), x._nnz(), x.dtype) == (eg.Size([20, 7]), 20, m.nnz, eg.float32)
    a = m.toarray()
    for index in (
        slice(3, 9),
        slice(None, None, -3),
        [5, -1, 5],
        np.arange(20) % 3 == 0,
        slice(9, 2),
    ):
        got = x[index]
        assert got.layout == eg.sparse_csr
        np.testing.assert_array_equal(got.to_dense().numpy(), a[index])
    assert x[[]].shape == (0, 7)
    np.testing.assert_array_equal(x[-2].to_dense().numpy(), a[-2])
    np.testing.assert_array_equal(x.load().to_dense().numpy(), a)
    w = eg.randn(7, 3, requires_grad=True)
    y = x @ w
    np.testing.assert_allclose(y.detach().numpy(), a @ w.detach().numpy(), rtol=1e-5, atol=1e-6)
    y.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), a.T @ np.ones((20, 3)), rtol=1e-5, atol=1e-6)
    assert sum(b._nnz() for b in x.blocks(10)) == m.nnz and len(list(x.blocks(10))) > 2
    assert pickle.loads(pickle.dumps(x)).shape == x.shape
    assert "SparseFile" in repr(x)
    for bad in ([20], [-21], 20, -21):
        with pytest.raises(IndexError, match="out of"):
            x[bad]


def test_files_that_cannot_be_mapped_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    save_npz(path, matrix(), compressed=True)
    with pytest.raises(ValueError, match="not compressed"):
        load_npz(path, mmap=True)
    save_npz(path, eg.sparse.csc(matrix()))
    with pytest.raises(ValueError, match="csr"):
        load_npz(path, mmap=True)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(ValueError, match="format"):
        load_npz(path)
    with pytest.raises(TypeError, match="bfloat16"):
        save_npz(path, eg.sparse.csr(matrix()).bfloat16())


@pytest.mark.parametrize("what", ["falling", "long", "index", "short"])
def test_damaged_files_are_refused_where_they_are_read(what: str, tmp_path: Path) -> None:
    m, path = matrix(), tmp_path / "m.npz"
    parts = {"indices": m.indices.copy(), "indptr": m.indptr.copy(), "data": m.data.copy()}
    if what == "falling":
        parts["indptr"][5] = parts["indptr"][4] - 1
    elif what == "long":
        parts["indptr"][-1] += 5
    elif what == "index":
        parts["indices"][3] = 7
    else:
        parts["data"] = parts["data"][:-1]
    np.savez(path, format=b"csr", shape=m.shape, **parts)
    with pytest.raises(RuntimeError, match="expected"):
        load_npz(path)
    if what == "index":
        x = load_npz(path, mmap=True)
        x[10:]
        with pytest.raises(
            RuntimeError, match=r"expected col_indices in \[0, 7\), got 7 at position 3"
        ):
            x[:10]
    else:
        with pytest.raises(ValueError, match="load_npz"):
            load_npz(path, mmap=True)


def test_sparse_tensors_in_saved_structures(tmp_path: Path) -> None:
    x = eg.sparse.csr(matrix())
    eg.save({"x": x, "n": 3}, tmp_path / "a.eg")
    back = eg.load(tmp_path / "a.eg")["x"]
    assert back.layout == x.layout and back.to_dense().equal(x.to_dense())


def test_a_file_that_calls_its_entries_sorted_is_not_believed() -> None:
    from eagergrad.sparse.tensor import rebuild

    for index in ([[1, 0]], [[0, 0]]):
        values = eg.tensor([1.0, 2.0])
        x = rebuild(eg.sparse_coo, (2,), values, eg.tensor(index), None, True)
        assert not x.is_coalesced()


# -- minibatches --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [
    lambda m: m, eg.sparse.csr, eg.sparse.csc, eg.sparse.coo, lambda m: m.tocsc()], ids=str)  # fmt: skip
@pytest.mark.parametrize(
    "workers", [0, pytest.param(2, marks=pytest.mark.host("a forked process computes on the CPU"))]
)
def test_a_loader_makes_sparse_batches(make: Any, workers: int) -> None:
    m = matrix()
    data = TensorDataset(make(m), eg.arange(20))
    seen = []
    for x, y in DataLoader(data, 6, num_workers=workers):
        assert x.layout == eg.sparse_csr
        np.testing.assert_array_equal(x.to_dense().numpy(), m.toarray()[y.numpy()])
        seen += y.tolist()
    assert seen == list(range(20))


def test_a_loader_reads_a_file_and_subsets(tmp_path: Path) -> None:
    m = matrix()
    save_npz(tmp_path / "m.npz", m)
    data = TensorDataset(load_npz(tmp_path / "m.npz", mmap=True), eg.arange(20))
    for part in (data, Subset(data, [3, 1, 4, 1, 5])):
        for x, y in DataLoader(part, 3, shuffle=True):
            assert x.layout == eg.sparse_csr
            np.testing.assert_array_equal(x.to_dense().numpy(), m.toarray()[y.numpy()])


def test_samples_of_a_users_dataset_are_stacked() -> None:
    x = eg.sparse.csr(matrix())

    class Rows(eg.utils.data.Dataset):
        def __len__(self) -> int:
            return 20

        def __getitem__(self, i: int) -> Any:
            return {"x": x[i], "y": i}

    for batch in DataLoader(Rows(), 8):
        assert batch["x"].layout == eg.sparse_csr
        assert batch["x"].to_dense().equal(x.to_dense()[batch["y"]])


@pytest.mark.parametrize("make", [lambda m: m, eg.sparse.csr], ids=["scipy", "csr"])
def test_fit_takes_sparse_matrices(make: Any) -> None:
    m = matrix(200, 12)
    y = eg.tensor((m.toarray()[:, :6].sum(1) > m.toarray()[:, 6:].sum(1)).astype(int))
    eg.manual_seed(0)
    net = eg.nn.Linear(12, 2)
    history = eg.train.fit(
        net, (make(m), y), "cross_entropy", epochs=25, lr=0.05, validation=0.25,
        metrics="accuracy", progress=False,
    )  # fmt: skip
    assert history["val_accuracy"][-1] > 0.8
    assert eg.train.evaluate(net, (make(m), y), "cross_entropy")["loss"] < 0.5
    predicted = eg.train.predict(net, make(m))
    assert predicted.shape == (200, 2)


# -- untrusted arrays -----------------------------------------------------------------------------------------


BIG = 2**62
CSR_FAULTS = {
    "falling pointers": ([0, 2, 1, 3], [0, 1, 2], (3, 3), "never falls, got 1 at position 2"),
    "first pointer": ([1, 2, 3, 3], [0, 1, 2], (3, 3), r"crow_indices\[0\] == 0, got 1"),
    "pointers beyond": (
        [0, 2, 9, 3],
        [0, 1, 2],
        (3, 3),
        "up to the 3 entries, got 9 at position 2",
    ),
    "last pointer": ([0, 1, 2, 2], [0, 1, 2], (3, 3), r"crow_indices\[-1\] == 3"),
    "huge pointer": ([0, BIG, BIG, 3], [0, 1, 2], (3, 3), "at position 1"),
    "negative pointer": ([0, -5, 2, 3], [0, 1, 2], (3, 3), "got -5 at position 1"),
    "large index": ([0, 1, 2, 3], [0, 3, 9], (3, 3), r"\[0, 3\), got 3 at position 1"),
    "negative index": ([0, 1, 2, 3], [0, 1, -1], (3, 3), "got -1 at position 2"),
    "huge index": ([0, 1, 2, 3], [0, 1, BIG], (3, 3), "at position 2"),
    "few pointers": ([0, 3], [0, 1, 2], (3, 3), r"expected 3 \+ 1 crow_indices"),
    "no pointers": ([], [0], (3, 3), "at least one entry"),
    "negative size": ([0, 1], [0], (1, -3), "sizes from 0 on"),
    "three sizes": ([0, 1], [0], (1, 3, 1), "two dimensions"),
    "two-dimensional": ([[0, 1]], [0], (1, 3), "1-d"),
}


@pytest.mark.parametrize("name", CSR_FAULTS)
def test_faults_of_csr_are_named_by_position(name: str) -> None:
    ptr, idx, shape, message = CSR_FAULTS[name]
    with pytest.raises(RuntimeError, match=message):
        eg.sparse_csr_tensor(ptr, idx, [1.0] * len(idx), shape)


def test_other_faults() -> None:
    with pytest.raises(RuntimeError, match="one value for each"):
        eg.sparse_csr_tensor([0, 1], [0], [1.0, 2.0], (1, 1))
    with pytest.raises(RuntimeError, match="integers"):
        eg.sparse_csr_tensor([0.0, 1.0], [0], [1.0], (1, 1))
    with pytest.raises(RuntimeError, match="dim 1, size is 2 but found index 5 at position 1"):
        eg.sparse_coo_tensor([[0, 0], [1, 5]], [1.0, 1.0], (1, 2))
    with pytest.raises(RuntimeError, match="found index -1"):
        eg.sparse_coo_tensor([[-1]], [1.0], (2,))
    with pytest.raises(RuntimeError, match="one for each"):
        eg.sparse_coo_tensor([[0, 1]], [1.0], (2,))
    with pytest.raises(RuntimeError, match="sparse dimensions"):
        eg.sparse_coo_tensor([[0, 1]], [1.0, 2.0], (2, 2))
    with pytest.raises(RuntimeError, match="not fit 64 bits"):
        eg.sparse_coo_tensor([[0, 1]] * 3, [1.0, 2.0], (2**40,) * 3).coalesce()
    with pytest.raises(RuntimeError, match="duplicates"):
        eg.sparse_coo_tensor([[0, 0]], [1.0, 2.0], (2,), is_coalesced=True)
    with pytest.raises(RuntimeError, match="layout"):
        eg.sparse_compressed_tensor([0], [], [], (0, 0), layout=eg.strided)


def test_wrong_operands_are_refused() -> None:
    x = eg.sparse.csr(matrix())
    for call in (
        lambda: x @ eg.ones(6, 2), lambda: eg.ones(2, 7) @ x, lambda: x @ eg.ones(6),
        lambda: x @ x, lambda: x + x.t(), lambda: x * eg.ones(3, 7), lambda: eg.cat([x, x.t()]),
        lambda: eg.sparse.sampled_addmm(x, eg.ones(20, 2), eg.ones(3, 7)),
        lambda: eg.sparse.mm(x, eg.ones(7)), lambda: eg.sparse.segment_sum(eg.ones(3), [0, 4]),
        lambda: eg.sparse.segment_softmax(eg.ones(3), [0, 2, 1, 3]), lambda: x.narrow(0, 15, 9),
    ):  # fmt: skip
        with pytest.raises(RuntimeError):
            call()
    for index in (20, -21, [20], [True] * 3, [0.5], (0, 0, 0), None, ([0], [1])):
        with pytest.raises(IndexError):
            x[index]
    with pytest.raises(TypeError):
        eg.cat([x, eg.ones(20, 7)])


@pytest.mark.host("memory and operands in common with NumPy")
def test_arrays_that_change_after_the_check_are_never_read_out_of_bounds() -> None:
    for spoil in ("indices", "indptr"):
        for value in (10**6, -(10**6)):
            m = matrix()
            x = eg.sparse.csr(m)
            w = eg.ones(7, 20, requires_grad=True)
            y = x @ w
            getattr(m, spoil)[2] = value
            for call in (
                lambda: x @ w, lambda: x @ w[:, :1], lambda: x.t() @ eg.ones(20, 3), lambda: x[[0, 1, 2]],
                lambda: x @ x.t(), lambda: x + eg.sparse.csr(matrix()), lambda: x.to_sparse_csc(),
                lambda: eg.sparse.row_gradient(x, eg.ones(20, 2)), lambda: y.sum().backward(),
                lambda: eg.sparse.sampled_addmm(x, eg.ones(20, 2), eg.ones(2, 7)),
            ):  # fmt: skip
                with pytest.raises(RuntimeError, match="expected"):
                    call()


def test_int32_indices_of_sizes_beyond_them() -> None:
    x = eg.sparse_csr_tensor(np.array([0, 1], np.int32), np.array([5], np.int32), [1.0], (1, 2**33))
    assert x.col_indices().dtype is eg.int64 and x[:, 4:6].to_dense().tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize(
    "width", ["uint8", "int8", "int16", "uint16", "uint32", "int32", "int64", "uint64"]
)
def test_any_index_width(width: str) -> None:
    x = eg.sparse_csr_tensor(
        np.array([0, 1, 2], width), np.array([1, 0], width), [1.0, 2.0], (2, 2)
    )
    assert x.to_dense().tolist() == [[0.0, 1.0], [2.0, 0.0]]


def test_nan_and_infinity_are_values() -> None:
    x = eg.sparse.csr(sp.csr_array(np.array([[np.nan, 0], [0, np.inf]])))
    y = (x @ eg.ones(2, 1, dtype=eg.float64)).flatten()
    assert bool(y[0].isnan()) and bool(y[1].isinf())


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (3, 4)])
@pytest.mark.parametrize("layout", ["csr", "csc", "coo"])
def test_matrices_without_entries(shape: tuple[int, int], layout: str) -> None:
    x = getattr(eg.sparse, layout)(shape)
    w = eg.ones(shape[1], 2, requires_grad=True)
    y = x @ w
    assert y.shape == (shape[0], 2) and not y.any()
    y.sum().backward()
    assert w.grad.shape == w.shape and not w.grad.any()
    assert (x + x).shape == x.shape and (x @ x.t()).shape == (shape[0],) * 2
    assert x.sum() == 0 and x.sum(0).shape == (shape[1],) and x.t().shape == shape[::-1]
    assert x[:0].shape == (0, shape[1]) and eg.cat([x, x]).shape == (2 * shape[0], shape[1])
    assert eg.sparse.softmax(x, 1).to_dense().shape == shape
    repr(x)
