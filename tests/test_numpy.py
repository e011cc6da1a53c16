"""NumPy, DLPack and other array libraries on both sides of a tensor."""

from __future__ import annotations

import io
import math
import warnings
from typing import Any

import numpy as np
import pytest

import eagergrad as eg
from util import assert_close

with_numpy = pytest.mark.host("memory and operands in common with NumPy")

DTYPES = ["uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
@with_numpy
def test_from_numpy_and_numpy_share_memory(dtype: str) -> None:
    a = np.ones((2, 3), dtype)
    t = eg.from_numpy(a)
    assert t.dtype == getattr(eg, dtype) and t.shape == (2, 3)
    a[0, 0] = 0
    assert t[0, 0].item() == 0
    t[1, 1] = 0
    assert a[1, 1] == 0
    b = t.numpy()
    assert b.dtype == a.dtype and np.shares_memory(a, b)


@with_numpy
def test_as_tensor_shares_and_tensor_copies() -> None:
    a = np.zeros(3)
    assert eg.as_tensor(a).data_ptr() == a.ctypes.data
    assert eg.tensor(a).data_ptr() != a.ctypes.data
    assert eg.as_tensor(a, dtype=eg.float32).dtype == eg.float32
    t = eg.zeros(3)
    assert eg.as_tensor(t) is t and eg.asarray(a).data_ptr() == a.ctypes.data


def test_memory_outlives_the_other_side() -> None:
    a = np.arange(1000.0)
    t = eg.from_numpy(a)
    del a
    assert t.sum().item() == 499_500.0
    b = (eg.arange(1000.0) * 1).numpy()
    assert b.sum() == 499_500.0


@with_numpy
def test_strided_arrays_keep_their_strides() -> None:
    a = np.arange(24.0).reshape(4, 6)
    for view in (a.T, a[::2], a[:, 1::2], a[1:, :3].T, np.broadcast_to(a[:1], (3, 6)).copy()):
        t = eg.from_numpy(view)
        assert_close(t, view)
        assert t.data_ptr() == view.ctypes.data
        assert_close(t.numpy(), view)
    assert eg.from_numpy(a.T).stride() == (1, 6)
    assert eg.from_numpy(a).t().numpy().flags.f_contiguous


def test_0d_and_empty_arrays() -> None:
    assert eg.from_numpy(np.array(3.0)).item() == 3.0
    assert eg.from_numpy(np.zeros((0, 3))).shape == (0, 3)
    assert eg.zeros(2, 0).numpy().shape == (2, 0)
    assert eg.tensor(np.float32(2.5)).dtype == eg.float32
    assert eg.tensor(np.float64(2.5)).dtype == eg.float64
    assert eg.tensor([np.float64(2.5)]).dtype == eg.float64


def test_negative_strides_are_refused_with_a_hint() -> None:
    with pytest.raises(ValueError, match="negative"):
        eg.from_numpy(np.arange(3.0)[::-1])
    assert eg.from_numpy(np.arange(3.0)[::-1].copy()).tolist() == [2.0, 1.0, 0.0]


def test_byte_swapped_arrays_are_refused() -> None:
    with pytest.raises((ValueError, TypeError)):
        eg.from_numpy(np.arange(3, dtype=">f8"))


@pytest.mark.parametrize("bad", [np.array(["a"]), np.array([object()]), np.zeros(2, "M8[s]")])
def test_arrays_of_other_things_are_refused(bad: Any) -> None:
    with pytest.raises(TypeError):
        eg.from_numpy(bad)
    with pytest.raises(TypeError):
        eg.tensor(bad)


def test_what_is_not_an_array_is_refused() -> None:
    for bad in ([1, 2], 3.0, eg.zeros(1, requires_grad=True)):
        with pytest.raises(TypeError):
            eg.from_numpy(bad)


def test_read_only_arrays_can_be_read() -> None:
    a = np.arange(3.0)
    a.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert eg.from_numpy(a).sum().item() == 3.0
    assert eg.tensor(a).add_(1).tolist() == [1.0, 2.0, 3.0] and a[0] == 0.0


@with_numpy
def test_numpy_may_read_but_not_write_what_requires_grad() -> None:
    w = eg.ones(3, requires_grad=True)
    for t in (w, w * 2):
        view = np.asarray(t)
        assert view.ctypes.data == t.data_ptr() and not view.flags.writeable
        with pytest.raises((BufferError, TypeError)):
            io.BytesIO(bytes(12)).readinto(t)
    with eg.no_grad():
        np.asarray(w)[0] = 5
    assert w.tolist() == [5.0, 1.0, 1.0]
    assert np.asarray(w.detach()).flags.writeable


@with_numpy
def test_numpy_reads_tensors() -> None:
    t = eg.arange(6.0).reshape(2, 3)
    assert np.shares_memory(np.asarray(t), t.numpy())
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(t), t.numpy())
    assert float(np.sum(np.asarray(t))) == 15.0
    assert np.array([eg.tensor(1.0), eg.tensor(2.0)]).tolist() == [1.0, 2.0]


