"""Row-sparse gradients: what they are, where they come from, what takes them."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import eagergrad as eg
from eagergrad.nn import functional as F
from eagergrad.sparse import RowSparse

ROWS, WIDTH = 7, 3


def some(rows: list[int], width: int = WIDTH, size: int = ROWS, seed: int = 0) -> Any:
    """A row-sparse tensor with numbers in these rows."""
    values = np.random.default_rng(seed).standard_normal((len(rows), width))
    return RowSparse(rows, eg.tensor(values), (size, width))


def same_bits(a: Any, b: Any) -> bool:
    a, b = (t.to_dense() if t.is_sparse else t for t in (a.detach(), b.detach()))
    return a.dtype == b.dtype and a.shape == b.shape and bytes_of(a) == bytes_of(b)


def bytes_of(t: Any) -> bytes:
    return (t.float() if t.dtype is eg.bfloat16 else t).numpy().tobytes()


# ---- the tensor ------------------------------------------------------------------------------------


def test_rows_are_sorted_and_repeated_ones_added_up() -> None:
    g = RowSparse([5, 1, 5], eg.tensor([[1.0, 2.0], [3.0, 4.0], [10.0, 20.0]]), (6, 2))
    assert g.indices().tolist() == [[1, 5]] and g.indices().dtype is eg.int64
    assert g.values().tolist() == [[3.0, 4.0], [11.0, 22.0]]
    assert (g._nnz(), g.sparse_dim(), g.dense_dim(), g.is_coalesced()) == (2, 1, 1, True)
    assert (tuple(g.shape), g.dtype, g.device.type) == (
        (6, 2),
        eg.float32,
        eg.get_default_device().type,
    )
    assert g.is_sparse and isinstance(g, eg.Tensor) and g.coalesce() is g
    assert "sparse_coo" in repr(g) and "nnz=2" in repr(g)


@pytest.mark.parametrize("size", [4, 10, 200_000])
def test_many_rows_add_up_as_the_dense_sum_does(size: int) -> None:
    rng = np.random.default_rng(1)
    rows, values = rng.integers(0, size, 50), rng.standard_normal((50, 2)).astype(np.float32)
    g = RowSparse(eg.tensor(rows), eg.tensor(values), (size, 2))
    dense = eg.zeros(size, 2).index_add(0, eg.tensor(rows), eg.tensor(values))
    assert g.indices().tolist() == [sorted(set(rows.tolist()))]
    assert same_bits(g, dense)


@pytest.mark.parametrize("shape", [(5,), (5, 2, 3), (0, 4), (5, 0)])
def test_shapes_of_any_number_of_dimensions(shape: tuple[int, ...]) -> None:
    rows = [3, 0] if shape[0] else []
    g = RowSparse(eg.tensor(rows, dtype=eg.int32), eg.ones(len(rows), *shape[1:]), shape)
    expected = eg.zeros(*shape)
    expected[rows] = 1
    assert same_bits(g, expected) and tuple(g.shape) == shape


@pytest.mark.parametrize(
    ("rows", "values", "size", "error"),
    [
        ([7], (1, 3), (7, 3), IndexError),
        ([-1], (1, 3), (7, 3), IndexError),
        ([2**62], (1, 3), (7, 3), IndexError),
        ([1, 2], (1, 3), (7, 3), RuntimeError),
        ([1], (1, 4), (7, 3), RuntimeError),
        ([1], (1,), (7, 3), RuntimeError),
        ([1], (1,), (), ValueError),
        ([1], (1, 3), (-7, 3), ValueError),
    ],
)
def test_bad_parts_are_refused(rows: Any, values: Any, size: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        RowSparse(rows, eg.ones(*values), size)


def test_bad_dtypes_are_refused() -> None:
    with pytest.raises(TypeError):
        RowSparse([1.5], eg.ones(1, 3), (7, 3))
    with pytest.raises(TypeError):
        RowSparse(eg.tensor([1.0]), eg.ones(1, 3), (7, 3))
    with pytest.raises(TypeError):
        RowSparse(eg.tensor([1]), eg.ones(1, 3, dtype=eg.int64), (7, 3))
    with pytest.raises(RuntimeError):
        RowSparse(eg.tensor([[1]]), eg.ones(1, 3), (7, 3))


# ---- arithmetic ------------------------------------------------------------------------------------


STAY_SPARSE: dict[str, Any] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "sub_alpha": lambda a, b: a.sub(b, alpha=2),
    "add_alpha": lambda a, b: a.add(b, alpha=0.5),
    "mul": lambda a, b: a * 3,
    "rmul": lambda a, b: 3 * a,
    "mul_0d": lambda a, b: a * eg.tensor(3.0, dtype=eg.float64),
    "div": lambda a, b: a / 3,
    "neg": lambda a, b: -a,
    "clone": lambda a, b: a.clone(),
    "detach": lambda a, b: a.detach(),
    "data": lambda a, b: a.data,
    "add_": lambda a, b: a.add_(b),
    "iadd": lambda a, b: a.__iadd__(b),
    "sub_": lambda a, b: a.sub_(b, alpha=2),
    "mul_": lambda a, b: a.mul_(3),
    "div_": lambda a, b: a.div_(3),
    "neg_": lambda a, b: a.neg_(),
    "zero_": lambda a, b: a.zero_(),
    "copy_": lambda a, b: a.copy_(b),
    "to": lambda a, b: a.to(eg.float32),
    "float": lambda a, b: a.float(),
    "type": lambda a, b: a.type(eg.float32),
}
BECOME_DENSE: dict[str, Any] = {
    "add_number": lambda a, b: a + 1,
    "mul_tensor": lambda a, b: a * b.to_dense() if b.is_sparse else a * b,
    "rsub": lambda a, b: 1 - a,
    "rdiv": lambda a, b: 1 / a,
    "exp": lambda a, b: a.exp(),
    "relu": lambda a, b: F.relu(a),
    "sum": lambda a, b: a.sum(0),
    "norm_dim": lambda a, b: a.norm(dim=1),
    "row": lambda a, b: a[5],
    "view": lambda a, b: a.view(-1),
    "transpose": lambda a, b: a.t(),
    "matmul": lambda a, b: a @ a.t(),
    "cat": lambda a, b: eg.cat([a, b]),
    "where": lambda a, b: eg.where(a > 0, a, b),
    "add_dense_": lambda a, b: a.add_(eg.ones(ROWS, WIDTH, dtype=eg.float64)),
    "fill_": lambda a, b: a.fill_(2.0),
    "item_": lambda a, b: a.__setitem__(0, 5.0),
    "clamp_": lambda a, b: a.clamp_(0.5, 1.0),
}


@pytest.mark.parametrize("name", [*STAY_SPARSE, *BECOME_DENSE])
def test_ops_give_what_they_give_for_the_dense_tensor(name: str) -> None:
    op = {**STAY_SPARSE, **BECOME_DENSE}[name]
    a, b = some([1, 4, 5]), some([0, 4], seed=1)
    dense_a, dense_b = a.to_dense(), b.to_dense()
    result, expected = op(a, b), op(dense_a, dense_b)
    if result is not None:
        assert result.is_sparse == (name in STAY_SPARSE)
        np.testing.assert_array_equal(
            result.to_dense().numpy() if result.is_sparse else result.numpy(), expected.numpy()
        )
    np.testing.assert_array_equal(a.to_dense().numpy(), dense_a.numpy())
    np.testing.assert_array_equal(b.to_dense().numpy(), dense_b.numpy())


def test_norms_of_the_stored_elements() -> None:
    g = some([1, 4])
    for p in (1, 2, float("inf")):
        np.testing.assert_allclose(float(g.norm(p)), float(g.to_dense().norm(p)), rtol=1e-14)


def test_dense_copies_follow_writes_to_the_values() -> None:
    g = some([1, 4])
    before = g.sum().item()
    g.values().mul_(2)
    assert g.is_sparse and g.sum().item() == pytest.approx(2 * before)
    g.mul_(3)
    assert g.is_sparse and g.sum().item() == pytest.approx(6 * before)


def test_a_dense_write_ends_the_rows() -> None:
    g = some([1, 4])
    g[0] = 1.0
    assert not g.is_sparse and g.detach().is_sparse is False and g.layout == "eagergrad.strided"
    assert g.to_dense()[0].tolist() == [1.0] * WIDTH
    assert np.asarray(g)[0].tolist() == [1.0] * WIDTH
    with pytest.raises(RuntimeError, match="dense"):
        g.values()
    assert copy.deepcopy(g).tolist() == g.tolist()


def test_a_write_through_a_view_ends_the_rows() -> None:
    g = some([1, 4])
    g.view(-1)[0] = 5.0
    assert not g.is_sparse and g[0, 0].item() == 5.0


def test_memory_is_not_shown_to_numpy() -> None:
    g = some([1, 4])
    for read in (g.numpy, lambda: np.asarray(g)):
        with pytest.raises(TypeError, match="to_dense"):
            read()
    with pytest.raises(RuntimeError, match="data pointer"):
        g.data_ptr()
    with pytest.raises(BufferError):
        memoryview(g)
    if not g.is_cuda:
        np.asarray(g[0])[0] = 7.0
        assert not g.is_sparse and g[0, 0].item() == 7.0


def test_copies_and_pickles_are_row_sparse_and_their_own() -> None:
    g = some([1, 4])
    for other in (copy.copy(g), copy.deepcopy(g), g.clone(), pickle.loads(pickle.dumps(g))):
        assert other.is_sparse and same_bits(g, other)
        other.mul_(2)
        assert not same_bits(g, other)


def test_files_keep_the_rows(tmp_path: Any) -> None:
    g, dense = some([1, 4]), some([1, 4])
    dense[0] = 1.0
    eg.save({"a": g, "b": g, "c": dense}, tmp_path / "grads")
    loaded = eg.load(tmp_path / "grads")
    assert loaded["a"].is_sparse and same_bits(loaded["a"], g) and loaded["a"] is loaded["b"]
    assert not loaded["c"].is_sparse and same_bits(loaded["c"], dense)


def test_frozen_ones_refuse_writes() -> None:
    g = some([1, 4]).freeze()
    for write in (lambda: g.mul_(2), g.zero_, lambda: g.add_(g), lambda: g.fill_(1.0)):
        with pytest.raises(ValueError, match="read-only"):
            write()
    assert g.is_sparse


def test_nothing_a_user_does_to_the_parts_spoils_them() -> None:
    g = some([1, 4])
    before = g.to_dense()
    g.indices().fill_(10**9)
    g._indices().fill_(-1)
    g.values().data = eg.zeros(1)
    g.values().resize_(100, 5)
    assert same_bits(g, before) and (g + g)._nnz() == 2


@pytest.mark.host("NumPy writes to the tensor's memory")
def test_rows_that_numpy_has_spoilt_are_refused() -> None:
    rows = np.array([1, 4])
    index = eg.from_numpy(rows)
    for layer, shape in ((eg.nn.Embedding, (2,)), (eg.nn.EmbeddingBag, (1, 2))):
        rows[:] = [1, 4]
        out = layer(ROWS, WIDTH, sparse=True)(index.reshape(*shape))
        rows[1] = 10**9  # behind the tape's back
        with pytest.raises(IndexError, match="out of range"):
            out.sum().backward()


# ---- where they come from ------------------------------------------------------------------------------


def both(make: Any, use: Any) -> tuple[Any, Any]:
    """The weight's gradient with sparse=True and with sparse=False."""
    grads = []
    for sparse in (True, False):
        eg.manual_seed(0)
        layer = make(sparse)
        use(layer).backward()
        grads.append(layer.weight.grad)
    return grads[0], grads[1]


