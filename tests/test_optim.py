"""Optimizers: their trajectories, state dicts, groups, hooks and errors."""

from __future__ import annotations

import copy
import itertools
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import eagergrad as eg

optim = eg.optim

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.2, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.2}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "betas": (0.4, 0.9), "weight_decay": 0.2, "maximize": True}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True}),
    ("Adamax", {"lr": 0.1, "weight_decay": 0.2}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.2}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.2, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.1, "weight_decay": 0.2}),
    ("RAdam", {"lr": 0.1, "weight_decay": 0.2, "decoupled_weight_decay": True}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.2}),
    ("Adadelta", {"lr": 1.0, "weight_decay": 0.2}),
    ("RMSprop", {"lr": 0.1}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.2}),
    ("RMSprop", {"lr": 0.1, "centered": True}),
    ("RMSprop", {"lr": 0.1, "centered": True, "momentum": 0.5, "maximize": True}),
    ("Rprop", {"lr": 0.1, "etas": (0.4, 1.3), "step_sizes": (0.05, 0.2)}),
    ("ASGD", {"lr": 0.1, "t0": 2, "lambd": 0.01, "weight_decay": 0.2}),
    ("Adafactor", {"lr": 0.1, "weight_decay": 0.1}),
]
IDS = [f"{name}-{','.join(f'{k}={v}' for k, v in kw.items())}" for name, kw in CASES]

# Three steps from START with the gradients of `written_gradient`, in float64, computed by PyTorch 2.13.
START = [1.0, -2.0, 0.5]
WRITTEN = [
    [0.827875, -1.6577, 0.4001125],
    [1.123027, -2.247272, 0.5772905],
    [0.65650993, -1.27649584, 0.283818435],
    [0.568167625, -1.1155103, 0.246378887],
    [0.699510066, -1.70049793, 0.275060689],
    [1.31575475, -2.3023252, 0.696915344],
    [0.672812384, -1.64420694, 0.263430169],
    [0.621151799, -1.53513896, 0.240986175],
    [0.705723631, -1.70665998, 0.294110999],
    [0.73837362, -1.74689017, 0.312426417],
    [0.682255402, -1.63650223, 0.304214193],
    [0.781927559, -1.53772771, 0.362891338],
    [0.783900938, -1.54208648, 0.364263561],
    [0.818189614, -1.79997428, 0.384864816],
    [0.989666255, -1.99029973, 0.49325205],
    [-0.394090895, -0.185429331, -0.255188238],
    [-1.37682093, 1.6041492, -0.66565128],
    [-0.396148833, -0.175387983, -0.256708095],
    [4.99494982, -5.76251049, 4.151511],
    [0.601, -1.601, 0.35],
    [0.772648613, -1.54800349, 0.372952931],
    [0.610532157, -1.5977204, 0.272407818],
]
# Lion is not in PyTorch: by hand from algorithm 2 of Chen et al., 2023.
LION = ("Lion", {"lr": 0.1, "weight_decay": 0.5})


def written_gradient(p: Any, t: int) -> Any:
    return p * 0.5 + eg.tensor([0.1 * t, -0.2, 0.3 * (-1) ** t], dtype=eg.float64)


def steps_from_start(name: str, kwargs: dict[str, Any], steps: int = 3) -> list[float]:
    p = eg.tensor(START, dtype=eg.float64, requires_grad=True)
    optimizer = getattr(optim, name)([p], **kwargs)
    for t in range(steps):
        p.grad = written_gradient(p.detach(), t)
        optimizer.step()
    return p.tolist()


@pytest.mark.parametrize(("case", "expected"), list(zip(CASES, WRITTEN, strict=True)), ids=IDS)
def test_three_steps_give_the_written_values(case: Any, expected: list[float]) -> None:
    np.testing.assert_allclose(steps_from_start(*case), expected, rtol=1e-6)


