"""Normalisation layers and functions."""

import numpy as np
import pytest

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import nn
from layers import assert_agrees, twins
from util import check_gradients

rng = np.random.default_rng(5)


def real(*shape):
    return rng.uniform(-1, 2, shape)


def double(*shape):
    return eg.tensor(real(*shape))


CASES = [
    ("LayerNorm", (6,), {}, real(4, 6)),
    ("LayerNorm", ((3, 70),), {"eps": 1e-3}, real(2, 3, 70)),
    ("LayerNorm", (6,), {"elementwise_affine": False}, real(2, 3, 6)),
    ("LayerNorm", (6,), {"bias": False}, real(6)),
    ("LayerNorm", (2000,), {}, real(40, 2000)),
    ("RMSNorm", (6,), {}, real(4, 6)),
    ("RMSNorm", ([3, 4],), {"eps": 1e-3, "elementwise_affine": False}, real(2, 3, 4)),
    ("GroupNorm", (3, 6), {}, real(2, 6, 5)),
    ("GroupNorm", (2, 6), {"eps": 1e-3}, real(3, 6, 2, 9)),
    ("GroupNorm", (3, 6), {"affine": False}, real(4, 6)),
    ("GroupNorm", (1, 4), {}, real(2, 4, 17, 3, 2)),
    ("BatchNorm1d", (5,), {}, real(7, 5)),
    ("BatchNorm1d", (5,), {"momentum": 0.3}, real(3, 5, 4)),
    ("BatchNorm1d", (70,), {"affine": False}, real(30, 70)),
    ("BatchNorm2d", (3,), {"momentum": None}, real(4, 3, 5, 2)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, real(4, 3, 33, 2)),
    ("BatchNorm3d", (3,), {"eps": 1e-3}, real(2, 3, 2, 3, 2)),
    ("InstanceNorm1d", (3,), {}, real(2, 3, 5)),
    ("InstanceNorm1d", (3,), {"affine": True}, real(3, 5)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, real(2, 3, 5, 4)),
    ("InstanceNorm3d", (3,), {"track_running_stats": True, "momentum": 0.4}, real(2, 3, 2, 3, 2)),
    ("BatchNorm1d", (5,), {"bias": False}, real(7, 5)),
    ("GroupNorm", (3, 6), {"bias": False}, real(2, 6, 5)),
    ("InstanceNorm1d", (3,), {"affine": True, "bias": False}, real(2, 3, 5)),
    ("LocalResponseNorm", (3,), {"alpha": 0.1}, real(2, 5, 4)),
    ("LocalResponseNorm", (4,), {"alpha": 0.1, "beta": 0.5, "k": 2.0}, real(2, 5, 3, 3)),
]
IDS = [f"{c[0]}-{i}" for i, c in enumerate(CASES)]


@pytest.mark.parametrize("name,args,kwargs,x", CASES, ids=IDS)
def test_layer_agrees_with_pytorch(name, args, kwargs, x):
    def twice(layer, x):
        return layer(layer(x) * 3 + 1)

    assert_agrees(name, [x], *args, call=twice, tol=1e-8, **kwargs)


@pytest.mark.parametrize("name,args,kwargs,x", CASES, ids=IDS)
def test_evaluation_agrees_with_pytorch(name, args, kwargs, x):
    def evaluated(layer, x):
        layer(x)
        return layer.eval()(x + 1)

    assert_agrees(name, [x], *args, call=evaluated, **kwargs)


@pytest.mark.parametrize("name,args,kwargs,x", CASES, ids=IDS)
def test_gradients_of_second_order(name, args, kwargs, x):
    if x.size > 500:
        x = x[:2, :, :2] if name.startswith("Batch") and x.ndim > 2 else x
    if x.size > 500:
        pytest.skip("too large for differences")
    layer = getattr(nn, name)(*args, **kwargs).double()
    weights = list(layer.parameters())
    names = [n for n, _ in layer.named_parameters()]

    def f(x, *ws):
        return eg.func.functional_call(layer, dict(zip(names, ws, strict=True)), (x,))

    check_gradients(f, [eg.tensor(x), *(w.detach() for w in weights)], order=2, rtol=1e-4)