INDEX = eg.tensor([[1, 4, 1], [0, 5, 4]])


@pytest.mark.parametrize("options", [{}, {"padding_idx": 4}, {"scale_grad_by_freq": True}])
@pytest.mark.parametrize("dtype", [eg.float32, eg.float64, eg.bfloat16, eg.float16])
def test_embedding(options: dict[str, Any], dtype: Any) -> None:
    def make(sparse: bool) -> Any:
        return eg.nn.Embedding(ROWS, WIDTH, sparse=sparse, dtype=dtype, **options)

    sparse, dense = both(make, lambda e: (e(INDEX) * e(INDEX)).sum())
    assert sparse.is_sparse and not dense.is_sparse and same_bits(sparse, dense)
    assert 4 not in sparse.indices().tolist()[0] or "padding_idx" not in options


@pytest.mark.parametrize("mode", ["sum", "mean"])
@pytest.mark.parametrize("options", [{}, {"padding_idx": 4}, {"scale_grad_by_freq": True}])
def test_embedding_bag(mode: str, options: dict[str, Any]) -> None:
    def make(sparse: bool) -> Any:
        return eg.nn.EmbeddingBag(ROWS, WIDTH, mode=mode, sparse=sparse, **options)

    sparse, dense = both(make, lambda e: (e(INDEX) ** 2).sum())
    assert sparse.is_sparse and same_bits(sparse, dense)


