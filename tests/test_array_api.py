"""The Python array API standard, held against NumPy's own namespace."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

import eagergrad as eg
import interpreter
from eagergrad import array_api as xp

pytestmark = pytest.mark.long

needs_numpy = pytest.mark.skipif(not hasattr(np, "unstack"), reason="NumPy 2.1 has the standard")

# The names of the standard, 2024.12; of the dtypes those that eagergrad has.
CONSTANTS = "e inf nan newaxis pi".split()
DTYPES = "bool int8 int16 int32 int64 uint8 float32 float64".split()
LACKING = "uint16 uint32 uint64 complex64 complex128 fft".split()
FLOAT_UNARY = (
    "acos acosh asin asinh atan atanh cos cosh exp expm1 log log10 log1p log2 reciprocal sin sinh sqrt tan tanh"
).split()
REAL_UNARY = (
    "abs ceil conj floor imag isfinite isinf isnan negative positive real round sign signbit square trunc"
).split()
ARITHMETIC = (
    "add equal greater greater_equal less less_equal maximum minimum multiply not_equal subtract"
).split()
DIVISION = "floor_divide remainder".split()
FLOAT_BINARY = "atan2 copysign divide hypot logaddexp nextafter pow".split()
BITWISE = "bitwise_and bitwise_or bitwise_xor".split()
SHIFTS = "bitwise_left_shift bitwise_right_shift".split()
LOGICAL = "logical_and logical_or logical_xor".split()
REDUCTIONS = "all any count_nonzero max mean min prod std sum var".split()
OTHERS = (
    "arange argmax argmin argsort asarray astype bitwise_invert broadcast_arrays broadcast_to can_cast clip concat "
    "cumulative_prod cumulative_sum diff empty empty_like expand_dims eye finfo flip from_dlpack full full_like iinfo "
    "isdtype linspace logical_not matmul matrix_transpose meshgrid moveaxis nonzero ones ones_like permute_dims repeat "
    "reshape result_type roll searchsorted sort squeeze stack take take_along_axis tensordot tile tril triu unique_all "
    "unique_counts unique_inverse unique_values unstack vecdot where zeros zeros_like __array_namespace_info__"
).split()
LINALG = (
    "cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank matrix_transpose outer "
    "pinv qr slogdet solve svd svdvals tensordot trace vecdot vector_norm"
).split()

FLOATS = ["float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8"]
SHAPES = [(), (3,), (0,), (2, 3), (2, 0, 2), (2, 1, 3)]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1.5, 7.25, np.inf, -np.inf, np.nan, 30.0]


def values(shape, dtype, seed=0):
    """An array of small numbers; of floats with special ones among them."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype in FLOATS:
        return rng.choice(SPECIAL, shape).astype(dtype)
    return rng.integers(0 if dtype == "uint8" else -5, 6, shape).astype(dtype)


