"""Pooling, resizing, padding, sampling and sliding blocks on the GPU: the same as on the CPU."""

from __future__ import annotations

import math

import pytest

import both_devices
import eagergrad as eg
from both_devices import assert_same, real, second_order
from eagergrad.nn import functional as F

pytestmark = both_devices.needs_emulation


@pytest.fixture(scope="module", autouse=True)
def gpu():
    both_devices.start()


# --- pooling ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [eg.float32, eg.float64, eg.bfloat16])
def test_max_pool(dtype):
    x = real(2, 3, 7, 9, dtype=dtype)
    assert_same(lambda x: F.max_pool2d(x, 3, stride=2, padding=1), x)
    assert_same(lambda x: F.max_pool2d(x, (2, 3), stride=1, dilation=2, return_indices=True), x)


def test_max_pool_of_other_dimensions():
    assert_same(lambda x: F.max_pool1d(x, 4, ceil_mode=True), real(2, 3, 11))
    assert_same(lambda x: F.max_pool3d(x, 2, stride=1), real(1, 2, 3, 4, 5))
    assert_same(lambda x: F.adaptive_max_pool2d(x, (3, 4)), real(2, 2, 7, 9))
    assert_same(lambda x: F.max_pool2d(x, 2), real(0, 2, 4, 4))


def test_max_pool_of_equal_values_and_nan():
    x = eg.tensor([[[1.0, 1.0, 0.0, math.nan, 2.0, math.nan, 5.0, 5.0]]])
    a, b = (F.max_pool1d(x.to(d), 4, stride=2, return_indices=True)[1] for d in ("cpu", "cuda"))
    assert a.tolist() == b.to("cpu").tolist()


def test_second_gradients_of_max_pool():
    second_order(lambda x: F.max_pool2d(x, 3, stride=2), real(1, 2, 7, 7))


def test_average_pool():
    assert_same(lambda x: F.avg_pool2d(x, 3, stride=2, padding=1), real(2, 3, 7, 9))
    assert_same(lambda x: F.avg_pool3d(x, 2, count_include_pad=False), real(1, 2, 4, 4, 5))
    assert_same(lambda x: F.adaptive_avg_pool2d(x, (3, 2)), real(2, 2, 7, 9, dtype=eg.float64))
    assert_same(lambda x: F.avg_pool2d(x, 7), real(1, 2, 14, 21))  # a pass a dimension


# --- sliding blocks -----------------------------------------------------------------------------


def test_unfold_and_fold():
    options = {"kernel_size": (2, 3), "dilation": (2, 1), "padding": 1, "stride": (1, 2)}
    assert_same(lambda x: F.unfold(x, **options), real(2, 3, 6, 7))
    columns = F.unfold(real(2, 3, 6, 7), **options)
    assert_same(lambda x: F.fold(x, (6, 7), **options), real(*columns.shape))


# --- resizing and padding -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "mode, size", [("nearest", (9, 4)), ("bilinear", (11, 3)), ("bicubic", (5, 13))]
)
def test_interpolate(mode, size):
    assert_same(lambda x: F.interpolate(x, size, mode=mode), real(2, 3, 5, 7))


def test_interpolate_smoothly_and_bytes():
    assert_same(
        lambda x: F.interpolate(x, (2, 3), mode="bilinear", antialias=True), real(1, 2, 24, 30)
    )
    x = (eg.arange(2 * 5 * 7).reshape(1, 2, 5, 7) * 3).to(eg.uint8)
    assert_same(lambda x: F.interpolate(x, (3, 9), mode="bilinear"), x)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_pad(mode):
    assert_same(lambda x: F.pad(x, (2, 1, 0, 3), mode=mode), real(2, 3, 5, 6, dtype=eg.float16))


def test_pad_with_a_number():
    assert_same(lambda x: F.pad(x, (2, 1, 0, 3), value=1.5), real(2, 3, 5, 6))
    assert_same(lambda x: F.pad(x, (2, 1, 0, 3), value=1.5), real(4, 8, 16, 16))
    assert_same(lambda x: F.pad(x, (1, 2, -2, 3), value=7), eg.ones(3, 40, 50, dtype=eg.int64))


# --- sampling -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
def test_grid_sample(mode, padding_mode):
    grid = 1.4 * real(2, 4, 3, 2, seed=1)
    assert_same(
        lambda x, grid: F.grid_sample(x, grid, mode, padding_mode, align_corners=False),
        real(2, 3, 5, 6),
        grid.detach(),
        tol=5e-5,
    )


def test_grid_sample_in_three_dimensions():
    assert_same(
        lambda x, grid: F.grid_sample(x, grid, align_corners=True),
        real(1, 2, 3, 4, 5, dtype=eg.float64),
        real(1, 2, 3, 2, 3, seed=1, dtype=eg.float64),
    )


def test_many_points_at_one_pixel_are_added_in_order():
    # Everything outside falls on the border: long lists, the same bits each time.
    grid = eg.full((1, 20, 30, 2), 3.0)
    g = real(1, 2, 20, 30)
    grads = []
    for device in ("cpu", "cuda", "cuda"):
        x = real(1, 2, 4, 4, seed=1).to(device).requires_grad_()
        out = F.grid_sample(x, grid.to(device), padding_mode="border", align_corners=True)
        out.backward(g.to(device))
        grads.append(x.grad.to("cpu"))
    assert eg.allclose(grads[0], grads[1], atol=1e-4) and (grads[1] == grads[2]).all()
