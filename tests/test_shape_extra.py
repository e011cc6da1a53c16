"""What the table of ops does not see: one node a subscript, long sorts, determinism, aliasing, gradients in loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import eagergrad as eg
from interpreter import run_code


def test_a_subscript_of_basic_items_is_one_node() -> None:
    x = eg.zeros(8, 6, 4, requires_grad=True)
    y = x[1:7:2, ..., None, 3]
    assert y.shape == (3, 6, 1)
    ((parent, _),) = y.grad_fn.next_functions
    assert parent.name() == "AccumulateGrad"


def test_gradients_of_steps_through_time_add_up() -> None:
    x = eg.ones(50, 3, requires_grad=True)
    total = eg.zeros(3)
    for t in range(50):
        total = total + x[t] * float(t)
    total.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.arange(50.0)[:, None].repeat(3, 1))


def test_gradients_of_overlapping_windows_add_up() -> None:
    x = eg.ones(6, requires_grad=True)
    x.unfold(0, 3, 1).sum().backward()
    assert x.grad.tolist() == [1, 2, 3, 3, 2, 1]


def test_in_place_views_keep_history() -> None:
    x = eg.ones(2, 3, requires_grad=True)
    y = x * 2
    assert y.unsqueeze_(0) is y and y.shape == (1, 2, 3)
    assert y.transpose_(0, 2).shape == (3, 2, 1)
    assert y.squeeze_().shape == (3, 2)
    (y * eg.arange(6.0).view(3, 2)).sum().backward()
    assert x.grad.tolist() == [[0, 4, 8], [2, 6, 10]]
    with pytest.raises(RuntimeError, match="leaf"):
        x.unsqueeze_(0)


def test_a_write_through_a_view_reaches_the_base() -> None:
    x = eg.zeros(3, 4)
    x[1:].t()[2].fill_(5.0)
    assert x.tolist() == [[0, 0, 0, 0], [0, 0, 5, 0], [0, 0, 5, 0]]


def test_indexed_writes_in_place_are_recorded() -> None:
    x = eg.ones(4, requires_grad=True)
    v = eg.ones(2, requires_grad=True)
    y = x * 3
    y.index_put_((eg.tensor([0, 0]),), v, accumulate=True)
    y[eg.tensor([3])] = 0.0
    y.sum().backward()
    assert x.grad.tolist() == [3, 3, 3, 0]
    assert v.grad.tolist() == [1, 1]


def test_sources_that_share_memory_with_the_target() -> None:
    x = eg.arange(4.0)
    x.index_copy_(0, eg.tensor([3, 2, 1, 0]), x)
    assert x.tolist() == [3, 2, 1, 0]
    x[eg.tensor([0, 1])] = x[2:]
    assert x.tolist() == [1, 0, 1, 0]


def test_an_index_changed_before_backward_is_reported() -> None:
    x = eg.ones(4, requires_grad=True)
    index = eg.tensor([0, 1])
    y = x[index]
    index.add_(1)
    if index.is_cuda:  # there the checked index is another tensor
        y.sum().backward()
        assert x.grad.tolist() == [1, 1, 0, 0]
        return
    with pytest.raises(RuntimeError, match="modified"):
        y.sum().backward()


def test_embedding_names_the_bad_index_and_the_table() -> None:
    with pytest.raises(
        IndexError, match=r"index 7 (in a table of 5 rows|is out of bounds.* with size 5)"
    ):
        eg.nn.functional.embedding(eg.tensor([1, 7]), eg.zeros(5, 2))


@pytest.mark.parametrize("n", [3, 100, 257, 5000, pytest.param(200_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "wide int64", "few int32", "int8"])
@pytest.mark.parametrize("descending", [False, True])
def test_sort_is_stable_at_every_length(n: int, kind: str, descending: bool) -> None:
    rng = np.random.default_rng(n)
    x = {
        "float32": lambda: np.round(rng.standard_normal(n) * n / 3).astype(np.float32),
        "float64": lambda: rng.standard_normal(n),
        "int64": lambda: rng.integers(-50, 50, n),
        "wide int64": lambda: rng.integers(-(2**62), 2**62, n) // 2**30 * 2**30,
        "few int32": lambda: rng.integers(-3, 3, n).astype(np.int32),
        "int8": lambda: rng.integers(-128, 128, n).astype(np.int8),
    }[kind]()
    values, indices = eg.sort(eg.from_numpy(x), descending=descending, stable=True)
    if descending:
        expected = n - 1 - np.argsort(x[::-1], kind="stable")[::-1]
    else:
        expected = np.argsort(x, kind="stable")
    np.testing.assert_array_equal(indices.numpy(), expected)
    np.testing.assert_array_equal(values.numpy(), x[expected])


def test_nearly_equal_long_keys_are_sorted_by_their_last_bits() -> None:
    x = np.concatenate([1.0 + np.arange(100)[::-1] * 2.0**-52, [1e300], np.zeros(400)])
    np.testing.assert_array_equal(eg.from_numpy(x).sort().values.numpy(), np.sort(x))


def test_nan_is_the_largest_and_zeros_are_equal() -> None:
    x = eg.tensor([0.0, float("nan"), -0.0, float("inf"), -1.0])
    assert x.argsort(stable=True).tolist() == [4, 0, 2, 3, 1]
    assert x.argsort(descending=True, stable=True).tolist() == [1, 3, 0, 2, 4]
    assert x.topk(2).indices.tolist() == [1, 3]


@pytest.mark.parametrize("k", [1, 5, 33, 900, 4000])
@pytest.mark.parametrize("largest", [False, True])
def test_topk_agrees_with_a_sort(k: int, largest: bool) -> None:
    x = np.random.default_rng(k).integers(0, 1000, (3, 10_000)).astype(np.float32)
    values, indices = eg.from_numpy(x).topk(k, largest=largest)
    order = np.argsort(-x if largest else x, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices.numpy(), order)
    np.testing.assert_array_equal(values.numpy(), np.take_along_axis(x, order, 1))


def test_added_rows_have_the_same_bits_for_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    src = eg.from_numpy(rng.standard_normal((5000, 64)).astype(np.float32))
    index = eg.from_numpy(rng.integers(0, 50, 5000))
    before = eg.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            eg.set_num_threads(threads)
            results.append(eg.zeros(50, 64).index_add(0, index, src).numpy())
            results.append(
                eg.zeros(50, 64).scatter_add(0, index[:, None].expand(-1, 64), src).numpy()
            )
    finally:
        eg.set_num_threads(before)
    for r in results[1:]:
        np.testing.assert_array_equal(r, results[0])


def test_searchsorted_in_strides_of_values() -> None:
    rng = np.random.default_rng(1)
    for n in (0, 1, 2, 17, 1000):
        b = np.sort(rng.integers(0, 50, n)).astype(np.float32)
        v = rng.integers(-1, 51, 37).astype(np.float32)
        for side in ("left", "right"):
            found = eg.searchsorted(eg.from_numpy(b), eg.from_numpy(v), side=side)
            np.testing.assert_array_equal(found.numpy(), np.searchsorted(b, v, side=side))


def test_masks_of_every_density_are_found() -> None:
    rng = np.random.default_rng(2)
    for density in (0.0, 0.01, 0.5, 1.0):
        m = rng.random((3, 70, 1000)) < density
        np.testing.assert_array_equal(eg.from_numpy(m).nonzero().numpy(), np.argwhere(m))


def _spread(x: Any, dim: int, index: Any, src: Any) -> list[Any]:
    """Results of everything that takes an index of elements, and the gradients of their sum."""
    x, src = (t.clone().requires_grad_() for t in (x, src))
    y = [x.gather(dim, index), x.scatter(dim, index, src), x.scatter_add(dim, index, src)]
    y.append(x.scatter(dim, index, 2.0))
    for reduce in ("sum", "prod", "mean", "amax", "amin"):
        for include_self in (True, False):
            args = (dim, index, src, reduce)
            y.append(x.scatter_reduce(*args, include_self=include_self))
            y.append((x * 1).scatter_reduce_(*args, include_self=include_self))
            assert y[-1].tolist() == y[-2].tolist()
            with eg.no_grad():
                z = x.clone().scatter_reduce_(*args, include_self=include_self)
            assert z.tolist() == y[-1].tolist()
    return [*y, *eg.autograd.grad(sum(t.square().sum() for t in y), (x, src))]


@pytest.mark.parametrize("shape", [(4, 3), (1, 4, 3), (2, 4, 3), (4, 1)])
@pytest.mark.parametrize("more", [0, 2])
def test_an_index_expanded_from_one_entry_a_row_is_one_of_elements(shape: Any, more: int) -> None:
    eg.manual_seed(0)
    dim = len(shape) - 2
    x, src = (eg.randn(*shape, dtype=eg.float64) for _ in range(2))
    src = eg.cat([src] * (1 + more), dim)
    index = eg.tensor([3, 0, 3])[:, None].expand(*([1] * dim), 3, shape[-1])
    assert index.stride()[-1] == 0 or shape[-1] == 1
    for got, expected in zip(
        _spread(x, dim, index, src), _spread(x, dim, index.contiguous(), src), strict=True
    ):
        assert got.tolist() == expected.tolist()


@pytest.mark.parametrize("recorded", [False, True])
def test_a_mask_is_filled_in_order_in_any_layout(recorded: bool) -> None:
    x = eg.arange(12.0).reshape(3, 4)
    mask = eg.tensor([True, False, True, True])
    for start in (x, x.t().contiguous().t()):
        y = start.clone(memory_format=eg.preserve_format)
        if recorded:
            y = y.requires_grad_() * 1
        expected = start.numpy().copy()
        expected[:, [0, 2, 3]] = -np.arange(9.0).reshape(3, 3)
        assert y.masked_scatter(mask, -eg.arange(9.0)).tolist() == expected.tolist()
        assert y.masked_scatter_(mask, -eg.arange(9.0)) is y
        assert y.tolist() == expected.tolist()
    with pytest.raises(RuntimeError, match="does not broadcast"):
        eg.zeros(1).masked_scatter_(mask, eg.zeros(4))
    with pytest.raises(RuntimeError, match="source"):
        y.masked_scatter_(mask, eg.zeros(4))


def test_products_with_zeros_have_their_gradient() -> None:
    x = eg.ones(1, dtype=eg.float64)
    src = eg.tensor([2.0, 0.0, 3.0], dtype=eg.float64, requires_grad=True)
    y = x.scatter_reduce(0, eg.tensor([0, 0, 0]), src, "prod")
    y.sum().backward()
    assert src.grad.tolist() == [0, 6, 0]


@pytest.mark.parametrize("dim", [2, -3, 5])
@pytest.mark.parametrize(
    "function",
    [
        lambda x, dim: eg.quantile(x, 0.5, dim=dim),
        lambda x, dim: eg.nanquantile(x, 0.5, dim=dim),
        lambda x, dim: eg.mode(x, dim),
        lambda x, dim: eg.renorm(x, 2, dim, 1.0),
        lambda x, dim: eg.tensordot(x, x, ([dim], [0])),
        lambda x, dim: eg.masked.sum(x, dim),
        lambda x, dim: x.to_sparse_csr().size(dim),
    ],
    ids=["quantile", "nanquantile", "mode", "renorm", "tensordot", "masked.sum", "sparse.size"],
)
def test_a_dimension_that_is_not_there_is_refused(function: Any, dim: int) -> None:
    with pytest.raises(IndexError, match="Dimension out of range"):
        function(eg.ones(2, 3), dim)


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min", "prod"])
@pytest.mark.parametrize("initial", [None, 0.5])
def test_segment_reduce_as_torch(reduce, initial):
    torch = pytest.importorskip("torch")
    data = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
    cases = [
        (0, {"lengths": [1, 0, 1]}),
        (0, {"offsets": [0, 1, 2]}),
        (1, {"lengths": [[2, 3], [0, 5]]}),
    ]
    for axis, runs in cases:
        results = []
        for lib in (eg, torch):
            x = lib.tensor(data, requires_grad=True)
            given = {k: lib.tensor(v) for k, v in runs.items()}
            y = lib.segment_reduce(x, reduce, axis=axis, initial=initial, **given)
            w = lib.arange(float(y.numel())).reshape(y.shape)
            lib.where(y.isfinite(), y * w, lib.zeros_like(y)).sum().backward()
            results.append((y.detach().numpy(), x.grad.numpy()))
        np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
        np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("reduce", "options"),
    [
        ("median", {"lengths": [5]}),
        ("sum", {}),
        ("sum", {"lengths": [2, 2]}),
        ("sum", {"lengths": [6, -1]}),
        ("sum", {"lengths": [[5]]}),
    ],
)
def test_segment_reduce_refuses_runs_that_do_not_cover_the_axis(reduce, options):
    with pytest.raises(RuntimeError):
        eg.segment_reduce(eg.ones(5), reduce, **{k: eg.tensor(v) for k, v in options.items()})


def test_what_later_versions_refuse_is_said_once(tmp_path: Path) -> None:
    said = run_code(
        """
import warnings
import eagergrad as eg

with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    for _ in range(2):
        eg.ones(2, 3).T, eg.tensor(1.0).T, eg.meshgrid(eg.ones(2), indexing="ij")
    assert not seen
    for _ in range(2):
        eg.ones(2, 3, 4).T, eg.ones(2).T, eg.meshgrid(eg.ones(2), eg.ones(3))
print([w.category.__name__ for w in seen])
""",
        tmp_path,
    )
    assert said.strip() == "['UserWarning', 'UserWarning']"
