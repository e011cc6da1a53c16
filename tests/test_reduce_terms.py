"""Reductions of what is never written down: norms, losses, halves, sums without NaN; whatever their shape."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest

import eagergrad as eg
import eagergrad.nn.functional as F

# Lines that share a strip, lines of several strips, and columns narrower and wider than a panel.
SHAPES = [
    ((7, 5), 1),
    ((3, 4096), 1),
    ((2, 9001), 1),
    ((1, 10_000), None),
    ((5000, 3), 0),
    ((2, 700, 9), 1),
    ((2, 50, 301), 1),
    ((40, 1000), 0),
    ((6, 30, 40), (0, 2)),
]
DTYPES = [eg.float64, eg.float32, eg.float16, eg.bfloat16]

REDUCTIONS: dict[str, tuple[Callable, Callable]] = {
    "sum": (lambda x, d: x.sum(d), lambda a, d: a.sum(d)),
    "amax": (lambda x, d: x.amax(() if d is None else d), lambda a, d: a.max(d)),
    "all": (lambda x, d: x.all(d), lambda a, d: a.all(d)),
    "norm": (lambda x, d: eg.linalg.vector_norm(x, 2, d), lambda a, d: np.sqrt((a * a).sum(d))),
    "norm1": (lambda x, d: eg.linalg.vector_norm(x, 1, d), lambda a, d: np.abs(a).sum(d)),
    "norminf": (
        lambda x, d: eg.linalg.vector_norm(x, float("inf"), d),
        lambda a, d: np.abs(a).max(d),
    ),
}


def numbers(shape: tuple[int, ...], dtype: eg.dtype) -> tuple[eg.Tensor, np.ndarray]:
    x = eg.tensor(np.random.default_rng(3).uniform(-1, 1, shape), dtype=dtype)
    return x, x.to(eg.float64).numpy()


def tolerance(dtype: eg.dtype) -> dict[str, float]:
    rtol = {eg.float64: 1e-12, eg.float32: 2e-6, eg.float16: 1e-3, eg.bfloat16: 8e-3}[dtype]
    return {"rtol": rtol, "atol": 20 * rtol}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "dim"), SHAPES, ids=str)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reduction_of_any_shape_is_numpys(name, shape, dim, dtype):
    ours, reference = REDUCTIONS[name]
    x, a = numbers(shape, dtype)
    np.testing.assert_allclose(
        ours(x, dim).to(eg.float64).numpy(), reference(a, dim), **tolerance(dtype)
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "dim"), SHAPES, ids=str)
def test_nan_is_left_out(shape, dim, dtype):
    x, a = numbers(shape, dtype)
    hole = np.random.default_rng(4).uniform(size=shape) < 0.2
    x = x.masked_fill(eg.tensor(hole), float("nan"))
    a = np.where(hole, 0, a)
    count = (~hole).sum(dim)
    total = eg.nansum(x, dim).to(eg.float64).numpy()
    np.testing.assert_allclose(total, a.sum(dim), **tolerance(dtype))
    mean = eg.nanmean(x, dim).to(eg.float64).numpy()
    np.testing.assert_allclose(mean, a.sum(dim) / count, **tolerance(dtype))


def test_nansum_keeps_infinities_and_lets_no_gradient_into_nan():
    x = eg.tensor([[1.0, float("nan")], [float("inf"), 2.0]], requires_grad=True)
    y = eg.nansum(x, 1)
    assert y.tolist() == [1.0, float("inf")]
    y.sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0], [1.0, 1.0]]


def test_sum_of_a_strided_half_tensor():
    x, a = numbers((60, 300), eg.bfloat16)
    np.testing.assert_allclose(x.t().sum(0).float().numpy(), a.T.sum(0), rtol=8e-3, atol=8e-3)
    np.testing.assert_allclose(x[::2, 1:].sum().float().numpy(), a[::2, 1:].sum(), rtol=1e-2)


def huber(d, delta=0.7):
    return eg.where(d.abs() <= delta, d * d / 2, delta * (d.abs() - delta / 2))


DISTANCES = {
    F.mse_loss: lambda d: d * d,
    F.l1_loss: lambda d: d.abs(),
    functools.partial(F.huber_loss, delta=0.7): huber,
    functools.partial(F.smooth_l1_loss, beta=0.7): lambda d: huber(d) / 0.7,
}


@pytest.mark.parametrize("loss", DISTANCES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_is_the_reduced_difference(loss, reduction):
    def plain(a, b):
        values = DISTANCES[loss](a - b)
        return values.mean() if reduction == "mean" else values.sum()

    a = eg.randn(3, 3001, dtype=eg.float64, requires_grad=True)
    b = eg.randn(3, 3001, dtype=eg.float64, requires_grad=True)
    y, expected = loss(a, b, reduction=reduction), plain(a, b)
    assert eg.allclose(y, expected)
    for got, wanted in zip(eg.autograd.grad(y, (a, b)), eg.autograd.grad(expected, (a, b))):
        assert eg.allclose(got, wanted)
    small = [eg.randn(4, dtype=eg.float64, requires_grad=True) for _ in range(2)]
    assert eg.autograd.gradgradcheck(lambda a, b: loss(a, b, reduction=reduction), small)


def test_mean_squared_error_of_halves_keeps_small_gradients():
    a = eg.full((1000, 300), 2.0, dtype=eg.float16, requires_grad=True)
    loss = F.mse_loss(a, eg.zeros(1000, 300, dtype=eg.float16))
    assert loss.item() == 4
    (loss * 256).backward()
    assert a.grad[0, 0].item() == pytest.approx(256 * 4 / 300_000, rel=1e-3)


@pytest.mark.parametrize("start", [0, 1, 5])
def test_float16_is_cast_as_numpy_casts_it(start):
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)[start:]
    wide = halves.astype(np.float32)
    np.testing.assert_array_equal(eg.tensor(halves).float().numpy(), wide)
    bits = np.random.default_rng(0).integers(0, 2**32, 100_003, dtype=np.uint64)
    floats = bits.astype(np.uint32).view(np.float32)[start:]
    with np.errstate(all="ignore"):
        narrow = floats.astype(np.float16)
    cast = eg.tensor(floats).half().numpy()
    np.testing.assert_array_equal(cast, narrow)
    np.testing.assert_array_equal(np.signbit(cast), np.signbit(narrow))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 0, 2, 3), (3, 1, 0, 2), (0, 2, 3, 1)])
@pytest.mark.parametrize("dims", [(0, 2), (1, 3), (0, 2, 3), (3,), (0,), (0, 1, 3)])
def test_dimensions_apart_and_in_another_order(order, dims):
    a = np.random.default_rng(1).standard_normal((6, 5, 20, 7)).transpose(order)
    x = eg.tensor(np.ascontiguousarray(a.transpose(np.argsort(order)))).permute(order)
    assert x.shape == a.shape
    for keepdim in (False, True):
        for name in ("sum", "mean", "amax", "prod"):
            wanted = getattr(np, name)(a, dims, keepdims=keepdim)
            over = dims[0] if name == "prod" else dims
            if name == "prod":
                wanted = np.prod(a, over, keepdims=keepdim)
            y = getattr(x, name)(over, keepdim=keepdim)
            assert y.is_contiguous() and np.allclose(y.numpy(), wanted, rtol=1e-12, atol=1e-13)
        y = (x > 2).any(dims, keepdim=keepdim)
        assert np.array_equal(y.numpy(), (a > 2).any(dims, keepdims=keepdim))
        y = (x > 0).sum(dims, keepdim=keepdim)
        assert np.array_equal(y.numpy(), (a > 0).sum(dims, keepdims=keepdim))
        half = x.bfloat16()
        y = half.sum(dims, keepdim=keepdim)
        wanted = half.double().numpy().sum(dims, keepdims=keepdim)
        assert y.dtype == eg.bfloat16 and np.allclose(
            y.double().numpy(), wanted, rtol=0.01, atol=1e-4
        )
    counts = eg.count_nonzero(x.trunc(), dims).numpy()
    assert np.array_equal(counts, np.count_nonzero(np.trunc(a), dims))
