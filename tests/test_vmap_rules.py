"""vmap on whole batches: every rule gives what the loop over the items gives, and the loop is what remains."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import eagergrad as eg
from eagergrad import func, nn
from eagergrad.func import _batched, _derivatives, _vmap
from eagergrad.nn import functional as F
from samples import ROWS
from table import Row
from util import as_function, make, tensors

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The results of runs on whole batches, as they come; `off` leaves the loop only."""

    class Seen(list):
        off = False

    seen, real = Seen(), _vmap._whole

    def watched(*args: Any) -> Any:
        if seen.off:
            raise _batched.NoRule("switched off")
        result = real(*args)
        seen.append(result)
        return result

    monkeypatch.setattr(_vmap, "_whole", watched)
    return seen


def both(whole: Any, f: Any, *args: Any, **options: Any) -> tuple[Any, Any]:
    """What the whole batch gives (None where it cannot) and what the loop gives."""
    eg.manual_seed(0)
    whole.clear()
    whole.off = True
    expected = func.vmap(f, **options)(*args)
    whole.off = False
    found = func.vmap(f, **options)(*args)
    return (found if whole else None), expected


def assert_same(found: Any, expected: Any, where: str) -> None:
    for x, y in zip(tensors([found]), tensors([expected]), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype), where
        if x.is_floating_point():
            assert eg.allclose(x, y, rtol=1e-4, atol=1e-5, equal_nan=True), where
        else:
            assert eg.equal(x, y), where


def _batch(t: Any) -> Any:
    """t and two tensors of its values in other places."""
    flat = t.reshape(-1)
    return eg.stack([t, flat.roll(1, 0).reshape(t.shape), flat.flip(0).reshape(t.shape)])


def _variants(count: int) -> list[tuple[Any, ...]]:
    """Which of the tensors are batched: all, and each alone."""
    alone = [tuple(0 if i == k else None for i in range(count)) for k in range(count)]
    return [(0,) * count, *(alone if count > 1 else [])]


# Values are whatever was there, or an offset counts from the first item, which the loop knows nothing of.
SKIPPED = {
    *("empty", "empty_like", "empty_strided", "new_empty"),
    *("as_strided", "as_strided_copy"),
}
USED: set[str] = set()


def test_a_pseudoinverse_with_a_limit_of_each_item_is_one_tensor() -> None:
    a, limits = eg.randn(2, 3, 4, 4, dtype=eg.float64), eg.tensor([1e-9, 0.5], dtype=eg.float64)
    found = func.vmap(lambda a, r: eg.linalg.pinv(a, rtol=r))(a, limits)
    wanted = eg.stack([eg.linalg.pinv(a[i], rtol=limits[i]) for i in range(2)])
    assert type(found) is type(wanted)
    assert_same(found, wanted, "pinv")


def test_factors_of_whole_numbers_are_cut_within_vmap_too() -> None:
    x, a, b = eg.tensor([[1, 2]]), eg.tensor([[1, 2], [3, 4]]), eg.tensor([5, 6])
    wanted = eg.addmv(x[0], a, b, beta=0.5, alpha=2.5)
    found = func.vmap(lambda x: eg.addmv(x, a, b, beta=0.5, alpha=2.5))(x)
    assert found.dtype == wanted.dtype and eg.equal(found[0], wanted)


@pytest.mark.parametrize("f", [eg.as_strided, eg.as_strided_copy])
def test_offsets_of_strided_views_count_from_the_first_item(f: Any, whole: Any) -> None:
    x = eg.arange(12.0).reshape(4, 3).T
    for offset, start in ((0, 0), (3, 3), (None, 0)):
        found = func.vmap(lambda v, o=offset: f(v, (2, 2), (3, 3), o))(x)
        wanted = [eg.as_strided(x[i], (2, 2), (3, 3), start + i) for i in range(3)]
        assert whole and eg.equal(found, eg.stack(wanted))


