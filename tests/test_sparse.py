"""Sparse tensors: every function against NumPy in every layout, gradients of both orders, SciPy there and back."""

from __future__ import annotations

import copy
import gc
import itertools
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import eagergrad as eg
import eagergrad.nn.functional as F

pytest.importorskip("hypothesis")

from hypothesis import given, settings
from hypothesis import strategies as st

from util import assert_close, check_gradients, times

sp = pytest.importorskip("scipy.sparse", reason="the reference needs SciPy")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of read-only arrays

LAYOUTS = {"csr": eg.sparse_csr, "csc": eg.sparse_csc, "coo": eg.sparse_coo}
few = settings(max_examples=40, deadline=None, derandomize=True)


def matrix(rows: int = 5, cols: int = 4, seed: int = 0, density: float = 0.5) -> Any:
    """A CSR matrix with an empty row, an empty column and negative values."""
    rng = np.random.default_rng(seed)
    a = rng.uniform(0.2, 1.5, (rows, cols)) * rng.choice([-1, 1], (rows, cols))
    a *= rng.random((rows, cols)) < density
    if rows > 3:
        a[2] = 0
    if cols > 3:
        a[:, 1] = 0
    return sp.csr_array(a)


def sparse(layout: str, m: Any, values: Any = None) -> Any:
    """m in a layout; its values may be given, in CSR's order."""
    x = eg.sparse.csr(m)
    if values is not None:
        x = eg.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, m.shape)
    return x.to_sparse(layout=LAYOUTS[layout])


def dense_of(result: Any) -> Any:
    return result.to_dense() if isinstance(result, eg.sparse.SparseTensor) else result


def rand(*shape: int, seed: int = 1, low: float = -1.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, 1.5, shape)


# -- the table of functions ---------------------------------------------------------------------------


class Row(NamedTuple):
    name: str
    f: Callable[..., Any]  # of a sparse tensor and dense ones
    ref: Callable[..., Any]  # of arrays
    dense: tuple[np.ndarray, ...] = ()
    positive: bool = False


M = matrix()
OTHER = matrix(seed=3)
CUBE = matrix(4, 6, seed=4)


def _entries(a: np.ndarray) -> np.ndarray:
    return np.where(a != 0, a, -np.inf)