def test_bfloat16_has_no_numpy_dtype() -> None:
    with pytest.raises(TypeError):
        eg.ones(2, dtype=eg.bfloat16).numpy()


@with_numpy
def test_writes_through_numpy_are_seen() -> None:
    t = eg.zeros(3)
    t.numpy()[1] = 5
    assert t.tolist() == [0.0, 5.0, 0.0]


def test_lists_of_arrays_tensors_and_numbers() -> None:
    assert eg.tensor([np.ones(2), np.zeros(2)]).shape == (2, 2)
    assert eg.tensor([eg.tensor(1), eg.tensor(2)]).tolist() == [1, 2]
    assert eg.tensor([[1, 2.5], [True, 3]]).tolist() == [[1.0, 2.5], [1.0, 3.0]]
    assert eg.tensor([True, False]).dtype == eg.bool
    assert eg.tensor([]).shape == (0,) and eg.tensor([[]]).shape == (1, 0)
    with pytest.raises(ValueError):
        eg.tensor([[1, 2], [3]])
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        eg.tensor([1, "a"])
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        eg.tensor(None)


@with_numpy
def test_dlpack_round_trip_shares_memory() -> None:
    t = eg.arange(6.0).reshape(2, 3).t()
    a = np.from_dlpack(t)
    assert a.shape == (3, 2) and a.strides == (4, 12) and a.ctypes.data == t.data_ptr()
    u = eg.from_dlpack(t)
    assert u.data_ptr() == t.data_ptr() and u.stride() == t.stride()
    b = np.arange(4.0)
    assert eg.from_dlpack(b).data_ptr() == b.ctypes.data
    assert t.__dlpack_device__() == (1, 0)


def test_tensors_of_pytorch_are_not_mixed_with_ours() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = eg.ones(1, 2), torch.ones(1, 2)
    for mixed in (
        lambda: ours + theirs,
        lambda: theirs * ours,
        lambda: eg.sin(theirs),
        lambda: torch.sin(ours),
        lambda: eg.cat([ours, theirs]),
        lambda: eg.nn.Linear(2, 2)(theirs),
        lambda: torch.nn.Linear(2, 2)(ours),
    ):
        with pytest.raises(TypeError, match="from_dlpack"):
            mixed()


def test_asarray_keeps_histories_unless_told() -> None:
    w = eg.ones(2, requires_grad=True)
    y = w * 2
    assert eg.asarray(y) is y and eg.asarray(y, requires_grad=True) is y
    copied = eg.asarray(y, copy=True)
    assert copied.requires_grad and not copied.is_leaf
    plain = eg.asarray(y, requires_grad=False)
    assert not plain.requires_grad and plain.data_ptr() == y.data_ptr()
    assert eg.asarray([1.0, 2.0], requires_grad=True).is_leaf


@with_numpy
def test_what_requires_grad_is_read_while_nothing_is_recorded() -> None:
    w = eg.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="requires grad"):
        w.numpy()
    for region in (eg.no_grad, eg.inference_mode):
        with region():
            assert w.numpy().ctypes.data == w.data_ptr()
    assert eg.from_dlpack(eg.utils.dlpack.to_dlpack(w)).data_ptr() == w.data_ptr()
    assert eg.from_dlpack(eg.to_dlpack(w)).tolist() == [1.0, 1.0]


@with_numpy
def test_dlpack_capsules_can_be_read_once() -> None:
    t = eg.arange(4)
    capsule = eg.utils.dlpack.to_dlpack(t)
    u = eg.from_dlpack(capsule)
    u[0] = 9
    assert t[0].item() == 9
    with pytest.raises(RuntimeError, match="once"):
        eg.from_dlpack(capsule)
    bits = eg.ones(2, dtype=eg.bfloat16)
    assert eg.from_dlpack(bits.__dlpack__()).dtype == eg.bfloat16


