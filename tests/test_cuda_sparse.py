"""Sparse tensors on the GPU against the CPU: every function, patterns, faults of index arrays, row-sparse gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eagergrad as eg
from cuda_pairs import assert_same, check, draw, gpu  # noqa: F401

cases = pytest.importorskip("test_sparse", reason="needs SciPy and hypothesis")
S = eg.sparse
M = cases.M
HOST = {"hstack", "scipy - x"}  # with SciPy's matrices, which are the host's


def layouts() -> Any:
    """Products in each layout, other functions in one of them."""
    for i, row in enumerate(r for r in cases.ROWS if r.name not in HOST):
        names = list(cases.LAYOUTS)
        for layout in names if "@" in row.name else [names[i % 3]]:
            yield pytest.param(row, layout, id=f"{row.name}-{layout}")


@pytest.mark.parametrize(("row", "layout"), list(layouts()))
def test_values_and_gradients(row, layout):
    def f(values, *dense):
        x = cases.sparse(layout, M).to(values.device)
        return cases.dense_of(row.f(x._with(values), *dense)) + 0 * values.sum()

    check(f, eg.tensor(M.data), *map(eg.tensor, row.dense), order=2 if "@" in row.name else 1)


def wide(rows=40, cols=300, entries=700, dtype="float32"):
    """Long rows and columns, empty ones too."""
    rng = np.random.default_rng(entries)
    dense = np.zeros((rows, cols), dtype)
    dense[rng.integers(0, rows // 2, entries), rng.integers(0, cols, entries)] = rng.uniform(
        -1, 1, entries
    )
    dense[3] = rng.uniform(-1, 1, cols)
    return eg.tensor(dense)


@pytest.mark.parametrize("n", [1, 3, 33, 100])
def test_rows_of_many_entries(n):
    x = wide()

    def f(values, w):
        y = x.to_sparse_csr().to(values.device)._with(values)
        return y @ w, y.t() @ w[:40], S.sampled_addmm(y, w[:40], w.t(), beta=0).values()

    check(f, x.to_sparse_csr().values(), draw(300, n), order=2, tolerance=1e-4)


def test_products_of_sparse_matrices():
    a, b = wide(30, 50, 200, "float64"), wide(50, 60, 300, "float64")

    def f(p, q):
        x = a.to_sparse_csr().to(p.device)._with(p)
        y = b.to_sparse_csr().to(p.device)._with(q)
        return (x @ y).to_dense(), (x[:0] @ y).to_dense(), ((x * 0)[:, :0] @ y[:0]).to_dense()

    check(f, a.to_sparse_csr().values(), b.to_sparse_csr().values(), order=2)


def test_integers_and_halves():
    x = (wide() * 9).long()
    check(lambda w: x.to_sparse_csr().to(w.device) @ w, draw(300, 2, dtype=eg.int64), order=0)
    check(lambda w: wide().half().to_sparse_csr().to(w.device) @ w, draw(300, 2, dtype=eg.float16))


def test_moving_there_and_back():
    for layout in cases.LAYOUTS:
        x = cases.sparse(layout, M)
        y = x.to("cuda")
        assert y.is_cuda and y.device.type == "cuda" and not y.is_cpu and y.layout == x.layout
        assert y.cpu().to_dense().tolist() == x.to_dense().tolist()
        assert y.cuda() is y and y.to("cuda") is y
        assert repr(y).replace("device='cuda:0',", "").split() == repr(x).split()
        assert_same(y.coalesce().values(), x.coalesce().values())
    leaf = eg.tensor(M.data, requires_grad=True)
    S.csr(M)._with(leaf).to("cuda").sum().backward()
    assert leaf.grad.tolist() == [1.0] * leaf.numel()
    with pytest.raises(RuntimeError, match=r"one device.*cuda:0 and cpu"):
        S.csr(M).to("cuda") @ eg.ones(4, 2, dtype=eg.float64)
    with pytest.raises(TypeError, match=r"Tensor\.cpu"):
        S.csr(M).to("cuda").scipy()


def test_construction_on_the_device():
    x = eg.sparse_csr_tensor([0, 2, 3], [2, 0, 1], [1.0, 2.0, 3.0], (2, 3), device="cuda")
    assert x.to_dense().tolist() == [[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]]
    y = eg.sparse_coo_tensor([[1, 0, 1], [1, 2, 1]], [1.0, 2.0, 3.0], device="cuda")
    assert y.coalesce().values().tolist() == [2.0, 4.0]
    assert y.to_sparse_csr().to_dense().tolist() == [[0.0, 0.0, 2.0], [0.0, 4.0, 0.0]]
    z = eg.sparse.spdiags(draw(2, 4).to("cuda"), eg.tensor([0, -1]), (4, 4))
    assert z.is_cuda
    assert (
        z.to_dense().tolist()
        == eg.sparse.spdiags(draw(2, 4), eg.tensor([0, -1]), (4, 4)).to_dense().tolist()
    )
    assert draw(3, 3).to("cuda").relu().to_sparse().is_cuda


@pytest.mark.parametrize(
    ("ptr", "idx"),
    [
        ([1, 2, 3], [0, 1, 2]),
        ([0, 2, 1], [0, 1, 2]),
        ([0, 4, 3], [0, 1, 2]),
        ([0, 1, 2], [0, 1, 2]),
        ([0, 1, 3], [0, 1, 3]),
        ([0, 1, 3], [0, -1, 5]),
    ],
)
def test_faults_are_found_as_on_the_host(ptr, idx):
    messages = []
    for device in ("cpu", "cuda"):
        with pytest.raises(RuntimeError) as caught:
            eg.sparse_csr_tensor(ptr, idx, [1.0, 2.0, 3.0], (2, 3), device=device)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_a_pattern_that_changes_is_reported_and_reads_nothing_else():
    idx = eg.tensor([2, 0, 1], device="cuda")
    x = eg.sparse_csr_tensor(
        eg.tensor([0, 1, 3], device="cuda"), idx, [1.0, 2.0, 3.0], (2, 3), device="cuda"
    )
    idx[0] = 10**9
    y = x @ eg.ones(3, 2, device="cuda")
    with pytest.raises(
        RuntimeError, match=r"index 1000000000 is out of bounds.*size 3.*test_cuda_sparse"
    ):
        y.tolist()


@pytest.mark.parametrize("cols", [9, 5000])
def test_row_sparse_weight_gradients(cols):
    m = np.zeros((6, cols))
    m[[0, 0, 3, 5, 5], [1, 7, 7, 0, cols - 1]] = [1.0, 2.0, 3.0, 4.0, 5.0]
    found = []
    for device in ("cpu", "cuda"):
        w = draw(cols, 3, dtype=eg.float64).to(device).requires_grad_()
        x = eg.tensor(m).to_sparse_csr().to(device)
        (S.mm(x, w, sparse_grad=True) ** 2).sum().backward()
        g = w.grad
        assert g.is_sparse
        found.append((g.indices(), g.values(), g.to_dense()))
    for a, b in zip(found[1], found[0], strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adagrad"])
def test_training_with_lazy_rows(name):
    m = eg.tensor(np.eye(12)[[0, 4, 4, 9, 11, 2]] * 2.0).float()
    weights = []
    for device in ("cpu", "cuda"):
        eg.manual_seed(0)
        layer = S.Linear(12, 3, sparse_grad=True).to(device)
        optimizer = getattr(eg.optim, name)(layer.parameters(), lr=0.1, lazy=True)
        for rows in ([0, 1, 2], [3, 4], [5, 0]):
            optimizer.zero_grad()
            layer(m[rows].to_sparse_csr().to(device)).square().sum().backward()
            optimizer.step()
        weights.append([layer.weight.detach(), layer.bias.detach()])
    for a, b in zip(*reversed(weights), strict=True):
        assert_same(a, b)


def test_segments():
    offsets = [0, 3, 3, 70, 75]
    check(lambda v: (S.segment_sum(v, offsets), S.segment_softmax(v, offsets)), draw(75), order=2)
    check(lambda v: S.segment_log_softmax(v, offsets), draw(75), order=2)
    bad = S.segment_sum(draw(75).to("cuda"), [0, 3, 74])
    with pytest.raises(RuntimeError, match="out of bounds"):
        bad.tolist()
