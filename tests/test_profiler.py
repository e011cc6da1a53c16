"""eagergrad.profiler: what ran, how often, how long."""

from __future__ import annotations

import json
import threading

import pytest

import eagergrad as eg
from eagergrad import nn
from eagergrad.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    tensorboard_trace_handler,
)


@pytest.fixture(autouse=True)
def nothing_left_on():
    yield
    if eg._C.profile_on():
        eg._C.profile_stop()


def counts(prof):
    return {e.key: e.count for e in prof.key_averages()}


def test_ops_operators_gradients_and_steps_are_counted():
    net = nn.Linear(3, 2)
    optimizer = eg.optim.SGD(net.parameters(), lr=0.1)
    x = eg.rand(4, 3)
    with profile() as prof:
        y = (net(x) * 2 - 1).abs()
        y[0] = -y[1]
        (y**2).sum().backward()
        optimizer.step()
    found = counts(prof)
    for name in ("linear", "mul", "sub", "abs", "neg", "getitem", "setitem", "pow", "sum",
                 "SumBackward0", "AddmmBackward0", "Optimizer.step#SGD.step"):  # fmt: skip
        assert found.get(name) == 1, (name, found)
    eg.ones(2)
    assert counts(prof) == found  # nothing is recorded after the block


def test_ranges_take_their_ops_out_of_their_own_time():
    with profile() as prof:
        with record_function("outer"):
            with record_function("inner", "3"):
                a = eg.rand(300, 300)
                a @ a
    by_name = {e.name: e for e in prof.events()}
    outer, inner, product = by_name["outer"], by_name["inner: 3"], by_name["matmul"]
    assert inner.cpu_parent is outer and product.cpu_parent is inner
    assert outer.cpu_time >= inner.cpu_time >= product.cpu_time > 0
    inside = inner.cpu_time - product.cpu_time - by_name["rand"].cpu_time
    assert inner.self_cpu_time_total == pytest.approx(inside)
    top = [e.cpu_time for e in prof.events() if e.cpu_parent is None]
    assert prof.self_cpu_time_total == pytest.approx(sum(top))


def test_range_as_a_decorator_and_without_a_profile():
    @record_function("doubled")
    def double(x):
        return 2 * x

    assert double(3) == 6
    with profile() as prof:
        double(3)
        double(4)
    assert counts(prof) == {"doubled": 2}


@pytest.mark.host("counts the CPU's memory")
def test_shapes_lines_and_memory():
    with profile(record_shapes=True, with_stack=True, profile_memory=True) as prof:
        a = eg.zeros(100, 10)
        kept = a + eg.zeros(10)
        a + kept
    shapes = {str(e.input_shapes) for e in prof.key_averages(group_by_input_shape=True)}
    assert "[[100, 10], [10]]" in shapes and "[[100, 10], [100, 10]]" in shapes
    lines = [e for e in prof.key_averages(group_by_stack_n=1) if e.key == "add"]
    assert len(lines) == 2 and all("test_profiler.py" in e.stack[0] for e in lines)
    added = [e for e in prof.events() if e.name == "add"]
    assert added[0].cpu_memory_usage >= 4000
    table = prof.key_averages(group_by_input_shape=True).table(sort_by="cpu_memory_usage")
    assert "CPU Mem" in table and "Input Shapes" in table


def test_table_is_sorted_and_cut():
    with profile() as prof:
        for _ in range(3):
            eg.ones(2).exp()
        eg.ones(2).sin()
    table = prof.key_averages().table(sort_by="count", row_limit=1, header="what ran")
    lines = table.splitlines()
    assert lines[0] == "what ran" and "ones" in lines[4] and lines[4].split()[-1] == "4"
    assert len(lines) == 7 and lines[-1].startswith("Self CPU time total")
    with pytest.raises(AttributeError):
        prof.key_averages().table(sort_by="colour")
    assert prof.key_averages().total_average().count == 8


def test_trace_is_json(tmp_path):
    with profile() as prof:
        eg.ones(2)
    prof.export_chrome_trace(str(tmp_path / "trace.json"))
    (event,) = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert event["name"] == "ones" and event["dur"] > 0


def test_schedule_records_the_steps_it_names(tmp_path):
    ready = []
    plan = schedule(wait=1, warmup=1, active=2, repeat=2)
    handler = tensorboard_trace_handler(str(tmp_path))

    def on_ready(prof):
        ready.append(sorted(counts(prof)))
        handler(prof)

    with profile(schedule=plan, on_trace_ready=on_ready) as prof:
        for step in range(9):
            eg.full((1,), step)
            prof.step()
    assert ready == [["ProfilerStep#2", "ProfilerStep#3", "full"],
                     ["ProfilerStep#6", "ProfilerStep#7", "full"]]  # fmt: skip
    assert len(list(tmp_path.glob("*.json"))) == 2
    assert plan(8) is ProfilerAction.NONE and plan(3) is ProfilerAction.RECORD_AND_SAVE
    with pytest.raises(ValueError):
        schedule(wait=0, warmup=0, active=0)


def test_one_profile_at_a_time_and_only_what_is_measured():
    with profile(), pytest.raises(RuntimeError, match="another"):
        profile().start()
    with pytest.raises(ValueError, match="with_flops"):
        profile(with_flops=True)
    with pytest.raises(ValueError, match="CPU"):
        profile(activities=[ProfilerActivity.CUDA])


def test_threads_have_their_own_nesting():
    def work():
        with record_function("thread"):
            eg.ones(5).exp()

    with profile() as prof:
        with record_function("main"):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
    by_name = {e.name: e for e in prof.events()}
    assert by_name["exp"].cpu_parent is by_name["thread"]
    assert by_name["thread"].cpu_parent is None
    assert by_name["thread"].thread != by_name["main"].thread


def test_range_over_the_end_of_a_profile_is_left_out():
    prof = profile()
    prof.start()
    with record_function("cut"):
        prof.stop()
    assert counts(prof) == {}
    with profile() as second:  # and does not end an event of the next
        pass
    assert counts(second) == {}


def test_the_older_profiler():
    from eagergrad.autograd import profiler

    with profiler.profile(record_shapes=True) as prof:
        with profiler.record_function("mine"):
            eg.ones(2)
    assert [e.name for e in prof.function_events] == ["mine", "ones"] and "mine" in str(prof)
    with profiler.profile(enabled=False) as off:
        eg.ones(2)
    assert list(off.key_averages()) == []
    assert eg.autograd.profiler is profiler