@pytest.mark.parametrize(
    "row", [r for r in ROWS if r.function and r.name not in SKIPPED], ids=lambda r: r.name
)
def test_a_rule_gives_what_the_loop_gives(row: Row, whole: Any) -> None:
    dtype = "float64" if "float64" in row.dtypes else row.dtypes[0]
    for call in row.calls:
        args, kwargs = make(row, call, dtype, "cpu")
        f, given = as_function(row, args, kwargs)
        if not given or "out" in kwargs:
            continue
        for in_dims in _variants(len(given)):
            batched = [t if d is None else _batch(t) for t, d in zip(given, in_dims, strict=True)]
            try:
                found, expected = both(whole, f, *batched, in_dims=in_dims)
            except Exception:
                continue  # the other items' values are no sample of the op
            if found is None:
                continue
            USED.add(row.name.rsplit(".", 1)[-1])
            assert_same(found, expected, f"{row.name}{call} in_dims={in_dims}")
            nested = [
                t if d is None else eg.stack([t, t.flip(0)])
                for t, d in zip(batched, in_dims, strict=True)
            ]
            found, expected = both(whole, func.vmap(f, in_dims=in_dims), *nested, in_dims=in_dims)
            assert_same(found, expected, f"{row.name}{call} nested in_dims={in_dims}")
            if any(t.dtype != eg.float64 for t in batched) or not row.order:
                continue

            def summed(*xs: Any, f: Any = f) -> Any:
                y = f(*xs)
                return sum(
                    t.sum() for t in (y if isinstance(y, tuple) else (y,)) if t.is_floating_point()
                )

            grads = func.grad(summed, tuple(range(len(given))))
            try:
                found, expected = both(whole, grads, *batched, in_dims=in_dims)
            except Exception:
                continue
            if found is not None:
                assert_same(found, expected, f"gradient of {row.name}{call} in_dims={in_dims}")


def _spd(a: Any) -> Any:
    return a @ a.T + eg.eye(a.shape[0], dtype=a.dtype)


def _written(a: Any) -> Any:
    b = a.clone()
    b[0] = a[1] * 2
    b[:, 1:3] = 0.5
    b += a
    return b.mul_(2).clamp_(-1, 1)