@pytest.mark.ours
def test_lion_moves_by_the_sign_of_the_interpolated_momentum() -> None:
    p, m = np.array(START), np.zeros(3)
    for t in range(3):
        g = 0.5 * p + np.array([0.1 * t, -0.2, 0.3 * (-1) ** t])
        update = np.sign(0.9 * m + 0.1 * g)
        m = 0.99 * m + 0.01 * g
        p = p * (1 - 0.1 * 0.5) - 0.1 * update
    np.testing.assert_allclose(steps_from_start(*LION), p, rtol=1e-9)


# ---- against torch ----------------------------------------------------------------------------------

SHAPES = [(3, 4), (5,), (), (2, 3, 2)]


def arrays(seed: int, dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(s)).astype(dtype) for s in SHAPES]


def trajectory(root: Any, name: str, kwargs: dict[str, Any], dtype: str, steps: int) -> Any:
    params = [root.tensor(a, requires_grad=True) for a in arrays(0, dtype)]
    optimizer = getattr(root.optim, name)(params, **kwargs)
    for t in range(steps):
        for k, (p, g) in enumerate(zip(params, arrays(t + 1, dtype))):
            # One parameter misses some gradients: steps are counted for each.
            p.grad = None if k == 1 and t % 3 == 1 else root.tensor(g)
        optimizer.step()
    return params, optimizer


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_twelve_steps_agree_with_torch(case: Any, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    ours, our_optimizer = trajectory(eg, *case, dtype, 12)
    theirs, their_optimizer = trajectory(torch, *case, dtype, 12)
    tolerance = {"float64": 1e-6, "float32": 2e-3}[dtype]
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(
            a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance / 10
        )
    ours_state, theirs_state = our_optimizer.state_dict(), their_optimizer.state_dict()
    assert ours_state["param_groups"][0].keys() == theirs_state["param_groups"][0].keys()
    for k, state in theirs_state["state"].items():
        assert ours_state["state"][k].keys() == state.keys()
        assert float(ours_state["state"][k].get("step", 0)) == float(state.get("step", 0))


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_state_dict_moves_over_from_torch_as_arrays(case: Any) -> None:
    torch = pytest.importorskip("torch")
    theirs, their_optimizer = trajectory(torch, *case, "float64", 3)
    saved = their_optimizer.state_dict()
    saved["state"] = {
        k: {n: v.numpy() if isinstance(v, torch.Tensor) else v for n, v in s.items()}
        for k, s in saved["state"].items()
    }
    if eg is torch:
        pytest.skip("torch itself takes no arrays")
    ours = [eg.tensor(p.detach().numpy().copy(), requires_grad=True) for p in theirs]
    our_optimizer = getattr(optim, case[0])(ours, lr=5.0)
    our_optimizer.load_state_dict(saved)
    for p, q, g in zip(ours, theirs, arrays(9, "float64")):
        p.grad, q.grad = eg.tensor(g), torch.tensor(g)
    our_optimizer.step()
    their_optimizer.step()
    for p, q in zip(ours, theirs):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-6)


# ---- layouts and dtypes -------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [CASES[3], CASES[6], CASES[18]], ids=["SGD", "Adam", "RMSprop"])
def test_strides_do_not_matter(case: Any) -> None:
    name, kwargs = case
    values = np.arange(12.0).reshape(3, 4) - 5
    plain = eg.tensor(values, requires_grad=True)
    transposed = eg.tensor(values.T.copy()).t().requires_grad_()
    strided = eg.zeros(3, 8, dtype=eg.float64)[:, ::2].copy_(eg.tensor(values)).requires_grad_()
    results = []
    for p in (plain, transposed, strided):
        optimizer = getattr(optim, name)([p], **kwargs)
        for t in range(3):
            p.grad = eg.tensor(np.cos(values * (t + 1)))
            optimizer.step()
        results.append(p.tolist())
    assert results[1] == results[0]
    assert results[2] == results[0]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Lion"])