def _softmax(a: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(_entries(a))
    total = e.sum(axis, keepdims=True)
    return np.divide(e, total, out=np.zeros_like(e), where=total != 0)


def _log_softmax(a: np.ndarray, axis: int) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(a != 0, np.log(_softmax(a, axis)), 0.0)


def _normalized(a: np.ndarray, p: float, axis: int) -> np.ndarray:
    return a / np.maximum(np.linalg.norm(a, p, axis, keepdims=True), 1e-12)


MASK = np.array([True, False, True, True, False])
S = eg.sparse
ROWS = [
    # products
    Row("x @ W", lambda x, w: x @ w, lambda a, w: a @ w, (rand(4, 3),)),
    Row("x @ wide W", lambda x, w: x @ w, lambda a, w: a @ w, (rand(4, 37),)),
    Row("x @ W of columns", lambda x, w: x @ w.t(), lambda a, w: a @ w.T, (rand(3, 4),)),
    Row("x @ strided W", lambda x, w: x @ w[:, ::2], lambda a, w: a @ w[:, ::2], (rand(4, 6),)),
    Row("x @ vector", lambda x, w: x @ w, lambda a, w: a @ w, (rand(4),)),
    Row("x.mv", lambda x, w: x.mv(w), lambda a, w: a @ w, (rand(4),)),
    Row("x @ batch", lambda x, w: x @ w, lambda a, w: a @ w, (rand(2, 4, 3),)),
    Row("x @ batches", lambda x, w: x @ w, lambda a, w: a @ w, (rand(2, 3, 4, 2),)),
    Row("W @ x", lambda x, w: w @ x, lambda a, w: w @ a, (rand(3, 5),)),
    Row("vector @ x", lambda x, w: w @ x, lambda a, w: w @ a, (rand(5),)),
    Row("batch @ x", lambda x, w: w @ x, lambda a, w: w @ a, (rand(2, 3, 5),)),
    Row("x.T @ W", lambda x, w: x.T @ w, lambda a, w: a.T @ w, (rand(5, 9),)),
    Row("mm", lambda x, w: S.mm(x, w), lambda a, w: a @ w, (rand(4, 2),)),
    Row("spmm", lambda x, w: eg.spmm(x, w), lambda a, w: a @ w, (rand(4, 2),)),
    Row("eg.mm", lambda x, w: eg.mm(x, w), lambda a, w: a @ w, (rand(4, 2),)),
    Row("eg.matmul", lambda x, w: eg.matmul(w, x), lambda a, w: w @ a, (rand(2, 5),)),
    Row("structured_dot", lambda x, w: S.structured_dot(x, w), lambda a, w: a @ w, (rand(4, 2),)),
    Row("mm mean", lambda x, w: S.mm(x, w, "mean"), lambda a, w: a @ w / np.maximum(
        (a != 0).sum(1, keepdims=True), 1), (rand(4, 2),)),
    Row("mm amax", lambda x, w: S.mm(x, w, "amax"), lambda a, w: np.array([
        [max((a[i, k] * w[k, j] for k in range(4) if a[i, k]), default=0.0) for j in range(2)]
        for i in range(5)]), (rand(4, 2),)),
    Row("addmm", lambda x, c, w: S.addmm(c, x, w, beta=0.5, alpha=2.0), lambda a, c, w:
        0.5 * c + 2 * (a @ w), (rand(5, 2), rand(4, 2))),
    Row("eg.addmm", lambda x, c, w: eg.addmm(c, x, w), lambda a, c, w: c + a @ w,
        (rand(5, 2), rand(4, 2))),
    Row("linear", lambda x, w, b: F.linear(x, w, b), lambda a, w, b: a @ w.T + b,
        (rand(3, 4), rand(3))),
    Row("linear of a sparse weight", lambda x, i, b: F.linear(i, x, b), lambda a, i, b:
        i @ a.T + b, (rand(3, 4), rand(5))),
    Row("x @ sparse", lambda x: x @ x.t(), lambda a: a @ a.T),
    Row("x @ csr", lambda x: x @ S.csr(CUBE).to(x.device), lambda a: a @ CUBE.toarray()),
    Row("csr @ x", lambda x: S.csr(OTHER).to(x.device).t() @ x, lambda a: OTHER.toarray().T @ a),
    Row("sampled_addmm", lambda x, p, q: S.sampled_addmm(x, p, q, beta=0.5, alpha=2.0),
        lambda a, p, q: (0.5 * a + 2 * (p @ q)) * (a != 0), (rand(5, 3), rand(3, 4))),
    Row("sparse_mask", lambda x, d: d.sparse_mask(x), lambda a, d: d * (a != 0), (rand(5, 4),)),
    # rows and columns
    Row("x[1:4]", lambda x: x[1:4], lambda a: a[1:4]),
    Row("x[::-1 step]", lambda x: x[4:0:-2], lambda a: a[4:0:-2]),
    Row("x[perm]", lambda x: x[[4, 0, 0, 3]], lambda a: a[[4, 0, 0, 3]]),
    Row("x[-1 rows]", lambda x: x[eg.tensor([-1, 1])], lambda a: a[[-1, 1]]),
    Row("x[array]", lambda x: x[np.array([2, 1])], lambda a: a[[2, 1]]),
    Row("x[mask]", lambda x: x[eg.tensor(MASK)], lambda a: a[MASK]),
    Row("x[i]", lambda x: x[3], lambda a: a[3]),
    Row("x[i, j]", lambda x: x[0, 2], lambda a: a[0, 2]),
    Row("x[:, 1:3]", lambda x: x[:, 1:3], lambda a: a[:, 1:3]),
    Row("x[:, list]", lambda x: x[:, [3, 0]], lambda a: a[:, [3, 0]]),
    Row("x[1:, 2]", lambda x: x[1:, 2], lambda a: a[1:, 2]),
    Row("x[..., 2]", lambda x: x[..., 2], lambda a: a[..., 2]),
    Row("x[2:2]", lambda x: x[2:2], lambda a: a[2:2]),
    Row("index_select", lambda x: eg.index_select(x, 1, eg.tensor([2, 2])), lambda a: a[:, [2, 2]]),
    Row("narrow", lambda x: x.narrow(1, 1, 2), lambda a: a[:, 1:3]),
    Row("transpose", lambda x: x.transpose(0, 1), lambda a: a.T),
    Row("cat 0", lambda x: eg.cat([x, S.csr(OTHER).to(x.device), x]), lambda a: np.concatenate(
        [a, OTHER.toarray(), a])),
    Row("cat 1", lambda x: eg.cat([x, x], 1), lambda a: np.concatenate([a, a], 1)),
    Row("vstack", lambda x: S.vstack([x, x[2:]]), lambda a: np.vstack([a, a[2:]])),
    Row("hstack", lambda x: eg.hstack([x, OTHER]), lambda a: np.hstack([a, OTHER.toarray()])),
    Row("stack", lambda x: eg.stack([x[0], x[3]]), lambda a: np.stack([a[0], a[3]])),
    # reductions
    Row("sum", lambda x: x.sum(), lambda a: a.sum()),
    Row("sum 0", lambda x: x.sum(0), lambda a: a.sum(0)),
    Row("sum 1", lambda x: eg.sum(x, 1, True), lambda a: a.sum(1, keepdims=True)),
    Row("sum both", lambda x: x.sum((0, 1)), lambda a: a.sum()),
    Row("sparse.sum", lambda x: S.sum(x, 1), lambda a: a.sum(1)),
    Row("sparse.sum all", lambda x: S.sum(x), lambda a: a.sum()),
    Row("mean", lambda x: x.mean(), lambda a: a.mean()),
    Row("mean 0", lambda x: x.mean(0), lambda a: a.mean(0)),
    Row("mean 1", lambda x: eg.mean(x, -1), lambda a: a.mean(1)),
    Row("norm", lambda x: x.norm(), lambda a: np.linalg.norm(a)),
    Row("norm rows", lambda x: x.norm(2, 1), lambda a: np.linalg.norm(a, 2, 1)),
    Row("norm 1", lambda x: x.norm(1, 0), lambda a: np.abs(a).sum(0)),
    Row("norm 3", lambda x: x.norm(3, 1, keepdim=True), lambda a: np.linalg.norm(
        a, 3, 1, keepdims=True)),
    Row("norm inf", lambda x: x.norm(float("inf"), 1), lambda a: np.abs(a).max(1)),
    Row("normalize", lambda x: F.normalize(x), lambda a: _normalized(a, 2, 1)),
    Row("normalize 1", lambda x: F.normalize(x, 1, 0), lambda a: _normalized(a, 1, 0)),
    Row("softmax 1", lambda x: S.softmax(x, 1), lambda a: _softmax(a, 1)),
    Row("softmax 0", lambda x: eg.softmax(x, 0), lambda a: _softmax(a, 0)),
    Row("log_softmax 1", lambda x: S.log_softmax(x, 1), lambda a: _log_softmax(a, 1)),
    Row("F.log_softmax 0", lambda x: F.log_softmax(x, 0), lambda a: _log_softmax(a, 0)),
    # elementwise
    Row("x * 2", lambda x: x * 2.0, lambda a: a * 2),
    Row("2 * x", lambda x: 2.0 * x, lambda a: a * 2),
    Row("x / 3", lambda x: x / 3.0, lambda a: a / 3),
    Row("-x", lambda x: -x, lambda a: -a),
    Row("x ** 2", lambda x: x**2, lambda a: a**2),
    Row("scale rows", lambda x, c: x * c, lambda a, c: a * c, (rand(5, 1),)),
    Row("scale columns", lambda x, r: r * x, lambda a, r: a * r, (rand(4),)),
    Row("divide rows", lambda x, c: x / c, lambda a, c: a / c, (rand(5, 1, low=0.5),)),
    Row("x * dense", lambda x, d: x * d, lambda a, d: a * d, (rand(5, 4),)),
    Row("x * 0-d", lambda x, d: x * d, lambda a, d: a * d, (rand(),)),
    Row("x + dense", lambda x, d: x + d, lambda a, d: a + d, (rand(5, 4),)),
    Row("dense - x", lambda x, d: d - x, lambda a, d: d - a, (rand(5, 4),)),
    Row("x - dense", lambda x, d: x - d, lambda a, d: a - d, (rand(4),)),
    Row("x + sparse", lambda x: x + S.csr(OTHER).to(x.device), lambda a: a + OTHER.toarray()),
    Row("scipy - x", lambda x: eg.sub(OTHER, x), lambda a: OTHER.toarray() - a),
    Row("x + x", lambda x: x + x, lambda a: 2 * a),
    Row("x * sparse", lambda x: x * S.csr(OTHER).to(x.device), lambda a: a * OTHER.toarray()),
    Row("sum of list", lambda x: sum([x, x]), lambda a: 2 * a),
    Row("relu", lambda x: eg.relu(x), lambda a: np.maximum(a, 0)),
    Row("F.leaky_relu", lambda x: F.leaky_relu(x, 0.1), lambda a: np.where(a > 0, a, 0.1 * a)),
    Row("tanh", lambda x: x.tanh(), lambda a: np.tanh(a)),
    Row("log1p", lambda x: eg.log1p(x.abs()), lambda a: np.log1p(np.abs(a))),
    Row("sqrt", lambda x: x.abs().sqrt(), lambda a: np.sqrt(np.abs(a))),
    Row("dropout 0", lambda x: F.dropout(x, 0.0), lambda a: a),
    # leaving and entering
    Row("to_dense", lambda x: x.to_dense(), lambda a: a),
    Row("values", lambda x: x.to_sparse_csr().values(), lambda a: a[a != 0]),
    Row("coalesce", lambda x: x.to_sparse().coalesce(), lambda a: a),
    Row("csr", lambda x: x.to_sparse_csr(), lambda a: a),
    Row("csc", lambda x: x.to_sparse_csc(), lambda a: a),
    Row("coo", lambda x: x.to_sparse_coo(), lambda a: a),
    Row("clone", lambda x: x.clone(), lambda a: a),
    Row("dense to sparse", lambda x, d: x @ d.to_sparse_csr(), lambda a, d: a @ d, (rand(4, 3),)),
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("row", ROWS, ids=[r.name for r in ROWS])
def test_values_and_gradients(row: Row, layout: str) -> None:
    """The function of NumPy's result, and both orders of gradients by values and by dense operands."""
    result = dense_of(row.f(sparse(layout, M), *map(eg.tensor, row.dense)))
    assert_close(result, row.ref(M.toarray(), *row.dense), "float64", 10)

    def f(values: Any, *dense: Any) -> Any:
        return dense_of(row.f(sparse(layout, M, values), *dense))

    xs = [eg.tensor(M.data), *(eg.tensor(d) for d in row.dense)]
    check_gradients(f, xs, order=2)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("row", ROWS[:8] + ROWS[26:60:5], ids=lambda r: r.name)
def test_gradcheck_of_whole_jacobians(row: Row, layout: str) -> None:
    def f(values: Any, *dense: Any) -> Any:
        return dense_of(row.f(sparse(layout, M, values), *dense))

    xs = [eg.tensor(a, requires_grad=True) for a in (M.data, *row.dense)]
    assert eg.autograd.gradcheck(f, xs)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_select_gradients_only_at_their_entries(layout: str) -> None:
    values = eg.tensor(M.data, requires_grad=True)
    sparse(layout, M, values)[[0]].sum().backward()
    first = M.indptr[1]
    assert values.grad.tolist() == [1.0] * first + [0.0] * (len(M.data) - first)


# -- against SciPy on random matrices -------------------------------------------------------------------


@st.composite
def scipy_matrices(draw: Any, rows: Any = None, cols: Any = None) -> Any:
    """Any shape, empty ones too; int32 or int64 indices; unsorted, duplicates."""
    m = draw(st.integers(0, 7)) if rows is None else rows
    n = draw(st.integers(0, 7)) if cols is None else cols
    count = draw(st.integers(0, 20)) if m and n else 0
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    row, col = rng.integers(0, max(m, 1), count), rng.integers(0, max(n, 1), count)
    data = rng.uniform(-2, 2, count).astype(draw(st.sampled_from(["float64", "float32"])))
    order = np.argsort(row, kind="stable")
    ptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=m))])[: m + 1]
    index = draw(st.sampled_from([np.int32, np.int64]))
    made = sp.csr_array(
        (data[order], col[order].astype(index), ptr.astype(index)), shape=(m, n), copy=False
    )
    return draw(st.sampled_from([made, made.tocsc(), made.tocoo(), sp.csr_matrix(made)]))


