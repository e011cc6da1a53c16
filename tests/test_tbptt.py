"""Truncated backpropagation through time."""

import gc
import weakref

import pytest

import eagergrad as eg
from eagergrad import nn
from util import assert_close


def make(seed=0):
    eg.manual_seed(seed)
    net = nn.ModuleDict({"cell": nn.LSTMCell(3, 4), "head": nn.Linear(4, 2)}).double()
    return net, eg.randn(7, 5, 3, dtype=eg.float64), eg.randn(7, 5, 2, dtype=eg.float64)


def by_hand(net, inputs, targets, steps, then=lambda: None, state=None):
    total = 0.0
    for x, y in zip(inputs.split(steps), targets.split(steps), strict=True):
        loss = 0.0
        for i in range(len(x)):
            state = net["cell"](x[i], state)
            loss = loss + (net["head"](state[0]) - y[i]).square().mean()
        loss.backward()
        then()
        state = eg.detach(state)
        total += loss.item()
    return total


def by_block(net, inputs, targets, steps, then=None, state=None):
    with eg.tbptt(steps, then) as piece:
        for x, y in zip(inputs, targets, strict=True):
            state = net["cell"](x, piece(state))
            piece.add((net["head"](state[0]) - y).square().mean())
    return piece.total.item()


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100])
def test_gradients_are_those_of_pieces(steps):
    (a, inputs, targets), (b, *_) = make(), make()
    assert by_hand(a, inputs, targets, steps) == pytest.approx(by_block(b, inputs, targets, steps))
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert_close(q.grad, p.grad)


def test_an_optimizer_steps_after_each_piece():
    trained = []
    for train in (by_hand, by_block):
        net, inputs, targets = make()
        optimizer, calls = eg.optim.Adam(net.parameters(), lr=0.1), []

        def then(optimizer=optimizer, calls=calls):
            calls.append(optimizer.step())
            optimizer.zero_grad()

        train(net, inputs, targets, 3, then)
        assert len(calls) == 3
        trained.append(list(net.parameters()))
    for p, q in zip(*trained, strict=True):
        assert_close(q, p)


def test_a_learned_first_state_gets_its_gradient():
    net, inputs, targets = make()
    first = [eg.zeros(5, 4, dtype=eg.float64, requires_grad=True) for _ in range(2)]
    by_block(net, inputs, targets, 3, state=tuple(first))
    found = [t.grad for t in first]
    for t in first:
        t.grad = None
    by_hand(net, inputs, targets, 3, state=tuple(first))
    for t, g in zip(first, found, strict=True):
        assert_close(g, t.grad)


class Held:
    """Something that a node keeps alive."""


class Keeps(eg.autograd.Function):
    @staticmethod
    def forward(ctx, x, held):
        ctx.held = held
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2, None


def test_memory_holds_one_piece():
    w, state, seen, alive = eg.ones(3, requires_grad=True), eg.ones(3), [], []
    gc.disable()
    try:
        with eg.tbptt(2) as piece:
            for _ in range(6):
                held = Held()
                seen.append(weakref.ref(held))
                state = Keeps.apply(w * piece(state), held)
                piece.add(state.sum())
                del held
                alive.append(sum(r() is not None for r in seen))
    finally:
        gc.enable()
    assert alive == [1, 2, 1, 2, 1, 2]


def test_an_error_inside_passes_nothing_back():
    w = eg.ones((), requires_grad=True)

    def fail():
        with eg.tbptt(2) as piece:
            piece.add(w * 2)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert w.grad is None


def test_steps_without_losses_cut_the_state_alone():
    w = eg.ones((), requires_grad=True)
    with eg.tbptt(1) as piece:
        first = piece(w * 2)
        second = piece(first * 3)
        piece.add(second * w)
    assert w.grad.item() == 6.0 and not second.requires_grad


def test_it_refuses():
    for steps, error in ((0, ValueError), (-1, ValueError), (2.0, TypeError), ("a", TypeError)):
        with pytest.raises(error, match="tbptt"):
            eg.tbptt(steps)
    with eg.tbptt(2) as piece:
        for loss in (1.0, eg.ones(2), None):
            with pytest.raises(TypeError, match="a tensor of one element"):
                piece.add(loss)
    for outside in (lambda: piece(eg.ones(1)), lambda: piece.add(eg.ones(()))):
        with pytest.raises(RuntimeError, match="belong into its block"):
            outside()
