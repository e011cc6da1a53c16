"""Optimizers, clipping and loss scaling on the GPU against the CPU."""

from __future__ import annotations

import math

import pytest

import eagergrad as eg
import emulated_gpu
from cuda_pairs import assert_same, draw, gpu  # noqa: F401

CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {"maximize": True}),
    ("Adamax", {}),
    ("NAdam", {}),
    ("RAdam", {}),
    ("Adagrad", {"lr_decay": 0.1}),
    ("Adadelta", {}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("Rprop", {}),
    ("ASGD", {"t0": 2}),
    ("Lion", {}),
    ("Adafactor", {"lr": 0.1, "weight_decay": 0.1}),
]


def parameters(device, dtype=eg.float32, sizes=((3,), (40, 50), (2, 3, 4), (1, 17000), (0,))):
    made = [draw(*s, dtype=dtype, seed=k) for k, s in enumerate(sizes)]
    return [eg.nn.Parameter(p.to(device)) for p in made]


def train(name, options, device, steps=3, **kwargs):
    params = parameters(device, **kwargs)
    optimizer = getattr(eg.optim, name)(params, **options)
    for step in range(steps):
        for k, p in enumerate(params):
            p.grad = draw(*p.shape, dtype=p.dtype, seed=100 * step + k).to(device)
        optimizer.step()
    states = [v for s in optimizer.state.values() for v in s.values() if v.dim() > 0]
    return params, states


@pytest.mark.parametrize(("name", "options"), CASES)
def test_steps(name, options):
    for cuda, cpu in zip(train(name, options, "cuda"), train(name, options, "cpu"), strict=True):
        assert len(cuda) == len(cpu)
        for a, b in zip(cuda, cpu, strict=True):
            assert_same(a, b)


@pytest.mark.parametrize("dtype", [eg.float16, eg.bfloat16, eg.float64])
def test_other_types(dtype):
    for cuda, cpu in zip(
        train("Adam", {}, "cuda", dtype=dtype), train("Adam", {}, "cpu", dtype=dtype), strict=True
    ):
        for a, b in zip(cuda, cpu, strict=True):
            assert_same(a, b)


def test_other_layouts_and_parameters_on_both_devices():
    results = []
    for device in ("cpu", "cuda"):
        params = [
            eg.nn.Parameter(draw(4, 6).to(device).t()),
            eg.nn.Parameter(draw(5)),
            eg.nn.Parameter(draw(3, seed=3).to(device)),
        ]
        optimizer = eg.optim.Adam(params)
        for step in range(2):
            for p in params:
                p.grad = draw(*p.shape, seed=step).to(p.device)
            optimizer.step()
        results.append(params)
    for a, b in zip(results[1], results[0], strict=True):
        assert_same(a.to("cuda"), b)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Adam", {"weight_decay": 0.1}),
        ("AdamW", {"amsgrad": True}),
        ("Adamax", {}),
        ("NAdam", {"decoupled_weight_decay": True}),
        ("RAdam", {}),
        ("ASGD", {"t0": 1.0}),
        ("RMSprop", {"momentum": 0.9}),
        ("Adadelta", {}),
        ("Rprop", {}),
    ],
)
def test_capturable_steps_are_the_same(name, options):
    results = []
    for device, capturable in (("cpu", False), ("cuda", True)):
        params = [eg.nn.Parameter(draw(n, 3, seed=n).to(device)) for n in (1, 4, 5)]
        optimizer = getattr(eg.optim, name)(params, lr=0.1, capturable=capturable, **options)
        for step in range(7):  # RAdam is rectified from the sixth on
            for p in params[: 2 + step % 2]:
                p.grad = draw(*p.shape, seed=step).to(device)
            optimizer.step()
        results.append((params, optimizer))
    for p, q in zip(results[0][0], results[1][0], strict=True):
        assert_same(q.detach(), p.detach())
        a, b = results[0][1].state[p], results[1][1].state[q]
        assert a.keys() == b.keys()
        for key in a:
            assert_same(b[key], a[key])
    fresh = getattr(eg.optim, name)(results[1][0], lr=0.1, capturable=True, **options)
    fresh.load_state_dict(results[1][1].state_dict())
    fresh.step()
    assert fresh.state[results[1][0][0]]["step"].item() == 8
    fresh.load_state_dict({**results[0][1].state_dict()})
    fresh.step()
    assert not fresh.param_groups[0]["capturable"], "as the loaded groups say"


def test_captured_adam_goes_on_counting_and_takes_the_rate_from_the_device():
    p, lr = eg.nn.Parameter(draw(4).to("cuda")), eg.tensor(0.1, device="cuda")
    optimizer = eg.optim.Adam([p], lr=lr, capturable=True)
    place = eg.zeros(2, dtype=eg.int64, device="cuda")
    p.grad = draw(4, seed=1).to("cuda")
    optimizer.step()
    with emulated_gpu.capturing(place):
        optimizer.step()  # the emulation does it at once
    lr.fill_(0.01)
    optimizer.step()
    expected = eg.nn.Parameter(draw(4))
    host = eg.optim.Adam([expected], lr=0.1)
    expected.grad = draw(4, seed=1)
    host.step()
    host.step()
    host.param_groups[0]["lr"] = 0.01
    host.step()
    assert_same(p.detach(), expected.detach())
    assert optimizer.state[p]["step"].item() == 3