def test_bags_with_weights_of_their_own() -> None:
    weights = eg.rand(2, 3, requires_grad=True)
    sparse, dense = both(
        lambda sparse: eg.nn.EmbeddingBag(ROWS, WIDTH, mode="sum", sparse=sparse),
        lambda e: (e(INDEX, per_sample_weights=weights) ** 2).sum(),
    )
    assert sparse.is_sparse and same_bits(sparse, dense)
    assert weights.grad is not None


def test_mode_max_refuses_sparse_gradients() -> None:
    with pytest.raises(ValueError, match="max"):
        eg.nn.EmbeddingBag(ROWS, WIDTH, mode="max", sparse=True)(INDEX)


def test_gradients_add_up() -> None:
    e = eg.nn.Embedding(ROWS, WIDTH, sparse=True)
    dense = eg.nn.Embedding(ROWS, WIDTH, _weight=e.weight.detach().clone())
    for index in ([1, 4], [4, 5, 5], [0]):
        for layer in (e, dense):
            (layer(eg.tensor(index)) ** 2).sum().backward()
        assert e.weight.grad.is_sparse and same_bits(e.weight.grad, dense.weight.grad)
    assert e.weight.grad._nnz() == 4
    for layer in (e, dense):
        (layer.weight * 2).sum().backward()
    assert not e.weight.grad.is_sparse and same_bits(e.weight.grad, dense.weight.grad)
    for layer in (e, dense):
        (layer(eg.tensor([1, 4])) ** 2).sum().backward()
    assert not e.weight.grad.is_sparse and same_bits(e.weight.grad, dense.weight.grad)


