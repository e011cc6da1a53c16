"""Random shapes, strides, dtypes and indices against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eagergrad as eg

pytest.importorskip("hypothesis")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from util import assert_close, check_gradients

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of read-only arrays

few = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
NONEMPTY = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)
DTYPES = st.sampled_from(["float64", "float32", "int64", "int32", "uint8", "bool"])
PAIRS = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3)


def fill(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return np.asarray(rng.integers(0, 2, shape), bool)
    if "float" in dtype:
        return np.asarray(rng.uniform(-3, 3, shape), dtype)
    return np.asarray(rng.integers(1, 9, shape), dtype)


@st.composite
def strided(draw: Any, shapes: Any = SHAPES, dtypes: Any = DTYPES) -> np.ndarray:
    """An array in memory as programs leave it: permuted, stepped, offset, expanded."""
    shape, dtype, seed = draw(shapes), draw(dtypes), draw(st.integers(0, 9))
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 2])) for _ in shape]
    offsets = [draw(st.integers(0, 1)) for _ in shape]
    sizes = [n * s + o for n, s, o in zip(shape, steps, offsets, strict=True)]
    base = np.asarray(fill(tuple(sizes[i] for i in order), dtype, seed)).transpose(
        np.argsort(order)
    )
    x = np.asarray(base)[
        tuple(slice(o, o + n * s, s) for n, s, o in zip(shape, steps, offsets, strict=True))
    ]
    x = np.asarray(x)
    if shape and shape[0] > 1 and draw(st.booleans()):
        x = np.broadcast_to(x[:1], shape)
    return x


def tensor(x: np.ndarray) -> eg.Tensor:
    """A tensor with the array's own strides, zero ones included."""
    if not x.size:
        return eg.tensor(np.ascontiguousarray(x))
    zeros = tuple(slice(0, 1) if s == 0 else slice(None) for s in x.strides)
    return eg.from_numpy(np.asarray(x)[zeros] if x.ndim else np.asarray(x)).expand(x.shape)


UNARY = {
    "neg": np.negative,
    "abs": np.abs,
    "square": np.square,
    "sign": np.sign,
    "exp": np.exp,
    "tanh": np.tanh,
    "floor": np.floor,
    "cos": np.cos,
}


@few
@given(
    x=strided(dtypes=st.sampled_from(["float64", "float32"])), name=st.sampled_from(sorted(UNARY))
)
def test_unary(x: np.ndarray, name: str) -> None:
    assert_close(getattr(eg, name)(tensor(x)), UNARY[name](x.astype(np.float64)), str(x.dtype))


BINARY = {
    "add": np.add,
    "mul": np.multiply,
    "maximum": np.maximum,
    "eq": np.equal,
    "lt": np.less,
    "logical_and": np.logical_and,
}


@few
@given(data=st.data(), pair=PAIRS, name=st.sampled_from(sorted(BINARY)))
def test_binary_broadcasts(data: Any, pair: Any, name: str) -> None:
    dtype = data.draw(DTYPES)
    a, b = (data.draw(strided(st.just(s), st.just(dtype))) for s in pair.input_shapes)
    result = getattr(eg, name)(tensor(a), tensor(b))
    assert tuple(result.shape) == pair.result_shape
    assert_close(result, BINARY[name](a, b), dtype)


@few
@given(data=st.data(), pair=PAIRS, first=DTYPES, second=DTYPES)
def test_dtypes_mix_by_value(data: Any, pair: Any, first: str, second: str) -> None:
    shape_a, shape_b = pair.input_shapes
    a, b = data.draw(strided(st.just(shape_a), st.just(first))), fill(shape_b, second, 1)
    result = tensor(a) * eg.tensor(b)
    dtype = str(result.dtype).rsplit(".", 1)[-1]
    assert_close(result, (a.astype(dtype) * b.astype(dtype)), dtype)


@few
@given(data=st.data(), pair=PAIRS)
def test_gradients_of_broadcasting(data: Any, pair: Any) -> None:
    doubles = st.just("float64")
    a, b = (data.draw(strided(st.just(s), doubles)) for s in pair.input_shapes)
    if a.size and b.size:
        check_gradients(lambda x, y: x * y + (x - y).tanh(), [tensor(a), tensor(b)], order=2)


REDUCTIONS = {
    "sum": np.sum,
    "mean": np.mean,
    "amax": np.max,
    "prod": np.prod,
    "any": np.any,
    "all": np.all,
}


@few
@given(data=st.data(), x=strided(NONEMPTY, st.sampled_from(["float64", "float32"])))
def test_reductions(data: Any, x: np.ndarray) -> None:
    name = data.draw(st.sampled_from(sorted(REDUCTIONS)))
    dim, keepdim = data.draw(st.integers(-x.ndim, x.ndim - 1)), data.draw(st.booleans())
    result = getattr(tensor(x), name)(dim, keepdim)
    expected = REDUCTIONS[name](x.astype(np.float64), axis=dim, keepdims=keepdim)
    assert_close(result, expected, str(x.dtype), tol=10)


@few
@given(data=st.data(), x=strided(NONEMPTY, st.sampled_from(["float64", "int64", "uint8"])))
def test_sums_over_several_dims(data: Any, x: np.ndarray) -> None:
    dims = data.draw(st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True))
    keepdim = data.draw(st.booleans())
    result = tensor(x).sum(dims, keepdim)
    assert_close(result, x.sum(tuple(dims), keepdims=keepdim), tol=10)


