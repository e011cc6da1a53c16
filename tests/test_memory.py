"""What the allocator holds and gives back."""

import code
import gc
import re
import sys
import traceback
import weakref
from pathlib import Path

import pytest

import eagergrad as eg

pytestmark = pytest.mark.host("the host's allocator")

MB = 1 << 20


def held() -> int:
    stats = eg.memory.stats()
    return stats["live"] + stats["cached"]


def resident() -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


@pytest.fixture(autouse=True)
def _fresh():
    eg.memory.empty_cache()
    eg.memory.reset_peak()


@pytest.mark.ours
def test_little_more_is_held_than_was_ever_in_use() -> None:
    for size in (3, 5, 7, 9, 11, 13, 17, 19, 23):  # blocks of as many classes, one at a time
        eg.zeros(size * MB // 4)
        stats = eg.memory.stats()
        assert held() <= stats["peak"] + max(16 * MB, stats["peak"] // 32)
    assert eg.memory.stats()["cached"] >= 19 * MB


@pytest.mark.ours
def test_what_a_loop_uses_is_kept_for_its_next_round() -> None:
    def step() -> None:
        a = eg.zeros(3 * MB)
        b = eg.zeros(5 * MB)
        del a, b

    step()
    before = eg.memory.stats()
    step()
    after = eg.memory.stats()
    assert (after["cached"], after["peak"]) == (before["cached"], before["peak"])


@pytest.mark.ours
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_an_emptied_cache_goes_back_to_the_system() -> None:
    blocks = [eg.ones(8 * MB // 4) for _ in range(16)]
    full = resident()
    del blocks
    eg.memory.empty_cache()
    assert eg.memory.stats()["cached"] == 0
    assert resident() < full - 100 * MB


@pytest.mark.ours
def test_too_much_is_refused_and_leaves_the_counts_alone() -> None:
    before = eg.memory.stats()["live"]
    with pytest.raises(eg.OutOfMemoryError, match="memory: you tried to allocate"):
        eg.empty(2**46)
    for tables in (
        lambda: eg.nn.functional.interpolate(eg.ones(1, 1, 4), size=2**44),
        lambda: eg.nn.functional.pad(eg.ones(1, 1, 4), (0, 2**44), mode="replicate"),
        lambda: eg.nn.functional.adaptive_max_pool1d(eg.ones(1, 1, 4), 2**44),
        lambda: eg.combinations(eg.ones(10**5), 9),
    ):
        with pytest.raises(eg.OutOfMemoryError, match="can't allocate memory"):
            tables()
    assert eg.memory.stats()["live"] - before < MB
    assert eg.ones(5).sum() == 5


def cell(source):
    """Run a notebook's cell: what leaves it uncaught is reported and kept in sys."""
    code.InteractiveInterpreter({"eg": eg}).runcode(compile(source, "cell", "exec"))


FAILING = """
def inner(x):
    y = (x * 2).exp()
    raise ValueError("a mistake")

def outer():
    x = eg.ones(1 << 20, requires_grad=True)
    try:
        inner(x)
    except ValueError as error:
        z = x * 3
        raise RuntimeError("another") from error

outer()
"""


def test_cleanup_frees_what_an_uncaught_exception_holds(capsys):
    eg.cleanup()
    before = eg.memory.stats()["live"]
    cell(FAILING)
    assert "RuntimeError: another" in capsys.readouterr().err
    assert eg.memory.stats()["live"] - before >= 12 * MB
    assert eg.cleanup() >= 12 * MB
    assert eg.memory.stats()["live"] - before < MB
    assert not hasattr(sys, "last_traceback")
    assert eg.cleanup() == 0


def test_cleanup_empties_the_copies_of_locals_that_debuggers_asked_for(capsys):
    eg.cleanup()
    before = eg.memory.stats()["live"]
    cell(FAILING)
    for error in (sys.last_value, sys.last_value.__cause__):
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        assert any("x" in frame.f_locals for frame in frames)
    del frames
    sys.last_value.__traceback__ = None  # as IPython leaves it
    assert eg.cleanup() >= 12 * MB
    assert eg.memory.stats()["live"] - before < MB


def test_cleanup_inside_of_a_handler_leaves_what_still_runs():
    x = eg.ones(3)
    try:
        raise ValueError
    except ValueError as error:
        sys.last_value = error
        eg.cleanup()
    assert x.tolist() == [1.0] * 3


class Own:
    """Something whose end can be seen."""


def keep(*things):
    """Named in a function, which then holds them."""


def cycle_by_hook(own):
    y = eg.ones(3, requires_grad=True) * 2
    y.register_hook(lambda g: keep(y, own))
    return y


def cycle_by_hook_of_leaf(own):
    x = eg.ones(3, requires_grad=True)
    x.register_hook(lambda g: keep(x, own))
    x.register_post_accumulate_grad_hook(lambda t: keep(x, own))
    return x


def cycle_by_hook_of_node(own):
    y = eg.ones(3, requires_grad=True) * 2
    y.grad_fn.register_prehook(lambda g: keep(y, own))
    y.grad_fn.register_hook(lambda g, h: keep(y, own))
    return y


def cycle_by_node_in_its_hook(own):
    y = eg.ones(3, requires_grad=True) * 2
    node = y.grad_fn
    node.register_hook(lambda g, h: keep(node, own))
    return y


class Twice(eg.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


def cycle_by_node_in_a_hook(own):
    y = Twice.apply(eg.ones(3, requires_grad=True))
    node = y.grad_fn
    y.register_hook(lambda g: keep(node, own))
    return y


class KeepsOutput(eg.autograd.Function):
    @staticmethod
    def forward(ctx, x, own):
        ctx.y, ctx.own = x.exp(), own
        return ctx.y

    @staticmethod
    def backward(ctx, g):
        assert ctx.own is not None
        return g * ctx.y, None


def cycle_by_context(own):
    return KeepsOutput.apply(eg.ones(3, requires_grad=True), own)


def cycle_by_attribute(own):
    x = eg.ones(3, requires_grad=True)
    x.note = (x, own)
    return x


CYCLES = [
    cycle_by_hook,
    cycle_by_hook_of_leaf,
    cycle_by_hook_of_node,
    cycle_by_node_in_its_hook,
    cycle_by_node_in_a_hook,
    cycle_by_context,
    cycle_by_attribute,
]


@pytest.mark.parametrize("make", CYCLES)
@pytest.mark.parametrize("walk", [False, True])
def test_the_collector_sees_cycles_through_tensors(make, walk):
    own = Own()
    gone = weakref.ref(own)
    t = make(own)
    del own
    gc.collect()
    assert gone() is not None  # t is in use, and what hangs on it
    if walk:
        t.sum().backward()
    del t
    gc.collect()
    assert gone() is None


def test_what_another_tensor_leads_to_is_not_collected():
    calls = []
    y = cycle_by_hook(calls)
    y.register_hook(lambda g: calls.append(g.tolist()))
    loss = y.sum()
    del y
    gc.collect()
    loss.backward()
    assert calls == [[1.0] * 3]
