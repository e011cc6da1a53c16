"""x[...] and x[...] = v, against NumPy, for every kind of index that programs use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eagergrad as eg
from util import assert_close

SHAPE = (4, 5, 3)
A, ALL, E, Z = np.array, slice(None), Ellipsis, None
MASK1 = A([True, False, True, True])
MASK2 = np.arange(20).reshape(4, 5) % 3 == 0
MASK3 = np.arange(60).reshape(SHAPE) % 7 < 3

# Written with NumPy arrays; the tests turn arrays into tensors.
INDICES: dict[str, Any] = {
    "int": 2, "negative int": -1, "numpy int64": np.int64(1), "bool-free tuple": (1, 2),
    "a:b": slice(1, 3), "a:": slice(2, None), ":b": slice(None, -1), "a:b:s": slice(0, 4, 2),
    "beyond the end": slice(2, 99), "empty slice": slice(3, 1), "negative a": slice(-3, None),
    ":, int": (ALL, 1), ":, a:b": (ALL, slice(1, 4)), ":, int, :": (ALL, 2, ALL),
    "int, a:b": (0, slice(1, 3)), "int, int": (1, 2), "int, int, int": (1, 2, 0),
    "int, :": (1, ALL), "a:b, :": (slice(0, 2), ALL), "a:b, a:b": (slice(0, 2), slice(1, 3)),
    "..., a:b": (E, slice(0, 2)), "..., int": (E, 1), "int, ...": (1, E), "...": E,
    "int, ..., int": (1, E, 0), ":, :, a:b": (ALL, ALL, slice(1, 3)), ":, :, int": (ALL, ALL, 0),
    ":, a:b:s": (ALL, slice(0, 5, 2)), "int, a:b, :": (2, slice(1, 3), ALL),
    "None": Z, "None, ...": (Z, E), "..., None": (E, Z), ":, None": (ALL, Z),
    ":, :, None": (ALL, ALL, Z), "None, :, None, None": (Z, ALL, Z, Z), "None, int": (Z, 1),
    ":, None, :, None, :": (ALL, Z, ALL, Z, ALL), "int, None": (2, Z),
    "long0d": A(2), "long0d, long0d": (A(1), A(2)), "int, long0d": (1, A(2)),
    "long1d": A([0, 2, 2]), "long1d negative": A([-1, 0]), "long2d": A([[0, 1], [3, 2]]),
    "long empty": np.zeros(0, np.int64), "int32 index": np.array([1, 3], np.int32),
    "long1d, long1d": (A([0, 1]), A([2, 4])), "long1d, :": (A([0, 1]), ALL),
    "long1d, a:b": (A([0, 1]), slice(1, 3)), "long1d, int": (A([0, 1]), 2),
    "int, long1d": (1, A([0, 4])), ":, long1d": (ALL, A([0, 4, 0])), "..., long1d": (E, A([0, 2])),
    "long1d, None, None": (A([0, 1]), Z, Z), "None, long1d": (Z, A([0, 1])),
    "long2d, long1d broadcast": (A([[0], [1]]), A([0, 1, 2])), "a:b, long1d": (slice(1, 3), A([1, 2])),
    "long1d, :, long1d": (A([0, 1]), ALL, A([0, 2])), ":, long1d, long1d": (ALL, A([0, 1]), A([0, 2])),
    "long1d, int, long1d": (A([0, 1]), 1, A([0, 2])),
    "long1d, None, long1d": (A([0, 1]), Z, A([0, 2])), "a:b, long2d, int": (slice(0, 2), A([[0], [1]]), 1),
    "three longs": (A([0, 1]), A([1, 2]), A([2, 0])), "long1d, ..., long1d": (A([0, 1]), E, A([0, 2])),
    "list": [0, 2], ":, list": (ALL, [0, 2]), ":, list, :": (ALL, [1, 1], ALL),
    "list of one": [1], "list, list": ([0, 1], [2, 3]),

    "mask": MASK1, "mask, :": (MASK1, ALL), "mask2d": MASK2, "mask3d": MASK3, ":, mask": (ALL, MASK2[0]),
    "mask, int": (MASK1, 1), "mask2d, int": (MASK2, 2), "..., mask": (E, A([True, False, True])),
    "mask, long1d": (MASK1, A([0, 1, 2])), "mask none set": np.zeros(4, bool),
    "mask as list": [True, False, True, False], "True": True, "False": False,
    "mask, a:b": (MASK1, slice(1, 3)), "mask with None": (Z, MASK1),
}  # fmt: skip
SHARED = {
    "int",
    "a:b",
    ":, int",
    "..., int",
    "None",
    "...",
    "int, ..., int",
    "a:b:s",
    "long0d",
    "empty slice",
}


def to_eg(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(to_eg(i) for i in index)
    return eg.tensor(index) if isinstance(index, np.ndarray) else index


def data() -> np.ndarray:
    return np.arange(60.0).reshape(SHAPE)


def numpy_index(index: Any) -> Any:
    """What NumPy wants: 0-d integer arrays act as integers in PyTorch."""
    if isinstance(index, tuple):
        return tuple(numpy_index(i) for i in index)
    return int(index) if isinstance(index, np.ndarray) and index.shape == () else index


@pytest.mark.parametrize("name", INDICES)
def test_read(name: str) -> None:
    expected = data()[numpy_index(INDICES[name])]
    result = eg.tensor(data())[to_eg(INDICES[name])]
    assert_close(result, expected)


@pytest.mark.parametrize("name", INDICES)
def test_read_with_numpy_arrays_as_index(name: str) -> None:
    assert_close(eg.tensor(data())[INDICES[name]], data()[numpy_index(INDICES[name])])


@pytest.mark.parametrize("name", INDICES)
def test_read_from_a_strided_tensor(name: str) -> None:
    strided = eg.tensor(np.ascontiguousarray(data().transpose(2, 0, 1))).permute(1, 2, 0)
    assert not strided.is_contiguous()
    assert_close(strided[to_eg(INDICES[name])], data()[numpy_index(INDICES[name])])


@pytest.mark.parametrize("name", INDICES)
def test_gradient_of_read(name: str) -> None:
    x = eg.tensor(data(), requires_grad=True)
    y = x[to_eg(INDICES[name])]
    w = np.arange(1.0, y.numel() + 1).reshape(tuple(y.shape))
    (y * eg.tensor(w)).sum().backward()
    expected = np.zeros(SHAPE)
    np.add.at(expected, numpy_index(INDICES[name]), w)
    assert_close(x.grad, expected)


@pytest.mark.parametrize("name", INDICES)
def test_write_a_number(name: str) -> None:
    expected, x = data(), eg.tensor(data())
    expected[numpy_index(INDICES[name])] = -7
    x[to_eg(INDICES[name])] = -7
    assert_close(x, expected)


@pytest.mark.parametrize("name", INDICES)
def test_write_a_tensor_of_the_right_shape(name: str) -> None:
    expected, x = data(), eg.tensor(data())
    index = numpy_index(INDICES[name])
    value = -np.arange(1.0, expected[index].size + 1).reshape(expected[index].shape)
    expected[index] = value
    x[to_eg(INDICES[name])] = eg.tensor(value)
    assert_close(x, expected)


@pytest.mark.parametrize("name", INDICES)
def test_write_broadcasts(name: str) -> None:
    expected, x = data(), eg.tensor(data())
    index = numpy_index(INDICES[name])
    last = expected[index].shape[-1:]
    value = -np.arange(1, (last or (1,))[0] + 1) if last else np.array(-5)
    expected[index] = value
    x[to_eg(INDICES[name])] = eg.tensor(value.astype(np.float64))
    assert_close(x, expected)


@pytest.mark.parametrize("name", INDICES)
def test_gradient_of_write(name: str) -> None:
    index = numpy_index(INDICES[name])
    x = eg.tensor(data(), requires_grad=True)
    v = eg.tensor(np.float64(3.0), requires_grad=True)
    y = x * 2
    y[to_eg(INDICES[name])] = v
    w = np.arange(1.0, 61).reshape(SHAPE)
    (y * eg.tensor(w)).sum().backward()
    hit = np.zeros(SHAPE, bool)
    hit[index] = True
    assert_close(x.grad, np.where(hit, 0, 2 * w))
    if name != "False":  # PyTorch says nan for a value that went nowhere
        assert_close(v.grad, w[index].sum())


@pytest.mark.parametrize("name", sorted(SHARED))
def test_basic_indexing_shares_memory(name: str) -> None:
    x = eg.tensor(data())
    x[to_eg(INDICES[name])].fill_(-1)
    expected = data()
    expected[numpy_index(INDICES[name])] = -1
    assert_close(x, expected)


@pytest.mark.parametrize("name", ["long1d", "mask", "list", ":, long1d"])
def test_advanced_indexing_copies(name: str) -> None:
    x = eg.tensor(data())
    x[to_eg(INDICES[name])].fill_(-1)
    assert_close(x, data())


def test_second_order_through_an_index() -> None:
    x = eg.tensor([1.0, 2.0, 3.0], dtype=eg.float64, requires_grad=True)
    y = (x[eg.tensor([0, 0, 2])] ** 3).sum()
    (g,) = eg.autograd.grad(y, x, create_graph=True)
    (h,) = eg.autograd.grad(g.sum(), x)
    assert g.tolist() == [6.0, 0.0, 27.0] and h.tolist() == [12.0, 0.0, 18.0]


def test_slice_assignment_converts() -> None:
    x = eg.zeros(4, dtype=eg.float64)
    x[1:3] = eg.ones(2)
    x[0] = eg.tensor(7)
    assert x.tolist() == [7.0, 1.0, 1.0, 0.0]


def test_where_pytorch_differs_from_numpy() -> None:
    x, i = eg.tensor(data()), A([0, 2])
    assert x[1, :, eg.tensor(i)].shape == (5, 2)  # an integer selects before tensors gather
    assert_close(x[1, :, eg.tensor(i)], data()[1][:, i])
    assert_close(x[[[0, 1], [2, 3]]], data()[[0, 1], [2, 3]])  # a list of lists is a tuple


def test_slice_bounds_may_be_tensors() -> None:
    x = eg.arange(10)
    assert x[eg.tensor(2) : eg.tensor(5)].tolist() == [2, 3, 4]
    x[eg.tensor(0) : eg.tensor(2)] = -1
    assert x[:3].tolist() == [-1, -1, 2]


def test_a_uint8_tensor_is_a_mask() -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = eg.arange(3.0)
        assert x[eg.tensor([1, 0, 1], dtype=eg.uint8)].tolist() == [0.0, 2.0]


def test_a_range_is_a_list_of_indices() -> None:
    x = eg.tensor(data())
    assert_close(x[range(1, 3)], data()[[1, 2]])
    assert_close(x[range(2), eg.tensor([1, 2])], data()[[0, 1], [1, 2]])
    x[range(2), 1] = 0.0
    assert x[:2, 1].abs().sum().item() == 0.0


def test_0d_tensors() -> None:
    x = eg.tensor(3.0)
    assert x[()].item() == 3.0 and x[...].item() == 3.0 and x[None].shape == (1,)
    x[()] = 4.0
    assert x.item() == 4.0
    x[...] = 5.0
    assert x.item() == 5.0 and x[True].shape == (1,) and x[False].shape == (0,)
    with pytest.raises(IndexError):
        x[0]


@pytest.mark.parametrize(
    "index", [4, -5, (0, 5), (0, 0, 3), (0, 0, 0, 0), A([4]), A([-5]), (ALL, A([5]))]
)
def test_out_of_range_is_an_index_error(index: Any) -> None:
    x = eg.tensor(data())
    with pytest.raises(IndexError):
        x[to_eg(index)]
    with pytest.raises(IndexError):
        x[to_eg(index)] = 0.0
    assert_close(x, data())


@pytest.mark.parametrize("index", [1.0, "a", (0, 1.5), A([0.5]), {"a": 1}, object()])
def test_what_cannot_be_an_index(index: Any) -> None:
    x = eg.tensor(data())
    with pytest.raises((IndexError, TypeError)):
        x[to_eg(index)]
    assert_close(x, data())


@pytest.mark.parametrize("index", [A([True, False]), np.ones((4, 4), bool), (ALL, MASK1)])
def test_a_mask_must_fit(index: Any) -> None:
    with pytest.raises(IndexError):
        eg.tensor(data())[to_eg(index)]


def test_slices_with_a_negative_or_zero_step_are_refused() -> None:
    x = eg.tensor(data())
    with pytest.raises(ValueError, match="step"):
        x[::-1]
    with pytest.raises((ValueError, RuntimeError)):
        x[::0]


def test_a_value_that_does_not_fit_is_refused_and_nothing_is_written() -> None:
    x = eg.tensor(data())
    with pytest.raises((RuntimeError, ValueError)):
        x[1:3] = eg.ones(7)
    with pytest.raises((RuntimeError, IndexError, ValueError)):
        x[eg.tensor([0, 1])] = eg.ones(3, 5, 3)
    with pytest.raises((RuntimeError, TypeError, ValueError)):
        x[0] = "text"
    assert_close(x, data())


def test_index_tensors_of_different_shape_must_broadcast() -> None:
    with pytest.raises(IndexError):
        eg.tensor(data())[eg.tensor([0, 1]), eg.tensor([0, 1, 2])]


def test_write_with_repeated_indices_keeps_one_of_the_values() -> None:
    x = eg.zeros(3)
    x[eg.tensor([1, 1])] = eg.tensor([5.0, 6.0])
    assert x[1].item() in (5.0, 6.0) and x[0].item() == 0.0


def test_values_of_lists_and_arrays_are_accepted() -> None:
    x = eg.zeros(2, 3)
    x[0] = eg.tensor([1, 2, 3])
    x[1, 1:] = eg.tensor([4.0, 5.0], dtype=eg.float64)
    assert x.tolist() == [[1, 2, 3], [0, 4, 5]]


def test_iteration_and_membership() -> None:
    x = eg.tensor([[1, 2], [3, 4]])
    assert [r.tolist() for r in x] == [[1, 2], [3, 4]] and len(x) == 2
    assert 3 in x and 9 not in x
    _, b = x
    assert b.tolist() == [3, 4] and next(iter(reversed(x))).tolist() == [3, 4]
    with pytest.raises(TypeError):
        len(eg.tensor(1.0))
    with pytest.raises(TypeError):
        iter(eg.tensor(1.0))


def test_a_name_is_no_index() -> None:
    with pytest.raises(TypeError, match="got str"):
        eg.ones(3)["a"]
    with pytest.raises(TypeError, match="got str"):
        eg.ones(3)["a"] = 1


@pytest.mark.parametrize(
    "f",
    [
        lambda x, m, i: x.scatter(0, i.expand(0, 3), m),
        lambda x, m, i: x.scatter_(0, i.expand(0, 3), m),
        lambda x, m, i: x.scatter_add_(0, i.expand(0, 3), m),
        lambda x, m, i: x.scatter_reduce(0, i.expand(0, 3), m, "amax"),
        lambda x, m, i: x.scatter_reduce(0, i.expand(0, 3), m, "mean"),
        lambda x, m, i: x.scatter_reduce_(0, i.expand(0, 3), m, "prod"),
        lambda x, m, i: x.index_reduce(0, i[:, 0], m, "mean"),
        lambda x, m, i: eg.cat([x, m.flatten()]),
        lambda x, m, i: eg.cat([m.flatten(), x], 1),
    ],
)
def test_what_made_a_source_without_elements_gets_zeros(f) -> None:
    weight = eg.ones(3, 3, requires_grad=True)
    messages = eg.ones(0, 3) @ weight  # of a graph without edges
    y = f(eg.ones(2, 3), messages, eg.zeros(0, 1, dtype=eg.int64))
    assert y.tolist() == [[1.0] * 3] * 2
    y.sum().backward()
    assert weight.grad.tolist() == [[0.0] * 3] * 3
