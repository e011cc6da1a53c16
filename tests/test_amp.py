"""Mixed precision: autocast regions on the CPU (test_cuda_amp.py has the GPU's lists), and loss scaling."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import pytest

import eagergrad as eg

F = eg.nn.functional


# ---- autocast ------------------------------------------------------------------------------------------


def x(*sizes: int) -> Any:
    return eg.ones(*sizes)


def kind() -> str:
    """Of the device under test."""
    return eg.get_default_device().type


def region(**options: Any) -> Any:
    """In bfloat16, which is the CPU's default."""
    return eg.autocast(kind(), **{"dtype": eg.bfloat16, **options})


@pytest.mark.parametrize(
    "f",
    [
        lambda: x(2, 3) @ x(3, 4),
        lambda: eg.matmul(x(2, 3), x(3)),
        lambda: eg.mm(x(2, 3), x(3, 4)),
        lambda: eg.bmm(x(2, 2, 3), x(2, 3, 4)),
        lambda: eg.addmm(x(4), x(2, 3), x(3, 4)),
        lambda: F.linear(x(2, 3), x(4, 3), x(4)),
        lambda: eg.nn.Linear(3, 4)(x(2, 3)),
        lambda: F.conv1d(x(1, 2, 8), x(3, 2, 3)),
        lambda: F.conv2d(x(1, 2, 8, 8), x(3, 2, 3, 3), x(3)),
        lambda: F.scaled_dot_product_attention(x(1, 2, 4), x(1, 2, 4), x(1, 2, 4)),
    ],
)
def test_products_run_in_the_low_dtype(f: Any) -> None:
    with region():
        assert f().dtype == eg.bfloat16
        with region(enabled=False):
            assert f().dtype == eg.float32
    assert f().dtype == eg.float32


@pytest.mark.parametrize(
    "f",
    [
        lambda: x(2) + x(2),
        lambda: x(2).exp(),
        lambda: F.softmax(x(2, 3), dim=-1),
        lambda: F.layer_norm(x(2, 3), (3,)),
    ],
)
def test_other_ops_compute_as_they_are(f: Any) -> None:
    with region():
        assert f().dtype == eg.float32


def half(*sizes: int) -> Any:
    return eg.full(sizes, 0.5, dtype=eg.bfloat16)


def signs() -> Any:
    return eg.tensor([1, -1])


@pytest.mark.host("the CPU's autocast")
@pytest.mark.parametrize(
    "loss",
    [
        lambda: F.cross_entropy(half(2, 3), eg.tensor([0, 2])),
        lambda: F.nll_loss(half(2, 3), eg.tensor([0, 2])),
        lambda: F.mse_loss(half(2), half(2)),
        lambda: F.l1_loss(half(2), half(2)),
        lambda: F.smooth_l1_loss(half(2), half(2)),
        lambda: F.huber_loss(half(2), half(2)),
        lambda: F.binary_cross_entropy(half(2), half(2)),
        lambda: F.binary_cross_entropy_with_logits(half(2), half(2)),
        lambda: F.kl_div(half(2), half(2), reduction="sum"),
        lambda: F.poisson_nll_loss(half(2), half(2)),
        lambda: F.soft_margin_loss(half(2), half(2)),
        lambda: F.hinge_embedding_loss(half(2), signs()),
        lambda: F.margin_ranking_loss(half(2), half(2), signs()),
        lambda: F.cosine_embedding_loss(half(2, 3), half(2, 3), signs()),
        lambda: F.triplet_margin_loss(half(2, 3), half(2, 3), half(2, 3)),
        lambda: F.multi_margin_loss(half(2, 3), eg.tensor([0, 2])),
        lambda: half(3).prod(),
        lambda: F.avg_pool3d(half(1, 1, 2, 2, 2), 2),
    ],
)
def test_losses_run_in_float32(loss: Any) -> None:
    assert loss().dtype == eg.bfloat16
    with region():
        value = loss()
    assert value.dtype == eg.float32
    assert eg.isfinite(value).all()


