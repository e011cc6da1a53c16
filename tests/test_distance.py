"""Distances between rows and margin losses: values and gradients of every norm, against torch where it is installed."""

import math

import numpy as np
import pytest

import eagergrad as eg
from util import check_gradients

NORMS = [0, 1, 2, math.inf, 3, 1.5, 0.5]


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("width", [1, 3, 16, 40, 130])
def test_distances_agree_with_numpy(p, width):
    a, b = draw(2, 7, width), draw(5, width, seed=1)
    difference = a[:, :, None, :] - b[None, None, :, :]
    wanted = np.linalg.norm(difference, p, axis=-1) if p != 0 else (difference != 0).sum(-1)
    mode = "donot_use_mm_for_euclid_dist"
    for dtype, rtol in ((eg.float64, 1e-12), (eg.float32, 2e-5)):
        x, y = eg.tensor(a, dtype=dtype), eg.tensor(b, dtype=dtype)
        np.testing.assert_allclose(eg.cdist(x, y, p, mode).numpy(), wanted, rtol=rtol)
        rows, columns = np.triu_indices(7, 1)
        among = np.linalg.norm(a[0][rows] - a[0][columns], p, axis=-1) if p != 0 else width
        np.testing.assert_allclose(eg.nn.functional.pdist(x[0], p).numpy(), among, rtol=rtol)


