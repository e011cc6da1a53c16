"""Learning-rate schedules: the rates they set, resuming, warnings and errors; averages of weights."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

import eagergrad as eg

optim = eg.optim
schedules = eg.optim.lr_scheduler

CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("LambdaLR", (lambda epoch: 0.9**epoch,), {}),
    ("MultiplicativeLR", (lambda epoch: 1 - 0.01 * epoch,), {}),
    ("StepLR", (3,), {"gamma": 0.5}),
    ("MultiStepLR", ([2, 5, 5, 9],), {"gamma": 0.3}),
    ("ConstantLR", (), {"factor": 0.4, "total_iters": 4}),
    ("LinearLR", (), {"start_factor": 0.2, "end_factor": 0.8, "total_iters": 6}),
    ("ExponentialLR", (0.8,), {}),
    ("PolynomialLR", (), {"total_iters": 7, "power": 2.0}),
    ("CosineAnnealingLR", (5,), {"eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", (3,), {"T_mult": 2, "eta_min": 0.01}),
    ("CyclicLR", (0.01, 0.5), {"step_size_up": 3, "step_size_down": 5}),
    ("CyclicLR", (0.01, 0.5), {"step_size_up": 3, "mode": "triangular2"}),
    ("CyclicLR", (0.01, 0.5), {"step_size_up": 3, "mode": "exp_range", "gamma": 0.9}),
    ("CyclicLR", (0.01, 0.5), {"step_size_up": 3, "scale_fn": lambda x: 1 / x}),
    ("OneCycleLR", (1.0,), {"total_steps": 14}),
    (
        "OneCycleLR",
        ([1.0, 2.0],),
        {"epochs": 2, "steps_per_epoch": 7, "three_phase": True, "anneal_strategy": "linear"},
    ),
]
IDS = [f"{name}{k}" for k, (name, _, _) in enumerate(CASES)]
CHAINABLE = [c for c in CASES if c[0] != "OneCycleLR"]


def make_optimizer(root: Any = eg, name: str = "SGD", **kwargs: Any) -> Any:
    a, b = (root.zeros(1, requires_grad=True) for _ in range(2))
    if name == "SGD":
        kwargs.setdefault("momentum", 0.9)
    return getattr(root.optim, name)(
        [{"params": [a]}, {"params": [b], "lr": 0.3}], lr=0.1, **kwargs
    )


def run(optimizer: Any, scheduler: Any, steps: int) -> list[Any]:
    """Rate, momentum and what the scheduler says of all rates, for each group before each step."""
    seen = []
    for _ in range(steps):
        groups = optimizer.param_groups
        last = scheduler.get_last_lr()
        seen.append([(g["lr"], g.get("momentum", g.get("betas")), *last) for g in groups])
        optimizer.step()
        scheduler.step()
    return seen


def flat(nested: Any) -> list[float]:
    if isinstance(nested, (list, tuple)):
        return [x for item in nested for x in flat(item)]
    return [float(nested)]


# ---- written-down rates ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda o: schedules.StepLR(o, 2, 0.5), [1, 1, 0.5, 0.5, 0.25]),
        (lambda o: schedules.MultiStepLR(o, [1, 3]), [1, 0.1, 0.1, 0.01, 0.01]),
        (lambda o: schedules.ConstantLR(o, 0.5, 2), [0.5, 0.5, 1, 1, 1]),
        (lambda o: schedules.LinearLR(o, 0.25, 1.0, 3), [0.25, 0.5, 0.75, 1, 1]),
        (lambda o: schedules.ExponentialLR(o, 0.5), [1, 0.5, 0.25, 0.125, 0.0625]),
        (lambda o: schedules.LambdaLR(o, lambda e: 1 / (e + 1)), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]),
        (lambda o: schedules.PolynomialLR(o, 4, 1.0), [1, 0.75, 0.5, 0.25, 0]),
        (
            lambda o: schedules.CosineAnnealingLR(o, 4),
            [(1 + math.cos(math.pi * t / 4)) / 2 for t in range(5)],
        ),
        (
            lambda o: schedules.CosineAnnealingWarmRestarts(o, 2),
            [1, 0.5, 1, 0.5, 1],
        ),
        (
            lambda o: schedules.CyclicLR(o, 0.2, 1.0, 2, cycle_momentum=False),
            [0.2, 0.6, 1.0, 0.6, 0.2],
        ),
        (
            lambda o: schedules.SequentialLR(
                o, [schedules.ConstantLR(o, 0.5, 9), schedules.ExponentialLR(o, 0.1)], [2]
            ),
            [0.5, 0.5, 1, 0.1, 0.01],
        ),
        (
            lambda o: schedules.ChainedScheduler(
                [schedules.ConstantLR(o, 0.5, 2), schedules.ExponentialLR(o, 0.5)]
            ),
            [0.5, 0.25, 0.25, 0.125, 0.0625],
        ),
        (lambda o: optim.swa_utils.SWALR(o, 0.5, 2, "linear"), [1, 0.75, 0.5, 0.5, 0.5]),
    ],
)
def test_rates(make: Any, expected: list[float]) -> None:
    optimizer = optim.SGD([eg.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    seen = [groups[0] for groups in run(optimizer, scheduler, 5)]
    rates = [s[0] for s in seen]
    assert rates == [s[2] for s in seen]
    assert rates == pytest.approx(expected, abs=1e-12)


def test_one_cycle_moves_the_momentum_against_the_rate() -> None:
    optimizer = make_optimizer(name="Adam")
    scheduler = schedules.OneCycleLR(optimizer, 1.0, total_steps=11, pct_start=0.5)
    seen = [groups[0] for groups in run(optimizer, scheduler, 10)]
    rates, betas = [s[0] for s in seen], [s[1][0] for s in seen]
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) > 0.97
    assert betas[0] == 0.95
    assert betas[rates.index(max(rates))] == pytest.approx(min(betas))
    assert seen[3][1][1] == 0.999


# ---- against torch -----------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_rates_agree_with_torch(case: Any, optimizer: str) -> None:
    torch = pytest.importorskip("torch")
    name, args, kwargs = case
    results = []
    for root in (eg, torch):
        o = make_optimizer(root, optimizer)
        results.append(run(o, getattr(root.optim.lr_scheduler, name)(o, *args, **kwargs), 14))
    assert flat(results[0]) == pytest.approx(flat(results[1]), rel=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CHAINABLE, ids=[c[0] for c in CHAINABLE])
def test_a_given_epoch_agrees_with_torch(case: Any) -> None:
    torch = pytest.importorskip("torch")
    name, args, kwargs = case
    results = []
    for root in (eg, torch):
        o = make_optimizer(root)
        scheduler = getattr(root.optim.lr_scheduler, name)(o, *args, **kwargs)
        seen = []
        for epoch in (3, 1, 6, 7):
            o.step()
            scheduler.step(epoch)
            seen.append(scheduler.get_last_lr())
        results.append(seen)
    assert flat(results[0]) == pytest.approx(flat(results[1]), rel=1e-12)


def composed(root: Any, kind: str, o: Any) -> Any:
    s = root.optim.lr_scheduler
    if kind == "sequence":
        parts = [s.LinearLR(o, total_iters=4), s.ExponentialLR(o, 0.9), s.CosineAnnealingLR(o, 5)]
        return s.SequentialLR(o, parts, [4, 9])
    chain = s.ChainedScheduler([s.ConstantLR(o, 0.1, 3), s.ExponentialLR(o, 0.9)])
    if kind == "chain":
        return chain
    return s.SequentialLR(o, [chain, s.StepLR(o, 2)], [4])


@pytest.mark.filterwarnings("ignore:Detected call")
@pytest.mark.parametrize("kind", ["sequence", "chain", "nested"])
def test_composed_schedules_agree_with_torch(kind: str) -> None:
    torch = pytest.importorskip("torch")
    results = []
    for root in (eg, torch):
        o = make_optimizer(root)
        results.append(run(o, composed(root, kind, o), 15))
    assert flat(results[0]) == pytest.approx(flat(results[1]), rel=1e-12)


PLATEAUS: list[dict[str, Any]] = [
    {"patience": 1},
    {"patience": 1, "mode": "max", "cooldown": 2},
    {"patience": 0, "threshold_mode": "abs", "threshold": 0.05, "min_lr": 0.003, "factor": 0.3},
    {"patience": 2, "min_lr": [0.05, 0.001]},
]


@pytest.mark.parametrize("options", PLATEAUS)
def test_reduce_on_plateau_agrees_with_torch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    results = []
    for root in (eg, torch):
        o = make_optimizer(root)
        scheduler = root.optim.lr_scheduler.ReduceLROnPlateau(o, **options)
        seen = []
        for loss in [1, 0.9, 0.9, 0.9, 0.95, 0.8, 0.8, 0.8, 0.8, 0.7999, 0.8, 0.8, float("nan")]:
            scheduler.step(loss)
            seen.append((scheduler.get_last_lr(), scheduler.num_bad_epochs, scheduler.best))
        results.append(seen)
    assert results[0] == results[1]


# ---- resuming ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_loaded_scheduler_continues(case: Any) -> None:
    name, args, kwargs = case
    o = make_optimizer()
    scheduler = getattr(schedules, name)(o, *args, **kwargs)
    run(o, scheduler, 4)
    o2 = make_optimizer()
    again = getattr(schedules, name)(o2, *args, **kwargs)
    o2.load_state_dict(o.state_dict())
    again.load_state_dict(scheduler.state_dict())
    assert run(o2, again, 8) == run(o, scheduler, 8)


def test_last_epoch_resumes_from_the_groups() -> None:
    o = make_optimizer()
    run(o, schedules.StepLR(o, 2, 0.5), 3)
    scheduler = schedules.StepLR(o, 2, 0.5, last_epoch=3)
    assert scheduler.last_epoch == 4
    assert scheduler.get_last_lr() == pytest.approx([0.025, 0.075])


def test_resuming_without_initial_lr_raises() -> None:
    with pytest.raises(KeyError, match="initial_lr"):
        schedules.StepLR(make_optimizer(), 2, last_epoch=3)


def test_callable_objects_keep_their_state() -> None:
    class Slope:
        def __init__(self, a: float) -> None:
            self.a = a

        def __call__(self, epoch: int) -> float:
            return 1 - self.a * epoch

    o = make_optimizer()
    saved = schedules.LambdaLR(o, [Slope(0.1), lambda e: 1.0]).state_dict()
    assert saved["lr_lambdas"] == [{"a": 0.1}, None]
    fresh = Slope(0.5)
    schedules.LambdaLR(make_optimizer(), [fresh, lambda e: 1.0]).load_state_dict(saved)
    assert fresh.a == 0.1


def test_a_tensor_rate_is_written_in_place() -> None:
    lr = eg.tensor(0.5)
    o = optim.SGD([eg.zeros(1, requires_grad=True)], lr=lr)
    scheduler = schedules.ExponentialLR(o, 0.5)
    o.step()
    scheduler.step()
    assert o.param_groups[0]["lr"] is lr
    assert lr.item() == 0.25
    assert o.param_groups[0]["initial_lr"].item() == 0.5


# ---- warnings and errors ---------------------------------------------------------------------------------


def test_the_wrong_order_warns() -> None:
    scheduler = schedules.StepLR(make_optimizer(), 2)
    with pytest.warns(UserWarning, match=r"before `optimizer\.step"):
        scheduler.step()


def test_the_right_order_is_quiet() -> None:
    o = make_optimizer()
    scheduler = schedules.StepLR(o, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(o, scheduler, 3)


def test_get_lr_outside_of_step_warns() -> None:
    scheduler = schedules.StepLR(make_optimizer(), 2)
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()


def test_a_given_epoch_warns() -> None:
    o = make_optimizer()
    scheduler = schedules.StepLR(o, 2)
    o.step()
    with pytest.warns(UserWarning, match="epoch"):
        scheduler.step(5)
    assert scheduler.last_epoch == 5


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (TypeError, lambda o: schedules.StepLR("no optimizer", 2)),
        (TypeError, lambda o: schedules.MultiplicativeLR(o, 0.5)),
        (ValueError, lambda o: schedules.LambdaLR(o, [lambda e: 1.0])),
        (ValueError, lambda o: schedules.ConstantLR(o, 1.5)),
        (ValueError, lambda o: schedules.LinearLR(o, 0.0)),
        (ValueError, lambda o: schedules.LinearLR(o, 0.5, 1.5)),
        (ValueError, lambda o: schedules.CosineAnnealingWarmRestarts(o, 0)),
        (ValueError, lambda o: schedules.CosineAnnealingWarmRestarts(o, 2, 0)),
        (ValueError, lambda o: schedules.CyclicLR(o, 0.1, 1.0, mode="square")),
        (ValueError, lambda o: schedules.CyclicLR(o, [0.1], 1.0)),
        (ValueError, lambda o: schedules.OneCycleLR(o, 1.0)),
        (ValueError, lambda o: schedules.OneCycleLR(o, 1.0, total_steps=-5)),
        (ValueError, lambda o: schedules.OneCycleLR(o, 1.0, total_steps=5, pct_start=2)),
        (ValueError, lambda o: schedules.OneCycleLR(o, 1.0, 5, anneal_strategy="quadratic")),
        (ValueError, lambda o: schedules.SequentialLR(o, [], [])),
        (ValueError, lambda o: schedules.SequentialLR(o, [schedules.StepLR(o, 2)], [3])),
        (ValueError, lambda o: schedules.ChainedScheduler([])),
        (ValueError, lambda o: schedules.ChainedScheduler([schedules.ReduceLROnPlateau(o)])),
        (
            ValueError,
            lambda o: schedules.ChainedScheduler(
                [schedules.StepLR(o, 2), schedules.StepLR(make_optimizer(), 2)]
            ),
        ),
        (ValueError, lambda o: schedules.ReduceLROnPlateau(o, factor=1.0)),
        (ValueError, lambda o: schedules.ReduceLROnPlateau(o, mode="mean")),
        (ValueError, lambda o: schedules.ReduceLROnPlateau(o, threshold_mode="both")),
        (ValueError, lambda o: schedules.ReduceLROnPlateau(o, min_lr=[0.1])),
        (ValueError, lambda o: optim.swa_utils.SWALR(o, 0.1, anneal_epochs=-1)),
        (ValueError, lambda o: optim.swa_utils.SWALR(o, 0.1, anneal_strategy="step")),
    ],
)
def test_bad_arguments_raise(kind: type[Exception], make: Any) -> None:
    with pytest.raises(kind):
        make(make_optimizer())


def test_one_cycle_ends() -> None:
    o = make_optimizer()
    scheduler = schedules.OneCycleLR(o, 1.0, total_steps=3)
    run(o, scheduler, 3)
    with pytest.raises(ValueError, match="total steps"):
        scheduler.step()


# ---- averages of weights -----------------------------------------------------------------------------------


def set_weight(model: Any, value: float) -> None:
    with eg.no_grad():
        model.weight.fill_(value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 3.0),
        ({"multi_avg_fn": optim.swa_utils.get_swa_multi_avg_fn()}, 3.0),
        ({"avg_fn": optim.swa_utils.get_ema_avg_fn(0.5)}, 3.75),
        ({"multi_avg_fn": optim.swa_utils.get_ema_multi_avg_fn(0.5)}, 3.75),
        ({"avg_fn": lambda average, new, n: average + new * n}, 15.0),
    ],
)
def test_averaged_weights(options: dict[str, Any], expected: float) -> None:
    model = eg.nn.Linear(1, 1)
    average = optim.swa_utils.AveragedModel(model, **options)
    for value in (1.0, 2.0, 6.0):
        set_weight(model, value)
        average.update_parameters(model)
    assert average.module.weight.item() == pytest.approx(expected)
    assert average.n_averaged.item() == 3
    assert model.weight.item() == 6.0
    assert "n_averaged" in average.state_dict()


def test_buffers_are_copied_or_averaged() -> None:
    model = eg.nn.BatchNorm1d(1)
    copied = optim.swa_utils.AveragedModel(model)
    averaged = optim.swa_utils.AveragedModel(model, use_buffers=True)
    for value in (1.0, 3.0):
        model.running_mean.fill_(value)
        copied.update_parameters(model)
        averaged.update_parameters(model)
    assert copied.module.running_mean.item() == 3.0
    assert averaged.module.running_mean.item() == 2.0


def test_update_bn_takes_the_mean_over_the_loader() -> None:
    model = eg.nn.Sequential(eg.nn.BatchNorm1d(1))
    batches = [eg.tensor([[0.0], [2.0]]), (eg.tensor([[4.0], [6.0]]), eg.zeros(2))]
    model.eval()
    optim.swa_utils.update_bn(batches, model)
    assert model[0].running_mean.item() == 3.0
    assert model[0].momentum == 0.1
    assert not model.training


def test_a_decay_out_of_range_raises() -> None:
    with pytest.raises(ValueError, match="decay"):
        optim.swa_utils.get_ema_avg_fn(1.5)


def test_the_base_keeps_its_old_name() -> None:
    assert schedules._LRScheduler.__name__.endswith("LRScheduler")
    assert issubclass(schedules.StepLR, schedules.LRScheduler)


def test_rates_are_plain_floats() -> None:
    o = make_optimizer()
    run(o, schedules.CosineAnnealingLR(o, 3), 4)
    assert all(type(g["lr"]) is float for g in o.param_groups)
    assert not np.isnan([g["lr"] for g in o.param_groups]).any()