def test_a_loss_in_a_region_gives_the_outputs_their_gradient() -> None:
    scores = eg.zeros(1, 2, dtype=eg.bfloat16, requires_grad=True)
    with region():
        loss = F.cross_entropy(scores, eg.tensor([1]))
    loss.backward()
    assert scores.grad.dtype == eg.bfloat16
    assert scores.grad.tolist() == [[0.5, -0.5]]


def test_a_weight_is_cast_once_in_a_region() -> None:
    w = x(3, 3).requires_grad_()

    def cast_of(y: Any) -> Any:
        return y.grad_fn.next_functions[1][0]

    with region():
        first, second = x(2, 3) @ w, x(4, 3) @ w
        assert cast_of(first) == cast_of(second)
        with region(enabled=False):
            assert (x(2, 3) @ w).dtype == eg.float32
        with region(cache_enabled=False):
            assert cast_of(x(2, 3) @ w) != cast_of(first)
        with eg.no_grad():
            w.mul_(2)
        third = x(2, 3) @ w
        assert third.tolist() == [[6.0] * 3] * 2
        eg.clear_autocast_cache()
        assert cast_of(x(2, 3) @ w) != cast_of(third)
    (first.sum() + second.sum() + third.sum()).backward()
    assert w.grad.tolist() == [[8.0] * 3] * 3
    with region():
        assert cast_of(x(2, 3) @ w) != cast_of(third), "nothing is kept between regions"
        for _ in range(2):  # several passes through one cast
            (x(2, 3) @ w).sum().backward()
    assert w.grad.tolist() == [[12.0] * 3] * 3


def test_doubles_and_integers_are_left_alone() -> None:
    with region():
        assert (x(2, 2).double() @ x(2, 2).double()).dtype == eg.float64
        assert (x(2, 2).long() @ x(2, 2).long()).dtype == eg.int64


def test_gradients_come_back_in_the_parameters_dtype() -> None:
    layer = eg.nn.Linear(3, 2)
    with region():
        loss = layer(x(4, 3)).float().sum()
    loss.backward()
    assert layer.weight.grad.dtype == eg.float32
    assert layer.weight.grad.tolist() == [[4.0] * 3] * 2


@pytest.mark.ours
def test_autocast_decorates_functions_and_nests() -> None:
    @region()
    def product(n: int) -> Any:
        return product(n - 1) if n else x(2, 2) @ x(2, 2)

    assert product(2).dtype == eg.bfloat16
    assert not eg.is_autocast_enabled(kind())


def test_an_unknown_device_or_dtype() -> None:
    with pytest.raises(RuntimeError, match="device"):
        eg.autocast("toaster")
    with pytest.raises(ValueError, match="device_type"):
        eg.autocast(eg.device("cpu"))
    with pytest.warns(UserWarning, match=r"[Dd]isabl"), region(dtype=eg.float64):
        assert (x(2, 2) @ x(2, 2)).dtype == eg.float32


def test_custom_functions_keep_the_mode_for_backward() -> None:
    seen = []

    class Product(eg.autograd.Function):
        @staticmethod
        @eg.amp.custom_fwd(device_type=kind())
        def forward(ctx: Any, a: Any, b: Any) -> Any:
            ctx.save_for_backward(a, b)
            return a.mm(b)

        @staticmethod
        @eg.amp.custom_bwd(device_type=kind())
        def backward(ctx: Any, g: Any) -> Any:
            a, b = ctx.saved_tensors
            ga = g.mm(b.t())
            seen.append(ga.dtype)
            return ga, a.t().mm(g)

    a, b = x(2, 2).requires_grad_(), x(2, 2).requires_grad_()
    with region():
        y = Product.apply(a, b)
    y.float().sum().backward()
    assert seen == [eg.bfloat16]
    assert a.grad.dtype == eg.float32


# ---- loss scaling ----------------------------------------------------------------------------------------


