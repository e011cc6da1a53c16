"""Which dtype comes out: PyTorch's promotion, written down."""

from __future__ import annotations

import numpy as np
import pytest

import eagergrad as eg


def _rows(text: str) -> dict[str, list[str]]:
    return {name: results for name, *results in map(str.split, text.strip().splitlines())}


# Tensor and tensor of the same rank, row by column in the order of the rows.
TENSORS = _rows("""
uint8    uint8    int16    int16    int32    int64    float16  bfloat16 float32  float64  uint8
int8     int16    int8     int16    int32    int64    float16  bfloat16 float32  float64  int8
int16    int16    int16    int16    int32    int64    float16  bfloat16 float32  float64  int16
int32    int32    int32    int32    int32    int64    float16  bfloat16 float32  float64  int32
int64    int64    int64    int64    int64    int64    float16  bfloat16 float32  float64  int64
float16  float16  float16  float16  float16  float16  float16  float32  float32  float64  float16
bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 float32  bfloat16 float32  float64  bfloat16
float32  float32  float32  float32  float32  float32  float32  float32  float32  float64  float32
float64  float64  float64  float64  float64  float64  float64  float64  float64  float64  float64
bool     uint8    int8     int16    int32    int64    float16  bfloat16 float32  float64  bool
""")
DTYPES = list(TENSORS)

# Tensor with a Python bool, int, float.
NUMBERS = _rows("""
uint8    uint8    uint8    float32
int8     int8     int8     float32
int16    int16    int16    float32
int32    int32    int32    float32
int64    int64    int64    float32
float16  float16  float16  float16
bfloat16 bfloat16 bfloat16 bfloat16
float32  float32  float32  float32
float64  float64  float64  float64
bool     bool     int64    float32
""")


def dt(name: str) -> eg.dtype:
    return getattr(eg, name)


@pytest.mark.parametrize("a", DTYPES)
def test_promote_types(a: str) -> None:
    for b, expected in zip(DTYPES, TENSORS[a], strict=True):
        assert eg.promote_types(dt(a), dt(b)) == dt(expected), (a, b)


@pytest.mark.parametrize("a", DTYPES)
def test_tensors_of_equal_rank(a: str) -> None:
    for b, expected in zip(DTYPES, TENSORS[a], strict=True):
        x, y = eg.ones(2, dtype=dt(a)), eg.ones(2, dtype=dt(b))
        assert (x + y).dtype == dt(expected), (a, b)
        assert (x * y).dtype == dt(expected)
        assert eg.maximum(x, y).dtype == dt(expected)
        assert eg.result_type(x, y) == dt(expected)
        assert eg.where(x > 0, x, y).dtype == dt(expected)
        assert eg.cat([x, y]).dtype == dt(expected)
        assert (x == y).dtype == eg.bool


@pytest.mark.parametrize("a", DTYPES)
def test_python_numbers_are_weak(a: str) -> None:
    x = eg.ones(2, dtype=dt(a))
    for number, expected in zip((True, 1, 1.0), NUMBERS[a], strict=True):
        assert (x + number).dtype == dt(expected), (a, number)
        assert (number * x).dtype == dt(expected), (a, number)
        assert eg.result_type(x, number) == dt(expected)


@pytest.mark.parametrize("a", DTYPES)
def test_0d_tensors_are_weak_within_their_kind(a: str) -> None:
    kinds = [["bool"], DTYPES[:5], DTYPES[5:9]]
    kind = {name: k for k, names in enumerate(kinds) for name in names}
    for b in DTYPES:
        x, y = eg.ones(2, dtype=dt(a)), eg.ones((), dtype=dt(b))
        expected = a if kind[b] <= kind[a] else b
        assert (x + y).dtype == dt(expected), (a, b)
        assert (y + x).dtype == dt(expected), (a, b)
        assert eg.result_type(x, y) == dt(expected)


@pytest.mark.parametrize("a", DTYPES)
def test_two_0d_tensors(a: str) -> None:
    for b, expected in zip(DTYPES, TENSORS[a], strict=True):
        assert (eg.ones((), dtype=dt(a)) + eg.ones((), dtype=dt(b))).dtype == dt(expected)


@pytest.mark.parametrize("a", DTYPES)
def test_true_division_gives_floats(a: str) -> None:
    x = eg.ones(2, dtype=dt(a))
    expected = a if "float" in a else "float32"
    assert (x / x).dtype == (x / 2).dtype == (2 / x).dtype == dt(expected)
    assert x.sqrt().dtype == eg.atan2(x, x).dtype == dt(expected)


