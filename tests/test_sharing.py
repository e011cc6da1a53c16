"""Memory that processes share: `share_memory_`, by fork and through multiprocessing's pickles."""

import gc
import os
import sys

import pytest

import eagergrad as eg
import eagergrad.multiprocessing as mp
from eagergrad import nn

pytestmark = pytest.mark.host("processes share the host's memory")


def _step(model, extra, results, done):
    with eg.no_grad():
        for p in model.parameters():
            p += 1
        extra[1] = 5
    results.put((model.weight.is_shared(), type(model.weight).__name__, model.weight.requires_grad))
    done.wait(60)


METHODS = ["fork", "spawn"] if sys.platform == "linux" else ["fork"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes share memory by fork")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [eg.float32, eg.bfloat16, eg.int64])
def test_another_process_writes_to_shared_parameters(method, dtype):
    model = nn.Linear(3, 2).share_memory()
    before = model.weight.detach().clone()
    extra = eg.zeros(3, dtype=dtype).share_memory_()
    context = mp.get_context(method)
    results, done = context.Queue(), context.Event()
    process = context.Process(target=_step, args=(model, extra, results, done))
    process.start()
    assert results.get(timeout=60) == (True, "Parameter", True)
    done.set()
    process.join()
    assert process.exitcode == 0
    assert (model.weight - before).round().tolist() == [[1.0] * 3] * 2
    assert extra.tolist() == [0, 5, 0]


def test_sharing_keeps_the_parameter_and_its_values():
    layer = nn.Linear(3, 2)
    layer(eg.ones(1, 3)).sum().backward()
    weight, values = layer.weight, layer.weight.tolist()
    assert not weight.is_shared()
    layer.share_memory()
    assert layer.weight is weight and weight.is_leaf and weight.requires_grad
    assert weight.tolist() == values and weight.is_shared() and weight[1:].is_shared()
    assert weight.grad.is_shared() and weight.grad.tolist() == [[1.0] * 3] * 2
    address = weight.data_ptr()
    assert weight.share_memory_() is weight and weight.data_ptr() == address


def test_shared_memory_goes_with_its_last_tensor():
    from eagergrad.tensor.sharing import _blocks

    gc.collect()
    held = len(_blocks)
    t = eg.zeros(1000).share_memory_()
    part = t[10:20]
    assert len(_blocks) == held + 1
    del t
    gc.collect()
    assert part.is_shared() and part.tolist() == [0.0] * 10
    del part
    gc.collect()
    assert len(_blocks) == held


def test_a_tensor_without_elements_stays_where_it_is():
    t = eg.zeros(0, 3)
    assert t.share_memory_() is t and not t.is_shared()