@pytest.mark.parametrize("p", [1, 2, math.inf])
@pytest.mark.parametrize("dtype", [eg.float16, eg.bfloat16], ids=str)
def test_gradients_of_halves_are_those_of_floats(p, dtype):
    halves = [eg.tensor(draw(n, 9, seed=n), dtype=dtype).requires_grad_() for n in (4, 5)]
    floats = [x.detach().float().requires_grad_() for x in halves]
    for f in (lambda a, b: eg.cdist(a, b, p), lambda a, b: eg.nn.functional.pdist(a, p) + b.sum()):
        found = eg.autograd.grad(f(*halves).sum(), halves)
        for g, wanted in zip(found, eg.autograd.grad(f(*floats).sum(), floats)):
            np.testing.assert_allclose(g.float().numpy(), wanted.numpy(), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("p", NORMS)
def test_gradients_of_distances_agree_with_torch(p):
    torch = pytest.importorskip("torch")
    found = []
    for lib in (eg, torch):
        a = lib.tensor(draw(2, 7, 20)).requires_grad_()
        b = lib.tensor(draw(5, 20, seed=1)).requires_grad_()
        y = lib.cdist(a, b, p)
        z = lib.nn.functional.pdist(a[0], p)
        g = lib.tensor(draw(*y.shape, seed=2))
        found.append(lib.autograd.grad((y * g).sum() + (z * z).sum(), [a, b]))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_distances_have_gradients_of_second_order(p):
    x = eg.tensor(draw(4, 3), requires_grad=True)
    y = eg.tensor(draw(5, 3, seed=1), requires_grad=True)
    check_gradients(lambda a, b: eg.cdist(a, b, p), (x, y), order=2)
    check_gradients(lambda a: eg.nn.functional.pdist(a, p), (x,), order=2)


def test_distances_of_nothing():
    assert eg.cdist(eg.ones(2, 0), eg.ones(3, 0), 1).tolist() == [[0.0] * 3] * 2
    assert eg.cdist(eg.ones(0, 2), eg.ones(3, 2)).shape == (0, 3)
    assert eg.nn.functional.pdist(eg.ones(1, 4)).shape == (0,)
    with pytest.raises(RuntimeError, match="non-negative"):
        eg.nn.functional.pdist(eg.ones(2, 2), -1)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_multi_margin_loss_agrees_with_torch(p, weighted, reduction):
    torch = pytest.importorskip("torch")
    found = []
    for lib in (eg, torch):
        x = lib.tensor(draw(6, 19)).requires_grad_()
        target = lib.tensor([0, 8, 3, 18, 4, 1])
        weight = lib.tensor(np.abs(draw(19, seed=1))) if weighted else None
        loss = lib.nn.functional.multi_margin_loss(
            x, target, p=p, margin=0.7, weight=weight, reduction=reduction
        )
        found.append([loss.detach().numpy(), lib.autograd.grad(loss.sum(), x)[0].numpy()])
    for ours, theirs in zip(*found, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_multi_margin_loss_checks_classes_and_has_a_second_order():
    with pytest.raises(RuntimeError, match="target out of range"):
        eg.nn.functional.multi_margin_loss(eg.ones(2, 3), eg.tensor([0, 3]))
    x = eg.tensor(draw(2, 3), requires_grad=True)
    target = eg.tensor([0, 2])
    check_gradients(lambda a: eg.nn.functional.multi_margin_loss(a, target, p=2), (x,), order=2)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int8"])
@pytest.mark.parametrize("n", [1, 2, 5, 17, 64, 100, 513, 3000])
def test_elements_picked_from_rows_of_every_length(dtype, n):
    torch = pytest.importorskip("torch")
    x = (draw(12, n) * 50).astype(dtype)
    if n > 3 and dtype.startswith("float"):
        x[3, 1] = x[5, :] = np.nan
        x[4, 2] = np.inf
        x[6, :3] = -0.0
    ours, theirs = eg.from_numpy(x), torch.from_numpy(x)
    for k in {1, n // 2 + 1, n}:
        values, places = ours.kthvalue(k, 1)
        np.testing.assert_array_equal(values.numpy(), theirs.kthvalue(k, 1)[0].numpy())
        picked = np.take_along_axis(x, places.numpy()[:, None], 1)[:, 0]
        np.testing.assert_array_equal(picked, values.numpy())
    for name in ("median", "nanmedian"):
        found, wanted = getattr(ours, name)(1)[0], getattr(theirs, name)(1)[0]
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())
    np.testing.assert_array_equal(
        ours.unique_consecutive().numpy(), theirs.unique_consecutive().numpy()
    )


@pytest.mark.parametrize("dtype", [eg.float32, eg.float64])
@pytest.mark.parametrize("width", [1, 5, 64, 65, 150])
@pytest.mark.parametrize("rows", [(8, 16), (9, 45), (67, 40), (140, 33)])
def test_many_rows_go_by_tiles(rows, width, dtype):
    rng = np.random.default_rng(6)
    a, b = (rng.standard_normal((2, n, width)).astype("f4").astype("f8") for n in rows)
    a[0, 3, 0] = a[1, 2, width // 2] = np.nan
    apart = np.abs(a[:, :, None] - b[:, None])
    single = np.abs(a[0, :, None] - a[0][None])[np.triu_indices(rows[0], 1)]
    x, y = eg.tensor(a, dtype=dtype), eg.tensor(b, dtype=dtype)
    norms = {
        0: lambda d: (d != 0).sum(-1),
        1: lambda d: d.sum(-1),
        2: lambda d: np.sqrt((d**2).sum(-1)),
        np.inf: lambda d: d.max(-1),
    }
    for p, norm in norms.items():
        found = eg.cdist(x, y, p, "donot_use_mm_for_euclid_dist")
        np.testing.assert_allclose(found.numpy(), norm(apart), rtol=1e-5)
        np.testing.assert_allclose(eg.pdist(x[0], p).numpy(), norm(single), rtol=1e-5)
    np.testing.assert_allclose(eg.cdist(x, y).numpy(), norms[2](apart), rtol=1e-4, atol=1e-3)


def test_short_rows_are_not_multiplied():
    x = eg.tensor([[1e4, 0.0], [1e4, 1e-2]]).repeat(20, 1)  # products would cancel
    found = eg.cdist(x, x)[0, 1].item()
    assert found == pytest.approx(1e-2, rel=1e-5)