@with_numpy
def test_dlpack_to_and_from_torch() -> None:
    torch = pytest.importorskip("torch")
    t = torch.arange(4.0)
    u = eg.from_dlpack(t)
    u[0] = 9.0
    assert t[0].item() == 9.0
    assert torch.from_dlpack(eg.ones(3)).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.ours
@with_numpy
def test_dlpack_of_bfloat16_shares_memory() -> None:
    x = eg.tensor([1.0, -2.5, 3.0], dtype=eg.bfloat16)
    y = eg.from_dlpack(x)
    assert y.dtype is eg.bfloat16
    y[0] = 7
    assert x.tolist() == [7.0, -2.5, 3.0]


@with_numpy
def test_dlpack_of_bfloat16_with_torch() -> None:
    torch = pytest.importorskip("torch")
    x = eg.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=eg.bfloat16)
    t = torch.from_dlpack(x.t())
    assert t.dtype is torch.bfloat16
    assert t.tolist() == [[1.0, 3.0], [2.0, 4.0]]
    t[0, 0] = 9
    back = eg.from_dlpack(t)
    assert back.dtype is eg.bfloat16
    assert back.stride() == (1, 2)
    back[1, 1] = 5
    assert x.tolist() == [[9.0, 2.0], [3.0, 5.0]]


def test_dlpack_of_a_recorded_tensor_is_refused() -> None:
    with pytest.raises((RuntimeError, BufferError)):
        np.from_dlpack(eg.ones(2, requires_grad=True))


@pytest.mark.ours
def test_ufuncs_record() -> None:
    w = eg.randn(3, 2, dtype=eg.float64, requires_grad=True)
    x = np.arange(6.0).reshape(2, 3) / 10
    y = np.tanh(x @ w).sum()
    assert isinstance(y, eg.Tensor)
    y.backward()
    expected = x.T @ (1 - np.tanh(x @ w.detach().numpy()) ** 2)
    assert_close(w.grad, expected)


@pytest.mark.ours
@pytest.mark.parametrize(
    "f",
    [
        lambda t, a: a * t,
        lambda t, a: t * a,
        lambda t, a: a - t,
        lambda t, a: a / (t + 3),
        lambda t, a: np.exp(t) + a,
        lambda t, a: np.add(a, t),
        lambda t, a: np.maximum(t, a),
        lambda t, a: np.sqrt(t + 5) @ a.T,
        lambda t, a: np.concatenate([t, a]),
        lambda t, a: np.stack([t, t]),
        lambda t, a: np.sum(t, axis=0),
        lambda t, a: np.mean(t, axis=1, keepdims=True),
        lambda t, a: np.where(a > 0, t, a),
        lambda t, a: np.matmul(t, a.T),
        lambda t, a: np.transpose(t),
        lambda t, a: np.reshape(t, (3, 2)),
        lambda t, a: np.dot(t, a.T),
        lambda t, a: np.clip(t, -0.5, 0.5),
        lambda t, a: np.float64(2.0) * t,
    ],
)
@with_numpy
def test_numpy_functions_record(f: Any) -> None:
    rng = np.random.default_rng(0)
    value, a = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    t = eg.tensor(value, requires_grad=True)
    y = f(t, a)
    assert isinstance(y, eg.Tensor) and y.requires_grad
    assert_close(y, np.asarray(f(value, a)))
    y.sum().backward()
    eps, d = 1e-6, rng.normal(size=(2, 3))
    numeric = (np.sum(f(value + eps * d, a)) - np.sum(f(value - eps * d, a))) / (2 * eps)
    assert abs(float((t.grad * eg.tensor(d)).sum()) - numeric) < 1e-6


@pytest.mark.ours
@with_numpy
def test_comparisons_with_arrays_give_tensors() -> None:
    t = eg.tensor([1.0, 2.0])
    assert ((t > np.array([1.5, 1.5])) == eg.tensor([False, True])).all()
    assert isinstance(np.array([1.5, 1.5]) < t, eg.Tensor)


@pytest.mark.ours
def test_an_unknown_numpy_function_on_a_recorded_tensor_says_its_name() -> None:
    t = eg.ones(3, requires_grad=True)
    with pytest.raises((TypeError, RuntimeError), match="convolve"):
        np.convolve(t, np.ones(2))