@pytest.mark.parametrize("sparse_first", [True, False])
def test_one_backward_with_rows_and_a_dense_part(sparse_first: bool) -> None:
    grads = []
    for sparse in (True, False):
        w = eg.arange(12.0).reshape(6, 2).requires_grad_()
        parts = [
            lambda w=w, sparse=sparse: (
                F.embedding(eg.tensor([1, 4]), w, sparse=sparse) ** 2
            ).sum(),
            lambda w=w: (w**3).sum(),
        ]
        made = [part() for part in (parts if sparse_first else parts[::-1])]
        (made[0] + made[1]).backward()
        grads.append(w.grad)
    assert same_bits(*grads)


def test_other_tensors_get_dense_gradients() -> None:
    w = eg.ones(ROWS, WIDTH, requires_grad=True)
    (F.embedding(INDEX, w * 2, sparse=True) ** 2).sum().backward()
    assert not w.grad.is_sparse and w.grad[1].tolist() == [16.0] * WIDTH


def test_gradients_of_gradients_are_dense() -> None:
    w = eg.ones(ROWS, WIDTH, dtype=eg.float64, requires_grad=True)
    out = (F.embedding(INDEX, w, sparse=True) ** 3).sum()
    (g,) = eg.autograd.grad(out, w, create_graph=True)
    assert not g.is_sparse
    (h,) = eg.autograd.grad(g.sum(), w)
    assert h[1].tolist() == [12.0] * WIDTH
    assert eg.autograd.gradcheck(lambda w: F.embedding(INDEX, w, sparse=True) ** 2, (w,))
    assert eg.autograd.gradgradcheck(lambda w: F.embedding(INDEX, w, sparse=True) ** 2, (w,))


def test_grad_returns_them_too() -> None:
    w = eg.ones(ROWS, WIDTH, requires_grad=True)
    (g,) = eg.autograd.grad((F.embedding(INDEX, w, sparse=True) ** 2).sum(), w)
    assert g.is_sparse and w.grad is None


# ---- what takes them -------------------------------------------------------------------------------------


def test_hooks_see_and_replace_them() -> None:
    e = eg.nn.Embedding(ROWS, WIDTH, sparse=True)
    seen = []
    e.weight.register_hook(lambda g: seen.append(g.is_sparse) or g * 2)
    e.weight.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.is_sparse))
    e(eg.tensor([1])).sum().backward()
    assert seen == [True, True] and e.weight.grad.values().tolist() == [[2.0] * WIDTH]


def test_a_gradient_kept_elsewhere_does_not_change() -> None:
    e = eg.nn.Embedding(ROWS, WIDTH, sparse=True)
    kept = []
    e.weight.register_hook(lambda g: kept.append(g))
    for _ in range(2):
        e(eg.tensor([1])).sum().backward()
    assert kept[0].values().tolist() == [[1.0] * WIDTH]
    assert e.weight.grad.values().tolist() == [[2.0] * WIDTH]


def test_clipping() -> None:
    sparse, dense = (eg.nn.Parameter(eg.zeros(ROWS, WIDTH, dtype=eg.float64)) for _ in range(2))
    for clip in (
        lambda p: eg.nn.utils.clip_grad_norm_([p], 0.5),
        lambda p: eg.nn.utils.clip_grad_norm_([p], 0.5, float("inf")),
        lambda p: eg.nn.utils.clip_grad_value_([p], 0.3),
    ):
        sparse.grad = some([1, 4])
        dense.grad = some([1, 4]).to_dense()
        results = [clip(p) for p in (sparse, dense)]
        if results[0] is not None:
            assert float(results[0]) == pytest.approx(float(results[1]), rel=1e-14)
        assert sparse.grad.is_sparse
        np.testing.assert_allclose(sparse.grad.to_dense().numpy(), dense.grad.numpy(), rtol=1e-14)
    assert float(eg.nn.utils.get_total_norm([sparse.grad])) == pytest.approx(
        float(dense.grad.norm())
    )