def test_capturable_refuses_rows_and_numbers_elsewhere():
    p = eg.nn.Parameter(draw(4, 2).to("cuda"))
    optimizer = eg.optim.Adam([p], capturable=True)
    p.grad = eg.sparse.RowSparse([1], draw(1, 2).to("cuda"), (4, 2))
    with pytest.raises(RuntimeError, match=r"row-sparse.*capturable=False"):
        optimizer.step()
    optimizer = eg.optim.NAdam([p], capturable=True)
    p.grad = draw(4, 2).to("cuda")
    optimizer.step()
    optimizer.state[p]["mu_product"] = optimizer.state[p]["mu_product"].cpu()
    with pytest.raises(RuntimeError, match=r"mu_product.*on cuda:0.*on cpu"):
        optimizer.step()


def test_counts_stay_on_the_host():
    p = parameters("cuda")[0]
    optimizer = eg.optim.Adam([p])
    p.grad = eg.ones_like(p)
    optimizer.step()
    assert optimizer.state[p]["step"].device.type == "cpu"
    assert optimizer.state[p]["exp_avg"].device.type == "cuda"
    optimizer.state[p]["exp_avg"] = eg.zeros(3)
    with pytest.raises(RuntimeError, match=r"exp_avg.*on cuda.*on cpu"):
        optimizer.step()


@pytest.mark.parametrize("lazy", [False, True])
def test_row_sparse_gradients(lazy):
    results = []
    for device in ("cpu", "cuda"):
        p = eg.nn.Parameter(draw(6, 3).to(device))
        optimizer = eg.optim.Adam([p], lr=0.1, weight_decay=0.1, lazy=lazy)
        for rows in ([1, 4], [4, 0, 4], [5]):
            index = eg.tensor(rows, device=device)
            optimizer.zero_grad()
            (eg.nn.functional.embedding(index, p, sparse=True) ** 2).sum().backward()
            assert p.grad.is_sparse
            optimizer.step()
        if lazy:
            optimizer.catch_up()
        results.append(p)
    assert_same(results[1], results[0])


def test_row_sparse_gradients_add_up_and_become_dense():
    grads = []
    for device in ("cpu", "cuda"):
        p = eg.nn.Parameter(draw(6, 3).to(device))
        for rows in ([1, 4], [4, 0, 4], []):
            index = eg.tensor(rows, dtype=eg.int64, device=device)
            (eg.nn.functional.embedding(index, p, sparse=True) ** 2).sum().backward()
        assert p.grad.is_sparse
        grads += [g.to_dense() for g in (p.grad, p.grad * 1, p.grad.clone())] + [p.grad + p]
    for a, b in zip(grads[4:], grads[:4], strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("norm_type", [2, 1, math.inf, -math.inf, 0, 3])
def test_clipping_by_norm(norm_type):
    totals = []
    for device in ("cpu", "cuda"):
        params = parameters(device)
        for k, p in enumerate(params):
            p.grad = draw(*p.shape, seed=k).to(device)
        total = eg.nn.utils.clip_grad_norm_(params, 0.5, norm_type)
        totals.append([total, *(p.grad for p in params)])
    for a, b in zip(totals[1], totals[0], strict=True):
        assert_same(a, b)


def test_clipping():
    p = parameters("cuda")[1]
    p.grad = draw(40, 50).to("cuda")
    before = p.grad.clone()
    total = eg.nn.utils.clip_grad_norm_([p], 1e6)
    assert_same(p.grad, before.cpu())
    assert_same(total, before.cpu().norm())
    eg.nn.utils.clip_grad_value_([p], 0.25)
    assert_same(p.grad, before.cpu().clamp(-0.25, 0.25))
    p.grad[3, 4] = float("nan")
    assert math.isnan(eg.nn.utils.clip_grad_norm_([p], 1.0).item())
    with pytest.raises(RuntimeError, match="non-finite"):
        eg.nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)


def test_loss_scaling():
    p = eg.nn.Parameter(eg.tensor([2.0], device="cuda"))
    optimizer = eg.optim.SGD([p], lr=0.25)
    scaler = eg.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale((p * p).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert p.item() == 1
    p.grad = eg.tensor([float("inf")], device="cuda")
    scaler.scale(p.sum())
    scaler.step(optimizer)
    scaler.update()
    assert p.item() == 1
    assert scaler.get_scale() == 4


def test_adafactor_waits_for_nothing_but_refuses_to_be_captured():
    (p,) = parameters("cuda", sizes=((3, 4),))
    optimizer = eg.optim.Adafactor([p])
    place = eg.zeros(2, dtype=eg.int64, device="cuda")
    p.grad = draw(3, 4).cuda()
    optimizer.step()
    with emulated_gpu.capturing(place):
        with pytest.raises(RuntimeError, match="depends on its number"):
            optimizer.step()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(eg.cuda, "is_current_stream_capturing", lambda: False)
            optimizer.step()  # a read would raise here


def test_unscaling_waits_for_nothing():
    """It reads whether gradients are finite when a step is made."""
    (p,) = parameters("cuda", sizes=((3,),))
    optimizer, scaler = eg.optim.SGD([p], lr=0.5), eg.amp.GradScaler("cuda", init_scale=4.0)
    scaler.scale(p.sum()).backward()
    with emulated_gpu.capturing(eg.zeros(2, dtype=eg.int64, device="cuda")):
        scaler.unscale_(optimizer)
        eg.nn.utils.clip_grad_norm_([p], 10.0)
    before = p.detach().cpu()
    scaler.step(optimizer)
    scaler.update()
    assert (p.cpu() == before - 0.5).all()
