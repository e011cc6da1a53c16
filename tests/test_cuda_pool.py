"""Pooling, resizing, padding, sampling and sliding blocks on the GPU: the same as on the CPU."""

from __future__ import annotations

import math

import pytest

import eagergrad as eg
from cuda_pairs import check, draw, gpu  # noqa: F401 (a fixture)
from eagergrad.nn import functional as F

# --- pooling ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [eg.float32, eg.float64, eg.bfloat16])
def test_max_pool(dtype):
    x = draw(2, 3, 7, 9, dtype=dtype)
    check(lambda x: F.max_pool2d(x, 3, stride=2, padding=1), x)
    check(lambda x: F.max_pool2d(x, (2, 3), stride=1, dilation=2, return_indices=True), x)


def test_max_pool_of_other_dimensions():
    check(lambda x: F.max_pool1d(x, 4, ceil_mode=True), draw(2, 3, 11))
    check(lambda x: F.max_pool3d(x, 2, stride=1), draw(1, 2, 3, 4, 5))
    check(lambda x: F.adaptive_max_pool2d(x, (3, 4)), draw(2, 2, 7, 9))
    check(lambda x: F.max_pool2d(x, 2), draw(0, 2, 4, 4))


def test_max_pool_of_equal_values_and_nan():
    x = eg.tensor([[[1.0, 1.0, 0.0, math.nan, 2.0, math.nan, 5.0, 5.0]]])
    a, b = (F.max_pool1d(x.to(d), 4, stride=2, return_indices=True)[1] for d in ("cpu", "cuda"))
    assert a.tolist() == b.to("cpu").tolist()


def test_second_gradients_of_max_pool():
    check(lambda x: F.max_pool2d(x, 3, stride=2) ** 2, draw(1, 2, 7, 7), order=2)


def unpool(x):
    y, at = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(y, at, 2)


def test_max_unpool():
    check(unpool, draw(2, 2, 6, 6))
    x, at = draw(1, 1, 2, 2).to("cuda"), eg.tensor([[[[0, 1], [2, 99]]]]).to("cuda")
    found = F.max_unpool2d(x, at, 2)
    with pytest.raises(RuntimeError, match=r"\[max_unpool\] index 99 is out of bounds.*size 16"):
        found.tolist()


def test_unpooling_overlapping_windows_keeps_the_last_value():
    x = draw(1, 2, 9)

    def f(g):
        _, at = F.max_pool1d(x.to(g.device), 3, stride=1, return_indices=True)
        return F.max_unpool1d(g, at, 3, stride=1)

    check(f, draw(1, 2, 7, seed=1))


def test_average_pool():
    check(lambda x: F.avg_pool2d(x, 3, stride=2, padding=1), draw(2, 3, 7, 9))
    check(lambda x: F.avg_pool3d(x, 2, count_include_pad=False), draw(1, 2, 4, 4, 5))
    check(lambda x: F.adaptive_avg_pool2d(x, (3, 2)), draw(2, 2, 7, 9, dtype=eg.float64))
    check(lambda x: F.avg_pool2d(x, 7), draw(1, 2, 14, 21))  # a pass a dimension


# --- sliding blocks -----------------------------------------------------------------------------


def test_unfold_and_fold():
    options = {"kernel_size": (2, 3), "dilation": (2, 1), "padding": 1, "stride": (1, 2)}
    check(lambda x: F.unfold(x, **options), draw(2, 3, 6, 7))
    columns = F.unfold(draw(2, 3, 6, 7), **options)
    check(lambda x: F.fold(x, (6, 7), **options), draw(*columns.shape))


# --- resizing and padding -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "mode, size", [("nearest", (9, 4)), ("bilinear", (11, 3)), ("bicubic", (5, 13))]
)
def test_interpolate(mode, size):
    check(lambda x: F.interpolate(x, size, mode=mode), draw(2, 3, 5, 7))


def test_interpolate_smoothly_and_bytes():
    check(lambda x: F.interpolate(x, (2, 3), mode="bilinear", antialias=True), draw(1, 2, 24, 30))
    x = (eg.arange(2 * 5 * 7).reshape(1, 2, 5, 7) * 3).to(eg.uint8)
    check(lambda x: F.interpolate(x, (3, 9), mode="bilinear"), x)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_pad(mode):
    check(lambda x: F.pad(x, (2, 1, 0, 3), mode=mode), draw(2, 3, 5, 6, dtype=eg.float16))


def test_pad_with_a_number():
    check(lambda x: F.pad(x, (2, 1, 0, 3), value=1.5), draw(2, 3, 5, 6))
    check(lambda x: F.pad(x, (2, 1, 0, 3), value=1.5), draw(4, 8, 16, 16))
    check(lambda x: F.pad(x, (1, 2, -2, 3), value=7), eg.ones(3, 40, 50, dtype=eg.int64))


# --- sampling -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
def test_grid_sample(mode, padding_mode):
    grid = 1.4 * draw(2, 4, 3, 2, seed=1)
    check(
        lambda x, grid: F.grid_sample(x, grid, mode, padding_mode, align_corners=False),
        draw(2, 3, 5, 6),
        grid.detach(),
        tolerance=5e-5,
    )


def test_grid_sample_in_three_dimensions():
    check(
        lambda x, grid: F.grid_sample(x, grid, align_corners=True),
        draw(1, 2, 3, 4, 5, dtype=eg.float64),
        draw(1, 2, 3, 2, 3, seed=1, dtype=eg.float64),
    )


def test_many_points_at_one_pixel_are_added_in_order():
    # Everything outside falls on the border: long lists, the same bits each time.
    grid = eg.full((1, 20, 30, 2), 3.0)
    g = draw(1, 2, 20, 30)
    grads = []
    for device in ("cpu", "cuda", "cuda"):
        x = draw(1, 2, 4, 4, seed=1).to(device).requires_grad_()
        out = F.grid_sample(x, grid.to(device), padding_mode="border", align_corners=True)
        out.backward(g.to(device))
        grads.append(x.grad.to("cpu"))
    assert eg.allclose(grads[0], grads[1], atol=1e-4) and (grads[1] == grads[2]).all()