def test_grad_scaler() -> None:
    e = eg.nn.Embedding(ROWS, WIDTH, sparse=True)
    optimizer = eg.optim.SGD(e.parameters(), lr=0.5)
    before = e.weight.detach().clone()
    scaler = eg.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(e(eg.tensor([1])).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert e.weight.grad.values().tolist() == [[1.0] * WIDTH]
    before[1] -= 0.5
    np.testing.assert_array_equal(e.weight.detach().numpy(), before.numpy())
    scaler.scale(e(eg.tensor([1])).sum() * float("inf")).backward()
    scaler.step(optimizer)
    np.testing.assert_array_equal(e.weight.detach().numpy(), before.numpy())


def test_zero_grad_keeps_or_drops_them() -> None:
    e = eg.nn.Embedding(ROWS, WIDTH, sparse=True)
    e(eg.tensor([1])).sum().backward()
    e.zero_grad(set_to_none=False)
    assert e.weight.grad.is_sparse and e.weight.grad._nnz() == 0
    e(eg.tensor([2])).sum().backward()
    assert e.weight.grad.indices().tolist() == [[2]]
    e.zero_grad()
    assert e.weight.grad is None


def test_weight_decay_by_hand_makes_it_dense() -> None:
    e = eg.nn.Embedding(ROWS, WIDTH, sparse=True)
    e(eg.tensor([1])).sum().backward()
    e.weight.grad.add_(e.weight.detach(), alpha=0.1)
    assert not e.weight.grad.is_sparse
    expected = 0.1 * e.weight.detach()
    expected[1] += 1
    np.testing.assert_allclose(e.weight.grad.numpy(), expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_updates_by_hand_touch_their_rows_alone(layout: str) -> None:
    updates = [
        lambda p, g: p.add_(g, alpha=-0.5),
        lambda p, g: p.sub_(g, alpha=0.5),
        lambda p, g: p.data.__isub__(0.5 * g),
        lambda p, g: p.__iadd__(-0.5 * g),
        lambda p, g: p.sub_(g),
    ]
    g = some([1, 4])
    for update in updates:
        p = table().detach() if layout == "rows" else table().detach().t().contiguous().t()
        expected = p.clone()
        version = p._version
        with eg.no_grad():
            update(p, g)
            update(expected, g.to_dense())
        np.testing.assert_allclose(p.numpy(), expected.numpy(), rtol=1e-15)
        assert p._version > version or update is updates[2]
    assert g.is_sparse
    leaf = table()
    with pytest.raises(RuntimeError, match="leaf Variable"):
        leaf.add_(g)
    with pytest.raises(ValueError, match="read-only"):
        table().detach().freeze().add_(g)
    with pytest.raises(RuntimeError):
        eg.zeros(ROWS, WIDTH + 1, dtype=eg.float64).add_(g)
    recorded = (leaf * 1).add_(g)
    recorded.sum().backward()
    assert leaf.grad.tolist() == [[1.0] * WIDTH] * ROWS


def test_modules_with_them_are_copied() -> None:
    w = eg.ones(ROWS, WIDTH, requires_grad=True)
    F.embedding(INDEX, w, sparse=True).sum().backward()
    other = copy.deepcopy(w)
    assert other.grad.is_sparse and same_bits(other.grad, w.grad)
    e = eg.nn.Embedding(ROWS, WIDTH, sparse=True)
    e(INDEX).sum().backward()
    assert copy.deepcopy(e).weight.grad is None
    assert list(e.state_dict()) == ["weight"]


def test_anomaly_mode_finds_nan_in_them() -> None:
    e = eg.nn.Embedding(ROWS, WIDTH, sparse=True)
    with eg.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="nan"):
        (e(eg.tensor([1])) * 0).sqrt().mul(0).sum().backward()


# ---- optimizers --------------------------------------------------------------------------------------------

CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "SGD": (eg.optim.SGD, {"lr": 0.1}),
    "SGD decay": (eg.optim.SGD, {"lr": 0.1, "weight_decay": 0.1}),
    "SGD momentum": (eg.optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.2}),
    "SGD nesterov": (
        eg.optim.SGD,
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ),
    "Adam": (eg.optim.Adam, {"lr": 0.1}),
    "Adam decay": (eg.optim.Adam, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    "AMSGrad": (eg.optim.Adam, {"lr": 0.1, "amsgrad": True}),
    "AdamW": (eg.optim.AdamW, {"lr": 0.1, "weight_decay": 0.1}),
    "Adamax": (eg.optim.Adamax, {"lr": 0.1, "weight_decay": 0.1}),
    "NAdam": (eg.optim.NAdam, {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    "RAdam": (eg.optim.RAdam, {"lr": 0.1, "weight_decay": 0.1}),
    "Adagrad": (eg.optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1}),
    "Adadelta": (eg.optim.Adadelta, {"lr": 1.0, "weight_decay": 0.1}),
    "RMSprop": (eg.optim.RMSprop, {"lr": 0.1, "weight_decay": 0.1}),
    "RMSprop all": (eg.optim.RMSprop, {"lr": 0.1, "momentum": 0.9, "centered": True}),
    "Rprop": (eg.optim.Rprop, {"lr": 0.1}),
    "ASGD": (eg.optim.ASGD, {"lr": 0.1, "t0": 2, "lambd": 0.01, "weight_decay": 0.1}),
    "Lion": (eg.optim.Lion, {"lr": 0.1, "weight_decay": 0.1}),
}
LAZY = pytest.mark.parametrize("case", CASES)


def table(dtype: Any = eg.float64, rows: int = ROWS, width: int = WIDTH) -> Any:
    values = np.random.default_rng(5).standard_normal((rows, width))
    return eg.nn.Parameter(eg.tensor(values).to(dtype))


def seen_rows(step: int, rows: int) -> list[int]:
    rng = np.random.default_rng(100 + step)
    return sorted(rng.choice(rows, size=int(rng.integers(0, rows)), replace=False).tolist())


def train(
    make: Any, dtype: Any, *, sparse: bool, steps: int = 9, rows: int = ROWS, width: int = WIDTH
) -> tuple[Any, Any]:
    p = table(dtype, rows, width)
    optimizer = make([p])
    for step in range(steps):
        g = some(seen_rows(step, rows), width, rows, seed=step).to(dtype)
        p.grad = g if sparse else g.to_dense()
        optimizer.step()
    return p, optimizer


@LAZY
@pytest.mark.parametrize("dtype", [eg.float32, eg.float64, eg.bfloat16, eg.float16])
def test_a_step_is_the_dense_step_to_the_bit(case: str, dtype: Any) -> None:
    cls, options = CASES[case]
    for rows, width in ((ROWS, WIDTH), (5, 700)):
        runs = [
            train(lambda ps: cls(ps, **options), dtype, sparse=sparse, rows=rows, width=width)
            for sparse in (True, False)
        ]
        (p, one), (q, other) = runs
        assert same_bits(p, q)
        assert list(one.state[p]) == list(other.state[q])
        for name, value in one.state[p].items():
            assert same_bits(value, other.state[q][name]), name


@LAZY
def test_a_lazy_step_with_all_rows_is_the_dense_step_to_the_bit(case: str) -> None:
    cls, options = CASES[case]
    params = [table(eg.float32), table(eg.float32)]
    for lazy, p in zip((True, False), params, strict=True):
        optimizer = cls([p], lazy=lazy, **options)
        for step in range(5):
            g = some(list(range(ROWS)), seed=step).float()
            p.grad = g if lazy else g.to_dense()
            optimizer.step()
    assert same_bits(*params)


def test_rows_that_are_not_seen_stay_as_they_are() -> None:
    for case, (cls, options) in CASES.items():
        p = table()
        before = p.detach().clone()
        optimizer = cls([p], lazy=True, **options)
        for step in range(3):
            p.grad = some([1, 4], seed=step)
            optimizer.step()
        rest = [0, 2, 3, 5, 6]
        assert same_bits(p.detach()[rest], before[rest]), case
        assert not same_bits(p.detach()[[1, 4]], before[[1, 4]])


def test_sgd_with_decay_alone_ends_where_the_dense_one_does() -> None:
    p, optimizer = train(
        lambda ps: eg.optim.SGD(ps, lr=0.1, weight_decay=0.1, lazy=True), eg.float64, sparse=True
    )
    q, _ = train(lambda ps: eg.optim.SGD(ps, lr=0.1, weight_decay=0.1), eg.float64, sparse=True)
    optimizer.catch_up()
    np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-13)
    assert optimizer.state[p]["row_step"].tolist() == [9] * ROWS
    again = p.detach().clone()
    optimizer.catch_up()
    assert same_bits(p, again)