@few
@given(scipy_matrices(), st.integers(1, 40), st.integers(0, 3))
def test_products_as_scipys(m: Any, n: int, seed: int) -> None:
    x = eg.sparse.csr(m)
    w = rand(m.shape[1], n, seed=seed).astype(m.dtype)
    v = rand(n, m.shape[0], seed=seed).astype(m.dtype)
    name = str(m.dtype)
    assert_close(x @ eg.tensor(w), m @ w, name, 4)
    assert_close(eg.tensor(v) @ x, v @ m, name, 4)
    assert_close(x.t() @ eg.tensor(v.T), m.T @ v.T, name, 4)
    assert_close(eg.sparse.csc(m) @ eg.tensor(w), m @ w, name, 4)
    assert_close((x @ x.t()).to_dense(), (m @ m.T).toarray(), name, 4)


@few
@given(st.data(), st.integers(1, 6), st.integers(1, 6))
def test_sums_and_elementwise_products_as_scipys(data: Any, rows: int, cols: int) -> None:
    a, b = data.draw(scipy_matrices(rows, cols)), data.draw(scipy_matrices(rows, cols))
    x, y = eg.sparse.csc(a), eg.sparse.csr(b)
    dense = a.toarray(), b.toarray()
    assert_close((x + y).to_dense(), dense[0] + dense[1], "float32", 4)
    assert_close((x * y).to_dense(), dense[0] * dense[1], "float32", 4)
    assert_close((y - x).to_dense(), dense[1] - dense[0], "float32", 4)
    assert_close(eg.sparse.vstack([x, y]).to_dense(), np.vstack(dense), "float32", 4)
    assert_close(eg.sparse.hstack([y, x]).to_dense(), np.hstack(dense[::-1]), "float32", 4)


