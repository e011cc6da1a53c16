"""Checkpoints: gradients as without them, memory given back, random numbers repeated."""

import pytest

import eagergrad as eg
from eagergrad import nn
from eagergrad.utils.checkpoint import checkpoint, checkpoint_sequential


def net():
    eg.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))


def grads_of(model, run):
    model.zero_grad()
    run(model).sum().backward()
    return [p.grad.clone() for p in model.parameters()]


def same(a, b):
    return all(eg.allclose(x, y) for x, y in zip(a, b, strict=True))


def test_gradients_are_those_without_checkpoint():
    model, x = net(), eg.randn(5, 3)
    plain = grads_of(model, lambda m: m(x))
    assert same(plain, grads_of(model, lambda m: checkpoint(m, x, use_reentrant=False)))
    assert same(plain, grads_of(model, lambda m: checkpoint_sequential(m, 2, x)))
    nested = grads_of(model, lambda m: checkpoint(lambda x: checkpoint(m[2:], m[:2](x)), x))
    assert same(plain, nested)


def test_gradient_of_the_input_and_by_grad():
    model = net()
    x = eg.randn(5, 3, requires_grad=True)
    wanted = [x, *model.parameters()]
    plain = eg.autograd.grad(model(x).sum(), wanted)
    assert same(plain, eg.autograd.grad(checkpoint(model, x).sum(), wanted))


def test_a_leaf_used_inside_and_before():
    w = eg.tensor(3.0, requires_grad=True)
    (g,) = eg.autograd.grad(checkpoint(lambda y: y * w, w * w), w)
    assert g.item() == pytest.approx(27.0)


def test_second_order():
    x = eg.tensor([1.0, 2.0], requires_grad=True)
    w = eg.tensor(2.0, requires_grad=True)
    (g,) = eg.autograd.grad(checkpoint(lambda x: w * x**3, x).sum(), x, create_graph=True)
    gx, gw = eg.autograd.grad(g.sum(), [x, w])
    assert gx.tolist() == pytest.approx([12.0, 24.0])
    assert gw.item() == pytest.approx(3 + 12)


def test_random_numbers_are_repeated():
    eg.manual_seed(1)
    x = eg.ones(100, requires_grad=True)
    drop = nn.Dropout(0.5)
    y = checkpoint(drop, x)
    after = eg.rand(1).item()
    y.sum().backward()
    assert eg.equal(x.grad, y.detach())
    eg.manual_seed(1)
    drop(eg.ones(100))
    assert eg.rand(1).item() == after


def test_nested_arguments_and_results():
    def f(pair, scale=1.0):
        a, b = pair["a"], pair["b"]
        return {"sum": (a + b) * scale, "n": 3, "list": [a * b]}

    a, b = eg.tensor(2.0, requires_grad=True), eg.tensor(5.0)
    out = checkpoint(f, {"a": a, "b": b}, scale=2.0)
    assert out["n"] == 3
    (out["sum"] + out["list"][0]).backward()
    assert a.grad.item() == 7.0


def test_without_gradients_the_function_just_runs():
    with eg.no_grad():
        assert not checkpoint(net(), eg.ones(1, 3)).requires_grad
    assert not checkpoint(lambda x: x + 1, eg.ones(1)).requires_grad


def test_a_function_that_changes_its_mind_is_reported():
    sizes = iter([2, 3])
    x = eg.ones(4, requires_grad=True)
    y = checkpoint(lambda x: x[: next(sizes)], x)
    with pytest.raises(RuntimeError, match="both times"):
        y.sum().backward()


def test_reentrant_refuses_what_pytorch_refuses():
    x = eg.ones(1, requires_grad=True)
    with pytest.raises(ValueError, match="scale"):
        checkpoint(lambda x, scale: x * scale, x, use_reentrant=True, scale=2.0)
    with pytest.raises(ValueError, match="use_reentrant=False"):
        checkpoint(lambda x: x, x, use_reentrant=True, debug=True)
    for reentrant in (True, False, None):
        y = checkpoint(lambda x: x.exp(), x, use_reentrant=reentrant, early_stop=False)
        assert eg.autograd.grad(y, x)[0].item() == y.item()