@pytest.mark.parametrize("a", DTYPES)
def test_sums_of_integers_are_int64(a: str) -> None:
    x = eg.ones(2, dtype=dt(a))
    expected = a if "float" in a else "int64"
    assert x.sum().dtype == x.cumsum(0).dtype == x.prod().dtype == dt(expected)
    assert x.sum(dtype=eg.float64).dtype == eg.float64


def test_floor_division_and_remainder_keep_integers() -> None:
    x = eg.tensor([7, -7])
    assert (x // 2).tolist() == [3, -4] and (x // 2).dtype == eg.int64
    assert (x % 3).tolist() == [1, 2] and (x // 2.0).dtype == eg.float32


@pytest.mark.parametrize("a", DTYPES)
def test_in_place_keeps_the_dtype_or_refuses(a: str) -> None:
    for b in DTYPES:
        x, y = eg.ones(2, dtype=dt(a)), eg.ones(2, dtype=dt(b))
        if eg.can_cast(eg.promote_types(dt(a), dt(b)), dt(a)):
            x += y
            assert x.dtype == dt(a)
        else:
            with pytest.raises(RuntimeError):
                x += y
            assert x.tolist() == eg.ones(2, dtype=dt(a)).tolist()


def test_can_cast() -> None:
    assert eg.can_cast(eg.float64, eg.float32) and eg.can_cast(eg.int64, eg.float16)
    assert not eg.can_cast(eg.float32, eg.int64) and not eg.can_cast(eg.int32, eg.bool)
    assert eg.can_cast(eg.bool, eg.uint8)


def test_the_default_dtype() -> None:
    assert eg.get_default_dtype() == eg.float32
    assert eg.tensor(1.0).dtype == eg.float32 and eg.tensor(1).dtype == eg.int64
    eg.set_default_dtype(eg.float64)
    try:
        assert eg.tensor(1.0).dtype == eg.zeros(1).dtype == eg.float64
        assert (eg.tensor(1) + 1.0).dtype == (eg.tensor(1) / 2).dtype == eg.float64
    finally:
        eg.set_default_dtype(eg.float32)


def test_dtypes_know_what_they_are() -> None:
    assert eg.float is eg.float32 and eg.double is eg.float64 and eg.half is eg.float16
    assert eg.long is eg.int64 and eg.int is eg.int32 and eg.short is eg.int16
    assert eg.float32.is_floating_point and not eg.int64.is_floating_point
    assert eg.float64.itemsize == 8 and eg.bool.itemsize == 1 and eg.int8.is_signed
    assert repr(eg.float32).endswith(".float32")
    assert eg.finfo(eg.float32).eps == 2.0**-23 and eg.iinfo(eg.int8).max == 127
    assert eg.finfo(eg.bfloat16).bits == 16 and eg.iinfo(eg.uint8).min == 0


@pytest.mark.parametrize("a", DTYPES)
def test_matmul_wants_one_dtype(a: str) -> None:
    x = eg.ones(2, 2, dtype=dt(a))
    other = eg.ones(2, 2, dtype=eg.float64 if a != "float64" else eg.float32)
    with pytest.raises(RuntimeError):
        x @ other


@pytest.mark.parametrize(
    ("tensor", "scalar", "expected"),
    [
        (eg.ones([]), np.float64(1.5), eg.float32),
        (eg.ones(2, dtype=eg.float16), np.float32(1.5), eg.float16),
        (eg.tensor([3]), np.float64(1.5), eg.float32),
        (eg.tensor(3), np.float16(2), eg.float32),
        (eg.tensor(3, dtype=eg.int32), np.int64(2), eg.int32),
        (eg.ones([]), np.array(1.5), eg.float64),  # an array, of no dimension
    ],
)
def test_numpy_scalars_are_weak_and_arrays_are_not(tensor, scalar, expected) -> None:
    assert (tensor * scalar).dtype == expected
    if not isinstance(scalar, np.ndarray):
        assert (scalar * tensor).dtype == expected
        assert eg.add(tensor, scalar).dtype == expected


def test_to_takes_pytorchs_signatures() -> None:
    x, other = eg.ones(1, 2, 3, 3), eg.ones(1, dtype=eg.int32)
    cpu = eg.device("cpu")
    for same in (
        x.to("cpu"), x.to(cpu), x.to(None), x.to(), x.to(eg.float32), x.to(x), x.to(dtype=None),
        x.to(cpu, eg.float32, non_blocking=True), x.to(x, copy=False), x.to("cpu", None, True, False),
    ):  # fmt: skip
        assert same is x
    for copied in (x.to(copy=True), x.to(cpu, copy=True), x.to(x, False, True)):
        assert copied is not x and eg.equal(copied, x)
    for cast in (
        x.to(other), x.to(eg.int32), x.to("cpu", eg.int32), x.to(dtype=eg.int32), x.to(None, eg.int32),
        x.to(device=cpu, dtype=eg.int32),
    ):  # fmt: skip
        assert cast.dtype == eg.int32
    assert x.to(float).dtype == eg.float64 and x.to(bool).dtype == eg.bool
    assert x.to(memory_format=eg.channels_last).stride() == (18, 1, 6, 2)
    for bad in ((eg.int32, "cpu"), ([1],), (x, eg.int32), (cpu, 3), (True,)):
        with pytest.raises(TypeError):
            x.to(*bad)
    with pytest.raises(TypeError, match="anywhere"):
        x.to(anywhere="cpu")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "minimum", "atan2"])