class _Once(eg.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2

    @staticmethod
    @eg.autograd.function.once_differentiable
    def backward(ctx: Any, g: Any) -> Any:
        return g * 2


X = (5, 4, 6)
TOGETHER = {
    "expand": (lambda a: a.expand(3, 4, 6).repeat(2, 1, 1).view(-1, 2).view_as(eg.ones(72, 2)), X),
    "flip of several": (lambda a: a.flip(0, 1), X),
    "transposed": (lambda a: a.T @ a + a.mT @ a, X),
    "permuted": (lambda a: a[None].permute(2, 0, 1), X),
    "norm": (lambda a: a.norm() + a.norm(dim=-1, keepdim=True), X),
    "sum at once": (lambda a: a.sum() + a.mean((0, 1)) + a.amax() + a.std(), X),
    "indices": (lambda a: a[..., 0] + a[-1, 2] + a[:, [1, 2]].sum(1) + a[eg.tensor([0, 1, 2, 3])][:, 0], X),
    "an index of each item": (lambda a: a[a[0].argmax() % 4] + a[a.argmax(0) % 4, eg.arange(6)], X),
    "writes": (_written, X),
    "rows": (lambda a: sum(row * k for k, row in enumerate(a)), X),
    "where": (lambda a: eg.where(a > 0, a, 0.0) + a.where(a > 1, a.new_zeros(6)) + eg.zeros(6).where(a > 0, a), X),
    "numbers first": (lambda a: 2**a - (1 - a) / (2 + a * a), X),
    "einsum": (lambda a: eg.einsum("ij,kj->ik", a, a) + eg.einsum("ij,ij->i", a, a), X),
    "tensordot": (lambda a: eg.tensordot(a, a, dims=([0], [0])), X),
    "cdist": (lambda a: eg.cdist(a, a + 1) + eg.trace(a[:, :4]), X),
    "attention": (lambda a: F.scaled_dot_product_attention(a, a, a, is_causal=True), X),
    "losses": (lambda a: F.cross_entropy(a, eg.tensor([1, 2, 3, 0])) + F.mse_loss(a, a * 0), X),
    "losses of probabilities": (lambda a: F.cross_entropy(a, a.softmax(-1)), X),
    "binary loss": (lambda a: F.binary_cross_entropy_with_logits(a, (a > 0).float(), reduction="sum"), X),
    "normalized": (lambda a: F.layer_norm(F.normalize(a, dim=-1), (6,)), X),
    "one hot": (lambda a: F.one_hot(a.argmax(-1), 6) * a, X),
    "functions of matrices": (
        lambda a: eg.linalg.solve(_spd(a), a[:, 0]) + eg.linalg.inv(_spd(a))[0] + eg.logdet(_spd(a)) + eg.linalg.det(_spd(a)), X),
    "factors": (lambda a: eg.linalg.cholesky(_spd(a)) + eg.linalg.eigvalsh(_spd(a)) + eg.linalg.svdvals(a), X),
    "cells": (nn.GRUCell(6, 3), (5, 6)),
    "a choice that all make": (lambda a: a if a.abs().sum() > 0 else -a, X),
    "padding": (lambda a: F.pad(a, (1, 2)) + F.pad(a, (1, 2), mode="circular") if a.dim() == 3 else a, (5, 2, 3, 8)),
    "images": (lambda a: F.interpolate(F.max_pool2d(a, 2), scale_factor=2, mode="bilinear"), (5, 2, 3, 8, 8)),
    "an image": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(0)), (5, 3, 8, 8)),
    "batch norm in use": (nn.BatchNorm2d(3).eval(), (5, 2, 3, 8, 8)),
    "an encoder": (nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True).eval(), (5, 2, 4, 6)),
    "an op without a rule": (lambda a: eg.searchsorted(a[0].sort()[0], a) + eg.quantile(a, 0.3), X),
    "a Function of one item": (lambda a: func.grad(lambda b: (_Once.apply(b) ** 2).sum())(a), X),
    "repeats of each item": (lambda a: a.repeat_interleave((a[:, 0] > 9).long() + 2, 0), X),
    "a density": (lambda a: eg.distributions.Normal(a, 1.0).log_prob(a + 1).sum(), X),
}  # fmt: skip


@pytest.mark.parametrize("name", list(TOGETHER))
def test_runs_together(name: str, whole: Any) -> None:
    f, shape = TOGETHER[name]
    eg.manual_seed(1)
    found, expected = both(whole, f, eg.randn(*shape))
    assert found is not None, "it ran item by item"
    assert_same(found, expected, name)


def net() -> tuple[Any, dict[str, Any]]:
    eg.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.GroupNorm(1, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12, 5),
        nn.LayerNorm(5),
    )
    return model, {k: p.detach() for k, p in model.named_parameters()}


def test_gradients_of_each_item(whole: Any) -> None:
    model, params = net()
    x, y = eg.randn(6, 1, 4, 4), eg.arange(6) % 5

    def loss(p: Any, x: Any, y: Any) -> Any:
        return F.cross_entropy(func.functional_call(model, p, (x[None],)), y[None])

    found, expected = both(whole, func.grad_and_value(loss), params, x, y, in_dims=(None, 0, 0))
    assert found is not None
    assert_same(tensors([found]), tensors([expected]), "each item's")
    F.cross_entropy(model(x), y).backward()
    for k, p in model.named_parameters():
        assert eg.allclose(found[0][k].mean(0), p.grad, atol=1e-5)


def test_an_ensemble_together(whole: Any) -> None:
    models = [net()[0] for _ in range(3)]
    params, _ = func.stack_module_state(models)
    x = eg.randn(2, 1, 4, 4)
    found, expected = both(whole, lambda p: func.functional_call(models[0], p, (x,)), params)
    assert found is not None
    assert_same(found, expected, "ensemble")