@pytest.mark.parametrize("training", [False, True])
def test_batch_norm_function(training):
    mean, var = eg.zeros(3, dtype=eg.float64), eg.ones(3, dtype=eg.float64)
    x, w, b = double(4, 3, 2), double(3), double(3)

    def f(x, w, b):
        return F.batch_norm(x, mean.clone(), var.clone(), w, b, training)

    check_gradients(f, [x, w, b], order=2, rtol=1e-4)


def test_running_statistics_by_hand():
    layer = nn.BatchNorm1d(1)
    layer(eg.tensor([[1.0], [3.0]]))
    assert layer.running_mean.item() == pytest.approx(0.2)
    assert layer.running_var.item() == pytest.approx(0.9 + 0.1 * 2.0)
    assert layer.num_batches_tracked.item() == 1
    layer.reset_running_stats()
    assert (layer.running_mean.item(), layer.running_var.item()) == (0, 1)


def test_evaluation_keeps_the_statistics():
    layer = nn.BatchNorm2d(2).eval()
    layer(eg.randn(3, 2, 4, 4))
    assert layer.running_mean.tolist() == [0, 0] and layer.num_batches_tracked.item() == 0


def test_statistics_may_change_between_forward_and_backward():
    layer = nn.BatchNorm1d(2).eval()
    x = eg.randn(3, 2, requires_grad=True)
    y = layer(x)
    layer.train()(x)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 1 / np.sqrt(1 + 1e-5), rtol=1e-5)


def test_statistics_of_float32_stay_exact_over_a_large_batch():
    x = rng.normal(100, 1, (200_000, 2)).astype(np.float32)
    layer = nn.BatchNorm1d(2, momentum=1.0)
    layer(eg.tensor(x))
    wide = x.astype(np.float64)
    np.testing.assert_allclose(layer.running_mean.numpy(), wide.mean(0), rtol=2e-7)
    np.testing.assert_allclose(layer.running_var.numpy(), wide.var(0, ddof=1), rtol=1e-5)


def test_lazy_layers_take_their_size_from_the_first_input():
    for name, x in (
        ("LazyBatchNorm1d", eg.randn(4, 3)),
        ("LazyBatchNorm2d", eg.randn(2, 3, 4, 4)),
        ("LazyBatchNorm3d", eg.randn(2, 3, 2, 2, 2)),
        ("LazyInstanceNorm1d", eg.randn(2, 3, 4)),
        ("LazyInstanceNorm2d", eg.randn(2, 3, 4, 4)),
        ("LazyInstanceNorm3d", eg.randn(2, 3, 2, 2, 2)),
    ):
        layer = getattr(nn, name)()
        out = layer(x)
        assert out.shape == x.shape
        assert type(layer) is getattr(nn, name.removeprefix("Lazy"))
        assert layer.num_features == 3 and tuple(layer.weight.shape) == (3,)


def test_sync_batch_norm_replaces_batch_norm():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    made = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert isinstance(made[1], nn.SyncBatchNorm)
    x = eg.randn(3, 1, 4, 4)
    expected = F.batch_norm(made[0](x), None, None, made[1].weight, made[1].bias, True)
    np.testing.assert_allclose(made(x).detach().numpy(), expected.detach().numpy(), atol=1e-5)


def test_old_checkpoints_have_no_batch_counter():
    layer = nn.BatchNorm1d(2)
    state = {k: v for k, v in layer.state_dict().items() if k != "num_batches_tracked"}
    layer.load_state_dict(state)
    assert layer.num_batches_tracked.item() == 0


@pytest.mark.parametrize("p,dim", [(2.0, 1), (1.0, 0), (3.0, -1), (float("inf"), 1)])
def test_normalize_agrees_with_pytorch(p, dim):
    torch = pytest.importorskip("torch")
    x = real(3, 4, 5)
    theirs = torch.nn.functional.normalize(torch.tensor(x), p, dim)
    np.testing.assert_allclose(
        F.normalize(eg.tensor(x), p, dim).numpy(), theirs.numpy(), rtol=1e-12
    )


