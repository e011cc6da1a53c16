"""Programs that keep the graph of every step alive are told so, once, with the line; others never."""

import collections
import gc
import threading
import warnings
from pathlib import Path

import pytest

import eagergrad as eg
from eagergrad import _C, nn
from eagergrad.autograd.graph import GrowingGraphWarning

STEPS = 400


@pytest.fixture(autouse=True)
def watched_anew():
    _C.watch_growth(True)
    yield
    _C.watch_growth(True)


class Training:
    """A small net with its optimizer."""

    def __init__(self):
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        self.optimizer = eg.optim.SGD(self.net.parameters(), lr=1e-3)

    def loss(self):
        return self.net(eg.randn(5, 3)).square().mean()

    def step(self, loss, **options):
        self.optimizer.zero_grad()
        loss.backward(**options)
        self.optimizer.step()


def said(program):
    """The messages of the warning that a program gets."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        program()
    return [str(w.message) for w in caught if w.category is GrowingGraphWarning]


def sum_of_losses():
    training, total = Training(), 0.0
    for _ in range(STEPS):
        loss = training.loss()
        training.step(loss)
        total += loss  # the line


def sum_in_place():
    training, total = Training(), eg.zeros(())
    for _ in range(STEPS):
        loss = training.loss()
        training.step(loss)
        total += loss  # the line


def running_mean():
    training, mean = Training(), 0.0
    for _ in range(STEPS):
        loss = training.loss()
        training.step(loss)
        mean = 0.9 * mean + 0.1 * loss  # the line


def list_of_losses():
    training, losses = Training(), []
    for _ in range(STEPS):
        loss = training.loss()
        training.step(loss)
        losses.append(loss)


def replay_of_outputs():
    training, outputs = Training(), []
    for _ in range(STEPS):
        training.step(training.loss())
        outputs.append(training.net(eg.randn(5, 3)) * 2)  # the line


@pytest.mark.parametrize("program", [sum_of_losses, sum_in_place, running_mean, replay_of_outputs])
def test_the_line_that_keeps_graphs_is_named(program):
    (message,) = said(program)
    lines = Path(__file__).read_text().splitlines()
    start = program.__code__.co_firstlineno
    line = next(i for i, text in enumerate(lines, 1) if i > start and "# the line" in text)
    assert f"test_growth.py:{line}, in {program.__name__}" in message
    assert "loss.item()" in message and message.count("made at") == 1


def test_a_list_is_named_by_the_line_of_its_tensors():
    (message,) = said(list_of_losses)
    assert "64 tensors of shape [] (MeanBackward0) made at" in message
    assert "in loss: 64 of the last 64 steps" in message


def test_it_is_said_once():
    assert len(said(sum_of_losses)) == 1
    assert said(sum_of_losses) == []


def numbers():
    training, total, losses = Training(), 0.0, []
    for _ in range(STEPS):
        loss = training.loss()
        training.step(loss)
        total += loss.item()
        losses.append(loss.detach())


def the_last_hundred():
    training, losses = Training(), collections.deque(maxlen=100)
    for _ in range(STEPS):
        loss = training.loss()
        training.step(loss)
        losses.append(loss)


def sums_of_epochs():
    training = Training()
    for _ in range(STEPS // 50):
        total = 0.0
        for _ in range(50):
            loss = training.loss()
            training.step(loss)
            total += loss


def gradient_accumulation():
    training = Training()
    for _ in range(STEPS // 2):
        training.optimizer.zero_grad()
        parts = [training.loss() for _ in range(4)]
        for part in parts:
            part.backward()
        training.optimizer.step()


def gradient_penalty():
    training = Training()
    for _ in range(STEPS):
        x = eg.randn(5, 3, requires_grad=True)
        (g,) = eg.autograd.grad(training.net(x).sum(), x, create_graph=True)
        training.step(g.square().sum() + training.loss())


def unrolled_inner_steps():
    training = Training()
    for _ in range(20):
        weight, outer = eg.randn(3, requires_grad=True), 0.0
        for _ in range(40):
            inner = (training.net(eg.randn(5, 3)) * weight).square().mean()
            (g,) = eg.autograd.grad(inner, weight, create_graph=True)
            weight = weight - 0.1 * g
            outer = outer + inner
        training.step(outer)


def inner_optimizers():
    slow = Training()
    for _ in range(6):
        fast = Training()
        fast.net.load_state_dict(slow.net.state_dict())
        for _ in range(100):
            fast.step(fast.loss())
        slow.step(slow.loss())


def actor_beside_a_critic():
    actor, critic = Training(), Training()
    for _ in range(2):
        scores = []
        for _ in range(300):
            scores.append(actor.net(eg.randn(1, 3)))  # used when the episode is over
            critic.step(critic.loss())
        actor.step(eg.cat(scores).square().mean())


def long_sequences():
    cell = nn.RNNCell(2, 3)
    optimizer = eg.optim.Adam(cell.parameters())
    for step in range(STEPS // 2):
        h = eg.zeros(1, 3)
        for _ in range(step % 40 + 1):
            h = cell(eg.randn(1, 2), h)
        optimizer.zero_grad()
        h.sum().backward()
        optimizer.step()


def state_carried_on():
    cell = nn.LSTMCell(2, 3)
    optimizer = eg.optim.Adam(cell.parameters())
    state = (eg.zeros(1, 3), eg.zeros(1, 3))
    for _ in range(STEPS):
        state = cell(eg.randn(1, 2), eg.detach(state))
        optimizer.zero_grad()
        state[0].sum().backward()
        optimizer.step()


def two_nets_against_each_other():
    one, other = Training(), Training()
    for _ in range(STEPS // 2):
        x = eg.randn(5, 3)
        one.step((one.net(x) - other.net(x).detach()).square().mean())
        other.step((one.net(x) + other.net(x)).square().mean())


def graph_that_is_walked_again_and_again():
    x = eg.randn(3, requires_grad=True)
    y = (x * 2).exp()
    optimizer = eg.optim.SGD([eg.zeros(1, requires_grad=True)], lr=0.1)
    for _ in range(STEPS):
        x.grad = None
        y.sum().backward(retain_graph=True)
        optimizer.step()


def history_that_saves_nothing():
    w = eg.zeros(3, requires_grad=True)
    optimizer = eg.optim.SGD([w], lr=1e-3)
    s = eg.zeros(3)
    for _ in range(STEPS):
        s = s + w  # backward passes through all of it, step after step
        optimizer.zero_grad()
        s.sum().backward()
        optimizer.step()


def closures():
    training = Training()
    optimizer = eg.optim.LBFGS(training.net.parameters(), max_iter=3)
    x = eg.randn(5, 3)

    def closure():
        optimizer.zero_grad()
        loss = training.net(x).square().mean()
        loss.backward()
        return loss

    for _ in range(STEPS // 2):
        optimizer.step(closure)


def cycles_of_references():
    training = Training()
    for _ in range(STEPS):
        loss = training.loss()
        training.step(loss)
        cycle = [loss]
        cycle.append(cycle)


LEGITIMATE = [
    numbers,
    the_last_hundred,
    sums_of_epochs,
    gradient_accumulation,
    gradient_penalty,
    unrolled_inner_steps,
    inner_optimizers,
    actor_beside_a_critic,
    long_sequences,
    state_carried_on,
    two_nets_against_each_other,
    graph_that_is_walked_again_and_again,
    history_that_saves_nothing,
    closures,
]


@pytest.mark.parametrize("program", LEGITIMATE)
def test_legitimate_programs_hear_nothing(program):
    assert said(program) == []


def test_garbage_is_no_leak():
    enabled = gc.isenabled()
    gc.disable()
    try:
        assert said(cycles_of_references) == []
    finally:
        if enabled:
            gc.enable()


def test_threads_are_watched_apart():
    programs = [sum_of_losses, numbers, two_nets_against_each_other]

    def run_all():
        threads = [threading.Thread(target=p) for p in programs]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    (message,) = said(run_all)
    assert "in sum_of_losses" in message
