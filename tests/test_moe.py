"""Top-k gates, products by groups, mixtures of experts."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

import eagergrad as eg
from eagergrad.nn import functional as F


def gradcheck(f: Any, inputs: Any) -> bool:
    return eg.autograd.gradcheck(f, inputs)


def gradgradcheck(f: Any, inputs: Any) -> bool:
    return eg.autograd.gradgradcheck(f, inputs)


def draw(*shape: int, seed: int = 0, grad: bool = False) -> Any:
    values = np.random.default_rng(seed).standard_normal(shape)
    return eg.tensor(values, requires_grad=grad)


# ---- keep_topk -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [-1, 0, 1])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_keep_topk_against_numpy(dim: int, k: int) -> None:
    x = draw(4, 5)
    if k > x.shape[dim]:
        return
    limit = np.sort(x.numpy(), axis=dim).take([-k], axis=dim)
    expected = np.where(x.numpy() >= limit, x.numpy(), -3.0)
    np.testing.assert_array_equal(F.keep_topk(x, k, -3.0, dim).numpy(), expected)


def test_keep_topk_keeps_k_of_equal_numbers() -> None:
    kept = F.keep_topk(eg.zeros(3, 4), 2)
    assert (kept == 0).sum(1).tolist() == [2, 2, 2]
    assert kept.softmax(1).sum(1).tolist() == [1.0, 1.0, 1.0]


def test_keep_topk_gradients() -> None:
    x = draw(4, 5, grad=True)
    f = lambda x: F.keep_topk(x, 2).softmax(1)
    assert gradcheck(f, (x,)) and gradgradcheck(f, (x,))
    F.keep_topk(x, 2, 0.0).sum().backward()
    assert x.grad.sum(1).tolist() == [2.0] * 4


@pytest.mark.parametrize("k", [0, -1, 6])
def test_keep_topk_refuses_other_k(k: int) -> None:
    with pytest.raises(ValueError, match="keep_topk"):
        F.keep_topk(eg.zeros(4, 5), k)


# ---- grouped_mm -------------------------------------------------------------------------------------

ENDS = [2, 2, 5]


def by_groups(x: np.ndarray, w: np.ndarray, ends: list[int]) -> np.ndarray:
    out = np.zeros((len(x), w.shape[2]))
    for e, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        out[start:end] = x[start:end] @ w[e]
    return out


@pytest.mark.parametrize("index", [eg.int32, eg.int64])
@pytest.mark.parametrize("rows", [5, 7])
def test_rows_in_groups(index: Any, rows: int) -> None:
    x, w, b = draw(rows, 3), draw(3, 3, 4, seed=1), draw(3, 4, seed=2)
    offs = eg.tensor(ENDS, dtype=index)
    plain = by_groups(x.numpy(), w.numpy(), ENDS)
    np.testing.assert_allclose(F.grouped_mm(x, w, offs=offs).numpy(), plain, rtol=1e-12)
    plain[:2] += b[0].numpy()
    plain[2:5] += b[2].numpy()
    np.testing.assert_allclose(F.grouped_mm(x, w, offs=offs, bias=b).numpy(), plain, rtol=1e-12)
    shared = F.grouped_mm(x, w, offs=offs, bias=b[0])
    assert gradcheck(lambda b: F.grouped_mm(x, w, offs=offs, bias=b), (b[0].requires_grad_(),))
    np.testing.assert_allclose(shared[:2].numpy(), plain[:2], rtol=1e-12)


def test_columns_terms_and_stacks_in_groups() -> None:
    offs = eg.tensor(ENDS)
    a, b = draw(3, 4, 3), draw(3, 5, seed=1)
    expected = by_groups(b.numpy().T, a.numpy().transpose(0, 2, 1), ENDS).T
    np.testing.assert_allclose(F.grouped_mm(a, b, offs=offs).numpy(), expected, rtol=1e-12)
    c, d = draw(4, 5), draw(5, 3, seed=1)
    found = F.grouped_mm(c, d, offs=offs).numpy()
    for e, (start, end) in enumerate(zip([0, *ENDS], ENDS, strict=False)):
        part = c.numpy()[:, start:end] @ d.numpy()[start:end]
        np.testing.assert_allclose(found[e], part, rtol=1e-12)
    np.testing.assert_allclose(F.grouped_mm(a, a.mT).numpy(), (a @ a.mT).numpy(), rtol=1e-12)
    assert F.grouped_mm(a, a.mT, out_dtype=eg.float32).dtype is eg.float32


@pytest.mark.parametrize("layout", ["plain", "transposed"])
def test_gradients_of_products_in_groups(layout: str) -> None:
    offs = eg.tensor(ENDS)
    w = draw(3, 3, 4, seed=1) if layout == "plain" else draw(3, 4, 3, seed=1).mT
    inputs = (draw(6, 3, grad=True), w.detach().requires_grad_(), draw(3, 4, seed=2, grad=True))
    f = lambda x, w, b: F.grouped_mm(x, w, offs=offs, bias=b)
    assert gradcheck(f, inputs) and gradgradcheck(f, inputs)
    pair = (draw(4, 5, grad=True), draw(5, 3, seed=1, grad=True))
    f2 = lambda a, b: F.grouped_mm(a, b, offs=offs)
    assert gradcheck(f2, pair) and gradgradcheck(f2, pair)
    columns = (draw(3, 4, 3, grad=True), draw(3, 5, seed=1, grad=True))
    assert gradcheck(f2, columns) and gradgradcheck(f2, columns)


@pytest.mark.parametrize("dtype", [eg.float32, eg.bfloat16, eg.float16])
def test_products_in_groups_of_narrow_numbers(dtype: Any) -> None:
    x, w = draw(5, 3).to(dtype), draw(3, 3, 4, seed=1).to(dtype)
    found = F.grouped_mm(x, w, offs=eg.tensor(ENDS))
    assert found.dtype is dtype
    expected = by_groups(x.double().numpy(), w.double().numpy(), ENDS)
    tolerance = 1e-5 if dtype is eg.float32 else 3e-2
    np.testing.assert_allclose(found.double().numpy(), expected, rtol=tolerance, atol=tolerance)


def test_products_of_no_groups_and_no_rows() -> None:
    empty = F.grouped_mm(eg.ones(2, 3), eg.ones(0, 3, 4), offs=eg.tensor([], dtype=eg.int64))
    assert empty.tolist() == [[0.0] * 4] * 2
    none = F.grouped_mm(eg.ones(0, 3), eg.ones(2, 3, 4), offs=eg.tensor([0, 0]))
    assert tuple(none.shape) == (0, 4)


@pytest.mark.parametrize(
    ("shapes", "offs", "error"),
    [
        (((5, 3), (3, 3, 4)), [2, 1, 5], "never fall"),
        (((5, 3), (3, 3, 4)), [2, 3, 6], "at most 5"),
        (((5, 3), (3, 3, 4)), [-1, 3, 5], "never fall"),
        (((5, 3), (3, 3, 4)), [2, 5], "one matrix for each"),
        (((5, 3), (3, 2, 4)), [2, 2, 5], "multiplied"),
        (((5, 3), (3, 3, 4)), None, "offs"),
        (((2, 5, 3), (2, 3, 4)), [1, 2], "no offs"),
        (((4, 5), (4, 3)), [2, 5], "multiplied"),
        (((5,), (3, 3, 4)), [2, 2, 5], "expected matrices"),
        (((5, 3), (3, 3, 4)), [2.0, 2.0, 5.0], "int32 or int64"),
    ],
)
def test_bad_groups_are_refused(shapes: Any, offs: Any, error: str) -> None:
    with pytest.raises(RuntimeError, match=error):
        F.grouped_mm(*(eg.ones(*s) for s in shapes), offs=None if offs is None else eg.tensor(offs))


def test_bad_operands_of_grouped_products_are_refused() -> None:
    x, w, offs = eg.ones(5, 3), eg.ones(3, 3, 4), eg.tensor(ENDS)
    for a, b, bias in ((x.long(), w.long(), None), (x, w.double(), None), (x, w, eg.ones(2, 4))):
        with pytest.raises(RuntimeError, match="grouped_mm"):
            F.grouped_mm(a, b, offs=offs, bias=bias)


def test_torch_multiplies_groups_alike() -> None:
    torch = pytest.importorskip("torch")
    x, w = draw(5, 16).float(), draw(3, 16, 8, seed=1).float()
    results = [
        root.nn.functional.grouped_mm(
            root.tensor(x.tolist()).to(root.bfloat16),
            root.tensor(w.tolist()).to(root.bfloat16),
            offs=root.tensor(ENDS, dtype=root.int32),
        ).float()
        for root in (eg, torch)
    ]
    np.testing.assert_allclose(results[0].numpy(), results[1].numpy(), rtol=2e-2, atol=2e-2)


# ---- gates ------------------------------------------------------------------------------------------


def gate(k: int = 2, **options: Any) -> Any:
    eg.manual_seed(0)
    made = eg.nn.TopKGate(3, 4, k, dtype=eg.float64, **options)
    with eg.no_grad():
        for p in made.parameters():
            p.copy_(draw(*p.shape, seed=7))
    return made


@pytest.mark.parametrize("norm", ["topk", "full"])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_gates_in_eval_mode_against_numpy(norm: str, k: int) -> None:
    g, x = gate(k, norm=norm).eval(), draw(6, 3)
    routing = g(x)
    scores = x.numpy() @ g.weight.detach().numpy().T
    kept = np.where(scores >= np.sort(scores, 1)[:, [-k]], scores, -np.inf)
    source = kept if norm == "topk" else scores
    gates = np.exp(source) / np.exp(source).sum(1, keepdims=True)
    gates[kept == -np.inf] = 0
    np.testing.assert_allclose(routing.dense().detach().numpy(), gates, rtol=1e-10)
    np.testing.assert_allclose(routing.importance.detach().numpy(), gates.sum(0), rtol=1e-10)
    assert routing.load.tolist() == (gates > 0).sum(0).tolist()
    assert (routing.weights.diff(dim=1) <= 0).all()
    spread = lambda v: v.var() / v.mean() ** 2
    expected = 0.01 * spread(gates.sum(0)) + 0.01 * spread((gates > 0).sum(0))
    assert routing.loss.item() == pytest.approx(expected, rel=1e-8)
    again = g(x)
    assert again.weights.tolist() == routing.weights.tolist()


def test_noise_and_load_in_training_against_numpy() -> None:
    g, x = gate(2), draw(6, 3)
    eg.manual_seed(3)
    noise = eg.randn(6, 4, dtype=eg.float64).numpy()
    eg.manual_seed(3)
    routing = g(x)
    clean = x.numpy() @ g.weight.detach().numpy().T
    scale = np.log1p(np.exp(x.numpy() @ g.noise_weight.detach().numpy().T)) + 0.01
    scores = clean + noise * scale
    load = np.zeros(4)
    for n in range(6):
        for i in range(4):
            others = np.sort(np.delete(scores[n], i))
            z = (clean[n, i] - others[-2]) / scale[n, i]
            load[i] += 0.5 * (1 + math.erf(z / math.sqrt(2)))
    np.testing.assert_allclose(routing.load.detach().numpy(), load, rtol=1e-9)
    chosen = np.argsort(-scores, 1)[:, :2]
    assert routing.experts.tolist() == chosen.tolist()
    routing.loss.backward()
    assert g.weight.grad.abs().sum() > 0 and g.noise_weight.grad.abs().sum() > 0


def test_gate_gradients() -> None:
    for options in ({"norm": "topk"}, {"norm": "full"}, {"noisy": False}):
        g = gate(2, **options).eval()

        def f(x: Any, w: Any, g: Any = g) -> Any:
            g.__dict__["_parameters"]["weight"] = w
            routing = g(x)
            return routing.weights, routing.loss

        inputs = (draw(5, 3, grad=True), draw(4, 3, seed=7, grad=True))
        assert gradcheck(f, inputs) and gradgradcheck(f, inputs)


def test_one_expert_a_row_still_teaches_the_gate() -> None:
    g, x = gate(1), draw(6, 3)
    assert g.norm == "full"
    for mode in (g.train(), g.eval()):
        g.zero_grad()
        mode(x).weights.sum().backward()
        assert g.weight.grad.abs().max() > 1e-3
    with pytest.warns(UserWarning, match="no gradient"):
        dead = gate(1, norm="topk").eval()
    routing = dead(x)
    assert routing.weights.tolist() == [[1.0]] * 6
    routing.weights.sum().backward()
    assert not dead.weight.grad.any()


def test_fresh_gates_spread_their_load_by_noise() -> None:
    eg.manual_seed(0)
    noisy = eg.nn.TopKGate(3, 4, 2)
    routing = noisy(eg.randn(400, 3))
    assert (
        not noisy.weight.any() and (eg.bincount(routing.experts.flatten(), minlength=4) > 150).all()
    )
    assert eg.nn.TopKGate(3, 4, 2, noisy=False).weight.any()


def test_gates_without_rows_and_with_all_experts() -> None:
    g = gate(2)
    routing = g(eg.zeros(0, 3, dtype=eg.float64))
    assert tuple(routing.weights.shape) == (0, 2) and routing.loss.isfinite()
    everything = gate(4)(draw(5, 3))
    assert everything.load.tolist() == [5.0] * 4
    one = eg.nn.TopKGate(3, 1, 1)(eg.randn(5, 3))
    assert one.loss.item() == 0 and one.weights.tolist() == [[1.0]] * 5


def test_large_scores_stay_finite() -> None:
    g = gate(2)
    routing = g(draw(5, 3) * 1e3)
    routing.loss.backward()
    assert routing.weights.isfinite().all() and routing.loss.isfinite()
    assert g.weight.grad.isfinite().all() and g.noise_weight.grad.isfinite().all()


def test_bad_gates_are_refused() -> None:
    for k in (0, 5):
        with pytest.raises(ValueError, match="TopKGate"):
            eg.nn.TopKGate(3, 4, k)
    with pytest.raises(ValueError, match="norm"):
        eg.nn.TopKGate(3, 4, norm="softmax")
    with pytest.raises(ValueError, match="rows of inputs"):
        gate()(eg.zeros(2, 2, 3, dtype=eg.float64))


# ---- mixtures ----------------------------------------------------------------------------------------


def mixture(**options: Any) -> Any:
    eg.manual_seed(0)
    layer = eg.nn.MixtureOfExperts(3, 4, 5, 2, **{"dtype": eg.float64, **options})
    if isinstance(layer.gate, eg.nn.TopKGate):
        with eg.no_grad():
            for p in layer.gate.parameters():
                p.copy_(draw(*p.shape, seed=7))
    return layer


def every_expert(layer: Any, x: Any) -> Any:
    """Equation 1 with all experts on all rows."""
    e, total = layer.experts, 0.0
    gates = layer.gate(x).dense()
    for i in range(layer.num_experts):
        hidden = e.activation(x @ e.weight1[i] + e.bias1[i])
        total = total + gates[:, i : i + 1] * (hidden @ e.weight2[i] + e.bias2[i])
    return total


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("rows", [1, 6, 50])
def test_mixture_is_the_sum_over_all_experts(k: int, rows: int) -> None:
    layer, x = mixture(k=k).eval(), draw(rows, 3, grad=True)
    results = []
    for f in (lambda: layer(x)[0], lambda: every_expert(layer, x)):
        layer.zero_grad()
        x.grad = None
        y = f()
        (y * draw(*y.shape, seed=9)).sum().backward()
        results.append([y.detach(), x.grad, *(p.grad for p in layer.parameters())])
    for mine, expected in zip(*results, strict=True):
        if expected is None:
            assert mine is None
            continue
        np.testing.assert_allclose(mine.numpy(), expected.numpy(), rtol=1e-9, atol=1e-12)


def test_mixture_gradients_to_second_order() -> None:
    layer = mixture(activation=eg.tanh).eval()
    names = [n for n, _ in layer.named_parameters() if "noise" not in n]

    def f(x: Any, *values: Any) -> Any:
        return eg.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    values = [dict(layer.named_parameters())[n].detach().requires_grad_() for n in names]
    inputs = (draw(5, 3, grad=True), *values)
    assert gradcheck(f, inputs)
    assert gradgradcheck(f, inputs)


def test_experts_of_other_kinds_run_on_their_own_rows() -> None:
    seen = []

    class Counting(eg.nn.Linear):
        def forward(self, input: Any) -> Any:
            seen.append(len(input))
            return super().forward(input)

    experts = [Counting(3, 2, dtype=eg.float64), eg.nn.Sequential(Counting(3, 2, dtype=eg.float64))]
    layer = mixture_of(experts).eval()
    x = draw(20, 3)
    y, _ = layer(x)
    counts = eg.bincount(layer.gate(x).experts.flatten(), minlength=2).tolist()
    assert seen == [c for c in counts if c] and sum(seen) == 20
    gates = layer.gate(x).dense()
    expected = sum(gates[:, i : i + 1] * experts[i](x) for i in range(2))
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-10)


def mixture_of(experts: Any, k: int = 1) -> Any:
    layer = eg.nn.MixtureOfExperts(3, k=k, experts=experts, dtype=eg.float64)
    with eg.no_grad():
        layer.gate.weight.copy_(draw(len(experts), 3, seed=7))
    return layer


def test_leading_dimensions_stay() -> None:
    layer, x = mixture().eval(), draw(2, 4, 3)
    y, loss = layer(x)
    assert tuple(y.shape) == (2, 4, 2) and loss.dim() == 0
    np.testing.assert_allclose(
        y.reshape(8, 2).detach().numpy(), layer(x.reshape(8, 3))[0].detach().numpy(), rtol=1e-12
    )


def test_no_rows() -> None:
    for layer in (mixture(), mixture_of([eg.nn.Linear(3, 2, dtype=eg.float64)])):
        y, loss = layer(eg.zeros(0, 3, dtype=eg.float64))
        assert tuple(y.shape) == (0, 2) and loss.isfinite()
        (y.sum() + loss).backward()


def test_capacity_drops_the_last_rows() -> None:
    whole, x = mixture(k=1).eval(), draw(12, 3)
    full, _ = whole(x)
    limited = copy.deepcopy(whole)
    limited.capacity_factor = 1.0
    y, _ = limited(x)
    taken = [0] * 4
    for row, expert in enumerate(whole.gate(x).experts[:, 0].tolist()):
        taken[expert] += 1
        expected = full[row] if taken[expert] <= 3 else eg.zeros_like(full[row])
        np.testing.assert_allclose(y[row].detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    assert max(taken) > 3
    y.sum().backward()
    limited.capacity_factor = 100.0
    np.testing.assert_allclose(limited(x)[0].detach().numpy(), full.detach().numpy(), rtol=1e-12)


@pytest.mark.long
def test_mixtures_learn_and_balance() -> None:
    eg.manual_seed(0)
    layer = eg.nn.MixtureOfExperts(2, 4, 8, 1, k=2)
    optimizer = eg.optim.Adam(layer.parameters(), lr=1e-2)
    x = eg.randn(256, 2)
    target = (x[:, :1] * x[:, 1:]).abs()
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        y, balance = layer(x)
        loss = F.mse_loss(y, target)
        (loss + balance).backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.3 * np.mean(losses[:10])
    counts = eg.bincount(layer.eval().gate(x).experts.flatten(), minlength=4)
    assert counts.min() > 0


def test_mixtures_are_saved_and_copied() -> None:
    layer, x = mixture().eval(), draw(5, 3)
    other = mixture().eval()
    other.load_state_dict(layer.state_dict())
    for twin in (other, copy.deepcopy(layer)):
        assert twin(x)[0].tolist() == layer(x)[0].tolist()
    assert "num_experts=4" in repr(layer) and "k=2" in repr(layer)


@pytest.mark.parametrize("experts", [None, [eg.nn.Linear(3, 2) for _ in range(4)]])
def test_mixtures_in_autocast_regions(experts: Any) -> None:
    layer, x = eg.nn.MixtureOfExperts(3, 4, 5, 2, experts=experts), eg.randn(9, 3)
    with eg.autocast(eg.get_default_device().type, dtype=eg.bfloat16):
        y, loss = layer(x)
    (y.float().sum() + loss).backward()
    assert tuple(y.shape) == (9, 2) and layer.gate.weight.grad.isfinite().all()


def test_bad_mixtures_are_refused() -> None:
    make = eg.nn.MixtureOfExperts
    for args, options in (
        ((3,), {}),
        ((3, 4), {}),
        ((3, 0, 5), {}),
        ((3, 4, 5), {"k": 5}),
        ((3, 4, 5), {"capacity_factor": 0}),
        ((3, 3), {"experts": [eg.nn.Linear(3, 3)]}),
        ((3,), {"experts": []}),
    ):
        with pytest.raises(ValueError, match=r"MixtureOfExperts|TopKGate"):
            make(*args, **options)
    with pytest.raises(RuntimeError):
        mixture()(eg.zeros(5, 2, dtype=eg.float64))