@pytest.mark.ours
def test_halves_follow_float32(name: str, dtype: str) -> None:
    values = np.linspace(-2, 2, 700, dtype=np.float32)
    results = []
    for kind in (getattr(eg, dtype), eg.float32):
        p = eg.tensor(values).to(kind).requires_grad_()
        optimizer = getattr(optim, name)([p], lr=0.125)
        for _ in range(2):
            p.grad = p.detach().clone()
            optimizer.step()
        results.append(p.detach().float().numpy())
        assert all(s.dtype == kind for n, s in optimizer.state[p].items() if n != "step")
    np.testing.assert_allclose(results[0], results[1], atol=0.05)


def test_many_elements_give_the_result_of_few() -> None:
    """Work split over threads, across tensors of odd sizes."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(200_003).astype(np.float32)
    grads = rng.standard_normal(200_003).astype(np.float32)
    whole = eg.tensor(values, requires_grad=True)
    whole.grad = eg.tensor(grads)
    cuts = [0, 7, 65_000, 65_001, 150_000, 200_003]
    parts = []
    for a, b in itertools.pairwise(cuts):
        part = eg.tensor(values[a:b], requires_grad=True)
        part.grad = eg.tensor(grads[a:b])
        parts.append(part)
    for params in ([whole], parts):
        optimizer = optim.Adam(params, lr=0.1)
        optimizer.step()
        optimizer.step()
    assert np.array_equal(
        whole.detach().numpy(), np.concatenate([p.detach().numpy() for p in parts])
    )


def test_parameters_without_gradient_and_empty_ones_stay() -> None:
    a = eg.ones(2, requires_grad=True)
    b = eg.ones(2, requires_grad=True)
    c = eg.zeros(0, requires_grad=True)
    b.grad, c.grad = eg.ones(2), eg.zeros(0)
    optimizer = optim.Adam([a, b, c], lr=0.5)
    optimizer.step()
    assert a.tolist() == [1.0, 1.0]
    assert b.tolist() == pytest.approx([0.5, 0.5])
    assert a not in optimizer.state


def test_an_infinite_parameter_makes_no_nan_without_weight_decay() -> None:
    p = eg.tensor([float("inf"), 1.0], requires_grad=True)
    p.grad = eg.ones(2)
    optim.SGD([p], lr=0.5).step()
    assert p.tolist() == [float("inf"), 0.5]


# ---- options ------------------------------------------------------------------------------------------


def test_groups_have_their_own_options() -> None:
    a, b = eg.ones(1, requires_grad=True), eg.ones(1, requires_grad=True)
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.25)
    a.grad, b.grad = eg.ones(1), eg.ones(1)
    optimizer.step()
    assert (a.item(), b.item()) == (0.75, 0.5)
    c = eg.ones(1, requires_grad=True)
    optimizer.add_param_group({"params": [c], "momentum": 0.9})
    assert [g["momentum"] for g in optimizer.param_groups] == [0, 0, 0.9]
    assert [g["lr"] for g in optimizer.param_groups] == [0.25, 0.5, 0.25]


def test_the_learning_rate_may_be_a_tensor_and_may_change() -> None:
    p = eg.ones(1, requires_grad=True)
    p.grad = eg.ones(1)
    optimizer = optim.SGD([p], lr=eg.tensor(0.25))
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.5
    optimizer.step()
    assert p.item() == 0.25


def test_named_parameters_keep_their_names() -> None:
    model = eg.nn.Linear(2, 1)
    optimizer = optim.SGD(model.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]


def test_a_parameter_list_is_a_list_of_parameters() -> None:
    listed = eg.nn.ParameterList([eg.ones(2), eg.zeros(3)])
    optimizer = eg.optim.SGD(listed, lr=0.5)
    optimizer.add_param_group({"params": eg.nn.ParameterList([eg.ones(1)])})
    assert [[tuple(p.shape) for p in g["params"]] for g in optimizer.param_groups] == [
        [(2,), (3,)],
        [(1,)],
    ]
    (listed[0].sum() + listed[1].sum()).backward()
    optimizer.step()
    assert listed[0].tolist() == [0.5, 0.5] and listed[1].tolist() == [-0.5] * 3


def test_zero_grad_forgets_or_clears() -> None:
    p = eg.ones(2, requires_grad=True)
    p.grad = eg.ones(2)
    optimizer = optim.SGD([p], lr=0.1)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None


def test_step_returns_what_the_closure_returned() -> None:
    p = eg.tensor([3.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.25)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with eg.no_grad():
        assert optimizer.step(closure).item() == 9.0
    assert p.item() == 1.5


def test_repr_lists_the_options_of_each_group() -> None:
    optimizer = optim.SGD([eg.ones(1, requires_grad=True)], lr=0.1)
    text = repr(optimizer)
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n")
    assert "    lr: 0.1\n" in text
    assert text.endswith(")")


def test_momentum_switched_on_later_starts_with_the_gradient() -> None:
    p = eg.zeros(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)
    p.grad = eg.ones(1)
    optimizer.step()
    optimizer.param_groups[0]["momentum"] = 0.5
    optimizer.step()
    optimizer.step()
    assert p.item() == -3.5
    assert optimizer.state[p]["momentum_buffer"].item() == 1.5


# ---- copies and state dicts ----------------------------------------------------------------------------


def trained(name: str = "Adam", **kwargs: Any) -> Any:
    p = eg.tensor([1.0, -2.0], requires_grad=True)
    optimizer = getattr(optim, name)([p], **kwargs)
    for _ in range(2):
        p.grad = 2 * p.detach()
        optimizer.step()
    return p, optimizer


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_loaded_state_dict_continues_the_run(case: Any) -> None:
    name, kwargs = case
    p, optimizer = trained(name, **kwargs)
    q = p.detach().clone().requires_grad_()
    other = getattr(optim, name)([q], **kwargs)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for x, o in ((p, optimizer), (q, other)):
        x.grad = 2 * x.detach()
        o.step()
    assert p.tolist() == q.tolist()


@pytest.mark.ours
def test_a_loaded_state_dict_shares_no_memory() -> None:
    _, optimizer = trained()
    q = eg.zeros(2, requires_grad=True)
    other = optim.Adam([q])
    saved = optimizer.state_dict()
    before = saved["state"][0]["exp_avg"].tolist()
    other.load_state_dict(saved)
    q.grad = eg.ones(2)
    other.step()
    assert saved["state"][0]["exp_avg"].tolist() == before
    assert saved["state"][0]["step"].item() == 2


def test_loading_casts_to_the_parameters_dtype() -> None:
    _, optimizer = trained()
    q = eg.zeros(2, dtype=eg.float64, requires_grad=True)
    other = optim.Adam([q])
    other.load_state_dict(optimizer.state_dict())
    assert other.state[q]["exp_avg"].dtype == eg.float64
    assert other.state[q]["step"].dtype == eg.float32


def test_a_deep_copy_goes_its_own_way() -> None:
    p, optimizer = trained()
    twin = copy.deepcopy(optimizer)
    q = twin.param_groups[0]["params"][0]
    assert q is not p
    q.grad = eg.ones(2)
    twin.step()
    assert optimizer.state[p]["step"].item() == 2
    assert twin.state[q]["step"].item() == 3


def test_a_pickled_optimizer_still_steps() -> None:
    _, optimizer = trained()
    again = pickle.loads(pickle.dumps(optimizer))
    q = again.param_groups[0]["params"][0]
    q.grad = eg.ones(2)
    again.step()
    assert again.state[q]["step"].item() == 3


def test_old_state_dicts_get_new_options_and_tensor_steps() -> None:
    _, optimizer = trained()
    saved = optimizer.state_dict()
    for name in ("amsgrad", "maximize", "fused"):
        del saved["param_groups"][0][name]
    saved["state"][0]["step"] = 2
    q = eg.zeros(2, requires_grad=True)
    other = optim.Adam([q])
    other.load_state_dict(saved)
    assert other.param_groups[0]["amsgrad"] is False
    assert isinstance(other.state[q]["step"], eg.Tensor)


# ---- hooks and subclasses ---------------------------------------------------------------------------------


def test_step_hooks_see_the_call_and_can_be_removed() -> None:
    seen: list[str] = []
    p = eg.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    pre = optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("pre"))
    post = optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("post"))
    optimizer.step()
    pre.remove()
    optimizer.step()
    post.remove()
    optimizer.step()
    assert seen == ["pre", "post", "post"]


def test_state_dict_hooks_may_replace_the_dict() -> None:
    _, optimizer = trained()
    optimizer.register_state_dict_post_hook(lambda o, d: {**d, "extra": 1})
    optimizer.register_load_state_dict_pre_hook(
        lambda o, d: {k: v for k, v in d.items() if k != "extra"}
    )
    loaded: list[Any] = []
    optimizer.register_load_state_dict_post_hook(loaded.append)
    saved = optimizer.state_dict()
    assert saved["extra"] == 1
    optimizer.load_state_dict(saved)
    assert loaded == [optimizer]


def test_a_user_written_optimizer_works() -> None:
    class Signs(optim.Optimizer):
        def __init__(self, params: Any, lr: float = 0.5) -> None:
            super().__init__(params, {"lr": lr})

        @eg.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    state["count"] = state.get("count", 0) + 1
                    p.sub_(group["lr"] * p.grad.sign())

    p = eg.tensor([1.0, -1.0], requires_grad=True)
    (p * p).sum().backward()
    optimizer = Signs([p])
    optimizer.step()
    assert p.tolist() == [0.5, -0.5]
    assert optimizer.state_dict()["state"] == {0: {"count": 1}}


# ---- L-BFGS, Muon, SparseAdam -------------------------------------------------------------------------------


def rosenbrock(x: Any) -> Any:
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_finds_the_minimum(search: str | None) -> None:
    x = eg.tensor([-1.0, 1.5], dtype=eg.float64, requires_grad=True)
    optimizer = optim.LBFGS([x], lr=0.1 if search is None else 1.0, line_search_fn=search)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = rosenbrock(x)
        loss.backward()
        return loss

    for _ in range(40):
        optimizer.step(closure)
    assert x.tolist() == pytest.approx([1.0, 1.0], abs=1e-4)
    assert optimizer.state[x]["func_evals"] >= optimizer.state[x]["n_iter"]


def test_lbfgs_evaluates_as_often_as_torch() -> None:
    torch = pytest.importorskip("torch")
    results = []
    for root in (eg, torch):
        x = root.tensor([-1.2, 1.0], dtype=root.float64, requires_grad=True)
        optimizer = root.optim.LBFGS([x], line_search_fn="strong_wolfe", max_iter=8)
        for _ in range(2):

            def closure(x: Any = x, optimizer: Any = optimizer) -> Any:
                optimizer.zero_grad()
                loss = rosenbrock(x)
                loss.backward()
                return loss

            optimizer.step(closure)
        results.append((x.tolist(), optimizer.state[x]["func_evals"]))
    assert results[0][1] == results[1][1]
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)


def test_muon_makes_updates_nearly_orthogonal() -> None:
    w = eg.zeros(4, 3, requires_grad=True)
    w.grad = eg.tensor(np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32))
    optim.Muon([w], lr=1.0, weight_decay=0.0).step()
    values = np.linalg.svd(w.detach().numpy() / np.sqrt(4 / 3), compute_uv=False)
    assert values.min() > 0.5
    assert values.max() < 1.5


def test_sparse_adam_moves_the_rows_in_use_as_torch_does() -> None:
    torch = pytest.importorskip("torch")
    table = np.random.default_rng(0).standard_normal((6, 3))
    results = []
    for root in (eg, torch):
        layer = root.nn.Embedding(6, 3, sparse=True, _weight=root.tensor(table))
        optimizer = root.optim.SparseAdam(layer.parameters(), lr=0.1)
        for rows in ([0, 2, 2], [2, 5], [0, 0]):
            optimizer.zero_grad()
            (layer(root.tensor(rows)) ** 2).sum().backward()
            optimizer.step()
        results.append(layer.weight.detach().numpy())
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6)
    assert (results[0][[1, 3, 4]] == table[[1, 3, 4]]).all()


def test_sparse_adam_refuses_dense_gradients() -> None:
    p = eg.ones(2, 2, requires_grad=True)
    p.grad = eg.ones(2, 2)
    with pytest.raises(RuntimeError, match="dense gradients"):
        optim.SparseAdam([p]).step()


# ---- errors -----------------------------------------------------------------------------------------------


def leaf() -> Any:
    return eg.ones(2, requires_grad=True)


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (TypeError, lambda: optim.SGD(leaf(), lr=0.1)),
        (TypeError, lambda: optim.SGD([1.0], lr=0.1)),
        (TypeError, lambda: optim.SGD([{"params": {leaf()}}], lr=0.1)),
        (TypeError, lambda: optim.SGD([leaf()], lr=0.1).add_param_group([leaf()])),
        (ValueError, lambda: optim.SGD([], lr=0.1)),
        (ValueError, lambda: optim.SGD([leaf() * 2], lr=0.1)),
        (ValueError, lambda: optim.SGD([("w", leaf()), leaf()], lr=0.1)),
        (ValueError, lambda: optim.SGD([leaf()], lr=-0.1)),
        (ValueError, lambda: optim.SGD([leaf()], lr=eg.ones(2))),
        (ValueError, lambda: optim.SGD([leaf()], momentum=-1.0)),
        (ValueError, lambda: optim.SGD([leaf()], nesterov=True)),
        (ValueError, lambda: optim.Adam([leaf()], betas=(1.0, 0.9))),
        (ValueError, lambda: optim.Adam([leaf()], eps=-1e-8)),
        (ValueError, lambda: optim.AdamW([leaf()], weight_decay=-1.0)),
        (ValueError, lambda: optim.Adadelta([leaf()], rho=1.5)),
        (ValueError, lambda: optim.Adagrad([leaf()], lr_decay=-0.5)),
        (ValueError, lambda: optim.NAdam([leaf()], momentum_decay=-0.2)),
        (ValueError, lambda: optim.RMSprop([leaf()], alpha=-1.0)),
        (ValueError, lambda: optim.Rprop([leaf()], etas=(1.0, 0.5))),
        (ValueError, lambda: optim.Muon([leaf()])),
        (ValueError, lambda: optim.LBFGS([{"params": [leaf()]}, {"params": [leaf()]}])),
        (RuntimeError, lambda: optim.Adam([leaf()], fused=True, foreach=True)),
        (RuntimeError, lambda: optim.SGD([leaf()], fused=True, differentiable=True)),
        (NotImplementedError, lambda: optim.Optimizer([leaf()], {}).step()),
    ],
)
def test_bad_arguments_raise(kind: type[Exception], make: Any) -> None:
    with pytest.raises(kind):
        make()


def test_a_parameter_in_two_groups_is_refused() -> None:
    p = leaf()
    with pytest.raises(ValueError, match="more than one parameter group"):
        optim.SGD([{"params": [p]}, {"params": [p]}], lr=0.1)


def test_a_parameter_listed_twice_warns_and_moves_twice() -> None:
    p = leaf()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="duplicate parameters"):
            optim.SGD([p, p], lr=0.25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer = optim.SGD([p, p], lr=0.25)
    p.grad = eg.ones(2)
    optimizer.step()
    assert p.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "groups",
    [
        [{"params": [0]}, {"params": [1]}],
        [{"params": [0, 1]}],
    ],
)
def test_a_state_dict_of_other_groups_changes_nothing(groups: Any) -> None:
    p, optimizer = trained()
    with pytest.raises(ValueError, match="loaded state dict"):
        optimizer.load_state_dict({"state": {}, "param_groups": groups})
    assert optimizer.state[p]["step"].item() == 2


@pytest.mark.ours
def test_a_state_of_the_wrong_shape_is_refused_before_anything_moves() -> None:
    a, b = leaf(), leaf()
    optimizer = optim.Adam([a, b], lr=0.1)
    a.grad, b.grad = eg.ones(2), eg.ones(2)
    optimizer.step()
    optimizer.state[b]["exp_avg"] = eg.zeros(3)
    before = a.tolist()
    with pytest.raises(RuntimeError, match=r"exp_avg of parameter 1"):
        optimizer.step()
    assert a.tolist() == before
    assert optimizer.state[a]["step"].item() == 1


@pytest.mark.ours
def test_a_step_counts_as_an_in_place_write() -> None:
    p = eg.ones(2, requires_grad=True)
    loss = (p * p).sum()
    p.grad = eg.ones(2)
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError):
        loss.backward()


# ---- steps that are differentiated themselves -----------------------------------------------------------------


def outcome(start: Any, name: str, kwargs: dict[str, Any], differentiable: bool) -> Any:
    """A number that depends on `start` by way of three steps."""
    p = start.clone()
    optimizer = getattr(optim, name)([p], differentiable=differentiable, **kwargs)
    for _ in range(3):
        p.grad = (p.clone() * 2).sin() * 0.7
        optimizer.step()
    return (p * p).sum()


DIFFERENTIABLE = [c for c in CASES if c[0] != "Adafactor"]


@pytest.mark.ours  # torch refuses some of them after the second step
@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=[i for i in IDS if "Adafactor" not in i])
def test_gradients_flow_through_steps(case: Any) -> None:
    start = eg.tensor(START, dtype=eg.float64, requires_grad=True)
    outcome(start, *case, True).backward()
    h = 1e-6
    for k in range(len(START)):
        ends = []
        for sign in (1, -1):
            moved = np.array(START)
            moved[k] += sign * h
            ends.append(outcome(eg.tensor(moved), *case, False).item())
        slope = (ends[0] - ends[1]) / (2 * h)
        assert start.grad[k].item() == pytest.approx(slope, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_the_learning_rate_can_be_learnt(name: str) -> None:
    lr = eg.tensor(0.1, dtype=eg.float64, requires_grad=True)
    start = eg.tensor(START, dtype=eg.float64)
    outcome(start, name, {"lr": lr}, True).backward()
    h = 1e-6
    ends = [outcome(start, name, {"lr": 0.1 + e}, False).item() for e in (h, -h)]
    assert lr.grad.item() == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-4)


def test_a_leaf_cannot_take_a_differentiable_step() -> None:
    p = eg.ones(2, requires_grad=True)
    p.grad = eg.ones(2)
    with pytest.raises(RuntimeError, match="leaf"):
        optim.SGD([p], lr=0.1, differentiable=True).step()


def test_a_group_without_an_option_raises() -> None:
    _, optimizer = trained()
    optimizer.param_groups[0]["params"][0].grad = eg.ones(2)
    del optimizer.param_groups[0]["betas"]
    with pytest.raises(KeyError, match="betas"):
        optimizer.step()


# ---- the core's lists of tensors: norms, scaling, limits ---------------------------------------------------------


def lists(dtype: Any) -> list[Any]:
    rng = np.random.default_rng(0)
    whole = [rng.standard_normal(s) for s in ((3, 4), (20_000,), (0,), (), (7, 5))]
    made = [eg.tensor(a).to(dtype) for a in whole]
    return [*made[:-1], made[-1].t(), eg.tensor(rng.standard_normal((4, 6))).to(dtype)[:, ::2]]


@pytest.mark.ours
@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 2.0, 3.0, float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_the_global_norm_is_that_of_one_vector(p: float, dtype: str) -> None:
    tensors = lists(getattr(eg, dtype))
    flat = np.concatenate([t.double().numpy().ravel() for t in tensors])
    expected = np.linalg.norm(flat, p)
    norm = eg._C.ops._global_norm(tensors, p)
    assert norm.dtype == getattr(eg, dtype)
    if np.isfinite(float(eg.tensor(expected).to(norm.dtype))):
        assert norm.item() == pytest.approx(expected, rel={"float64": 1e-12}.get(dtype, 1e-2))


@pytest.mark.ours
def test_the_global_norm_does_not_depend_on_threads_and_shows_nan() -> None:
    x = eg.tensor(np.random.default_rng(1).standard_normal(300_001).astype(np.float32))
    before = eg.get_num_threads()
    try:
        norms = []
        for threads in (1, 2):
            eg.set_num_threads(threads)
            norms.append(eg._C.ops._global_norm([x, x], 2.0).item())
    finally:
        eg.set_num_threads(before)
    assert norms[0] == norms[1]
    x[12_345] = float("nan")
    for p in (1.0, 2.0, float("inf")):
        assert np.isnan(eg._C.ops._global_norm([eg.ones(3), x], p).item())


@pytest.mark.ours
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_lists_are_scaled_and_limited_in_place(dtype: str) -> None:
    tensors = lists(getattr(eg, dtype))
    expected = [(t * 0.5).clamp(-0.25, 0.25) for t in tensors]
    eg._C.ops._scale_all_(tensors, 0.5)
    eg._C.ops._clamp_all_(tensors, -0.25, 0.25)
    assert all((a == b).all().item() for a, b in zip(tensors, expected, strict=True))


@pytest.mark.ours
def test_a_leaf_is_not_scaled_while_recording() -> None:
    with pytest.raises(RuntimeError, match="leaf"):
        eg._C.ops._scale_all_([eg.ones(2, requires_grad=True)], 0.5)


def test_the_state_of_lbfgs_and_sparse_adam_is_as_torch_has_it() -> None:
    torch = pytest.importorskip("torch")

    def states(root: Any) -> Any:
        p = root.nn.Parameter(root.ones(4, 2))
        lbfgs = root.optim.LBFGS([p], max_iter=5, history_size=2, line_search_fn="strong_wolfe")

        def closure() -> Any:
            lbfgs.zero_grad()
            loss = ((p - root.arange(8.0).view(4, 2)) ** 4).sum()
            loss.backward()
            return loss

        lbfgs.step(closure)
        lbfgs.step(closure)
        table = root.nn.Embedding(5, 2, sparse=True)
        adam = root.optim.SparseAdam(table.parameters())
        table(root.tensor([1, 3])).sum().backward()
        adam.step()
        adam.load_state_dict(adam.state_dict())
        return lbfgs.state_dict()["state"][0], adam.state_dict()["state"][0]

    def form(state: Any) -> list[Any]:
        return [
            (k, type(v).__name__, [type(x).__name__ for x in v] if isinstance(v, list) else None)
            for k, v in state.items()
        ]

    for ours, theirs in zip(states(eg), states(torch)):
        assert form(ours) == form(theirs)


def test_a_wrapper_that_is_not_initialised_as_an_optimizer_has_hooks():
    class Twice(optim.Optimizer):
        def __init__(self, inner):
            self.inner = inner
            self._patch_step_function()

        @property
        def param_groups(self):
            return self.inner.param_groups

        def step(self, closure=None):
            self.inner.step()
            self.inner.step()

    p = eg.ones(1, requires_grad=True)
    twice, seen = Twice(optim.SGD([p], lr=0.25)), []
    twice.register_step_post_hook(lambda *args: seen.append(p.item()))
    p.sum().backward()
    twice.step()
    assert seen == [0.5]