def finite(shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def ours(x):
    """NumPy's argument as eagergrad's: arrays as tensors, in sequences too."""
    if isinstance(x, np.ndarray):
        return eg.tensor(x)
    if isinstance(x, np.dtype):
        return getattr(eg, x.name)
    return type(x)(ours(v) for v in x) if isinstance(x, (list, tuple)) else x


def same(found, expected, rtol=2e-6):
    """Values, shapes and dtypes agree; sequences of arrays one by one."""
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for pair in zip(found, expected, strict=True):
            same(*pair, rtol=rtol)
        return
    expected = np.asarray(expected)
    assert isinstance(found, eg.Tensor)
    assert found.shape == expected.shape
    name = expected.dtype.name
    assert found.dtype.name == ("int64" if name == "uint64" else name)
    np.testing.assert_allclose(found.cpu().numpy(), expected, rtol=rtol, atol=1e-6)


def check(name, *args, rtol=2e-6, **options):
    """The function of both namespaces, called alike."""
    *folders, last = name.split(".")
    theirs, mine = np, xp
    for folder in folders:
        theirs, mine = getattr(theirs, folder), getattr(mine, folder)
    with np.errstate(all="ignore"):
        expected = getattr(theirs, last)(*args, **options)
    found = getattr(mine, last)(*ours(args), **{k: ours(v) for k, v in options.items()})
    same(found, expected, rtol)


def test_no_name_of_the_standard_is_missing():
    tables = (
        CONSTANTS
        + DTYPES
        + FLOAT_UNARY
        + REAL_UNARY
        + ARITHMETIC
        + DIVISION
        + FLOAT_BINARY
        + BITWISE
    )
    names = tables + SHIFTS + LOGICAL + REDUCTIONS + OTHERS
    assert len(set(names)) == len(names) == 147
    assert [n for n in names if not hasattr(xp, n)] == []
    assert [n for n in LINALG if not hasattr(xp.linalg, n)] == []
    assert [n for n in LACKING if hasattr(xp, n)] == []


@pytest.mark.host("another process, of the CPU")
def test_importing_eagergrad_does_not_import_the_namespace(tmp_path: Path) -> None:
    code = "import sys, eagergrad as eg; assert 'eagergrad.array_api' not in sys.modules; eg.ones(1).__array_namespace__()"
    interpreter.run_code(code, tmp_path)


@needs_numpy
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FLOAT_UNARY)
def test_functions_of_floats(name, dtype):
    for shape in [*SHAPES, (40,)]:
        check(name, values(shape, dtype), rtol=1e-5 if dtype == "float32" else 1e-12)


@needs_numpy
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize("name", REAL_UNARY)
def test_functions_of_numbers(name, dtype):
    for shape in [*SHAPES, (40,)]:
        check(name, values(shape, dtype))


PAIRS = [((), ()), ((3,), ()), ((2, 1), (3,)), ((0,), (1,)), ((2, 3), (2, 3)), ((40,), (40,))]


def check_binary(name, dtype, other=None):
    for one, two in PAIRS:
        check(name, values(one, dtype), values(two, other or dtype, seed=1))


@needs_numpy
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize("name", ARITHMETIC)
def test_functions_of_two_arrays_of_numbers(name, dtype):
    check_binary(name, dtype)
    for number in [3] + [1.5] * (dtype in FLOATS):
        check(name, values((4,), dtype), number)
        check(name, number, values((4,), dtype))


@needs_numpy
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize("name", DIVISION)
def test_divisions_with_remainder(name, dtype):
    by = np.array([3, 1, 2, 5], dtype)
    for divisor in [by, -by if dtype != "uint8" else by, np.array(2, dtype), 3]:
        check(name, np.array([7, 0, 4, 9], dtype), divisor)
        if dtype != "uint8":
            check(name, np.array([-7, -1, -4, -9], dtype), divisor)
    check(name, 7, by)
    if dtype in FLOATS:
        check_binary(name, dtype)


@needs_numpy
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FLOAT_BINARY)
def test_functions_of_two_arrays_of_floats(name, dtype):
    check_binary(name, dtype)
    for number in [3, 1.5]:
        check(name, values((4,), dtype), number)
        check(name, number, values((4,), dtype))


@needs_numpy
@pytest.mark.parametrize("dtype", ["bool", *INTEGERS])
@pytest.mark.parametrize("name", BITWISE)
def test_bitwise_functions(name, dtype):
    check_binary(name, dtype)
    check(name, values((4,), dtype), True if dtype == "bool" else 3)
    check("bitwise_invert", values((4,), dtype))


@needs_numpy
@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", SHIFTS)
def test_shifts(name, dtype):
    for one, two in PAIRS:
        check(name, values(one, dtype), np.abs(values(two, dtype)))
    check(name, values((4,), dtype), 2)


@needs_numpy
@pytest.mark.parametrize("name", LOGICAL)
def test_logical_functions(name):
    check_binary(name, "bool")
    check(name, values((4,), "bool"), True)
    check("logical_not", values((4,), "bool"))