def test_normalize_of_zero_is_zero():
    x = eg.zeros(2, 3, requires_grad=True)
    assert F.normalize(x).tolist() == [[0, 0, 0]] * 2
    out = eg.empty(2, 3)
    F.normalize(eg.ones(2, 3), out=out)
    np.testing.assert_allclose(out.numpy(), 3**-0.5, rtol=1e-6)


def test_half_precision_follows_float32():
    x = eg.randn(4, 6)
    for f in (
        lambda x: F.layer_norm(x, (6,)),
        lambda x: F.rms_norm(x, (6,), eps=1e-5),
        lambda x: F.group_norm(x, 2),
        lambda x: F.batch_norm(x, None, None, training=True),
    ):
        low = f(x.bfloat16())
        assert low.dtype == eg.bfloat16
        np.testing.assert_allclose(low.float().numpy(), f(x).numpy(), atol=5e-2)


@pytest.mark.parametrize("dtype", [eg.bfloat16, eg.float16], ids=str)
@pytest.mark.parametrize("shape", [(5, 8), (3, 70, 5), (2, 4, 7, 7), (2, 6, 40, 30)], ids=str)
@pytest.mark.parametrize("channels_last", [False, True])
def test_halves_are_rounded_once(dtype, shape, channels_last):
    """Results and gradients are those of float32, rounded."""
    if channels_last and len(shape) != 4:
        pytest.skip("of four dimensions")
    given = eg.tensor(real(*shape)).to(dtype), *(eg.tensor(real(shape[1])).to(dtype) for _ in "wb")

    def run(f, to):
        x, w, b = (t.to(to) for t in given)
        if channels_last:
            x = x.contiguous(memory_format=eg.channels_last)
        inputs = [t.detach().requires_grad_() for t in (x, w, b)]
        y = f(*inputs)
        g = eg.tensor(np.random.default_rng(0).standard_normal(shape)).to(dtype).to(to)
        grads = eg.autograd.grad(y, inputs, g, allow_unused=True)
        return [y.detach(), *(t for t in grads if t is not None)]

    still = eg.tensor(real(shape[1])).to(dtype), eg.tensor(real(shape[1]) ** 2 + 1).to(dtype)
    for f in (
        lambda x, w, b: F.layer_norm(x, shape[1:]),
        lambda x, w, b: F.rms_norm(x.flatten(1), (int(np.prod(shape[1:])),), eps=1e-3).reshape(
            shape
        ),
        lambda x, w, b: F.group_norm(x, 2, w, b),
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        lambda x, w, b: F.batch_norm(x, *(t.to(x.dtype) for t in still), w, b),
    ):
        for ours, exact in zip(run(f, dtype), run(f, eg.float32), strict=True):
            error = (ours.float() - exact).abs().max().item()
            assert ours.dtype == dtype and error <= exact.abs().max().item() / 250


def test_channels_last_and_transposed_inputs():
    x = eg.randn(2, 5, 4).transpose(1, 2)
    np.testing.assert_allclose(
        F.batch_norm(x, None, None, training=True).numpy(),
        F.batch_norm(x.contiguous(), None, None, training=True).numpy(),
    )


