"""What CPU kernels promise beyond the generic tests: bits that do not depend on the place, and accuracy in ulp."""

from __future__ import annotations

import math

import numpy as np
import pytest

import eagergrad as eg

FUNCTIONS = (
    "exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh atanh "
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