@needs_numpy
@pytest.mark.parametrize("kinds", list(itertools.product(INTEGERS, INTEGERS + ["bool"])))
def test_integers_promote_as_in_numpy(kinds):
    check_binary("bitwise_or", *kinds)
    assert xp.result_type(*(getattr(xp, k) for k in kinds)).name == np.result_type(*kinds).name
    assert xp.can_cast(*(getattr(xp, k) for k in kinds)) == np.can_cast(*kinds)


@needs_numpy
def test_arrays_without_dimensions_promote_as_others():
    single, double = values((3,), "float32"), np.array(2.0)
    for name in ["add", "atan2", "maximum", "pow", "less"]:
        check(name, single, double)
        check(name, double, single)
    check("where", np.array([True, False, True]), single, double)
    check("matmul", finite((2, 2), "float32"), finite((2,)))
    assert xp.result_type(eg.tensor(single), xp.float64, 1.0) is eg.float64
    assert xp.result_type(xp.int8, 3) is eg.int8
    assert xp.result_type(xp.bool, 3) is eg.int64
    assert xp.result_type(xp.int8, 3.0) is eg.float32
    with pytest.raises(TypeError, match="real number"):
        xp.maximum(eg.tensor(single), 1j)
    with pytest.raises(ValueError, match="result_type"):
        xp.result_type(1, 2.0)


def reduction_dtypes(name):
    if name in ("mean", "std", "var"):
        return FLOATS
    return FLOATS + INTEGERS + ["bool"] * (name in ("all", "any", "count_nonzero"))