def problem(**kwargs: Any) -> Any:
    p = eg.tensor([2.0], requires_grad=True)
    options = {"init_scale": 8.0, "growth_interval": 2, **kwargs}
    return p, eg.optim.SGD([p], lr=0.25), eg.amp.GradScaler(kind(), **options)


def test_a_scaled_step_is_the_plain_step() -> None:
    p, optimizer, scaler = problem()
    loss = (p * p).sum()
    assert scaler.scale(loss).item() == 32.0
    assert [t.item() for t in scaler.scale([loss, loss])] == [32.0, 32.0]
    scaler.scale(loss).backward()
    assert p.grad.item() == 32.0
    scaler.step(optimizer)
    scaler.update()
    assert p.item() == 1.0
    assert p.grad.item() == 4.0


def test_the_scale_grows_and_shrinks() -> None:
    p, optimizer, scaler = problem()
    scales = []
    for bad in (False, True, False, False, False):
        optimizer.zero_grad()
        before = p.item()
        scaler.scale((p * 0.5).sum()).backward()
        if bad:
            p.grad.fill_(float("inf"))
        scaler.step(optimizer)
        scaler.update()
        assert (p.item() == before) == bad
        scales.append(scaler.get_scale())
    assert scales == [8.0, 4.0, 4.0, 8.0, 8.0]


def test_unscaled_gradients_can_be_clipped() -> None:
    p, optimizer, scaler = problem()
    scaler.scale((p * p).sum()).backward()
    scaler.unscale_(optimizer)
    eg.nn.utils.clip_grad_norm_([p], 1.0)
    scaler.step(optimizer)
    assert p.item() == pytest.approx(1.75, abs=1e-5)
    with pytest.raises(RuntimeError, match="step"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="unscale_"):
        scaler.unscale_(optimizer)


def test_a_disabled_scaler_does_nothing() -> None:
    p, optimizer, scaler = problem(enabled=False)
    loss = (p * p).sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert p.item() == 1.0
    assert scaler.get_scale() == 1.0
    assert scaler.state_dict() == {}


def test_state_dicts_and_pickles() -> None:
    p, optimizer, scaler = problem()
    scaler.scale((p * p).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    saved = scaler.state_dict()
    assert saved == {
        "scale": 8.0,
        "growth_factor": 2.0,
        "backoff_factor": 0.5,
        "growth_interval": 2,
        "_growth_tracker": 1,
    }
    other = eg.amp.GradScaler(kind())
    other.load_state_dict(saved)
    assert other.state_dict() == saved
    assert pickle.loads(pickle.dumps(scaler)).state_dict() == saved
    with pytest.raises(RuntimeError, match="empty"):
        other.load_state_dict({})


def test_a_cuda_scaler_without_a_gpu_warns_and_is_disabled() -> None:
    if eg.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.warns(UserWarning, match=r"[Dd]isabl"):
        assert not eg.amp.GradScaler().is_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not eg.amp.GradScaler(enabled=False).is_enabled()


@pytest.mark.parametrize(
    ("error", "use"),
    [
        (AssertionError, lambda s, o: s.update()),
        (AssertionError, lambda s, o: s.step(o)),
        (ValueError, lambda s, o: s.scale(1.0)),
        (RuntimeError, lambda s, o: s.step(o, closure=lambda: 1)),
        (AssertionError, lambda s, o: eg.amp.GradScaler(kind(), growth_factor=1.0)),
        (AssertionError, lambda s, o: eg.amp.GradScaler(kind(), backoff_factor=1.0)),
    ],
)
def test_wrong_use_raises(error: type[Exception], use: Any) -> None:
    _, optimizer, scaler = problem()
    with pytest.raises(error):
        use(scaler, optimizer)


def test_prelu_takes_the_low_dtype_of_the_layer_before() -> None:
    net = eg.nn.Sequential(eg.nn.Linear(3, 4), eg.nn.PReLU(4))
    with region():
        y = net(eg.ones(2, 3))
    assert y.dtype == eg.bfloat16
    y.sum().backward()
    assert net[1].weight.grad.dtype == eg.float32