def test_other_holders_of_buffers() -> None:
    assert eg.tensor(memoryview(np.arange(3, dtype=np.int64))).tolist() == [0, 1, 2]
    assert eg.frombuffer(bytearray(b"\x01\x02"), dtype=eg.uint8).tolist() == [1, 2]
    half = eg.tensor([1.5, -2.0]).to(eg.bfloat16)
    assert eg.equal(eg.frombuffer(bytes(memoryview(half.view(eg.uint8))), dtype=eg.bfloat16), half)
    assert eg.tensor(range(3)).tolist() == [0, 1, 2]
    assert eg.tensor((1, 2)).tolist() == [1, 2]


def test_scipy_matrices_as_dense_arrays() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    m = sparse.random(5, 4, density=0.5, random_state=0).toarray()
    assert_close(eg.as_tensor(m), m)


def test_tolist_and_item() -> None:
    assert eg.tensor([[1, 2]]).tolist() == [[1, 2]] and eg.tensor(2.5).tolist() == 2.5
    assert type(eg.tensor(1).item()) is int and type(eg.tensor(True).item()) is bool
    with pytest.raises((ValueError, RuntimeError)):
        eg.ones(2).item()


def _scalar(value, dtype=None):
    return eg.tensor(value, dtype=dtype)


# what torch.tensor makes of the same nested values
NESTED = [
    (lambda: [_scalar(1.5)], eg.float32, [1.5]),
    (lambda: [_scalar(2), _scalar(1.5)], eg.float32, [2.0, 1.5]),
    (lambda: [_scalar(1.5, eg.float16), 2], eg.float16, [1.5, 2.0]),
    (lambda: [_scalar(1.5, eg.float16), 2.0], eg.float32, [1.5, 2.0]),
    (lambda: [_scalar(1.5), _scalar(1.5, eg.float64)], eg.float64, [1.5, 1.5]),
    (lambda: [_scalar(True), _scalar(2)], eg.int64, [1, 2]),
    (lambda: [[1, _scalar(1.5)]], eg.float32, [[1.0, 1.5]]),
    (lambda: [eg.tensor([1.0]), eg.tensor([[2.0]])], eg.float32, [1.0, 2.0]),
    (lambda: [np.float32(1), 2.5], eg.float32, [1.0, 2.5]),
    (lambda: [2.5, np.float64(1)], eg.float64, [2.5, 1.0]),
    (lambda: [np.int32(1), 2], eg.int64, [1, 2]),
    (lambda: [np.uint8(3), np.int8(3)], eg.int16, [3, 3]),
    (lambda: [np.array([1.0, 2.0]), [2, 3]], eg.float64, [[1.0, 2.0], [2.0, 3.0]]),
    (lambda: [True, 2.0], eg.float32, [1.0, 2.0]),
]


@pytest.mark.parametrize(("values", "dtype", "expected"), NESTED)
def test_nested_values_promote(values, dtype, expected):
    t = eg.tensor(values())
    assert t.dtype == dtype
    assert t.tolist() == expected


@pytest.mark.parametrize(
    ("data", "error", "match"),
    [
        ([None], RuntimeError, "Could not infer dtype of NoneType"),
        ([1.5, None], RuntimeError, "Could not infer dtype of NoneType"),
        (["a"], ValueError, "too many dimensions"),
        ([[1], [1, 2]], ValueError, "equal length"),
        ([2**70], RuntimeError, "Overflow"),
    ],
)
def test_nested_values_that_are_no_tensor(data, error, match):
    with pytest.raises(error, match=match):
        eg.tensor(data)


def test_functions_of_math_give_numbers() -> None:
    x = eg.tensor(-2.7)
    found = [math.floor(x), math.ceil(x), math.trunc(x), math.sqrt(eg.tensor(9))]
    assert found == [-3, -2, -2, 3.0] and [type(n) for n in found] == [int, int, int, float]


def test_from_numpy_takes_what_numpys_functions_make_of_tensors():
    joined = np.concatenate([eg.ones(2), eg.zeros(1)])
    taken = eg.from_numpy(joined)
    assert taken.tolist() == [1, 1, 0] and taken.data_ptr() == joined.data_ptr()
    with pytest.raises(TypeError, match=r"expected np.ndarray \(got Tensor\)"):
        eg.from_numpy(eg.ones(2, requires_grad=True))