@needs_numpy
@pytest.mark.filterwarnings("ignore:.*egrees of freedom:UserWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, keepdims):
    axes = {0: [None, ()], 1: [None, 0, -1, (0,), ()], 2: [None, 0, -1, (0, 1), (-1, 0), ()]}
    axes[3] = [None, 0, -2, (0, 2), (-1, 1), (0, 1, 2), ()]
    for dtype, shape in itertools.product(reduction_dtypes(name), SHAPES):
        for axis in axes[len(shape)]:
            reduced = [
                shape[a]
                for a in (range(len(shape)) if axis is None else np.atleast_1d(axis).astype(int))
            ]
            if name in ("max", "min") and 0 in reduced:
                continue  # nothing to choose from: an error in both
            x = values(shape, dtype)
            if dtype in FLOATS and name not in ("all", "any", "count_nonzero", "max", "min"):
                x = finite(shape, dtype)
            check(name, x, axis=axis, keepdims=keepdims)


@needs_numpy
def test_options_of_reductions():
    x = finite((3, 4))
    for name, correction in itertools.product(["std", "var"], [0, 1, 0.5]):
        check(name, x, axis=0, correction=correction)
    for name in ["sum", "prod", "cumulative_sum", "cumulative_prod"]:
        check(name, x, axis=1, dtype=np.dtype("float32"))
        check(name, values((3, 4), "int8"), axis=-1, dtype=np.dtype("int16"))
    with pytest.raises((RuntimeError, IndexError)):
        xp.max(xp.zeros(0))


@needs_numpy
@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_cumulative_functions(name):
    for dtype, initial in itertools.product(["float32", "int8", "uint8", "int64"], [False, True]):
        check(name, np.abs(values((4,), "int8")).astype(dtype), include_initial=initial)
        for axis in (0, 1, -1):
            check(
                name,
                np.abs(values((2, 3), "int8")).astype(dtype),
                axis=axis,
                include_initial=initial,
            )
    with pytest.raises(ValueError, match="axis"):
        getattr(xp, name)(xp.ones((2, 2)))


@needs_numpy
@pytest.mark.parametrize("dtype", DTYPES)
def test_creation(dtype):
    kind = np.dtype(dtype)
    for name, shape in itertools.product(["zeros", "ones"], [(), 3, (2, 0), (2, 3)]):
        check(name, shape, dtype=kind)
        check(name, shape=shape, dtype=kind)
    check("full", (2,), True if dtype == "bool" else 1, dtype=kind)
    check("full", shape=(), fill_value=1)
    x = finite((2, 3))
    for name in ["zeros_like", "ones_like"]:
        check(name, x, dtype=kind)
        check(name, x.astype(kind))
    check("full_like", x.astype(kind), 1)
    assert xp.empty(shape=(2, 3), dtype=getattr(xp, dtype)).shape == (2, 3)
    assert xp.empty_like(eg.tensor(x), dtype=getattr(xp, dtype)).dtype.name == dtype
    for k, columns in itertools.product([-5, -1, 0, 2], [None, 2, 4]):
        check("eye", 3, columns, k=k, dtype=kind)
    if dtype != "bool":
        for args in [(5,), (1, 5), (1, 8, 3), (5, 1, -2) if dtype != "uint8" else (0,), (3, 1)]:
            check("arange", *args, dtype=kind)
    if dtype in FLOATS:
        for num, endpoint in itertools.product([0, 1, 2, 5], [False, True]):
            check("linspace", -1, 2.5, num=num, dtype=kind, endpoint=endpoint)
    check("meshgrid", *(np.arange(n).astype(kind) for n in (2, 3)))
    check("meshgrid", *(np.arange(n).astype(kind) for n in (2, 3)), indexing="ij")
    for name, k in itertools.product(["tril", "triu"], [-1, 0, 1]):
        check(name, values((2, 3, 4), dtype), k=k)


def test_default_dtypes():
    info = xp.__array_namespace_info__()
    defaults = info.default_dtypes()
    assert (
        xp.zeros(2).dtype is xp.asarray(1.0).dtype is xp.eye(2).dtype is defaults["real floating"]
    )
    assert xp.arange(3).dtype is xp.asarray(1).dtype is xp.full((), 3).dtype is defaults["integral"]
    assert xp.argmax(xp.ones(3)).dtype is defaults["indexing"]
    assert info.default_device() == xp.ones(1).device
    assert info.default_device().type in {d.type for d in info.devices()}
    assert list(info.dtypes()) == DTYPES
    assert list(info.dtypes(kind="integral")) == DTYPES[1:6]
    assert info.dtypes(kind="complex floating") == {}
    assert info.dtypes(kind=("bool", "real floating")) == {
        "bool": eg.bool,
        "float32": eg.float32,
        "float64": eg.float64,
    }
    most = info.capabilities()["max dimensions"]
    assert xp.zeros((1,) * most).ndim == most
    with pytest.raises(RuntimeError):
        xp.zeros((1,) * (most + 1))


def test_arrays_of_other_objects():
    x = eg.arange(4)
    assert xp.asarray(x) is x
    assert xp.asarray(x, copy=True) is not x
    assert xp.from_dlpack(np.arange(3)).tolist() == [0, 1, 2]
    assert xp.asarray([[1, 2], [3, 4]], dtype=xp.float64).dtype is eg.float64
    with pytest.raises(ValueError, match="copy"):
        xp.asarray(x, dtype=xp.float32, copy=False)


@needs_numpy
def test_data_types():
    for dtype in DTYPES:
        for kind in [
            "bool",
            "signed integer",
            "unsigned integer",
            "integral",
            "real floating",
            "numeric",
        ]:
            assert xp.isdtype(getattr(xp, dtype), kind) == np.isdtype(np.dtype(dtype), kind)
        for other in DTYPES:
            check("astype", np.abs(values((3,), "int8")).astype(dtype), np.dtype(other))
    assert xp.isdtype(xp.int8, (xp.int16, "bool")) is False
    assert xp.isdtype(xp.int8, xp.int8) is True
    assert not xp.isdtype(xp.float32, "complex floating")
    with pytest.raises(ValueError, match="isdtype"):
        xp.isdtype(xp.int8, "number")
    x = eg.ones(2)
    assert xp.astype(x, xp.float32) is not x
    assert xp.astype(x, xp.float32, copy=False) is x
    for given in (xp.float32, x):
        limits, theirs = xp.finfo(given), np.finfo("float32")
        assert limits.dtype is eg.float32
        for field in ("bits", "eps", "max", "min", "smallest_normal"):
            assert getattr(limits, field) == float(getattr(theirs, field))
    limits = xp.iinfo(x.to(eg.int16))
    assert (limits.dtype, limits.bits, limits.min, limits.max) == (
        eg.int16,
        16,
        -(2**15),
        2**15 - 1,
    )
    assert xp.can_cast(x, xp.float64) and not xp.can_cast(xp.float64, x.dtype)


@needs_numpy
def test_manipulation():
    x = np.arange(24.0).reshape(2, 3, 4)
    for y in (x, x[:, :0], x > 5, x.astype("int8")):
        check("broadcast_arrays", y, y[:1, :, :1])
        check("broadcast_to", y, (5, *y.shape))
        check("concat", [y, y[:1]])
        check("concat", (y, y), axis=-1)
        check("concat", [y, y[0, :, 0]], axis=None)
        for axis in (0, 2, -1, -4):
            check("expand_dims", y, axis=axis)
        same(xp.expand_dims(ours(y)), y[None])
        for axis in (None, 1, (0, -1), ()):
            check("flip", y, axis=axis)
        check("moveaxis", y, 0, -1)
        check("moveaxis", y, (0, 1), (-1, 0))
        check("permute_dims", y, (2, 0, 1))
        check("permute_dims", y, axes=(-1, 0, 1))
        check("repeat", y, 2)
        check("repeat", y, 2, axis=1)
        check("repeat", y, np.array([2, 3]), axis=0)
        check("reshape", y, (y.size,))
        check("reshape", y, (2, 2, -1)) if y.size else None
        check("roll", y, 3)
        check("roll", y, -1, axis=1)
        check("roll", y, (1, 2), axis=(0, 2))
        check("roll", y, 1, axis=(0, 2))
        check("squeeze", y[:1], axis=0)
        check("squeeze", y[:1, None], axis=(0, -3))
        check("stack", [y, y], axis=-1)
        check("tile", y, (2,))
        check("tile", y, (3, 1, 1, 2))
        check("unstack", y)
        check("unstack", y, axis=-1)
        check("take", y, np.array([0, 1, -1]), axis=2)
        check("take", y, np.array([1], "int8"), axis=-3)
        check("diff", y, axis=0)
        check("diff", y, n=2, prepend=y[..., :1], append=y[..., :1]) if y.dtype != bool else None
    check("concat", [x.astype("int8"), x.astype("int16")])
    check("stack", [np.array(1, "int8"), np.array(300, "int16")])
    check("take", np.arange(5), np.array([3, -2]))
    check("flip", np.array(3.0))
    check("take_along_axis", x, np.array([[[1], [-1], [0]]], "int32"), axis=2)
    # NumPy before 2.3 has no default axis.
    check("take_along_axis", x[:, 0], np.array([[1], [-1]]), axis=-1)
    assert xp.moveaxis(eg.ones(2, 3), 0, 1).shape == (3, 2)


def test_views_and_refusals():
    x = eg.arange(6)
    assert xp.reshape(x, (2, 3), copy=False).data_ptr() == x.data_ptr()
    assert xp.reshape(x, (2, 3), copy=True).data_ptr() != x.data_ptr()
    with pytest.raises(ValueError, match="reshape"):
        xp.reshape(x.reshape(2, 3).mT, (6,), copy=False)
    with pytest.raises(ValueError, match="squeeze"):
        xp.squeeze(x, axis=0)
    with pytest.raises(IndexError):
        xp.expand_dims(x, axis=3)
    with pytest.raises(ValueError, match="axis"):
        xp.take(eg.ones(2, 2), eg.tensor([0]))
    with pytest.raises(ValueError, match="nonzero"):
        xp.nonzero(eg.tensor(1))


@needs_numpy
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_searching_and_sorting(dtype):
    x = np.random.default_rng(0).permutation(24).astype(dtype).reshape(4, 6) // 2
    x = x.astype(dtype)
    for name, axis, keep in itertools.product(["argmax", "argmin"], [None, 0, -1], [False, True]):
        check(name, x, axis=axis, keepdims=keep)
    for axis in (0, -1):
        check("sort", x, axis=axis)
        check("argsort", x, axis=axis, stable=True)
        found = xp.argsort(eg.tensor(x), axis=axis, descending=True)
        same(found, np.argsort(-x.astype("int64"), axis=axis, stable=True))
        same(
            xp.sort(eg.tensor(x), axis=axis, descending=True), np.flip(np.sort(x, axis=axis), axis)
        )
    check("nonzero", x % 3)
    check("nonzero", x[0] > 3)
    for condition in (x > 5, np.array(True), (x > 5)[0]):
        check("where", condition, x, x[:, :1])
        check("where", condition, x, 3)
        check("where", condition, 3, x)
    check("where", x > 5)
    if dtype in FLOATS:
        check(
            "clip", values((40,), dtype), values((40,), dtype, seed=1), values((40,), dtype, seed=2)
        )
        check("clip", values((40,), dtype), -0.5, 1)
    for side in ("left", "right"):
        check("searchsorted", np.sort(x[0]), x, side=side)
        check("searchsorted", x[0], x[1].astype("float64"), side=side, sorter=np.argsort(x[0]))
    for shape in [(), (0,), (12,), (3, 4)]:
        y = np.resize(x, shape)
        check("unique_inverse", y)
        check("unique_all", y)
        same(xp.unique_values(ours(y)), np.unique(y))  # NumPy's unique_values are in no order
        same(xp.unique_counts(ours(y)), np.unique(y, return_counts=True))
    check("clip", x, 3, 7)
    check("clip", x, min=3)
    check("clip", x, max=x[:1])
    check("clip", x, x[:, :1], 9)
    check("clip", x)


def test_every_nan_is_a_value_of_its_own():
    x = eg.tensor([float("nan"), 1.0, float("nan"), 1.0])
    found = xp.unique_all(x)
    assert found.counts.tolist() == [2, 1, 1]
    assert found.indices.tolist() == [1, 0, 2]
    assert found.values[found.inverse_indices].isnan().tolist() == [True, False, True, False]
    assert found._fields == ("values", "indices", "inverse_indices", "counts")


@needs_numpy
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_products(dtype):
    x, y = (
        np.ones((2, 3, 4), dtype),
        values((4, 3), "int8").astype(dtype).astype("int8").astype(dtype) % 3,
    )
    y = y.astype(dtype)
    check("matmul", x, y)
    check("matmul", y.T[0], y[:, 0])
    check("matmul", x[:, 0], y.astype("float64"))
    check("tensordot", x, y, axes=1)
    check("tensordot", x, y, axes=((1, 2), (1, 0)))
    check("tensordot", x[0], x[0])
    check("vecdot", x, y.T)
    check("vecdot", x, x[..., :1, :], axis=0) if dtype != "bool" else None
    check("matrix_transpose", x)
    for name in ("matmul", "tensordot", "vecdot"):
        assert getattr(xp, name) is getattr(xp.linalg, name)
    check("linalg.outer", y[0], y[1])
    check("linalg.cross", x[..., :3], y[0])
    check("linalg.cross", x, y.T, axis=-2)
    check("linalg.diagonal", x, offset=-1)
    check("linalg.trace", x, offset=1)
    check("linalg.trace", x, dtype=np.dtype("float64"))


@needs_numpy
@pytest.mark.parametrize("dtype", FLOATS)
def test_linear_algebra(dtype):
    rtol = 2e-4 if dtype == "float32" else 1e-9
    a = finite((2, 3, 3), dtype) + 3 * np.eye(3, dtype=dtype)
    symmetric = a @ a.mT
    for name in ["det", "inv", "slogdet", "svdvals", "matrix_rank", "pinv"]:
        check(f"linalg.{name}", a, rtol=rtol)
    for name in ["eigvalsh", "cholesky"]:
        check(f"linalg.{name}", symmetric, rtol=rtol)
    check("linalg.cholesky", symmetric, upper=True, rtol=rtol)
    check("linalg.matrix_power", a, 3, rtol=rtol)
    check("linalg.matrix_power", a, -1, rtol=rtol)
    for name in ["matrix_rank", "pinv"]:
        check(f"linalg.{name}", a, rtol=np.array(0.3))
    for b in (finite((3,), dtype), finite((3, 2), dtype), finite((2, 3, 1), dtype)):
        check("linalg.solve", a, b, rtol=rtol)
    check("linalg.solve", a[0], finite((2, 3, 3), dtype), rtol=rtol)
    check("linalg.solve", a, finite((2, 3), dtype)[:, :, None][0].repeat(3, 1), rtol=rtol)
    for ord in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
        check("linalg.matrix_norm", a, ord=ord, keepdims=True, rtol=rtol)
    for ord, axis in itertools.product((0, 1, 2, 3.5, np.inf, -np.inf), (None, 0, -1, (0, 2))):
        check("linalg.vector_norm", a, ord=ord, axis=axis, rtol=rtol)
        check("linalg.vector_norm", a, ord=ord, axis=axis, keepdims=True, rtol=rtol)
    check("linalg.vector_norm", np.array(-2.0, dtype))
    values_, vectors = xp.linalg.eigh(eg.tensor(symmetric))
    q, r = xp.linalg.qr(eg.tensor(a[:, :, :2]), mode="complete")
    u, s, vh = xp.linalg.svd(eg.tensor(a[:, :, :2]), full_matrices=False)
    same((vectors * values_[:, None]) @ vectors.mT, symmetric, rtol * 10)
    assert (q.shape, r.shape) == ((2, 3, 3), (2, 3, 2))
    same(q @ r, a[:, :, :2], 1e-3)
    same((u * s[:, None]) @ vh, a[:, :, :2], 1e-3)
    assert xp.linalg.svd(eg.tensor(a[:, :, :2])).U.shape == (2, 3, 3)
    assert (xp.linalg.qr(q).Q.shape, xp.linalg.slogdet(q).sign.shape) == ((2, 3, 3), (2,))


def test_the_methods_of_the_array_object():
    x = eg.ones(2, 3)
    assert x.__array_namespace__() is x.__array_namespace__(api_version="2024.12") is xp
    assert xp.__array_api_version__ == "2024.12"
    with pytest.raises(ValueError, match=r"2030\.01"):
        x.__array_namespace__(api_version="2030.01")
    assert x.to_device("cpu").device == eg.device("cpu")
    with pytest.raises(ValueError, match="stream"):
        x.to_device("cpu", stream=1)
    assert (x.ndim, x.shape, xp.size(x), x.mT.shape) == (2, (2, 3), 6, (3, 2))


def test_what_the_namespace_computes_is_recorded():
    x = eg.tensor([[3.0, 1.0, 2.0], [0.5, -1.0, 4.0]], requires_grad=True)
    made = [
        xp.std(x, axis=0, correction=1),
        xp.prod(x, axis=(0, 1)),
        xp.take(x, xp.asarray([0, -1]), axis=1),
        xp.sort(x, descending=True),
        xp.maximum(x, 1),
        xp.clip(x, xp.asarray([0.0, 1.0, 2.0])),
        xp.linalg.vecdot(x, x),
        xp.cumulative_sum(x, axis=1, include_initial=True),
        xp.concat([x, x], axis=None),
        xp.astype(x, xp.float64),
        xp.sign(x),
    ]
    assert all(y.requires_grad for y in made)
    sum(y.sum() for y in made[:-1]).backward()
    assert x.grad is not None and x.grad.isfinite().all()
    assert eg.autograd.gradcheck(
        lambda z: xp.linalg.solve(z @ z.mT, xp.var(z, axis=1)),
        (x.detach().double().requires_grad_(),),
    )


# -- Libraries that are written for the standard -----------------------------------------------------------


def test_array_api_compat_finds_the_namespace():
    compat = pytest.importorskip("array_api_compat")
    x = eg.ones(2, 3)
    assert compat.array_namespace(x, eg.arange(2)) is xp
    assert compat.is_array_api_obj(x)
    assert (compat.size(x), compat.device(x)) == (6, x.device)
    assert compat.to_device(x, "cpu").device == eg.device("cpu")


@pytest.mark.host("another process, of the CPU")
def test_scipy_takes_tensors(tmp_path: Path) -> None:
    for module in ("array_api_compat", "scipy"):
        pytest.importorskip(module)
    code = """
import numpy as np, scipy.cluster.vq, scipy.signal, scipy.special, scipy.stats
import eagergrad as eg
a = np.random.default_rng(0).normal(size=(20, 3))
for f in (
    lambda x: scipy.special.logsumexp(x, axis=1),
    lambda x: scipy.special.softmax(x, axis=0),
    lambda x: scipy.stats.zscore(x),
    lambda x: scipy.stats.ttest_ind(x, x[:9] * 2).pvalue,
    lambda x: scipy.stats.pearsonr(x[:, 0], x[:, 1]).statistic,
    lambda x: scipy.signal.detrend(x, axis=0),
    lambda x: scipy.cluster.vq.whiten(x),
):
    found = f(eg.from_numpy(a))
    assert isinstance(found, eg.Tensor)
    np.testing.assert_allclose(found.numpy(), f(a), rtol=1e-7, atol=1e-9)
x = eg.from_numpy(a).requires_grad_()
scipy.special.logsumexp(x, axis=1).sum().backward()
np.testing.assert_allclose(x.grad.numpy(), scipy.special.softmax(a, axis=1), rtol=1e-7)
"""
    interpreter.run(["-c", code], tmp_path, SCIPY_ARRAY_API="1")


@pytest.mark.host("another process, of the CPU")
def test_scikit_learn_takes_tensors(tmp_path: Path) -> None:
    for module in ("array_api_compat", "scipy", "sklearn"):
        pytest.importorskip(module)
    code = """
import numpy as np, sklearn, eagergrad as eg
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
rng = np.random.default_rng(0)
a = rng.normal(size=(60, 5))
b = (a[:, 0] + 0.3 * rng.normal(size=60) > 0).astype("int64")
x, y = eg.from_numpy(a), eg.from_numpy(b)
for f in (
    lambda x, y: StandardScaler().fit(x).transform(x),
    lambda x, y: PolynomialFeatures(2).fit(x).transform(x),
    lambda x, y: PCA(3, svd_solver="full").fit(x).transform(x),
    lambda x, y: LinearDiscriminantAnalysis().fit(x, y).predict_proba(x),
    lambda x, y: accuracy_score(y, y * 0 + 1),
    lambda x, y: r2_score(x[:, 0], x[:, 0] * 0.9),
    lambda x, y: roc_auc_score(y, x[:, 0]),
):
    expected = f(a, b)
    with sklearn.config_context(array_api_dispatch=True):
        found = f(x, y)
    assert isinstance(found, float if np.ndim(expected) == 0 else eg.Tensor)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
"""
    interpreter.run(["-c", code], tmp_path, SCIPY_ARRAY_API="1")