def test_moments_catch_up_to_those_of_the_dense_run() -> None:
    for case in ("Adam", "AMSGrad", "AdamW", "NAdam", "Adadelta", "RMSprop all", "Lion"):
        cls, options = CASES[case]
        options = {**options, "weight_decay": 0}
        p, lazy = train(lambda ps: cls(ps, lazy=True, **options), eg.float64, sparse=True)
        q, dense = train(lambda ps: cls(ps, **options), eg.float64, sparse=True)
        lazy.catch_up()
        for name, value in dense.state[q].items():
            np.testing.assert_allclose(
                lazy.state[p][name].numpy(), value.numpy(), rtol=1e-12, atol=1e-15
            )


def test_asgd_means_catch_up_with_a_parameter_that_stands_still() -> None:
    options = {"lr": 0.1, "t0": 1, "lambd": 0.0}
    p, lazy = train(lambda ps: eg.optim.ASGD(ps, lazy=True, **options), eg.float64, sparse=True)
    q, dense = train(lambda ps: eg.optim.ASGD(ps, **options), eg.float64, sparse=True)
    lazy.catch_up()
    np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(lazy.state[p]["ax"].numpy(), dense.state[q]["ax"].numpy(), rtol=1e-6)


def test_long_lags() -> None:
    p = table()
    before = p.detach().clone()
    optimizer = eg.optim.AdamW([p], lr=0.1, weight_decay=0.1, lazy=True)
    p.grad = some([0])
    optimizer.step()
    moments = optimizer.state[p]["exp_avg"][0].clone()
    p.grad = some([1])
    for _ in range(1000):
        optimizer.step()
    optimizer.catch_up()
    np.testing.assert_allclose(
        optimizer.state[p]["exp_avg"][0].numpy(), moments * 0.9**1000, rtol=1e-9
    )
    np.testing.assert_allclose(p.detach()[5].numpy(), before[5] * 0.99**1001, rtol=1e-12)


def test_a_group_may_become_lazy_and_cease_to_be() -> None:
    params = []
    for lazy in (True, False):
        p = table()
        optimizer = eg.optim.Adam([p], lr=0.1, weight_decay=0.1, decoupled_weight_decay=True)
        for step in range(9):
            optimizer.param_groups[0]["lazy"] = lazy and 3 <= step < 6
            p.grad = some(
                list(range(ROWS)) if step in (2, 3, 4, 5) else seen_rows(step, ROWS), seed=step
            )
            optimizer.step()
            assert ("row_step" in optimizer.state[p]) == (lazy and 3 <= step < 6)
        params.append(p)
    assert same_bits(*params)


