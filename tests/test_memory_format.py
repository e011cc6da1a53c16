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
