"""What CPU kernels promise beyond the generic tests: bits that do not depend on the place, and accuracy in ulp."""

from __future__ import annotations

import math

import numpy as np
import pytest

import eagergrad as eg

FUNCTIONS = (
    "sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh atanh "
    "sigmoid erf erfc lgamma digamma"
).split()


@pytest.mark.parametrize("dtype", [eg.float32, eg.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_element_has_the_same_bits_wherever_it_stands(name, dtype):
    eg.manual_seed(0)
    f, x = getattr(eg, name), eg.rand(203, dtype=dtype) * 0.9 + 0.05
    y = f(x).numpy()
    assert np.array_equal(f(x[5:]).numpy(), y[5:])
    assert np.array_equal(f(x[:30:3]).numpy(), y[:30:3])
    assert [f(v).item() for v in x[190:]] == y[190:].tolist()


@pytest.mark.parametrize("dtype", [eg.float32, eg.float64])
@pytest.mark.parametrize("name", ["exp", "tanh", "erf", "sin", "log1p"])
def test_a_gradient_has_the_same_bits_wherever_it_stands(name, dtype):
    eg.manual_seed(0)

    def gradient(x):
        x = x.detach().requires_grad_()
        getattr(eg, name)(x).backward(eg.ones_like(x))
        return x.grad.numpy()

    x = eg.rand(203, dtype=dtype)
    assert np.array_equal(gradient(x[5:]), gradient(x)[5:])
    assert gradient(x[-1]) == gradient(x)[-1]


def ulps(y, reference):
    step = np.maximum(np.spacing(np.abs(reference.astype(np.float32))), np.float32(1e-45))
    return np.abs(y.astype(np.float64) - reference) / step


@pytest.mark.parametrize(
    ("name", "reference", "low", "high", "most"),
    [
        ("exp", np.exp, -103, 88.7, 1.5),
        ("erf", np.vectorize(math.erf), -4.5, 4.5, 2.0),
        ("tanh", np.tanh, -10.5, 10.5, 2.0),
    ],
)
def test_float_functions_are_accurate(name, reference, low, high, most):
    x = np.linspace(low, high, 40_001, dtype=np.float32)
    small = np.float32(2.0) ** np.arange(-149, 0, 0.5, dtype=np.float32)
    x = np.concatenate([x, small, -small])
    y = getattr(eg, name)(eg.tensor(x)).numpy()
    assert ulps(y, reference(x.astype(np.float64))).max() <= most


def test_square_roots_are_rounded_right():
    x = eg.tensor(
        np.random.default_rng(0).integers(0, 0x7F800001, 100_000, dtype=np.uint32).view(np.float32)
    )
    np.testing.assert_array_equal(eg.sqrt(x).numpy(), np.sqrt(x.numpy()))
    ends = np.float32([0.0, -0.0, math.inf, math.nan, -1.0, 1e-45, 1e-38, 3.4028235e38])
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(eg.sqrt(eg.tensor(ends)).numpy(), np.sqrt(ends))


@pytest.mark.parametrize("n", [1, 7, 16, 17, 63, 64, 65, 79, 80, 100, 129, 5000])
@pytest.mark.parametrize("dtype", [eg.float32, eg.float64])
def test_softmax_of_lines_of_every_length(n, dtype):
    eg.manual_seed(n)
    x = eg.randn(19, n, dtype=dtype) * 3
    x[3:, n // 3] = -math.inf  # nothing where another number stands
    x[5], x[6], x[6, 0] = -math.inf, 2.0, math.inf
    a = x.numpy().astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        e = np.exp(a - a.max(1, keepdims=True))
        expected = e / e.sum(1, keepdims=True)
        log_sum = np.log(e.sum(1)) + a.max(1)
        log = a - log_sum[:, None]
    log_sum = np.where(np.isinf(a.max(1)), a.max(1), log_sum)
    close = {
        "rtol": 2e-6 if dtype == eg.float32 else 1e-13,
        "atol": 2e-6 if dtype == eg.float32 else 1e-13,
    }
    np.testing.assert_allclose(x.softmax(1).numpy(), expected, **close)
    np.testing.assert_allclose(x.log_softmax(1).numpy(), log, **close)
    np.testing.assert_allclose(x.logsumexp(1).numpy(), log_sum, **close)


def test_float_functions_at_the_ends():
    inf, nan = math.inf, math.nan
    x = eg.tensor([inf, -inf, nan, -nan, 0.0, -0.0, 89.0, -104.5, 1e30, -1e30])
    exp, erf, tanh = eg.exp(x).numpy(), eg.erf(x).numpy(), eg.tanh(x).numpy()
    np.testing.assert_array_equal(exp, [inf, 0, nan, nan, 1, 1, inf, 0, inf, 0])
    np.testing.assert_array_equal(erf, [1, -1, nan, nan, 0, 0, 1, -1, 1, -1])
    np.testing.assert_array_equal(tanh, [1, -1, nan, nan, 0, 0, 1, -1, 1, -1])
    for y in erf, tanh:
        assert np.signbit(y[5]) and not np.signbit(y[4])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_remainders_are_exact_for_quotients_of_every_size(dtype):
    rng = np.random.default_rng(0)
    n = 5003
    special = [0, -0.0, math.inf, -math.inf, math.nan, 1, -1, 0.7, 1e-45, -1e-45, 3e38, 4194304]
    pairs = [
        (rng.standard_normal(n) * 10, rng.standard_normal(n)),
        (np.arange(n) * 0.7, np.full(n, 0.7)),
        (rng.integers(-90, 90, n), rng.integers(-9, 9, n)),
        (rng.standard_normal(n) * 10.0 ** rng.integers(-38, 38, n), rng.standard_normal(n)),
        np.meshgrid(special, special),
    ]
    for a, b in pairs:
        x, y = (np.asarray(v).ravel().astype(dtype) for v in (a, b))
        with np.errstate(all="ignore"):
            remainder, whole, floored = np.fmod(x, y), np.remainder(x, y), np.floor_divide(x, y)
        t, u = eg.tensor(x), eg.tensor(y)
        np.testing.assert_array_equal(eg.fmod(t, u).numpy(), remainder)
        number = ~np.isnan(remainder)
        signs = np.signbit(t.fmod(u).numpy())
        assert np.array_equal(signs[number], np.signbit(remainder)[number])
        finite = np.isfinite(x) & np.isfinite(y) & (y != 0)
        np.testing.assert_array_equal(eg.remainder(t, u).numpy()[finite], whole[finite])
        np.testing.assert_array_equal(eg.floor_divide(t, u).numpy()[finite], floored[finite])
    for number in (0.7, -3.0, 1e-6):
        many = eg.tensor(pairs[0][0].astype(dtype))
        assert (many % number).tolist() == [v.remainder(number).item() for v in many]
        assert eg.fmod(many, many * 0 + number).tolist() == many.fmod(number).tolist()


def test_halves_convert_as_numpy_does():
    h = np.arange(65536, dtype=np.uint16).view(np.float16)
    wide = h.astype(np.float32)
    np.testing.assert_array_equal(eg.tensor(h).float().numpy(), wide)
    with np.errstate(all="ignore"):
        x = np.concatenate([wide, wide * np.float32(1 + 2**-11), wide * np.float32(1 + 3 * 2**-12)])
        expected = x.astype(np.float16)
    np.testing.assert_array_equal(eg.tensor(x).half().numpy(), expected)
    np.testing.assert_array_equal(eg.tensor(x[3:]).half()[::2].numpy(), expected[3::2])
    np.testing.assert_array_equal(eg.tensor(x)[3::5].half().numpy(), expected[3::5])


@pytest.mark.parametrize("e", [3, -2, -0.5])
def test_small_powers_and_their_gradients(e):
    x = eg.tensor([0.25, 1.5, 3.0, 1e10], requires_grad=True, dtype=eg.float64)
    (x**e).sum().backward()
    exact = x.detach().numpy()
    np.testing.assert_allclose((x**e).detach().numpy(), exact**e, rtol=1e-15)
    np.testing.assert_allclose(x.grad.numpy(), e * exact ** (e - 1), rtol=1e-15)
    assert eg.autograd.gradcheck(lambda v: v**e, eg.tensor([0.5, 1.5, 2.0], requires_grad=True))
    ends = eg.tensor([0.0, -0.0, math.inf, math.nan]) ** e
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(
            ends.numpy()[[0, 2, 3]], np.float32([0, math.inf, math.nan]) ** e
        )


@pytest.mark.parametrize("name", ["i0", "i1", "i0e", "i1e"])
def test_modified_bessel_functions_are_accurate(name):
    special = pytest.importorskip("scipy.special")
    x = np.concatenate([np.linspace(-30, 30, 1201), [8, -8, 1e-300, -1e-9, 500.3, -700]])
    y, expected = getattr(eg.special, name)(eg.tensor(x)).numpy(), getattr(special, name)(x)
    np.testing.assert_allclose(y, expected, rtol=4e-15)
    ends = getattr(eg.special, name)(eg.tensor([math.inf, -math.inf, math.nan, 0.0, -0.0])).numpy()
    sign, size = (1, -1)[name[1] == "1"], (math.inf, 0)[name.endswith("e")]
    zero = float(name[1] == "0")
    np.testing.assert_array_equal(ends, [size, sign * size, math.nan, zero, zero])


@pytest.mark.parametrize("name", ["k0", "k1", "k0e", "k1e"])
def test_bessel_functions_of_the_second_kind_are_accurate(name):
    special = pytest.importorskip("scipy.special")
    scaled = "scaled_" if name.endswith("e") else ""
    function = getattr(eg.special, f"{scaled}modified_bessel_{name[:2]}")
    x = np.concatenate([np.linspace(0.001, 30, 1201), [2, 1e-300, 1e-9, 500.3, 700]])
    np.testing.assert_allclose(
        function(eg.tensor(x)).numpy(), getattr(special, name)(x), rtol=4e-15
    )
    ends = function(eg.tensor([math.inf, math.nan, 0.0, -1.0])).numpy()
    np.testing.assert_array_equal(ends, [0, math.nan, math.inf, math.nan])


@pytest.mark.parametrize("name", ["j0", "j1", "y0", "y1"])
def test_bessel_functions_of_float_are_rounded_ones_of_double(name):
    special = pytest.importorskip("scipy.special")
    x = np.concatenate([np.linspace(0.01, 60, 2401), [8, 1e-30, 1e4]]).astype(np.float32)
    if name[0] == "j":
        x = np.concatenate([x, -x])
    function, exact = getattr(eg.special, f"bessel_{name}"), getattr(special, name)
    np.testing.assert_allclose(function(eg.tensor(x)).numpy(), exact(x.astype("f8")), rtol=1e-7)
    for dtype in (eg.float32, eg.float64):
        ends = function(eg.tensor([math.inf, math.nan, 0.0, -0.0], dtype=dtype)).numpy()
        zero = {"j0": 1.0, "j1": 0.0}.get(name, -math.inf)
        np.testing.assert_array_equal(ends, [0, math.nan, zero, zero])


def test_inverses_of_the_error_function_are_accurate_to_the_last_number():
    special = pytest.importorskip("scipy.special")
    tails = np.concatenate([10.0 ** -np.arange(1, 16), [2.0**-52, 2.0**-53]])
    x = np.concatenate([np.linspace(-0.999, 0.999, 1001), 1 - tails, tails - 1, tails])
    np.testing.assert_allclose(eg.erfinv(eg.tensor(x)).numpy(), special.erfinv(x), rtol=1e-15)
    p = np.concatenate([np.linspace(0.001, 0.999, 1001), 1 - tails, tails, tails**20])
    np.testing.assert_allclose(eg.special.ndtri(eg.tensor(p)).numpy(), special.ndtri(p), rtol=4e-15)
    ends = eg.tensor([0, -0.0, 5e-324, 1, -1, 1.5, -1.5, math.nan], dtype=eg.float64)
    found = eg.erfinv(ends).numpy()
    expected = [0, -0.0, 5e-324, math.inf, -math.inf, math.nan, math.nan, math.nan]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found[:2]), [False, True])
    found = eg.special.ndtri(ends).numpy()
    assert found[2] == pytest.approx(special.ndtri(5e-324), rel=1e-14)
    expected = [-math.inf, -math.inf, math.inf, math.nan, math.nan, math.nan, math.nan]
    np.testing.assert_array_equal(np.delete(found, 2), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [4, 33, 64, 65])
@pytest.mark.parametrize(("m", "n"), [(1, 32), (7, 67), (64, 64), (130, 200)])
def test_products_of_a_transposed_left_side(m, n, k, dtype):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((k, m)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    y = eg.tensor(a).t() @ eg.tensor(b)
    np.testing.assert_allclose(y.numpy(), a.T.astype("f8") @ b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [23, 24, 61, 96, 97])
@pytest.mark.parametrize(("n", "k"), [(64, 64), (65, 70), (200, 512)])
def test_products_of_a_transposed_right_side(m, n, k, dtype):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((n, k)).astype(dtype)
    y = eg.tensor(a) @ eg.tensor(b).t()
    np.testing.assert_allclose(y.numpy(), a.astype("f8") @ b.T, rtol=1e-4, atol=2e-4)


def test_gradients_of_a_weight_used_in_several_steps_add_up():
    rng = np.random.default_rng(0)
    w = eg.tensor(rng.standard_normal((70, 90)), requires_grad=True)
    xs = [eg.tensor(rng.standard_normal((32, 70))) for _ in range(3)]
    gs = [rng.standard_normal((32, 90)) for _ in range(3)]
    sum((x @ w * eg.tensor(g)).sum() for x, g in zip(xs, gs, strict=True)).backward()
    expected = sum(x.numpy().T @ g for x, g in zip(xs, gs, strict=True))
    np.testing.assert_allclose(w.grad.numpy(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [eg.float16, eg.bfloat16])
@pytest.mark.parametrize("m", [1, 3, 16, 40, 65])
@pytest.mark.parametrize(
    ("k", "n"), [(1, 1), (5, 17), (8, 8), (63, 16), (32, 33), (64, 32), (100, 300), (700, 48)]
)
def test_a_product_of_halves_is_rounded_once(dtype, m, k, n):
    eg.manual_seed(0)
    a, b, c = (eg.randn(*size).to(dtype) for size in [(m, k), (k, n), (n,)])
    exact = a.double() @ b.double()
    spacing = eg.finfo(dtype).eps
    for left in [a, a.t().contiguous().t(), eg.cat([a, a], 1)[:, :k]]:
        for right in [b, b.t().contiguous().t(), eg.cat([b, b], 1)[:, :n]]:
            y = left @ right
            assert ((y.double() - exact).abs() <= 0.51 * spacing * exact.abs() + 1e-5 * k).all()
            biased = eg.nn.functional.linear(left, right.t(), c).double()
            sums = exact + c.double()
            assert ((biased - sums).abs() <= 0.51 * spacing * sums.abs() + 1e-5 * k).all()


def test_roots_of_double_are_rounded_as_ieee_754_asks():
    rng = np.random.default_rng(7)
    x = np.concatenate(
        [
            rng.uniform(1, 4, 20003),
            np.exp2(rng.uniform(-1074, 1024, 20003)),
            np.nextafter(np.square(rng.uniform(1, 2, 20003)), 0),
            4 - np.arange(1000) * 2.0**-51,
            [0, -0.0, -1, math.inf, -math.inf, math.nan, 5e-324, 2.0**-967, 1.7976931348623157e308],
        ]
    )
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(eg.tensor(x).sqrt().numpy(), np.sqrt(x))
    assert np.signbit(eg.tensor([-0.0], dtype=eg.float64).sqrt().numpy()).all()


@pytest.mark.parametrize("dtype", [eg.float16, eg.bfloat16])
@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 300, 2100), (1, 65, 17), (3, 129, 1040), (4, 64, 40)]
)
def test_few_rows_of_halves_times_a_matrix(m, k, n, dtype):
    rng = np.random.default_rng(8)
    a, b = (eg.tensor(rng.standard_normal(s)).to(dtype) for s in ((m, k), (k, n)))
    expected = (a.double() @ b.double()).numpy()
    half_last_bit = 2.0**-11 if dtype == eg.float16 else 2.0**-8
    for x in (a, a.t().contiguous().t()):
        y = x @ b
        np.testing.assert_allclose(y.double().numpy(), expected, rtol=half_last_bit, atol=1e-4)
        assert eg.equal(y[:, :16], x @ b[:, :16])  # whatever is beside it
    c = eg.ones(m, n, dtype=dtype)
    np.testing.assert_allclose(
        eg.addmm(c, a, b).double().numpy(), expected + 1, rtol=4 * half_last_bit, atol=4e-2
    )


@pytest.mark.parametrize(
    "m, k, n",
    [(1, 1, 1), (1, 70, 600), (3, 9, 5), (5, 33, 2), (130, 40, 1), (67, 20, 140), (4, 0, 9)],
)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_products_of_whole_numbers_wrap_around(m, k, n, dtype):
    rng, info = np.random.default_rng(5), np.iinfo(dtype)
    a, b, c = (
        rng.integers(info.min, info.max, shape, dtype, endpoint=True)
        for shape in ((2, m, k), (2, k, n), n)
    )
    expected = (a.astype("int64") @ b.astype("int64")).astype(dtype)
    x, y = eg.tensor(a), eg.tensor(b)
    turned = [t.mT.contiguous().mT for t in (x, y)]
    for left in (x, turned[0]):
        for right in (y, turned[1]):
            np.testing.assert_array_equal((left @ right).numpy(), expected)
            np.testing.assert_array_equal((left[0] @ right[0]).numpy(), expected[0])
    biased = eg.nn.functional.linear(x[0], y[0].T, eg.tensor(c))
    np.testing.assert_array_equal(biased.numpy(), expected[0] + c)