@few
@given(data=st.data(), x=strided(NONEMPTY))
def test_scans_and_sorts(data: Any, x: np.ndarray) -> None:
    dim = data.draw(st.integers(-x.ndim, x.ndim - 1))
    assert_close(tensor(x).sort(dim).values, np.sort(x, dim))
    assert_close(tensor(x).flip(dim), np.flip(x, dim))
    if x.dtype.kind == "f":
        assert_close(tensor(x).cumsum(dim), np.cumsum(x.astype(float), dim), str(x.dtype), tol=10)


@st.composite
def index_for(draw: Any, shape: tuple[int, ...]) -> Any:
    basic = draw(hnp.basic_indices(shape, allow_newaxis=True, max_dims=6))
    items = basic if isinstance(basic, tuple) else (basic,)
    if any(isinstance(i, slice) and (i.step or 1) < 0 for i in items):
        return (Ellipsis,)
    return basic


@few
@given(data=st.data(), x=strided(NONEMPTY))
def test_basic_indexing(data: Any, x: np.ndarray) -> None:
    index = data.draw(index_for(x.shape))
    assert_close(tensor(x)[index], x[index])
    y, t = x.copy(), tensor(x).clone()
    y[index], t[index] = 1, 1
    assert_close(t, y)


@few
@given(data=st.data(), x=strided(NONEMPTY, st.just("float64")))
def test_integer_array_indexing(data: Any, x: np.ndarray) -> None:
    count = data.draw(st.integers(1, x.ndim))
    arrays = hnp.broadcastable_shapes((2, 2), max_dims=2, max_side=3)
    shape = data.draw(arrays)
    index = tuple(
        data.draw(hnp.arrays(np.int64, shape, elements=st.integers(-n, n - 1)))
        for n in x.shape[:count]
    )
    t = tensor(x).clone().requires_grad_()
    y = t[tuple(eg.tensor(i) for i in index)]
    assert_close(y, x[index])
    y.sum().backward()
    expected = np.zeros(x.shape)
    np.add.at(expected, index, 1.0)
    assert_close(t.grad, expected)


@few
@given(data=st.data(), x=strided(NONEMPTY))
def test_mask_indexing(data: Any, x: np.ndarray) -> None:
    mask = data.draw(hnp.arrays(bool, x.shape[: data.draw(st.integers(1, x.ndim))]))
    assert_close(tensor(x)[eg.tensor(mask)], x[mask])
    y, t = x.copy(), tensor(x).clone()
    y[mask], t[eg.tensor(mask)] = 0, 0
    assert_close(t, y)


@few
@given(data=st.data(), x=strided(NONEMPTY, st.just("float64")))
def test_gather_and_scatter_add(data: Any, x: np.ndarray) -> None:
    dim = data.draw(st.integers(0, x.ndim - 1))
    shape = tuple(data.draw(st.integers(0, n)) if i != dim else 3 for i, n in enumerate(x.shape))
    index = data.draw(hnp.arrays(np.int64, shape, elements=st.integers(0, x.shape[dim] - 1)))
    grid = list(np.ogrid[tuple(slice(n) for n in shape)])
    grid[dim] = index
    i = eg.tensor(index)
    assert_close(tensor(x).gather(dim, i), x[tuple(grid)])
    expected = x.copy()
    np.add.at(expected, tuple(grid), 2.0)
    assert_close(tensor(x).scatter_add(dim, i, eg.full(shape, 2.0, dtype=eg.float64)), expected)


@few
@pytest.mark.host("NumPy's strides")
@given(data=st.data(), x=strided(NONEMPTY))
def test_views_and_copies(data: Any, x: np.ndarray) -> None:
    order = data.draw(st.permutations(range(x.ndim)))
    t = tensor(x)
    assert_close(t.permute(order), x.transpose(order))
    assert_close(t.permute(order).contiguous(), x.transpose(order))
    assert_close(t.reshape(-1), x.reshape(-1))
    assert_close(eg.cat([t, t], 0), np.concatenate([x, x], 0))
    assert_close(eg.stack([t, t], -1), np.stack([x, x], -1))
    assert tuple(t.stride()) == tuple(s // x.itemsize for s in x.strides) or 1 in x.shape


@few
@given(data=st.data())
def test_matmul(data: Any) -> None:
    n, m, k = (data.draw(st.integers(0, 5)) for _ in range(3))
    batch = data.draw(PAIRS)
    doubles = st.just("float64")
    a = data.draw(strided(st.just((*batch.input_shapes[0], n, m)), doubles))
    b = data.draw(strided(st.just((*batch.input_shapes[1], m, k)), doubles))
    assert_close(tensor(a) @ tensor(b), a @ b)


@few
@given(st.data())
def test_row_sparse_sums(data: Any) -> None:
    size = data.draw(st.sampled_from([1, 3, 50, 5000]))
    width = data.draw(st.integers(0, 3))
    total, dense = (
        eg.sparse.RowSparse([], eg.ones(0, width), (size, width)),
        np.zeros((size, width), np.float32),
    )
    for _ in range(data.draw(st.integers(1, 3))):
        rows = data.draw(st.lists(st.integers(0, size - 1), max_size=20))
        values = np.arange(len(rows) * width, dtype=np.float32).reshape(len(rows), width)
        total = total + eg.sparse.RowSparse(rows, eg.tensor(values), (size, width))
        np.add.at(dense, np.array(rows, dtype=np.int64), values)
    rows = total.indices()[0].numpy()
    assert (np.diff(rows) > 0).all() and set(rows) >= set(np.nonzero(dense.any(1))[0])
    np.testing.assert_array_equal(total.to_dense().numpy(), dense)
    np.testing.assert_array_equal((total + 0).numpy(), dense)