def test_derivatives_nest(whole: Any) -> None:
    w = eg.randn(4, 3)
    f = lambda x: eg.tanh(w @ x)
    second = func.hessian(lambda x: f(x).pow(2).sum())
    for g in (func.jacrev(f), func.jacfwd(f), second, func.jacrev(func.jacrev(f))):
        found, expected = both(whole, g, eg.randn(5, 3))
        assert found is not None
        assert_same(found, expected, "nested")
        whole.off = True
        alone = g(eg.ones(3))
        whole.off = False
        assert_same(g(eg.ones(3)), alone, "alone")


def test_a_jacobian_in_chunks_and_of_several(whole: Any) -> None:
    f = lambda a, d: (a * d["k"].sum(), d["k"].sin())
    a, d = eg.randn(6), {"k": eg.randn(5)}
    found = func.jacrev(f, (0, 1), chunk_size=2)(a, d)
    whole.off = True
    assert_same(tensors([found]), tensors([func.jacrev(f, (0, 1))(a, d)]), "chunks")


def test_a_tall_jacobian_comes_by_columns(whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    w, x, z = eg.randn(90, 3), eg.randn(3), eg.randn(2)
    f = lambda x, z: {"a": eg.tanh(w @ x) * z.sum(), "b": eg.outer(w[:, 0], z)}
    found = func.jacrev(f, (0, 1))(x, z)
    assert len(whole) == 2  # once for each input
    monkeypatch.setattr(_derivatives, "_WIDE", 1 << 30)
    assert_same(tensors([found]), tensors([func.jacrev(f, (0, 1))(x, z)]), "columns")
    once = func.jacrev(lambda a: _Once.apply(eg.cat([a] * 20)))(x)  # no second derivative
    assert eg.equal(once, 2 * eg.cat([eg.eye(3)] * 20))


def test_pulling_back_a_batch_of_cotangents(whole: Any) -> None:
    w = eg.randn(4, 3)
    _, pull = func.vjp(lambda x: eg.tanh(w @ x), eg.ones(3))
    found, expected = both(whole, pull, eg.eye(4))
    assert found is not None
    assert_same(tensors([found]), tensors([expected]), "vjp")
    _, push = func.linearize(lambda x: eg.tanh(w @ x), eg.ones(3))
    found, expected = both(whole, push, eg.eye(3))
    assert_same(found, expected, "jvp")


def test_vectorized_derivatives(whole: Any) -> None:
    functional = eg.autograd.functional
    w, x, y = eg.randn(5, 3), eg.randn(3, requires_grad=True), eg.randn(3)
    f = lambda a, b: (eg.tanh(w @ a) + b.sum(), a * b)
    h = lambda a, b: (f(a, b)[0] ** 2).sum()
    for got, want in (
        (functional.jacobian(f, (x, y), vectorize=True), functional.jacobian(f, (x, y))),
        (functional.hessian(h, (x, y), vectorize=True), functional.hessian(h, (x, y))),
    ):
        assert_same(tensors([got]), tensors([want]), "vectorize")
        assert not any(t.requires_grad for t in tensors([got]))
    assert whole
    one = functional.jacobian(lambda a: eg.tanh(w @ a), x, create_graph=True, vectorize=True)
    assert one.shape == (5, 3) and one.requires_grad
    with pytest.raises(RuntimeError, match="strict"):
        functional.jacobian(h, (x, y), strict=True, vectorize=True)


def test_gradients_flow_through_the_whole_batch(whole: Any) -> None:
    x = eg.randn(4, 3, requires_grad=True)
    (g,) = eg.autograd.grad(func.vmap(lambda row: (row * row).sum())(x).sum(), x)
    assert whole and eg.allclose(g, 2 * x)
    w = eg.ones(3, requires_grad=True)
    whole.clear()
    each = func.vmap(func.grad(lambda row: (row * w).sum() ** 2))(x.detach())
    (g,) = eg.autograd.grad(each.sum(), w)  # of a tensor that the function found by itself
    # each is 2 (x . w) w
    total = x.detach().sum(0)
    assert whole and eg.allclose(g, 2 * (3 * total + total.sum()), atol=1e-5)


@pytest.mark.parametrize(
    "f",
    [
        lambda a: a if a.sum() > 0 else -a,
        lambda a: a * a.sum().item(),
        lambda a: a[a > 0].sum(),
        lambda a: eg.zeros(3).add_(a),
        lambda a: a + len(str(a)),
        lambda a: eg.tensor([float(v) for v in a]),
        lambda a: eg.autograd.grad((b := a.detach().requires_grad_()).sum(), b)[0],
    ],
)
def test_the_loop_does_what_a_batch_cannot(f: Any, whole: Any) -> None:
    eg.manual_seed(0)
    found, expected = both(whole, f, eg.randn(4, 3))
    assert found is None
    assert_same(func.vmap(f)(eg.ones(4, 3)), expected * 0 + f(eg.ones(3)), "loop")


def test_gradients_that_are_items_walk_the_graph_once_for_each(whole: Any) -> None:
    x = eg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x**2
    jacobian = func.vmap(lambda v: eg.autograd.grad(y, x, v)[0])(eg.eye(3))
    assert eg.equal(jacobian, eg.diag(2 * x.detach())) and whole
    unused = eg.ones(3, requires_grad=True)
    g, none = func.vmap(lambda v: eg.autograd.grad(y, (x, unused), v, materialize_grads=True))(
        2 * eg.eye(3)
    )
    assert eg.equal(g, 2 * jacobian) and eg.equal(none, eg.zeros(3, 3))


def test_a_write_of_items_into_what_they_share_adds_up() -> None:
    total = eg.zeros(3)
    func.vmap(lambda row: total.add_(row))(eg.ones(4, 3))
    assert eg.equal(total, 4 * eg.ones(3))


def test_a_function_runs_once_though_an_op_has_no_rule() -> None:
    calls = []
    func.vmap(lambda a: calls.append(a) or eg.histc(a, 3, 0, 1))(eg.rand(4, 9))
    assert len(calls) == 1


LAYERS_WITH_WEIGHTS_OF_EACH = {
    "perceptron": (nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 2)), (6,)),
    "images": (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)),
        (1, 3, 4, 4),
    ),
    "in use": (nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), nn.RMSNorm(4)).eval(), (1, 3, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS_WITH_WEIGHTS_OF_EACH)
