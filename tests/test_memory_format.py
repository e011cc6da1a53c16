"""Layers of images give results in the order in which their input lies, as PyTorch's do."""

from __future__ import annotations

from typing import Any

import pytest

import eagergrad as eg

F = eg.nn.functional

IMAGES = {
    "conv2d": lambda x: F.conv2d(x, weight(3, 4, 3, 3), bias=weight(3), padding=1),
    "grouped": lambda x: F.conv2d(x, weight(4, 2, 2, 2), groups=2, stride=2),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, weight(4, 3, 2, 2), stride=2),
    "batch_norm": lambda x: F.batch_norm(x, None, None, weight(4), weight(4), True),
    "fixed batch_norm": lambda x: F.batch_norm(x, weight(4), weight(4) + 2, weight(4)),
    "group_norm": lambda x: F.group_norm(x, 2, weight(4), weight(4)),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
    "pad": lambda x: F.pad(x, (1, 1, 2, 0), mode="reflect"),
    "constant pad": lambda x: F.pad(x, (1, 1, 2, 0), value=2.0),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "max_unpool2d": lambda x: F.max_unpool2d(
        *F.max_pool2d(x, 2, return_indices=True), 2, output_size=x.shape[-2:]
    ),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, 2),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2),
    "cat": lambda x: eg.cat([x, x * 2], 1),
    "flip": lambda x: x.flip(3),
    "pixel_shuffle": lambda x: F.pixel_shuffle(eg.cat([x, -x], 1), 2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(F.pad(x, (0, 1)), 2),
    "elementwise": lambda x: F.gelu(x * 2 + weight(4, 1, 1)),
}
VOLUMES = {
    "conv3d": lambda x: F.conv3d(x, weight(3, 4, 2, 2, 2)),
    "batch_norm": IMAGES["batch_norm"],
    "max_pool3d": lambda x: F.max_pool3d(x, 2),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2, mode="trilinear"),
}


def weight(*sizes: int) -> Any:
    n = eg.Size(sizes).numel()
    return eg.linspace(-1.0, 1.0, n, dtype=eg.float64).reshape(sizes).cos()


def given(*sizes: int) -> Any:
    generator = eg.Generator().manual_seed(3)
    return eg.randn(*sizes, dtype=eg.float64, generator=generator)


def check(f: Any, x: Any, memory_format: Any) -> None:
    plain = x.clone().requires_grad_()
    last = x.to(memory_format=memory_format).requires_grad_()
    assert not last.is_contiguous()
    expected, y = f(plain), f(last)
    assert expected.is_contiguous()
    assert y.is_contiguous(memory_format=memory_format) and not y.is_contiguous()
    assert type(y.grad_fn) is type(expected.grad_fn) and y.grad_fn.name() == expected.grad_fn.name()
    eg.testing.assert_close(y, expected)
    g = y.detach().sin()
    y.backward(g)
    expected.backward(g.contiguous())
    eg.testing.assert_close(last.grad, plain.grad)
    assert last.grad.stride() == last.stride()
    assert eg.autograd.gradgradcheck(f, (last,))


@pytest.mark.parametrize("name", IMAGES)
def test_images_keep_channels_last(name: str) -> None:
    check(IMAGES[name], given(2, 4, 6, 5), eg.channels_last)


WINDOWS = {
    "max": lambda x: F.max_pool2d(x, 3, 2, 1, dilation=(1, 2)),
    "max and places": lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True),
    "adaptive max": lambda x: F.adaptive_max_pool2d(x, (3, 4), return_indices=True),
    "mean": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    "mean of all": lambda x: F.adaptive_avg_pool2d(x, 1),
    "mean over columns": lambda x: F.avg_pool2d(x, (1, 9)),
    "bilinear": lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear"),
    "bicubic": lambda x: F.interpolate(x, size=(5, 13), mode="bicubic", align_corners=True),
    "antialiased": lambda x: F.interpolate(x, (4, 3), mode="bilinear", antialias=True),
    "nearest": lambda x: F.interpolate(x, scale_factor=1.5),
    "reflected": lambda x: F.pad(x, (2, 1, 0, 3), mode="reflect"),
    "padded": lambda x: F.pad(x, (2, -1, 0, 3), value=-4.0),
    "shifted": lambda x: F.pad(x, (1, -1, 0, 0)),
}


@pytest.mark.parametrize("dtype", [eg.float32, eg.float64, eg.bfloat16])
@pytest.mark.parametrize("channels", [3, 8, 21])
@pytest.mark.parametrize("name", WINDOWS)
def test_windows_over_pixels_are_those_over_planes(name: str, channels: int, dtype: Any) -> None:
    x = given(2, channels, 10, 11).to(dtype).round(decimals=1)  # with equal ones
    plain = x.clone().requires_grad_()
    last = x.to(memory_format=eg.channels_last).requires_grad_()
    expected, y = WINDOWS[name](plain), WINDOWS[name](last)
    if isinstance(y, tuple):
        assert eg.equal(y[1], expected[1]) and y[1].stride() == y[0].stride()
        expected, y = expected[0], y[0]
    close = {eg.float64: 1e-12, eg.float32: 1e-5, eg.bfloat16: 2e-2}[dtype]
    eg.testing.assert_close(y, expected, rtol=close, atol=close)
    g = y.detach().sin()
    y.backward(g)
    expected.backward(g.contiguous())
    eg.testing.assert_close(last.grad, plain.grad, rtol=close, atol=2 * close)


def test_pixels_of_numbers_that_are_none() -> None:
    x = eg.zeros(1, 9, 4, 4).to(memory_format=eg.channels_last)
    x[0, 3, 1, 2], x[0, 4, 1, 2], x[0, 5, 0, 0] = eg.nan, -eg.inf, eg.inf
    y, at = F.max_pool2d(x, 2, return_indices=True)
    assert y[0, 3].isnan().tolist() == [[False, True], [False, False]] and at[0, 3, 0, 1] == 6
    assert y[0, 4].abs().max() == 0 and y[0, 5, 0, 0] == eg.inf
    mean = F.avg_pool2d(x, 2)
    assert mean.isnan().sum() == 1 and mean[0, 5, 0, 0] == eg.inf and mean[0, 8].abs().max() == 0


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_keep_channels_last(name: str) -> None:
    check(VOLUMES[name], given(2, 4, 3, 4, 3), eg.channels_last_3d)


@pytest.mark.parametrize("statistics", [False, True])
def test_instance_norm_is_row_major(statistics: bool) -> None:
    layer = eg.nn.InstanceNorm2d(4, track_running_stats=statistics).train(not statistics)
    x = given(2, 4, 6, 5).float()
    y = layer(x.to(memory_format=eg.channels_last))
    assert y.is_contiguous() and eg.equal(y, layer(x))


def test_a_network_keeps_channels_last_through_training() -> None:
    nn = eg.nn
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1)
    )
    x = given(2, 3, 6, 5).float()
    y = net(x.to(memory_format=eg.channels_last))
    assert y.stride() == (120, 1, 20, 4)
    y.square().sum().backward()
    grads = [p.grad for p in net.parameters()]
    net.zero_grad()
    net(x).square().sum().backward()
    for p, g in zip(net.parameters(), grads):
        eg.testing.assert_close(p.grad, g, rtol=1e-4, atol=1e-3)