@few
@given(scipy_matrices(), st.data())
def test_rows_as_scipys(m: Any, data: Any) -> None:
    x, a = eg.sparse.csr(m), m.toarray()
    n = m.shape[0]
    picked = data.draw(st.lists(st.integers(-n, n - 1), max_size=6)) if n else []
    assert_close(x[picked].to_dense(), a[np.array(picked, int)], "float32")
    part = data.draw(st.slices(n)) if n else slice(0, 0)
    assert_close(x[part].to_dense(), a[part], "float32")
    part = data.draw(st.slices(m.shape[1])) if m.shape[1] else slice(0, 0)
    assert_close(x[:, part].to_dense(), a[:, part], "float32")


@few
@given(scipy_matrices())
@pytest.mark.host("matrices of SciPy")
def test_scipy_there_and_back(m: Any) -> None:
    for make in (eg.sparse.csr, eg.sparse.csc, eg.sparse.coo):
        back = make(m).coalesce().scipy()
        np.testing.assert_allclose(back.toarray(), m.toarray(), rtol=1e-6, atol=1e-6)


@few
@given(st.data(), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_coo_of_three_dimensions(data: Any, a: int, b: int, c: int) -> None:
    n = data.draw(st.integers(0, 12))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    index = np.stack([rng.integers(0, k, n) for k in (a, b, c)])
    values = rng.uniform(-1, 1, n)
    x = eg.sparse_coo_tensor(index, values, (a, b, c))
    ref = np.zeros((a, b, c))
    np.add.at(ref, tuple(index), values)
    assert_close(x.to_dense(), ref)
    assert_close(x.coalesce().to_dense(), ref)
    assert_close((x + x).to_dense(), 2 * ref)
    assert_close(x.sum(1), ref.sum(1))
    assert_close(x[0].to_dense(), ref[0])
    assert_close(x[:, ::2].to_dense(), ref[:, ::2])
    assert_close(x.transpose(0, 2).to_dense(), ref.transpose(2, 1, 0))
    assert_close(eg.cat([x, x], 1).to_dense(), np.concatenate([ref, ref], 1))


def test_dense_dimensions_of_coo() -> None:
    values = eg.randn(3, 2, dtype=eg.float64, requires_grad=True)
    x = eg.sparse_coo_tensor([[1, 0, 1]], values, (3, 2))
    assert (x.sparse_dim(), x.dense_dim(), x.is_coalesced()) == (1, 1, False)
    dense = np.zeros((3, 2))
    np.add.at(dense, [1, 0, 1], values.detach().numpy())
    assert_close(x.to_dense(), dense)
    assert_close(x.sum(1), dense.sum(1))
    assert_close(x[1].to_dense(), dense[1])
    assert_close((x * 2).to_dense(), 2 * dense)
    check_gradients(
        lambda v: eg.sparse_coo_tensor([[1, 0, 1]], v, (3, 2)).coalesce().to_dense(), [values], 2
    )


# -- gradients ------------------------------------------------------------------------------------------


def test_constructors_are_recorded() -> None:
    values = eg.tensor([1.0, 2.0], requires_grad=True)
    for x in (
        eg.sparse_coo_tensor([[0, 1], [1, 0]], values, (2, 2)),
        eg.sparse_csr_tensor([0, 1, 2], [1, 0], values, (2, 2)),
        eg.sparse_csc_tensor([0, 1, 2], [1, 0], values, (2, 2)),
        eg.sparse.csr((values, ([0, 1], [1, 0])), (2, 2)),
        eg.sparse.FloatTensor(eg.tensor([[0, 1], [1, 0]]), values, eg.Size([2, 2])),
    ):
        values.grad = None
        (x @ eg.tensor([[1.0], [10.0]])).sum().backward()
        assert values.grad.tolist() in ([10.0, 1.0], [1.0, 10.0])


def test_a_sparse_leaf_gets_a_sparse_gradient() -> None:
    x = eg.sparse.csr(M, requires_grad=True)
    (x @ eg.ones(4, 2, dtype=eg.float64)).sum().backward()
    assert x.is_leaf and x.grad.layout == eg.sparse_csr
    assert x.grad.to_dense().equal(eg.tensor((M.toarray() != 0) * 2.0))
    x.grad = None
    assert x.grad is None and x.values().grad is None


def test_grad_of_a_sparse_input_is_sparse() -> None:
    x, w = eg.sparse.csc(M, requires_grad=True), eg.ones(4, 2, dtype=eg.float64, requires_grad=True)
    gx, gw = eg.autograd.grad((x @ w).square().sum(), (x, w), create_graph=True)
    assert gx.layout == eg.sparse_csc and gx.requires_grad and gw.shape == w.shape
    assert eg.autograd.grad(w.sum(), x, allow_unused=True) == (None,)


@pytest.mark.parametrize("cols", [50, 100_000])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_row_sparse_weight_gradient_equals_the_dense_one(layout: str, cols: int) -> None:
    m = matrix(6, 50, density=0.05)
    m = sp.csr_array((m.data, m.indices * (cols // 50), m.indptr), (6, cols))
    x = sparse(layout, m)
    w = eg.randn(cols, 20, dtype=eg.float64, requires_grad=True)
    g = eg.randn(6, 20, dtype=eg.float64)
    (x @ w).backward(g)
    dense, w.grad = w.grad, None
    eg.sparse.mm(x, w, sparse_grad=True).backward(g)
    assert isinstance(w.grad, eg.sparse.RowSparse) and w.grad.is_sparse
    assert w.grad.to_dense().equal(dense)
    rows, values = eg.sparse.row_gradient(x, g)
    assert rows.tolist() == w.grad.indices()[0].tolist() and values.equal(w.grad.values())


def test_row_sparse_gradient_with_create_graph_is_dense_and_recorded() -> None:
    x = eg.sparse.csr(M)
    w = eg.randn(4, 2, dtype=eg.float64, requires_grad=True)
    y = eg.sparse.mm(x, w, sparse_grad=True)
    (g,) = eg.autograd.grad((y * y).sum(), w, create_graph=True)
    assert g.requires_grad and not g.is_sparse


def test_the_sparse_layer_is_nn_linear_with_its_weight_turned() -> None:
    plain, turned = eg.nn.Linear(4, 3).double(), eg.sparse.Linear(4, 3, sparse_grad=True).double()
    with eg.no_grad():
        turned.weight.copy_(plain.weight.t())
        turned.bias.copy_(plain.bias)
    assert_close(turned(M), plain(M))
    turned(M).sum().backward()
    plain(M).sum().backward()
    assert_close(turned.weight.grad.to_dense(), plain.weight.grad.t())
    assert "sparse_grad=True" in repr(turned)


@pytest.mark.host("threads of the CPU")
def test_same_bits_for_any_number_of_threads() -> None:
    m = sp.random_array((3000, 700), density=0.03, format="csr", rng=np.random.default_rng(0))
    x = eg.sparse.csr(m, requires_grad=True)
    w = eg.randn(700, 33, dtype=eg.float64, requires_grad=True)
    found, before = [], eg.get_num_threads()
    try:
        for threads in (1, 2, 4):
            eg.set_num_threads(threads)
            w.grad = x.grad = None
            y = x @ w
            y.backward(eg.ones_like(y))
            found.append((y.detach(), w.grad, x.values().grad, (x.t() @ x).detach().to_dense()))
    finally:
        eg.set_num_threads(before)
    for other in found[1:]:
        assert all(a.equal(b) for a, b in zip(found[0], other, strict=True))


def test_nothing_waits_for_the_garbage_collector() -> None:
    w = eg.randn(4, 3, dtype=eg.float64, requires_grad=True)

    functions: list[Callable[[Any], Any]] = [
        lambda x: x @ w, lambda x: F.dropout(x)[[1, 0]] @ w, lambda x: x.t() @ x,
        lambda x: eg.sparse.softmax(x, 1), lambda x: x + x.to_sparse(),
    ]  # fmt: skip

    def step() -> None:
        for f in functions:
            x = sparse("csc", M, eg.tensor(M.data, requires_grad=True))
            (g,) = eg.autograd.grad(dense_of(f(x)).square().sum(), x, create_graph=True)
            g.values().sum().backward()
        w.grad = None

    step()
    gc.collect()
    gc.disable()
    try:
        before = eg.memory.stats()["live"]
        for _ in range(times(20, 2)):
            step()
        assert eg.memory.stats()["live"] == before
    finally:
        gc.enable()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int64", "int32", "bool"])
def test_dtypes_of_products(dtype: str) -> None:
    kind = getattr(eg, dtype)
    x = sparse("csr", M).abs().ceil().to(kind)
    w = eg.ones(4, 3).to(kind if dtype != "bool" else eg.float32)
    y = x @ w
    assert y.dtype is w.dtype
    assert y.double().equal(x.double() @ w.double())
    assert (x @ eg.ones(4, 3, dtype=eg.float64)).dtype is eg.float64


# -- what programs ask of a tensor --------------------------------------------------------------------------


def test_it_passes_for_a_tensor_but_never_for_its_values() -> None:
    x = eg.sparse.csr(M)
    assert isinstance(x, eg.Tensor) and isinstance(x, eg.sparse.SparseTensor) and eg.is_tensor(x)
    with pytest.raises(TypeError, match="no form for sparse tensors"):
        eg.exp(x)
    with pytest.raises(TypeError, match="not sparse"):
        x + 1
    with pytest.raises(TypeError, match="to_dense"):
        x.numpy()
    with pytest.raises(TypeError, match="to_dense"):
        np.asarray(x)
    with pytest.raises(TypeError, match="zeros"):
        x / x
    with pytest.raises(TypeError, match="positive"):
        x**-1


def test_properties() -> None:
    x = eg.sparse.csr(M)
    assert (x.shape, x.size(0), x.dim(), x.numel(), len(x)) == (eg.Size([5, 4]), 5, 2, 20, 5)
    assert (x.layout, x.is_sparse, x.is_sparse_csr) == (eg.sparse_csr, False, True)
    assert x.dtype is eg.float64 and x._nnz() == M.nnz
    assert x.device.type == eg.get_default_device().type
    assert x.float().dtype is eg.float32 and x.to(eg.float64) is x and x.half().float()._nnz()
    assert eg.ones(1).layout == eg.strided and not eg.ones(1).is_sparse
    where = x.device
    assert x.to(where) is x and x.to(where, eg.float32).dtype is eg.float32
    assert (x.cpu() is x) == (where.type == "cpu") and x.cpu().device.type == "cpu"
    assert not x.requires_grad and x.detach().clone().requires_grad_().requires_grad
    c = x.to_sparse()
    assert c.is_sparse and c.is_coalesced() and c.coalesce() is c
    assert c.indices().shape == (2, M.nnz) and c._values() is c.values()
    with pytest.raises(RuntimeError, match="crow_indices expected"):
        c.crow_indices()
    with pytest.raises(RuntimeError, match="uncoalesced"):
        eg.sparse_coo_tensor([[0, 0]], [1.0, 2.0], (1,)).indices()
    with pytest.raises(RuntimeError, match="strides"):
        x.stride()
    assert list(map(len, x)) == [4] * 5


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.host("text of tensors with no device to name")
def test_text_breaks_where_pytorch_breaks_it() -> None:
    torch = pytest.importorskip("torch")
    for make in (
        lambda lib: lib.eye(3).to_sparse(),
        lambda lib: lib.eye(3, dtype=lib.float64).to_sparse(),
        lambda lib: lib.zeros(3, 3).to_sparse(),
        lambda lib: lib.arange(40.0).view(4, 10).to_sparse(),
        lambda lib: lib.eye(10).to_sparse_csr(),
    ):
        want = repr(make(torch)).replace("torch.", "eagergrad.")
        assert repr(make(eg)).split() == want.split()
        assert repr(make(eg)).splitlines()[:-2] == want.splitlines()[:-2]


@pytest.mark.host("text of tensors with no device to name")
def test_text_is_pytorchs() -> None:
    x = eg.sparse_csr_tensor([0, 1, 2], [1, 0], [1.0, 2.0], (2, 2), requires_grad=True)
    assert repr(x) == (
        "tensor(crow_indices=tensor([0, 1, 2]),\n       col_indices=tensor([1, 0]),\n"
        "       values=tensor([1., 2.]), size=(2, 2), nnz=2, layout=eagergrad.sparse_csr,\n"
        "       requires_grad=True)"
    )
    assert repr(x.to_sparse()).startswith(
        "tensor(indices=tensor([[0, 1],\n                       [1, 0]])"
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_copies(layout: str) -> None:
    x = sparse(layout, M)
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), copy.copy(x)):
        assert y.layout == x.layout and y.to_dense().equal(x.to_dense())
        assert isinstance(y, eg.sparse.SparseTensor)
    changed = copy.deepcopy(x)
    changed.mul_(2)
    assert not changed.to_dense().equal(x.to_dense())
    assert eg.equal(x.clone().zero_().to_dense(), eg.zeros(5, 4, dtype=eg.float64))


def test_a_module_keeps_one_as_a_buffer() -> None:
    class Graph(eg.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("adjacency", eg.sparse.csr(matrix(4, 4)).float())
            self.linear = eg.nn.Linear(3, 2)

        def forward(self, h: Any) -> Any:
            return self.linear(self.adjacency @ h)

    net, other = Graph(), Graph()
    assert net(eg.ones(4, 3)).shape == (4, 2)
    other.adjacency.mul_(3)
    net.load_state_dict(other.state_dict())
    assert net.adjacency.to_dense().equal(other.adjacency.to_dense())
    with pytest.raises(RuntimeError, match="same entries"):
        net.adjacency.copy_(other.adjacency.t())
    assert net.double()(eg.ones(4, 3, dtype=eg.float64)).dtype is eg.float64


def test_dropout_drops_stored_values_only() -> None:
    x = eg.sparse.csr(sp.csr_array(np.ones((50, 40))))
    y = F.dropout(x, 0.5)
    assert set(y.values().tolist()) == {0.0, 2.0} and y._nnz() == 2000
    assert F.dropout(x, 0.5, training=False) is x


def test_spdiags_as_scipys() -> None:
    d = rand(3, 5)
    made = eg.sparse.spdiags(eg.tensor(d), eg.tensor([-1, 0, 2]), (4, 5))
    np.testing.assert_allclose(made.to_dense().numpy(), sp.diags_array(
        [d[0][:3], d[1][:4], d[2][2:]], offsets=[-1, 0, 2], shape=(4, 5)).toarray())  # fmt: skip
    assert eg.sparse.spdiags(eg.ones(1, 2), eg.tensor([0]), (2, 2), eg.sparse_csr).is_sparse_csr


@few
@given(st.lists(st.integers(0, 5), max_size=6), st.integers(0, 50))
def test_segments(lengths: list[int], seed: int) -> None:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(int)
    v = rand(int(offsets[-1]), seed=seed)
    parts = [v[a:b] for a, b in itertools.pairwise(offsets)]
    values = eg.tensor(v)
    assert_close(eg.sparse.segment_sum(values, offsets), np.array([p.sum() for p in parts]))
    e = [np.exp(p) / np.exp(p).sum() for p in parts]
    ref = np.concatenate(e) if e else np.zeros(0)
    assert_close(eg.sparse.segment_softmax(values, offsets), ref)
    assert_close(eg.sparse.segment_log_softmax(values, offsets), np.log(ref))


def test_gradients_of_segments() -> None:
    v, offsets = eg.tensor(rand(7)), eg.tensor([0, 3, 3, 7])
    check_gradients(lambda x: eg.sparse.segment_sum(x, offsets), [v], 2)
    check_gradients(lambda x: eg.sparse.segment_softmax(x, offsets), [v], 2)
    check_gradients(lambda x: eg.sparse.segment_log_softmax(x, offsets), [v], 2)


# -- SciPy ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.host("matrices of SciPy")
def test_memory_is_shared_with_scipy(index: Any, dtype: str) -> None:
    m = matrix().astype(dtype)
    m = sp.csr_array((m.data, m.indices.astype(index), m.indptr.astype(index)), m.shape, copy=False)
    x = eg.sparse.csr(m)
    assert x.values().data_ptr() == m.data.ctypes.data
    assert x.col_indices().data_ptr() == m.indices.ctypes.data
    back = x.scipy()
    assert back.data.ctypes.data == m.data.ctypes.data
    assert back.indices.ctypes.data == m.indices.ctypes.data
    m.data[0] = 7
    assert x.values()[0] == 7


@pytest.mark.parametrize("make", [sp.csr_array, sp.csc_array, sp.coo_array, sp.csr_matrix, sp.csc_matrix,
    sp.coo_matrix, sp.dok_array, sp.lil_array])  # fmt: skip
@pytest.mark.host("matrices of SciPy")
def test_scipy_is_taken_where_a_sparse_tensor_is(make: Any) -> None:
    m = make(matrix())
    a = m.toarray()
    w = eg.tensor(rand(4, 3), requires_grad=True)
    layer = eg.nn.Linear(4, 3).double()
    for y in (m @ w, eg.matmul(m, w), eg.sparse.mm(m, w)):
        assert isinstance(y, eg.Tensor) and y.requires_grad
        assert_close(y, a @ w.detach().numpy())
    assert_close(layer(m), a @ layer.weight.detach().numpy().T + layer.bias.detach().numpy())
    y = w.t() @ make(matrix().T)
    assert y.requires_grad
    assert_close(y, w.detach().numpy().T @ a.T)
    with eg.no_grad():
        assert isinstance(m @ w, eg.Tensor)
    assert isinstance(m @ eg.sparse.csr(matrix().T), eg.sparse.SparseTensor)


@pytest.mark.host("matrices of SciPy")
def test_star_is_scipys_product_of_matrices_and_elementwise_for_arrays() -> None:
    w = eg.tensor(rand(5, 4), requires_grad=True)
    assert_close((w * matrix()).to_dense(), w.detach().numpy() * matrix().toarray())
    old = sp.csr_matrix(matrix())
    assert_close(old * w.t(), matrix().toarray() @ w.detach().numpy().T)


@pytest.mark.host("matrices of SciPy")
def test_numpys_reading_of_tensors_is_as_before() -> None:
    w = eg.ones(3)
    assert np.asarray(w).ctypes.data == w.data_ptr()
    assert isinstance(np.asanyarray(w.requires_grad_()), np.ndarray)


def test_duplicates_and_unsorted_indices_are_put_in_order() -> None:
    ptr, idx = eg.tensor([0, 3, 4]), eg.tensor([2, 0, 2, 1])
    values = eg.tensor([1.0, 2.0, 10.0, 5.0], requires_grad=True)
    x = eg.sparse_csr_tensor(ptr, idx, values, (2, 3))
    assert x.col_indices().tolist() == [0, 2, 1] and x.values().tolist() == [2.0, 11.0, 5.0]
    (x.values() * eg.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert values.grad.tolist() == [2.0, 1.0, 2.0, 3.0]


def test_the_same_pattern_is_used_without_making_its_transpose_again() -> None:
    x = eg.sparse.csr(M)
    w = eg.randn(4, 9, dtype=eg.float64, requires_grad=True)
    grads = []
    for _ in range(3):
        (g,) = eg.autograd.grad((x @ w).square().sum(), w)
        grads.append(g)
    assert x._pattern._turned is not None
    assert grads[0].equal(grads[1]) and grads[1].equal(grads[2])
    assert eg.sparse.csr(M)[[0, 1]]._pattern._turned is None


# -- against PyTorch --------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_entries_layouts_and_results_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    index, values = [[2, 0, 2, 1], [1, 3, 1, 0]], [1.0, 2.0, 3.0, -4.0]
    dense = rand(4, 2).astype(np.float32)
    found = []
    for t in (eg, torch):
        x = t.sparse_coo_tensor(index, values, (3, 4)).coalesce()
        w = t.tensor(dense)
        results = [
            x, x.t(), x.to_sparse_csr(), x.to_sparse_csc(), x * 2, x + x, t.sparse.sum(x, 0),
            t.sparse.sum(x), t.sparse.softmax(x, 1), t.sparse.log_softmax(x, 0), t.sparse.mm(x, w), x @ w,
            t.sparse.addmm(t.ones(3, 2), x, w, beta=2.0), x.to_sparse_csr() @ w, t.sparse.mm(x, x.t()),
            x[2], x.index_select(1, t.tensor([3, 1])), x.transpose(0, 1), t.relu(x), t.cat([x, x]),
            x.to_sparse_csr().t(), t.ones(3, 4).sparse_mask(x), t.ones(3, 4) + x, x.abs(), t.mv(x, w[:, 0]),
            t.sparse.spdiags(t.tensor([[1.0, 2.0]]), t.tensor([1]), (3, 4)), x.narrow_copy(1, 1, 2)
            if t is torch else x.narrow(1, 1, 2), t.sparse_csr_tensor([0, 1, 2], [1, 0], [1.0, 2.0]),
        ]  # fmt: skip
        found.append(results)
    for ours, theirs in zip(*found, strict=True):
        assert str(ours.layout).rsplit(".", 1)[-1] == str(theirs.layout).rsplit(".", 1)[-1]
        assert tuple(ours.shape) == tuple(theirs.shape)
        assert_close(dense_of(ours), theirs.to_dense().numpy(), "float32", 4)
        if ours.layout == eg.sparse_coo:
            theirs = theirs.coalesce()
            assert ours.coalesce().indices().tolist() == theirs.indices().tolist()
            assert_close(ours.coalesce().values(), theirs.values().numpy(), "float32", 4)


@pytest.mark.parametrize("layout", ["coo", "csr", "csc", "scipy"])
def test_a_sparse_tensor_assigned_as_gradient(layout):
    g = eg.tensor([[0.0, 2.0], [0.0, 0.0], [1.0, 0.0]])
    assigned = {
        "coo": g.to_sparse(),
        "csr": g.to_sparse_csr(),
        "csc": g.to_sparse_csc(),
        "scipy": sp.csr_matrix(g.numpy()),
    }[layout]
    p = eg.nn.Parameter(eg.ones(3, 2))
    p.grad = assigned
    assert p.grad.is_sparse and p.grad.indices().tolist() == [[0, 2]]
    assert eg.equal(p.grad.to_dense(), g)
    eg.optim.SGD([p], lr=1.0).step()
    assert eg.equal(p.detach(), 1 - g)
    with pytest.raises(RuntimeError, match="size"):
        p.grad = eg.ones(2, 2).to_sparse()
    with pytest.raises(TypeError, match="Tensor or None"):
        p.grad = "gradient"


def test_a_sparse_vector_and_dense_dimensions_as_gradient():
    p = eg.ones(3, requires_grad=True)
    p.grad = eg.tensor([0.0, 5.0, 0.0]).to_sparse()
    assert p.grad.to_dense().tolist() == [0.0, 5.0, 0.0]
    q = eg.ones(3, 2, 2, requires_grad=True)
    dense = eg.zeros(3, 2, 2)
    dense[1] = eg.arange(4.0).view(2, 2)
    q.grad = dense.to_sparse(1)
    assert eg.equal(q.grad.to_dense(), dense)


def test_the_text_of_many_entries_leaves_some_out_as_a_dense_one_does() -> None:
    text = str(eg.eye(1200).to_sparse())
    assert "values=tensor([1., 1., 1.,  ..., 1., 1., 1.])" in text and "shape=" not in text


@pytest.mark.parametrize("short", ["max", "min"])
def test_mm_takes_the_short_names_of_reductions(short):
    x, w = S.csr(CUBE), eg.ones(CUBE.shape[1], 2, dtype=eg.float64) * eg.tensor([1.0, -2.0])
    assert eg.equal(S.mm(x, w, short), S.mm(x, w, "a" + short))