@pytest.mark.parametrize(
    "call,error",
    [
        (lambda: F.layer_norm(eg.zeros(2, 4), (3,)), RuntimeError),
        (lambda: F.layer_norm(eg.zeros(2, 4), (4,), eg.zeros(3)), RuntimeError),
        (lambda: F.layer_norm(eg.zeros(4), ()), RuntimeError),
        (lambda: F.layer_norm(eg.zeros(2, 4, dtype=eg.int64), (4,)), NotImplementedError),
        (lambda: nn.LayerNorm(4)(eg.zeros(2, 4, dtype=eg.float64)), RuntimeError),
        (lambda: nn.BatchNorm1d(4)(eg.zeros(2, 4, dtype=eg.float64)), RuntimeError),
        (lambda: F.group_norm(eg.zeros(2, 4, 3), 3), (RuntimeError, ValueError)),
        (lambda: F.group_norm(eg.zeros(4), 2), RuntimeError),
        (lambda: nn.GroupNorm(3, 4), ValueError),
        (lambda: F.batch_norm(eg.zeros(1, 3), None, None, training=True), ValueError),
        (lambda: F.batch_norm(eg.zeros(2, 3), None, None), RuntimeError),
        (lambda: F.batch_norm(eg.zeros(2, 3), eg.zeros(4), eg.zeros(4)), RuntimeError),
        (lambda: nn.BatchNorm1d(3)(eg.zeros(2, 3, 4, 5)), ValueError),
        (lambda: nn.BatchNorm2d(3)(eg.zeros(2, 3)), ValueError),
        (lambda: nn.BatchNorm2d(3)(eg.zeros(2, 4, 2, 2)), RuntimeError),
        (lambda: nn.InstanceNorm1d(3)(eg.zeros(2, 3, 1)), ValueError),
        (lambda: nn.InstanceNorm2d(3)(eg.zeros(2, 3)), ValueError),
        (lambda: F.local_response_norm(eg.zeros(2, 3), 2), ValueError),
    ],
)
def test_bad_arguments_raise(call, error):
    with pytest.raises(error):
        call()


def test_empty_batch():
    assert tuple(F.layer_norm(eg.zeros(0, 3), (3,)).shape) == (0, 3)
    x = eg.zeros(0, 3, 2, requires_grad=True)
    layer = nn.BatchNorm1d(3)
    layer(x).sum().backward()
    assert tuple(x.grad.shape) == (0, 3, 2) and layer.running_var.tolist() == [1, 1, 1]


def test_statistics_that_are_given_keep_infinite_inputs_out_of_gradients():
    for shape in [(2, 3), (2, 3, 4)]:
        x = eg.ones(shape)
        x[0, 0] = float("inf")
        x.requires_grad_(True)
        y = F.batch_norm(x, eg.zeros(3), eg.ones(3), eps=1e-12)
        (gx,) = eg.autograd.grad(y, x, eg.ones(shape))
        assert eg.equal(gx, eg.ones(shape))


def test_variance_far_from_zero():
    x = 1000 + eg.tensor(real(20, 6, 40, 50)).float()
    batch = F.batch_norm(x, None, None, training=True)
    assert (batch.double().var((0, 2, 3)) - 1).abs().max() < 1e-3
    for y in (F.group_norm(x, 6), F.instance_norm(x)):
        assert (y.double().var((2, 3)) - 1).abs().max() < 1e-3


@pytest.mark.parametrize("shape", [(40, 12), (3, 12, 2), (50, 12, 3)])
def test_groups_of_short_stretches(shape):
    x, w, b, g = double(*shape), double(12), double(12), double(*shape)
    leaves = [t.requires_grad_(True) for t in (x, w, b)]
    y = F.group_norm(x, 4, w, b)
    lines = x.reshape(shape[0], 4, -1)
    unit = (lines - lines.mean(-1, True)) / (
        lines.var(-1, correction=0, keepdim=True) + 1e-5
    ).sqrt()
    sizes = (1, 12) + (1,) * (len(shape) - 2)
    wanted = unit.reshape(shape) * w.reshape(sizes) + b.reshape(sizes)
    assert eg.allclose(y, wanted, atol=1e-12)
    for a, c in zip(eg.autograd.grad(y, leaves, g), eg.autograd.grad(wanted, leaves, g)):
        assert eg.allclose(a, c, atol=1e-11)


def test_state_of_pytorch_loads():
    _torch, _theirs, ours = twins("BatchNorm2d", 3)
    assert ours.weight.dtype == eg.float64 and ours.num_batches_tracked.dtype == eg.int64
