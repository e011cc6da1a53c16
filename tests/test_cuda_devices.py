"""Programs on two GPUs: emulated ones, which reach their own memory alone."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

import emulated_gpu
import interpreter

TESTS = Path(__file__).parent
pytestmark = pytest.mark.skipif(bool(emulated_gpu.missing()), reason=emulated_gpu.missing())

BEGIN = """
import pytest
import emulated_gpu
emulated_gpu.start()
import eagergrad as eg
from eagergrad.nn import functional as F
"""


def on_two_gpus(program: str) -> None:
    interpreter.run(
        ["-X", "faulthandler", "-c", BEGIN + textwrap.dedent(program)],
        TESTS,
        EAGERGRAD_EMULATED_GPUS="2",
        EAGERGRAD_CUDA_HOST_CACHE=str(emulated_gpu.cache_folder()),
    )


def test_a_device_is_chosen_by_name_block_and_call():
    on_two_gpus("""
    assert eg.cuda.device_count() == 2
    assert eg.zeros(2, device="cuda").device == eg.device("cuda:0")
    with eg.device("cuda:1"):
        x = eg.ones(3)
        assert x.device.index == 1 and (x + 1).device.index == 1
    with eg.cuda.device(1):
        assert eg.zeros(2, device="cuda").device.index == 1
    assert eg.zeros(2, device="cuda").device.index == 0
    eg.cuda.set_device(1)
    assert eg.cuda.current_device() == 1 and eg.randn(2, device="cuda").device.index == 1
    with pytest.raises(RuntimeError, match="cuda:2 was asked for, and there are 2 GPUs"):
        eg.zeros(1, device="cuda:2")
    from eagergrad import _C
    for number in (2, -1, 258):
        with pytest.raises(RuntimeError, match=f"cuda:{number} was asked for, and there are 2 GPUs"):
            _C.cuda_synchronize(number)
    """)


def test_a_gpu_that_was_not_started_is_named():
    interpreter.run_code(
        """
from eagergrad import _C
for call in (lambda: _C.cuda_synchronize(0), lambda: _C.set_active_device("cuda", 0)):
    try:
        call()
    except RuntimeError as e:
        assert "no GPU has been started" in str(e)
    else:
        raise AssertionError("went on without a GPU")
""",
        TESTS,
    )


def test_memory_of_others_that_cannot_be_is_refused():
    on_two_gpus("""
    class Forged:
        dtype, device = "<f4", eg.device("cuda:0")
        def __init__(self, shape, strides):
            self.__cuda_array_interface__ = {
                "shape": shape, "strides": strides, "typestr": "<f4", "data": (4096, False), "version": 3,
            }
    for shape, strides in [((2, 2), (2**61, 4)), ((2**40, 2**40), None), ((3,), (-4,)), ((-1,), None)]:
        with pytest.raises((ValueError, RuntimeError)):
            eg.as_tensor(Forged(shape, strides))
    assert eg.as_tensor(Forged((0, 2**40), None)).shape == (0, 2**40)
    """)


def test_values_and_gradients_cross_devices():
    on_two_gpus("""
    x = eg.arange(6.0).reshape(2, 3).to("cuda:0").requires_grad_()
    y = (x * 2).t().to("cuda:1")
    assert y.device.index == 1 and y.tolist() == [[0, 6], [2, 8], [4, 10]]
    (y * eg.ones(3, 2, device="cuda:1")).sum().backward()
    assert x.grad.device.index == 0 and x.grad.tolist() == [[2.0] * 3] * 2
    z = eg.zeros(3, 2, device="cuda:1")
    z.copy_(x.detach().t())
    assert z.tolist() == [[0, 3], [1, 4], [2, 5]]
    z[0] = 7.0
    assert z.cpu()[0].tolist() == [7, 7]
    """)


def test_tensors_of_two_devices_do_not_mix():
    on_two_gpus("""
    a, b = eg.ones(2, 2, device="cuda:0"), eg.ones(2, 2, device="cuda:1")
    for f in (eg.add, eg.mul, eg.matmul, F.linear, lambda a, b: eg.cat([a, b]), F.mse_loss,
              lambda a, b: eg.where(a > 0, a, b), lambda a, b: a.add_(b), lambda a, b: a[b.long()]):
        with pytest.raises(RuntimeError, match="device"):
            f(a, b)
    assert (a + eg.tensor(1.0)).device.index == 0
    """)


def test_models_train_side_by_side():
    on_two_gpus("""
    def trained(device):
        eg.manual_seed(0)
        net = eg.nn.Sequential(eg.nn.Linear(4, 8), eg.nn.LayerNorm(8), eg.nn.GELU(), eg.nn.Dropout(0.2),
                               eg.nn.Linear(8, 3)).to(device)
        optimizer = eg.optim.Adam(net.parameters(), lr=0.1)
        x, t = eg.randn(5, 4).to(device), eg.tensor([0, 2, 1, 1, 0], device=device)
        for _ in range(2):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), t)
            loss.backward()
            eg.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        return [p.detach().cpu() for p in net.parameters()]

    host = trained("cpu")
    for device in ("cuda:0", "cuda:1"):
        for a, b in zip(trained(device), host):
            assert eg.allclose(a, b, 1e-4, 1e-5), device
    assert eg.cuda.max_memory_allocated(1) > 0
    """)


def test_errors_found_by_either_device_are_raised():
    on_two_gpus("""
    x = eg.zeros(3, device="cuda:1")
    y = x[eg.tensor([5], device="cuda:1")]
    with pytest.raises(IndexError, match="index 5 is out of bounds"):
        eg.cuda.synchronize(1)
    values, order = eg.tensor([3.0, 1.0, 2.0], device="cuda:1").sort()
    assert values.tolist() == [1, 2, 3] and order.tolist() == [1, 2, 0]
    assert eg.tensor([1.0, 0.0], device="cuda:1").nonzero().tolist() == [[0]]
    """)
