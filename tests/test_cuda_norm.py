"""Normalisation on the GPU against the CPU."""

from __future__ import annotations

import pytest

import eagergrad as eg
from cuda_pairs import assert_same, check, draw, gpu  # noqa: F401

F = eg.nn.functional


@pytest.mark.parametrize("n", [7, 300, 1100, 16500])
def test_layer_norm(n):
    check(
        lambda x, w, b: F.layer_norm(x, (n,), w, b),
        2 + draw(5, n),
        draw(n, seed=1),
        draw(n, seed=2),
        tolerance=1e-4,
    )


def test_layer_norm_of_many_rows():
    x, w, b = draw(300, 40), draw(40, seed=1), draw(40, seed=2)
    check(lambda x, w, b: F.layer_norm(x, (40,), w, b), x, w, b, tolerance=1e-4)
    check(lambda x: F.layer_norm(x, (40,)), x[:3], order=2, tolerance=1e-4)
    check(lambda x, w: F.layer_norm(x, (40,), w), x[:2].half(), w.half())
    check(lambda x: F.layer_norm(x, (40,)), x[:0])


@pytest.mark.parametrize("n", [7, 1100])
def test_rms_norm(n):
    check(lambda x, w: F.rms_norm(x, (n,), w), draw(5, n), draw(n, seed=1), tolerance=1e-4)


@pytest.mark.parametrize("sizes", [(200, 6), (4, 3, 50), (1, 3, 50), (2, 3, 40, 30), (5, 3, 1)])
def test_batch_norm(sizes):
    x, w, b = 2 + draw(*sizes), draw(sizes[1], seed=1), draw(sizes[1], seed=2)
    mean, var = draw(sizes[1], seed=3), draw(sizes[1], seed=4).abs()

    def trained(x, w, b):
        running = mean.to(x.device).clone(), var.to(x.device).clone()
        y = F.batch_norm(x, *running, w, b, training=True, momentum=0.3)
        return y, *running

    def fixed(x, w, b):
        return F.batch_norm(x, mean.to(x.device), var.to(x.device), w, b)

    check(trained, x, w, b, tolerance=1e-3)
    check(fixed, x, w, b, tolerance=1e-4)


def test_batch_norm_twice_and_of_halves():
    x, w = draw(6, 3, 4), draw(3, seed=1)
    check(lambda x, w: F.batch_norm(x, None, None, w, training=True), x, w, order=2, tolerance=1e-3)

    def mixed(x, w):
        mean = eg.zeros(3, device=x.device)
        return F.batch_norm(x, mean, mean + 1, w.float(), training=True), mean

    check(mixed, x.half(), w.half(), tolerance=1e-2)
    check(lambda x: F.batch_norm(x, None, None, training=True), x[:0])


def test_batch_norm_layer_learns_on_the_device():
    x = draw(8, 3, 5)
    layers = [eg.nn.BatchNorm1d(3), eg.nn.BatchNorm1d(3).to("cuda")]
    for _ in range(2):
        for layer in layers:
            layer(x.to(layer.weight.device))
    for name, value in layers[0].named_buffers():
        assert_same(dict(layers[1].named_buffers())[name], value)


@pytest.mark.parametrize(("groups", "sizes"), [(2, (3, 4, 5)), (4, (2, 4, 3)), (1, (2, 6, 300, 4))])
def test_group_norm(groups, sizes):
    w, b = draw(sizes[1], seed=1), draw(sizes[1], seed=2)
    order = 2 if sizes[1] == 4 else 1
    check(
        lambda x, w, b: F.group_norm(x, groups, w, b),
        draw(*sizes),
        w,
        b,
        order=order,
        tolerance=1e-3,
    )


def test_instance_norm():
    check(lambda x: F.instance_norm(x), draw(2, 3, 9), tolerance=1e-3)