def test_gradients_of_each_item_take_no_op_item_by_item(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(level: int, op: Any, args: Any, kwargs: Any) -> Any:
        raise AssertionError(f"{op.__name__} ran item by item")

    net, shape = LAYERS_WITH_WEIGHTS_OF_EACH[name]
    parameters, x = dict(net.named_parameters()), eg.randn(5, *shape)
    loss = func.grad(lambda p, a: func.functional_call(net, p, (a,)).square().sum())
    expected = [loss(parameters, a) for a in x]
    monkeypatch.setattr(_batched, "_each", refuse)
    together = func.vmap(loss, (None, 0))(parameters, x)
    for key, g in together.items():
        assert eg.allclose(g, eg.stack([e[key] for e in expected]), atol=1e-4), key


def test_chunks_of_a_batch() -> None:
    x = eg.randn(7, 3)
    for dims in (0, 1, -1):
        found = func.vmap(lambda a: (a * 2, a.sum()), out_dims=(dims, 0), chunk_size=3)(x)
        assert_same(found, func.vmap(lambda a: (a * 2, a.sum()), out_dims=(dims, 0))(x), "chunks")


def test_threads_have_vmaps_of_their_own() -> None:
    inside, done = threading.Event(), threading.Event()

    def slow(a: Any) -> Any:
        inside.set()
        assert done.wait(20)
        return a.expand(2, 3).sum() * 2

    with ThreadPoolExecutor() as pool:
        first = pool.submit(func.vmap(slow), eg.ones(5, 3))
        assert inside.wait(20)
        second = func.vmap(func.grad(lambda a: (a * eg.ones(4)).sum()))(eg.ones(7, 4))
        done.set()
        assert eg.equal(first.result(), eg.full((5,), 12.0)) and eg.equal(second, eg.ones(7, 4))


def test_levels_end_with_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        func.vmap(lambda a: a / (1 // 0))(eg.ones(3))
    assert not _batched.vmaps.sizes