def test_a_dense_gradient_in_a_lazy_group_brings_all_rows_up_to_date() -> None:
    p = table()
    before = p.detach().clone()
    optimizer = eg.optim.SGD([p], lr=0.5, weight_decay=0.1, lazy=True)
    for _ in range(3):
        p.grad = some([1])
        optimizer.step()
    p.grad = eg.zeros_like(p)
    optimizer.step()
    np.testing.assert_allclose(p.detach()[0].numpy(), before[0] * 0.95**4, rtol=1e-13)
    assert optimizer.state[p]["row_step"].tolist() == [4] * ROWS


def test_parameters_in_other_layouts() -> None:
    for lazy in (True, False):
        results = []
        for layout in (lambda t: t, lambda t: t.t().contiguous().t()):
            p = eg.nn.Parameter(layout(table(eg.float64).detach()))
            optimizer = eg.optim.AdamW([p], lr=0.1, lazy=lazy)
            for step in range(4):
                p.grad = some(seen_rows(step, ROWS), seed=step)
                optimizer.step()
            results.append(p.detach().contiguous())
        assert same_bits(*results)


def test_several_threads_give_the_same_bits() -> None:
    before = eg.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            eg.set_num_threads(threads)
            for lazy in (True, False):
                results.append(
                    train(
                        lambda ps: eg.optim.AdamW(ps, lr=0.1, lazy=lazy),
                        eg.float32,
                        sparse=True,
                        rows=4000,
                        width=32,
                        steps=3,
                    )[0]
                )
    finally:
        eg.set_num_threads(before)
    assert same_bits(results[0], results[2]) and same_bits(results[1], results[3])


def test_state_dicts_keep_the_rows_steps() -> None:
    p, optimizer = train(
        lambda ps: eg.optim.AdamW(ps, lr=0.1, lazy=True), eg.float32, sparse=True, steps=4
    )
    q = eg.nn.Parameter(p.detach().clone())
    other = eg.optim.AdamW([q], lr=0.1, lazy=True)
    other.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    assert other.state[q]["row_step"].dtype is eg.int64
    third = copy.deepcopy(optimizer)
    for o, t in ((optimizer, p), (other, q), (third, third.param_groups[0]["params"][0])):
        t.grad = some([0, 5]).float()
        o.step()
    assert same_bits(p, q) and same_bits(p, third.param_groups[0]["params"][0])


def test_bad_row_steps_are_refused() -> None:
    p, optimizer = train(lambda ps: eg.optim.AdamW(ps, lazy=True), eg.float64, sparse=True, steps=2)
    before = p.detach().clone()
    for bad in (eg.zeros(3, dtype=eg.int64), eg.zeros(ROWS), 5):
        optimizer.state[p]["row_step"] = bad
        with pytest.raises((RuntimeError, TypeError), match="row_step"):
            optimizer.step()
    assert same_bits(p, before)
    w = table()
    w.grad = some([1])
    with pytest.raises(ValueError, match="lazy or differentiable"):
        eg.optim.SGD([w], lazy=True, differentiable=True).step()


def test_differentiable_steps_take_them_as_dense() -> None:
    w = table().detach().clone().requires_grad_() * 1
    w.retain_grad()
    w.grad = some([1, 4])
    before = w.detach().clone()
    eg.optim.SGD([w], lr=0.5, differentiable=True).step()
    np.testing.assert_allclose(w.detach().numpy(), (before - 0.5 * some([1, 4]).to_dense()).numpy())


def test_lbfgs_takes_them_as_dense() -> None:
    results = []
    for sparse in (True, False):
        e = eg.nn.Embedding(ROWS, WIDTH, sparse=sparse, _weight=table().detach())
        optimizer = eg.optim.LBFGS(e.parameters(), max_iter=4)

        def closure(e: Any = e, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = (e(INDEX) ** 2).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        results.append(e.weight)
    np.testing.assert_allclose(results[0].detach().numpy(), results[1].detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["Muon", "Adafactor"])
def test_optimizers_of_whole_matrices_refuse_them(name: str) -> None:
    p = table()
    p.grad = some([1])
    with pytest.raises(RuntimeError, match="sparse"):
        getattr(eg.optim, name)([p]).step()


TORCH_CASES: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1},
    "SGD momentum": {"lr": 0.1, "momentum": 0.9},
    "Adagrad": {"lr": 0.1, "lr_decay": 0.1},
    "SparseAdam": {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3},
}


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("case", TORCH_CASES)
def test_torch_does_the_same_with_sparse_gradients(case: str) -> None:
    torch = pytest.importorskip("torch")
    name = case.split()[0]
    results = []
    for root in (eg, torch):
        e = root.nn.Embedding(
            ROWS, WIDTH, sparse=True, _weight=root.tensor(table().detach().tolist())
        )
        optimizer = getattr(root.optim, name)(e.parameters(), **TORCH_CASES[case])
        for step in range(6):
            optimizer.zero_grad()
            index = root.tensor([*seen_rows(step, ROWS), 2, 2], dtype=root.int64)
            (e(index) ** 2).sum().backward()
            assert e.weight.grad.is_sparse
            optimizer.step()
        results.append(e.weight.detach().numpy())
    np.testing.assert_allclose(*results, rtol=2e-5)


