"""Kernels that take many lines or columns at once: positions, scans, counts and softmax of any shape against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import eagergrad as eg

# Lines shorter and longer than a vector and a strip of lines; columns fewer and more than a panel of them.
SHAPES = [
    ((5, 1), 1),
    ((37, 10), 1),
    ((33, 16), 1),
    ((18, 45), 1),
    ((4, 111), 1),
    ((3, 199), 1),
    ((2, 4103), 1),
    ((32, 10), 0),
    ((70, 300), 0),
    ((2, 9, 515), 1),
    ((3, 130, 24), 1),
]
FLOATS = ["float32", "float64"]
RNG = np.random.default_rng(3)


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    a = RNG.integers(-4, 5, shape)  # many equal ones
    return (a > 0) if dtype == "bool" else (a + 4 if dtype == "uint8" else a).astype(dtype)


@pytest.mark.parametrize("shape, dim", SHAPES)
@pytest.mark.parametrize("dtype", [*FLOATS, "uint8", "int16", "int32", "int64"])
def test_positions_are_of_the_first_extreme(shape, dim, dtype):
    a = numbers(shape, dtype)
    x = eg.tensor(a)
    for name in ("max", "min"):
        values, at = getattr(x, name)(dim)
        np.testing.assert_array_equal(values.numpy(), getattr(a, name)(dim))
        np.testing.assert_array_equal(at.numpy(), getattr(a, f"arg{name}")(dim))


@pytest.mark.parametrize("shape, dim", SHAPES)
@pytest.mark.parametrize("dtype", [*FLOATS, "int32", "int64"])
def test_running_extremes_stand_at_the_last_equal_place(shape, dim, dtype):
    a = numbers(shape, dtype)
    for name, rule in (("cummax", np.maximum), ("cummin", np.minimum)):
        values, at = getattr(eg.tensor(a), name)(dim)
        expected = rule.accumulate(a, axis=dim)
        order = np.expand_dims(np.arange(a.shape[dim]), [d for d in range(a.ndim) if d != dim])
        last = np.maximum.accumulate(np.where(a == expected, order, -1), axis=dim)
        np.testing.assert_array_equal(values.numpy(), expected)
        np.testing.assert_array_equal(at.numpy(), last)


@pytest.mark.parametrize("shape, dim", [((3, 41), 1), ((41, 3), 0), ((20, 300), 0)])
@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_is_the_extreme_from_its_place_on(shape, dim, dtype):
    a = np.moveaxis(RNG.standard_normal(shape).astype(dtype), dim, -1)
    a[..., 7] = a[..., 9] = np.nan
    x = eg.tensor(np.moveaxis(a, -1, dim))
    values, at = x.cummax(dim)
    values, at = np.moveaxis(values.numpy(), dim, -1), np.moveaxis(at.numpy(), dim, -1)
    assert np.isnan(values[..., 7:]).all() and not np.isnan(values[..., :7]).any()
    assert (at[..., 7:9] == 7).all() and (at[..., 9:] == 9).all()
    assert (x.argmax(dim).numpy() == 7).all() and (x.argmin(dim).numpy() == 7).all()


@pytest.mark.parametrize("length", [1, 3, 10, 32, 33, 200])
@pytest.mark.parametrize("dtype", [*FLOATS, "int64", "int32", "int16", "int8", "uint8", "bool"])
def test_the_first_of_equal_extremes_of_lines(length, dtype):
    a = RNG.integers(0, 5, (77, length)).astype(dtype)
    if a.dtype.kind == "f":
        a[::3, length // 2 :] = np.nan
        a[1::5] = -np.inf
    x = eg.tensor(a)
    for name in ("argmax", "argmin") if dtype != "bool" else ():
        np.testing.assert_array_equal(getattr(x, name)(1).numpy(), getattr(a, name)(1))
        np.testing.assert_array_equal(getattr(x, name)().numpy(), getattr(a, name)())
    for name in ("max", "min"):
        for dim in (0, 1):
            values, at = getattr(x, name)(dim)
            np.testing.assert_array_equal(values.numpy(), getattr(a, name)(dim))
            np.testing.assert_array_equal(at.numpy(), getattr(a, "arg" + name)(dim))


@pytest.mark.parametrize("shape, dim", SHAPES)
@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
def test_running_sums_and_products(shape, dim, dtype):
    a = numbers(shape, dtype)
    np.testing.assert_allclose(eg.tensor(a).cumsum(dim).numpy(), a.cumsum(dim))
    b = np.where(a < 0, -1, 1).astype(dtype) if dtype == "int64" else (1 + a / 4096).astype(dtype)
    np.testing.assert_allclose(eg.tensor(b).cumprod(dim).numpy(), b.cumprod(dim), rtol=1e-4)


@pytest.mark.parametrize("shape, dim", [*SHAPES, ((1, 70_000), None), ((6, 30, 40), (0, 2))])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float32", "float16"])
def test_sums_of_whole_numbers_and_counts(shape, dim, dtype):
    a = numbers(shape, dtype)
    x = eg.tensor(a)
    np.testing.assert_array_equal(x.count_nonzero(dim).numpy(), (a != 0).sum(dim))
    if not x.is_floating_point():
        assert x.sum(dim).dtype == eg.int64
        np.testing.assert_array_equal(x.sum(dim).numpy(), a.sum(dim))


def softmax(a: np.ndarray, dim: int) -> np.ndarray:
    e = np.exp(a - a.max(dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)


@pytest.mark.parametrize("shape, dim", SHAPES)
@pytest.mark.parametrize(
    "dtype, tolerance", [("float32", 2e-6), ("float64", 1e-12), ("float16", 2e-3)]
)
def test_softmax_and_its_gradient(shape, dim, dtype, tolerance):
    a, g = (3 * RNG.standard_normal(shape).astype(dtype) for _ in range(2))
    p, g64 = softmax(a.astype("float64"), dim), g.astype("float64")
    close = {"rtol": tolerance, "atol": tolerance}
    for name, value, gradient in (
        ("softmax", p, p * (g64 - (g64 * p).sum(dim, keepdims=True))),
        ("log_softmax", np.log(p), g64 - p * g64.sum(dim, keepdims=True)),
    ):
        x = eg.tensor(a, requires_grad=True)
        y = getattr(x, name)(dim)
        y.backward(eg.tensor(g))
        np.testing.assert_allclose(y.detach().numpy(), value, **close)
        scale = np.abs(gradient).max() + 1
        np.testing.assert_allclose(x.grad.numpy() / scale, gradient / scale, atol=8 * tolerance)


@pytest.mark.parametrize("shape, dim", SHAPES)
def test_logsumexp_of_lines_and_columns(shape, dim):
    a = np.moveaxis(3 * RNG.standard_normal(shape), dim, -1)
    a[0] = -np.inf
    a[1, ..., 0] = np.inf
    if a.shape[0] > 2:
        a[2, ..., -1] = np.nan
    y = eg.tensor(np.moveaxis(a, -1, dim)).logsumexp(dim).numpy()
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(y, np.logaddexp.reduce(a, -1), rtol=1e-12)


def test_bits_of_a_column_do_not_depend_on_its_place():
    a = eg.randn(50, 300, dtype=eg.float64)
    for f in (lambda x: x.softmax(0), lambda x: x.log_softmax(0), lambda x: x.logsumexp(0)):
        whole, part = f(a), f(a[:, 291:])
        assert eg.equal(whole[..., 291:], part)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64", "float16", "float32"])
def test_where_chooses_bits(dtype):
    a, b = numbers((3, 77), dtype), numbers((3, 77), dtype)
    c = RNG.integers(0, 2, (3, 77)) > 0
    y = eg.where(eg.tensor(c), eg.tensor(a), eg.tensor(b))
    np.testing.assert_array_equal(y.numpy(), np.where(c, a, b))
    np.testing.assert_array_equal((~eg.tensor(c)).numpy(), ~c)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64"])
def test_filling_casts_the_number_once(dtype):
    x = eg.ones(9, 40, dtype=getattr(eg, dtype))
    x[:, 3] = 0
    x[2].fill_(eg.tensor(0.0, dtype=eg.float64))
    expected = np.ones((9, 40))
    expected[:, 3] = expected[2] = 0
    np.testing.assert_array_equal(x.numpy(), expected.astype(dtype))
    assert not x.zero_().any()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64"])
def test_scaled_addition_in_place(dtype):
    kind = getattr(eg, dtype)
    x, y = eg.arange(12).reshape(3, 4).to(kind), eg.ones(3, 4, dtype=kind)
    before = x.clone()
    assert eg.equal(x.add_(y, alpha=3), before + 3)
    assert eg.equal(x.sub_(y[0], alpha=2), before + 1)
    w = eg.ones(3, 4, requires_grad=True)
    z = (w * 2).add_(w, alpha=3).clamp_(max=4.0).clamp_min_(1.0)
    z.sum().backward()
    assert eg.equal(w.grad, eg.zeros(3, 4)) and (z == 4).all()


def test_clamp_in_place_refuses_what_does_not_fit():
    x = eg.arange(4)
    with pytest.raises(RuntimeError, match="can't be cast"):
        x.clamp_(0.5, 1.5)
    with pytest.raises(RuntimeError, match="At least one of"):
        x.clamp_()
    assert x.clamp_(1, 2).tolist() == [1, 1, 2, 2] and x.clip_(min=2).tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_whole_division_rounds_as_pythons(dtype):
    most = np.iinfo(dtype).max
    near = [0, 1, 2, 3, 7, 10, 2**26 - 1, 2**31 - 1]
    if dtype == "int64":
        near += [2**51 + 1, 2**52 - 1, 2**52, 2**53 + 1, 2**62 - 1, most]
    values = sorted({s * n for n in near for s in (1, -1)} | {-most - 1})
    a, b = np.meshgrid(values, [v for v in values if v], indexing="ij")
    a, b = a.ravel(), b.ravel()
    fits = (b != -1) | (a != -most - 1)  # the overflowing quotient
    x, y = eg.tensor(a[fits].astype(dtype)), eg.tensor(b[fits].astype(dtype))
    pairs = [(int(v), int(w)) for v, w in zip(a[fits], b[fits], strict=True)]
    assert (x // y).tolist() == [v // w for v, w in pairs]
    assert (x % y).tolist() == [v % w for v, w in pairs]
    assert eg.fmod(x, y).tolist() == [abs(v) % abs(w) * (1 if v >= 0 else -1) for v, w in pairs]
    assert (x // 7).tolist() == [v // 7 for v, _ in pairs]
    assert (1000 // y).tolist() == [1000 // w for _, w in pairs]


@pytest.mark.parametrize(
    "length, width", [(1, 3), (63, 3), (700, 3), (7001, 10), (641, 64), (9, 700), (40_000, 20)]
)
@pytest.mark.parametrize("dtype", [*FLOATS, "float16", "int64", "int16", "uint8", "bool"])
def test_reductions_of_columns_of_every_width(length, width, dtype):
    a = numbers((length, width), dtype)
    x = eg.tensor(a)
    wide = a.astype("float64" if a.dtype.kind == "f" else "int64")
    np.testing.assert_array_equal(x.sum(0).numpy(), wide.sum(0).astype(x.sum(0).numpy().dtype))
    np.testing.assert_array_equal(x.count_nonzero(0).numpy(), (a != 0).sum(0))
    for name in ("amax", "amin", "any", "all"):
        expected = getattr(a, name.replace("am", "m"))
        np.testing.assert_array_equal(getattr(x, name)(0).numpy(), expected(0))
        np.testing.assert_array_equal(getattr(x.T.contiguous(), name)(1).numpy(), expected(0))
    if a.dtype.kind != "f":
        np.testing.assert_array_equal(x.prod(0).numpy(), wide.prod(0))
        assert x.sum(0, dtype=eg.int8).tolist() == wide.sum(0).astype("int8").tolist()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int64", "bool"])
@pytest.mark.parametrize(
    "of_mask, of_a, of_b",
    [((300, 1), (300, 10), ()), ((10,), (300, 1), (300, 10)), ((4, 1, 9), (5, 9), (1,))],
)
def test_choices_between_short_lines(of_mask, of_a, of_b, dtype):
    mask = RNG.random(of_mask) < 0.5
    a, b = numbers(of_a, "int64"), numbers(of_b, "int64")
    x, y = (eg.tensor(v).to(getattr(eg, dtype)) for v in (a, b))
    if dtype == "bool":
        a, b = a != 0, b != 0
    expected = np.where(mask, a, b)
    np.testing.assert_array_equal(eg.where(eg.tensor(mask), x, y).double().numpy(), expected)
    if not of_b and dtype != "bool":
        chosen = eg.where(eg.tensor(mask), x, 2)
        assert chosen.dtype == x.dtype
        np.testing.assert_array_equal(chosen.double().numpy(), np.where(mask, a, 2))


@pytest.mark.parametrize("shape", [(300, 10), (7, 200), (4, 9, 3)])
def test_copies_of_one_number_a_line(shape):
    a = RNG.standard_normal((*shape[:-1], 1)).astype("float32")
    x = eg.tensor(a).expand(*shape)
    np.testing.assert_array_equal(x.contiguous().numpy(), np.broadcast_to(a, shape))
    to = eg.zeros(*shape[:-1], shape[-1] + 2)
    to[..., 1:-1] = x
    np.testing.assert_array_equal(to[..., 1:-1].numpy(), np.broadcast_to(a, shape))
    assert not to[..., 0].any() and not to[..., -1].any()


@pytest.mark.parametrize("special", [None, 0.0, 1e30, 1e-30, np.inf, np.nan])
def test_gradients_of_products_divide_only_what_has_its_digits(special):
    a = RNG.uniform(0.5, 2, (6, 5))
    if special is not None:
        a[1, 2] = a[1, 3] = special
    x = eg.tensor(a.astype("float32"), requires_grad=True)
    x.prod(1).sum().backward()
    others = np.stack([np.delete(a, j, 1).prod(1) for j in range(5)], 1)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(x.grad.numpy(), others.astype("float32"), rtol=1e-5)


@pytest.mark.parametrize("of_mask", [(3, 7, 90), (7, 90), (3, 7, 1), (3, 1, 90), (1,)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int64", "int8", "bool"])
def test_rows_are_filled_where_masks_say(of_mask, dtype):
    mask, a = RNG.random(of_mask) < 0.5, numbers((3, 7, 90), "int64")
    x, m = eg.tensor(a).to(getattr(eg, dtype)), eg.tensor(mask)
    expected = np.where(mask, 1, a != 0 if dtype == "bool" else a)
    np.testing.assert_array_equal(x.masked_fill(m, 1).double().numpy(), expected)
    turned = x.transpose(0, 2).contiguous().transpose(0, 2)
    np.testing.assert_array_equal(turned.masked_fill(m, 1).double().numpy(), expected)
    np.testing.assert_array_equal(x.masked_fill_(m, 1).double().numpy(), expected)