@pytest.mark.parametrize(
    "shapes",
    [
        ((), ()),
        ((1,), ()),
        ((3,), (3,)),
        ((37,), ()),
        ((5, 33), (33,)),
        ((5, 33), (5, 1)),
        ((300, 200), (300, 200)),
    ],
)
def test_halves_are_rounded_once(dtype: str, name: str, shapes: tuple) -> None:
    op, half = getattr(eg, name), getattr(eg, dtype)
    rng = np.random.default_rng(3)
    a, b = (eg.tensor(3 * rng.standard_normal(s)).to(half) for s in shapes)
    if a.numel() > 3:
        a.view(-1)[:3] = eg.tensor([np.nan, np.inf, -0.0])
    pairs = [(a, b), (b, a), (a, a)]
    if a.dim() == 2:
        pairs += [(a.t(), b.expand(a.shape).t()), (a[:, ::2], b.expand(a.shape)[:, ::2])]
    for x, y in pairs:
        expected = op(x.float(), y.float()).to(half).float().numpy()
        np.testing.assert_array_equal(op(x, y).float().numpy(), expected)


@pytest.mark.parametrize("dtype", [eg.float16, eg.bfloat16])
@pytest.mark.parametrize("shape", [(1,), (7,), (40, 50)])
def test_numbers_with_halves_are_not_rounded_first(dtype: eg.dtype, shape: tuple) -> None:
    x = eg.tensor(np.random.default_rng(4).uniform(1, 2, shape)).to(dtype)
    for number in (3.3, eg.tensor(3.3), eg.tensor(3.3, dtype=eg.float64)):
        expected = (x.float() * 3.3).to(dtype)
        assert eg.equal(x * number, expected) and eg.equal(number * x, expected)
        y = x.clone().requires_grad_()
        (gradient,) = eg.autograd.grad((y * number).sum(), y)
        assert eg.equal(gradient, eg.full_like(x, 3.3))


@pytest.mark.parametrize("other", ["float64", "int32", "int64", "uint8", "bool", "bfloat16"])
def test_casts_of_float16_go_by_way_of_float32(other: str) -> None:
    x = eg.tensor(np.random.default_rng(5).uniform(0, 200, (3, 701))).to(eg.float16)
    for part in (x, x.t(), x[:, ::2]):
        assert eg.equal(part.to(getattr(eg, other)), part.float().to(getattr(eg, other)))
        back = part.to(getattr(eg, other))
        assert eg.equal(back.to(eg.float16), back.float().to(eg.float16))


@pytest.mark.parametrize("dtype", [eg.float64, eg.float16])
def test_results_are_cast_to_a_floating_out(dtype: eg.dtype) -> None:
    x, out = eg.ones(2, 2), eg.zeros(2, 2, dtype=dtype)
    assert eg.lerp(x, 3 * x, 0.5, out=out) is out and out.tolist() == [[2.0, 2.0]] * 2
    assert eg.linalg.matrix_power(x, 2, out=out) is out and out.tolist() == [[2.0, 2.0]] * 2
    with pytest.raises(RuntimeError, match="can't be cast"):
        eg.lerp(x, x, 0.5, out=eg.zeros(2, 2, dtype=eg.int64))