def test_torch_gives_the_same_sparse_gradients() -> None:
    torch = pytest.importorskip("torch")
    grads = []
    for root in (eg, torch):
        bag = root.nn.EmbeddingBag(
            ROWS, WIDTH, mode="sum", sparse=True, _weight=root.tensor(table().detach().tolist())
        )
        (bag(root.tensor([[1, 4, 1], [0, 5, 4]])) ** 2).sum().backward()
        grads.append(bag.weight.grad.coalesce())
    mine, theirs = grads
    np.testing.assert_array_equal(mine.indices().numpy(), theirs.indices().numpy())
    np.testing.assert_allclose(mine.values().numpy(), theirs.values().numpy(), rtol=1e-6)
    assert (mine._nnz(), mine.sparse_dim(), mine.dense_dim()) == (
        theirs._nnz(),
        theirs.sparse_dim(),
        theirs.dense_dim(),
    )


def reference(case: str, steps: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A lazy run row by row: each is a dense optimizer's parameter of its own, which sees the steps that have the row."""
    cls, options = CASES[case]
    decay = 1 - options["lr"] * options.get("weight_decay", 0)
    beta1, beta2 = options.get("betas", (0.9, 0.99) if case == "Lion" else (0.9, 0.999))
    momentum = options.get("momentum", 0)
    fades = {
        "exp_avg": beta2 if case == "Lion" else beta1,
        "exp_avg_sq": beta2,
        "exp_inf": beta2,
        "momentum_buffer": momentum,
        "square_avg": 0.9 if case == "Adadelta" else 0.99,
        "acc_delta": 0.9,
        "grad_avg": 0.99,
        "prev": 0.0,
    }
    params, states = table().detach().numpy().copy(), {}
    for row in range(ROWS):
        p = eg.nn.Parameter(eg.tensor(params[row].copy()))
        optimizer = cls([p], **options)
        last = 0
        for step in range(1, steps + 1):
            g = some(seen_rows(step - 1, ROWS), seed=step - 1)
            if row not in g.indices().tolist()[0]:
                # A scalar like NAdam's product goes on; what the row itself keeps waits.
                kept = {k: v.clone() for k, v in optimizer.state[p].items() if v.ndim}
                before = p.detach().clone()
                p.grad = eg.zeros_like(p)
                optimizer.step()
                for k, v in optimizer.state[p].items():
                    if v.ndim:
                        v.copy_(kept[k] if k in kept else eg.zeros_like(v))
                        if k == "step_size" and k not in kept:
                            v.fill_(options["lr"])
                p.detach().copy_(before)
                continue
            skipped = step - 1 - last
            last = step
            if skipped and optimizer.state[p]:
                for k, v in optimizer.state[p].items():
                    if k in fades:
                        v.mul_(fades[k] ** skipped)
            if skipped:
                p.detach().mul_(decay**skipped)
            p.grad = g.to_dense()[row]
            optimizer.step()
        params[row] = p.detach().numpy()
        for k, v in optimizer.state[p].items():
            if v.ndim:
                states.setdefault(k, {})[row] = v.numpy()
    return params, states


@pytest.mark.parametrize("case", [case for case in CASES if case != "ASGD"])
def test_lazy_rows_catch_up(case: str) -> None:
    cls, options = CASES[case]
    p, optimizer = train(lambda ps: cls(ps, lazy=True, **options), eg.float64, sparse=True)
    params, states = reference(case, 9)
    np.testing.assert_allclose(p.detach().numpy(), params, rtol=1e-9, atol=1e-12)
    for name, rows in states.items():
        for row, value in rows.items():
            np.testing.assert_allclose(
                optimizer.state[p][name][row].numpy(), value, rtol=1e-9, atol=1e-12
            )


@pytest.mark.parametrize("threads", [1, 2])
def test_bags_and_rows_without_entries_are_zero_in_used_memory(threads: int) -> None:
    index, offsets = eg.tensor([3, 1, 3]), eg.tensor([0, 0, 2, 3])  # bags: none, 3 1, 3, none
    before = eg.get_num_threads()
    eg.set_num_threads(threads)
    try:
        for sparse in (False, True):
            bags = eg.nn.EmbeddingBag(6, 5, mode="sum", sparse=sparse)
            for size in (4 * 5, 6 * 5, 2 * 5):
                eg.full(
                    (size,), float("nan")
                )  # dropped at once: the next tensor of the size gets its memory
            y = bags(index, offsets)
            w = bags.weight.detach()
            assert eg.equal(y, eg.stack([w[0] * 0, w[3] + w[1], w[3], w[0] * 0]))
            y.sum().backward()
            g = bags.weight.grad.to_dense() if sparse else bags.weight.grad
            assert g[:, 0].tolist() == [0, 1, 0, 2, 0, 0]
    finally:
        eg.set_num_threads(before)
