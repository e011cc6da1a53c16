"""Tensors on a GPU: placement, copies, the elementwise table, memory, exchange. Without a GPU the kernels run on the host."""

from __future__ import annotations

import copy
import gc
import io
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

import eagergrad as eg
import emulated_gpu
from eagergrad import _C
from eagergrad.cuda import _runtime

DTYPES = [getattr(eg, n) for n in "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()]  # fmt: skip


def same(a, b, tol=0.0):
    a, b = a.detach().cpu(), b.detach().cpu()
    assert a.shape == b.shape and a.dtype == b.dtype
    if a.dtype.is_floating_point:
        a, b = a.double(), b.double()
        scale = 1 + float(b[b.isfinite()].abs().max()) if b.isfinite().any() else 1
        assert eg.allclose(a, b, rtol=0, atol=tol * scale, equal_nan=True)
    else:
        assert bool((a == b).all())


def test_tensors_move_there_and_back(gpu):
    a = eg.arange(6.0).reshape(2, 3)
    b = a.to(gpu)
    assert b.device == eg.device("cuda:0") and b.is_cuda and not b.is_cpu and b.get_device() == 0
    assert b.to(gpu) is b and b.cuda() is b and a.cpu() is a
    same(b.cpu(), a)
    same(b.t().cpu(), a.t())
    assert b.tolist() == a.tolist() and b[1, 2].item() == 5.0
    same(eg.zeros(2, 3, device=gpu).copy_(a), a)
    same(a.t().cuda().cpu(), a.t())
    same(a.cuda(0)[:, ::2].cpu(), a[:, ::2])


@pytest.mark.parametrize("to", [eg.float32, eg.int64, eg.bool, eg.float16, eg.bfloat16, eg.uint8])
def test_casts_equal_the_hosts(gpu, to):
    for source in DTYPES:
        x = eg.tensor([0, 1, 2, 3, 100]).to(source)
        same(x.to(gpu).to(to), x.to(to))
        same(x.to(gpu)[::2].to(to), x[::2].to(to))


def test_tensors_keep_their_layout_on_the_way(gpu):
    image = eg.randn(2, 4, 5, 3).contiguous(memory_format=eg.channels_last)
    for x in (image, image.permute(1, 0, 3, 2), eg.randn(3, 4).T, eg.randn(4, 6)[:, ::2]):
        there = x.to(gpu)
        assert there.stride() == x.clone().stride() == there.cpu().stride()
        same(there, x)
    x = image.requires_grad_()
    x.to(gpu).square().sum().backward()
    assert x.grad.stride() == x.stride()
    same(x.grad, 2 * x)


def test_factories_follow_the_device(gpu):
    assert eg.ones(2, device=gpu).device.type == "cuda"
    assert eg.full((2,), 3.0, device="cuda:0").tolist() == [3.0, 3.0]
    assert eg.tensor([1, 2], device=gpu).device.type == "cuda"
    with eg.device(gpu):
        assert (
            eg.zeros(2).is_cuda
            and eg.tensor([1.0]).is_cuda
            and not eg.zeros(2, device="cpu").is_cuda
        )
        assert eg.from_numpy(np.ones(2)).device.type == "cpu"
    x = eg.zeros(3, device=gpu)
    for made in (eg.zeros_like(x), eg.ones_like(x), x.new_zeros(2), x.new_tensor([1.0]), x.clone()):
        assert made.device == x.device
    assert eg.zeros_like(x, device="cpu").device.type == "cpu"


def test_elementwise_ops_of_every_shape(gpu):
    rng = np.random.default_rng(0)
    a, b = eg.tensor(rng.normal(size=(3, 1, 5))), eg.tensor(rng.normal(size=(4, 5)))
    A, B = a.to(gpu), b.to(gpu)
    for f in (
        lambda x, y: x + y,
        lambda x, y: x * 2 - y,
        lambda x, y: x < y,
        lambda x, y: eg.where(x > 0, x, y),
        lambda x, y: eg.where(x > 0, x, 0.5),
        lambda x, y: eg.lerp(x.expand(3, 4, 5), y.expand(3, 4, 5), 0.25),
        lambda x, y: x.movedim(0, -1).tanh(),
        lambda x, y: x.float() + y,
        lambda x, y: x[..., ::2].exp(),
        lambda x, y: 2 / x,
        lambda x, y: x.clamp(-0.5, 0.5),
    ):
        same(f(A, B), f(a, b), 1e-6)
    same(A.expand(3, 4, 5).add(B, alpha=3), a.add(b, alpha=3), 1e-12)
    A += 1
    same(A, a + 1)
    A[1] *= 2
    same(A[1], (a[1] + 1) * 2)
    assert (eg.zeros(0, 3, device=gpu) + 1).shape == (0, 3)


def test_gradients_flow_on_the_device_and_across_devices(gpu):
    a = eg.randn(4, 5, dtype=eg.float64)
    row = eg.randn(5, dtype=eg.float64)

    def loss(x, r):
        y = (x * r + 1).tanh()
        return (y * y * x).sin()

    grads = []
    for device in ("cpu", gpu):
        x, r = a.to(device, copy=True).requires_grad_(), row.clone().requires_grad_()
        y = loss(x, r.to(device))
        y.backward(eg.ones(4, 5, dtype=eg.float64, device=device))
        assert x.grad.device == x.device and r.grad.device.type == "cpu"
        x2 = a.to(device, copy=True).requires_grad_()
        (g,) = eg.autograd.grad(loss(x2, row.to(device)), x2, eg.ones_like(x2), create_graph=True)
        (gg,) = eg.autograd.grad(g, x2, eg.ones_like(x2))
        grads.append((x.grad, r.grad, gg))
    for host, device in zip(*grads, strict=True):
        same(device, host, 1e-12)


def test_every_finite_half_is_read_exactly(gpu):
    bits = np.arange(0x7C00, dtype=np.uint16)
    halves = eg.from_numpy(np.concatenate([bits, bits | 0x8000]).view(np.float16))
    same(halves.to(gpu).float(), halves.float())
    same(halves.to(gpu).float().half(), halves)


def test_numbers_on_the_host_mix_with_the_device(gpu):
    x = eg.ones(3, device=gpu)
    same(x * eg.tensor(2.0), eg.full((3,), 2.0))
    same(eg.tensor(2.0) + x, eg.full((3,), 3.0))
    s = eg.tensor(2.0, requires_grad=True)
    (x * s).backward(x)
    assert s.grad.item() == 3.0 and s.grad.device.type == "cpu"
    with pytest.raises(RuntimeError, match=r"same device.*cuda:0 and cpu"):
        x + eg.ones(3)
    with pytest.raises(RuntimeError, match="same device"):
        eg.where(x > 0, x, eg.ones(3))


def test_the_host_cannot_read_by_mistake(gpu):
    x = eg.ones(3, device=gpu)
    with pytest.raises(TypeError, match=r"Use Tensor\.cpu"):
        x.numpy()
    with pytest.raises(TypeError, match=r"Use Tensor\.cpu"):
        np.asarray(x)
    with pytest.raises((BufferError, TypeError)):
        memoryview(x)
    assert "cuda:0" in repr(x) and "1., 1., 1." in repr(x)
    with pytest.raises(RuntimeError, match=r"cuda:99"):
        eg.ones(2, device="cuda:99")
    with pytest.raises(RuntimeError, match="ordinal"):
        eg.cuda.set_device(99)


def test_copies_of_device_tensors(gpu):
    x = eg.tensor([0.0, 1.0, 2.0, 3.0], device=gpu, requires_grad=True)
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.device == x.device and twin.requires_grad
        same(twin, x)
    file = io.BytesIO()
    eg.save({"x": x.detach()}, file)
    file.seek(0)
    assert eg.load(file)["x"].device == x.device
    file.seek(0)
    assert eg.load(file, map_location="cpu")["x"].device.type == "cpu"


def test_modules_move(gpu):
    layer = eg.nn.Linear(3, 2)
    layer.weight.grad = eg.ones(2, 3)
    weight = layer.weight
    assert layer.to(gpu) is layer and layer.weight is weight
    assert weight.is_cuda and weight.grad.is_cuda and weight.requires_grad and weight.is_leaf
    state = {k: v.cpu() for k, v in layer.state_dict().items()}
    layer.load_state_dict(state)
    assert layer.weight.is_cuda
    assert layer.cpu().weight.device.type == "cpu"


def test_memory_is_counted_and_reused(gpu):
    eg.cuda.empty_cache()
    before = eg.cuda.memory_allocated()
    eg.cuda.reset_peak_memory_stats()
    x = eg.empty(1 << 20, device=gpu)
    assert eg.cuda.memory_allocated() - before >= 4 << 20
    assert "test_cuda.py" in eg.cuda.memory_summary()
    address = x.data_ptr()
    del x
    assert eg.cuda.memory_allocated() == before
    assert eg.cuda.max_memory_allocated() - before >= 4 << 20
    assert eg.cuda.memory_reserved() > before
    assert eg.empty(1 << 20, device=gpu).data_ptr() == address
    eg.cuda.empty_cache()
    assert eg.cuda.memory_reserved() == eg.cuda.memory_allocated()
    assert eg.cuda.memory_stats()["allocated_bytes.all.current"] == before


def test_out_of_memory_says_who_holds_it_and_leaves_nothing(gpu):
    held = eg.empty(1 << 20, device=gpu)
    gc.collect()  # what earlier tests left in cycles: the failed allocation collects it too
    before = eg.cuda.memory_allocated()
    with pytest.raises(
        eg.cuda.OutOfMemoryError, match=r"allocate \d+ bytes on cuda:0.*\n.*test_cuda.py"
    ):
        eg.empty(1 << 44, device=gpu)
    assert issubclass(eg.OutOfMemoryError, RuntimeError) and issubclass(
        eg.OutOfMemoryError, MemoryError
    )
    assert eg.cuda.memory_allocated() == before
    assert held.is_cuda


def test_leaving_a_block_gives_the_default_device_back(gpu):
    assert eg.get_default_device() == eg.device("cpu")
    with pytest.raises(ValueError):
        with eg.device(gpu):
            raise ValueError
    assert not eg.zeros(1).is_cuda


def test_the_default_device_is_the_threads_own(gpu):
    eg.set_default_device("cuda")
    try:
        seen = []
        thread = threading.Thread(
            target=lambda: seen.extend(
                x.device for x in (eg.zeros(2), eg.tensor([1.0]), eg.as_tensor(np.ones(2)))
            )
        )
        thread.start()
        thread.join()
        assert [d.type for d in seen] == ["cpu"] * 3
        assert eg.tensor([1.0]).device.type == "cuda"
        assert eg.device("cpu")(eg.zeros)(3).device.type == "cpu"
        assert eg.zeros(3).device.type == "cuda"
    finally:
        eg.set_default_device(None)


def test_a_forked_process_is_told_that_the_gpu_does_not_survive(gpu):

    x = eg.ones(2, device=gpu)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            x + 1
            said = "no error"
        except RuntimeError as error:
            said = str(error)
        os.write(write, said.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert "forked" in os.read(read, 1000).decode()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("offset", [1, 2])
def test_addresses_that_no_wide_access_fits(gpu, dtype, offset):
    F = eg.nn.functional
    whole = eg.randn(8 * 2048 + offset).to(getattr(eg, dtype))
    for width in (8, 512, 2048):
        x = whole[offset : offset + 8 * width].reshape(8, width)
        there = whole.to(gpu)[offset : offset + 8 * width].reshape(8, width)
        for f in (
            lambda a: a * 2 + a,
            lambda a: a.softmax(1),
            lambda a: F.log_softmax(a, 1),
            lambda a: F.layer_norm(a, (a.shape[1],)),
            lambda a: a.sum(1),
            lambda a: a.cumsum(1),
            lambda a: eg.cat([a, a], 1),
            lambda a: a[eg.tensor([3, 0, 7], device=a.device)],
            lambda a: a.sort(1).values,
            lambda a: a @ a.mT,
        ):
            same(f(there), f(x), 2e-2 if dtype == "float16" else 1e-4)


def test_special_functions_in_python(gpu):
    x = eg.cat(
        [eg.linspace(-30, 30, 121, dtype=eg.float64), eg.tensor([float("nan"), -1e31, 250.0])]
    )
    same(eg.special.airy_ai(x.to(gpu)), eg.special.airy_ai(x), 1e-13)


def test_workers_of_a_loader_read_on_the_host(gpu):
    data = [(float(i), i % 2) for i in range(4)]
    with eg.device("cuda"):
        for workers in (0, 2):
            loader = eg.utils.data.DataLoader(data, batch_size=2, num_workers=workers)
            x, y = next(iter(loader))
            assert x.tolist() == [0.0, 1.0] and y.tolist() == [0, 1]
            assert x.is_cuda == (workers == 0)


def test_a_forked_process_still_computes_on_the_cpu(gpu):
    eg.zeros(3, device=gpu)[
        eg.tensor([1], device=gpu)
    ]  # the device has a place for notes of its errors
    child = os.fork()
    if child == 0:
        x = eg.ones(3, requires_grad=True)
        x.sum().backward()
        os._exit(7 if x.grad.tolist() == [1.0] * 3 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_nobody_else_gets_the_memory_of_a_graph(gpu):
    x, place = eg.ones(3000, device=gpu), eg.zeros(2, dtype=eg.int64, device=gpu)
    _C.cuda_begin_capture(place.data_ptr())
    inner = (x * 2).data_ptr()
    assert (x * 3).data_ptr() == inner, "the graph's own work takes it again"
    _C.cuda_end_capture()
    outside = [x * 2 for _ in range(3)]
    eg.cuda.empty_cache()
    outside += [x * 2 for _ in range(3)]
    assert inner not in [y.data_ptr() for y in outside]
    reserved = eg.cuda.memory_reserved()
    _C.cuda_drop_graph(place.data_ptr())
    eg.cuda.empty_cache()
    assert eg.cuda.memory_reserved() < reserved


def test_every_cuda_source_is_whole():
    from eagergrad.cuda import _runtime

    for path in sorted(_runtime.FOLDER.glob("*.cu")):
        text = _runtime.flat_source(path.name)
        left = [line for line in text.splitlines() if line.startswith("#include")]
        assert "__global__" in text and not left, (path.name, left)


def test_the_table_names_kernels_for_every_dtype():
    for dtype in DTYPES:
        names = _C.cuda_table_kernels(dtype)
        assert len(names) == len(set(names)) > 20
    assert "eg::flat<eg::tanh_y, float, float, float>" in _C.cuda_table_kernels(eg.float32)
    assert any("tanh_g0" in n for n in _C.cuda_table_kernels(eg.float32, strided=True))


def test_importing_and_asking_starts_nothing():
    program = (
        "import sys, eagergrad as eg; eg.cuda.is_available(); eg.cuda.device_count(); "
        "print('cupy' in sys.modules, eg.cuda.is_initialized())"
    )
    root = str(Path(eg.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": root},
        cwd=tempfile.gettempdir(),  # the checkout's folder of the package need not be built
    )
    assert done.stdout.split() == ["False", "False"], done.stderr


def test_what_a_graph_cannot_repeat_is_refused_by_name(gpu):
    x = eg.ones(4, device=gpu, requires_grad=True)
    table = eg.nn.Parameter(eg.ones(4, device=gpu))
    table.grad = eg.ones(4, device=gpu)
    adam, sgd = eg.optim.Adam([table]), eg.optim.SGD([table], lr=0.5)
    adam.step()
    before = table.detach().clone()
    place = eg.zeros(2, dtype=eg.int64, device=gpu)
    generator = eg.Generator().manual_seed(5)
    eg.manual_seed(3)
    eg.rand(8, device=gpu)
    expected = eg.rand(8, device=gpu)
    eg.manual_seed(3)
    place.copy_(eg.tensor([3, 2]))  # the seed, and where the numbers go on
    with emulated_gpu.capturing(place):
        y = (x * 2).tanh()
        with pytest.raises(RuntimeError, match=r"captured graph"):
            x.sum().item()
        with pytest.raises(RuntimeError, match=r"captured step \(.*test_cuda.py:\d+"):
            x[x > 0]
        with pytest.raises(RuntimeError, match=r"captured graph"):
            y.cpu()
        with pytest.raises(RuntimeError, match=r"\[nonzero\].*captured graph"):
            x.nonzero()
        with pytest.raises(RuntimeError, match=r"step depends on its number"):
            adam.step()
        with pytest.raises(RuntimeError, match=r"generator of one's own"):
            eg.rand(8, generator=generator, device=gpu)
        drawn = eg.rand(8, device=gpu)
        sgd.step()
    same(drawn, expected)
    same(table, before - 0.5)


def test_a_captured_step_goes_on_with_new_inputs_and_random_numbers(gpu):
    from eagergrad.cuda import _runtime

    if _runtime.emulated:
        pytest.skip("the emulated GPU captures no graphs")
    eg.manual_seed(0)
    layer = eg.nn.Linear(16, 16).to(gpu)
    optimizer = eg.optim.SGD(layer.parameters(), lr=0.1)
    x = eg.randn(8, 16).to(gpu)

    def step():
        optimizer.zero_grad(set_to_none=False)
        loss = (eg.nn.functional.dropout(layer(x), 0.5) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    run = eg.cuda.graph(step)
    weight = layer.weight.detach().clone()
    losses = [float(run().detach()) for _ in range(20)]
    assert len(set(losses)) == 20, "each replay drops other elements"
    assert losses[-1] < losses[0] and not bool((layer.weight == weight).all())
    x.copy_(eg.zeros(8, 16))
    assert float(run().detach()) < losses[-1]

    with pytest.raises(RuntimeError, match=r"captured graph"):
        eg.cuda.graph(lambda: float(x.sum()), warmup=1)
    assert float((x + 1).sum()) == 128.0


def test_an_op_asks_for_the_stream_once(gpu):
    if not _runtime.emulated:
        pytest.skip("only the emulation counts")
    a = eg.rand(4, 5, device="cuda", requires_grad=True)

    def queries(f):
        f()  # memory and kernels are there
        before = emulated_gpu.stream_queries()
        f()
        return emulated_gpu.stream_queries() - before

    assert queries(lambda: a * 2) == 1, "memory and a launch"
    assert queries(lambda: eg.nn.functional.softmax(a, 1)) == 1
    y = (a * a).sum()
    assert queries(lambda: y.backward(retain_graph=True)) <= 6

    class Halved(eg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x / 2

        @staticmethod
        def backward(ctx, g):
            return (g.clone() / 2).clone()  # each op finds what the program has chosen before it

    z = Halved.apply(a)
    assert queries(lambda: z.backward(eg.ones_like(z), retain_graph=True)) >= 3


def test_memory_that_another_stream_reads_is_waited_for(gpu):
    x = eg.ones(1000, device=gpu)
    _C.cuda_record_stream(x, 4096)
    _C.cuda_record_stream(x[2:], 4096)
    before = eg.cuda.memory_allocated()
    del x
    y = eg.zeros(1000, device=gpu)
    assert eg.cuda.memory_allocated() == before and y.tolist() == [0] * 1000
    _C.cuda_record_stream(y, 4096)
    del y
    eg.cuda.empty_cache()
    assert eg.ones(1000, device=gpu).sum() == 1000
    with pytest.raises(NotImplementedError, match=r"\[record_stream\] expected a tensor on a GPU"):
        _C.cuda_record_stream(eg.ones(2), 4096)
