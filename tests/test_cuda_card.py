"""What the emulated GPU has not: streams, events, threads, captured graphs, memory shared with other libraries, sizes past 2^31."""

from __future__ import annotations

import threading
import time
import warnings

import numpy as np
import pytest

import eagergrad as eg
import emulated_gpu
from cuda_pairs import check, derivatives, draw
from eagergrad.nn import functional as F
from eagergrad.nn.attention import SDPBackend, sdpa_kernel


@pytest.fixture(autouse=True)
def card():
    from eagergrad.cuda import _runtime

    if _runtime.emulated or _runtime.unavailable():
        pytest.skip("needs a GPU: " + (_runtime.unavailable() or "this one is emulated"))
    with emulated_gpu.running():
        yield


def same(a, b, tolerance=0.0):
    assert a.is_cuda and eg.allclose(a.cpu().double(), b.cpu().double(), 0, tolerance)


# -- streams, events, threads ------------------------------------------------------------------------------------------


def test_work_goes_to_the_current_stream_and_waits_where_it_is_told():
    x, side = eg.randn(2048, 2048, device="cuda"), eg.cuda.Stream()
    before = eg.cuda.current_stream()
    side.wait_stream(before)
    begin, end = (eg.cuda.Event(enable_timing=True) for _ in range(2))
    with eg.cuda.stream(side):
        assert eg.cuda.current_stream() == side != before
        begin.record()
        y = x
        for _ in range(20):
            y = (y @ x) * 1e-2
        end.record()
    assert eg.cuda.current_stream() == before
    before.wait_event(end)
    z = y + 1
    end.synchronize()
    assert end.query() and begin.elapsed_time(end) > 0.5, "both marks are in the side stream"
    expected = x
    for _ in range(20):
        expected = (expected @ x) * 1e-2
    same(z, expected + 1)


def test_synchronize_waits_for_every_stream():
    x, side = eg.randn(4096, 4096, device="cuda"), eg.cuda.Stream()
    side.wait_stream(eg.cuda.current_stream())
    with eg.cuda.stream(side):
        for _ in range(20):
            x @ x
    eg.cuda.synchronize()
    assert side.query()


def test_streams_of_other_libraries():
    side = eg.cuda.Stream()
    side.wait_stream(eg.cuda.current_stream())
    outside = eg.cuda.ExternalStream(side.cuda_stream)
    with eg.cuda.stream(outside):
        assert eg.cuda.current_stream() == side
        y = eg.ones(1000, device="cuda") * 3
    outside.synchronize()
    same(y, eg.full((1000,), 3.0))


def test_products_of_two_streams_do_not_disturb_each_other():
    x = [eg.randn(64, 4096, device="cuda") for _ in range(2)]
    expected = [a @ a.mT for a in x]
    eg.cuda.synchronize()
    streams = [eg.cuda.Stream() for _ in x]
    for _ in range(50):
        results = []
        for a, s in zip(x, streams, strict=True):
            with eg.cuda.stream(s):
                results.append(a @ a.mT)
        eg.cuda.synchronize()
        for y, z in zip(results, expected, strict=True):
            same(y, z)


def test_a_new_thread_has_a_context():
    x, number = eg.zeros(4, device="cuda"), eg.tensor(5.0, device="cuda")
    results = []

    def work():
        results.append(x.masked_fill(x == 0, number))
        results.append((eg.ones(3, device="cuda", requires_grad=True) * 2).sum())
        results[-1].backward()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    same(results[0], eg.full((4,), 5.0))
    assert float(results[1]) == 6


def test_pinned_memory_is_read_before_the_copy_returns():
    cupyx = pytest.importorskip("cupyx")
    source = cupyx.empty_pinned(1 << 24, np.float32)
    source[...] = 1
    x = eg.from_numpy(source).to("cuda")
    source[...] = 2
    assert float(x.sum()) == 1 << 24


# -- errors that the device finds -----------------------------------------------------------------------------------------


def test_a_late_error_comes_whole_to_a_host_that_does_not_wait():
    x = eg.zeros(3, device="cuda", requires_grad=True)
    index = eg.full((1 << 20,), 7, device="cuda")

    def steps():
        for _ in range(1000):  # until the note is seen
            x[index].sum().backward()
            time.sleep(0.001)

    with pytest.raises(IndexError, match=r"7 is out of bounds for dimension 0 with size 3"):
        steps()
    eg.cuda.synchronize()
    same(x.detach()[eg.tensor([2], device="cuda")], eg.zeros(1))


# -- graphs -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "NAdam", "RAdam", "Adamax", "ASGD"])
def test_a_captured_step_of_a_counting_optimizer(kind):
    def trained(captured):
        eg.manual_seed(0)
        net = eg.nn.Sequential(eg.nn.Linear(16, 16), eg.nn.Tanh(), eg.nn.Linear(16, 1)).to("cuda")
        x = eg.randn(32, 16).to("cuda")
        optimizer = getattr(eg.optim, kind)(net.parameters(), lr=0.01, capturable=True)

        def step():
            optimizer.zero_grad(set_to_none=False)
            loss = net(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        if captured:
            run = eg.cuda.graph(step, warmup=3)
            for _ in range(7):
                run()
        else:
            for _ in range(10):
                step()
        return [p.detach().cpu() for p in net.parameters()]

    for a, b in zip(trained(True), trained(False), strict=True):
        assert eg.allclose(a, b, 1e-5, 1e-6)


def test_a_graph_survives_other_work_and_an_emptied_cache():
    x = eg.arange(5000.0, device="cuda")
    run = eg.cuda.graph(lambda: ((x * 2 + 1).tanh() @ x.reshape(5000, 1)).sum())
    first = float(run())
    eg.cuda.empty_cache()
    others = [eg.full((5000,), float(i), device="cuda") for i in range(50)]
    assert float(run()) == first
    for i, other in enumerate(others):
        same(other, eg.full((5000,), float(i)))
    graph = run.cuda_graph
    graph.reset()
    with pytest.raises(RuntimeError, match="nothing was captured"):
        graph.replay()


# -- other libraries --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8", "bool"])
def test_memory_is_shared_with_cupy(dtype):
    cupy = pytest.importorskip("cupy")
    x = eg.arange(12, device="cuda").to(getattr(eg, dtype)).reshape(3, 4)
    for view in (x, x.T, x[1:, ::2]):
        array = view.cupy()
        assert array.shape == tuple(view.shape) and array.dtype == dtype
        assert (cupy.asnumpy(array) == view.cpu().numpy()).all()
        for back in (eg.as_tensor(array), eg.from_dlpack(array), eg.from_dlpack(view)):
            assert back.data_ptr() == view.data_ptr() and back.stride() == view.stride()
        assert cupy.from_dlpack(view).data.ptr == view.data_ptr()
        assert cupy.asarray(view).data.ptr == view.data_ptr()


def test_memory_is_shared_with_torch():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    x = eg.arange(12.0, device="cuda").reshape(3, 4)
    t = torch.from_dlpack(x)
    assert t.data_ptr() == x.data_ptr() and t.is_cuda
    t += 1
    same(x, eg.arange(1.0, 13.0).reshape(3, 4))
    for back in (eg.from_dlpack(t), eg.as_tensor(t), eg.as_tensor(t.T).T):
        assert back.data_ptr() == x.data_ptr() and back.is_cuda
    half = torch.ones(5, dtype=torch.bfloat16, device="cuda")
    assert torch.from_dlpack(eg.ones(5, device="cuda", dtype=eg.bfloat16)).equal(half)


# -- sizes ------------------------------------------------------------------------------------------------------

attention = F.scaled_dot_product_attention
HEADS = [(2, 8, 1024, 64)] * 3
FULL = {
    "attention": (attention, HEADS, 1e-5),
    "causal attention": (lambda q, k, v: attention(q, k, v, is_causal=True), HEADS, 1e-4),
    "attention, wide heads": (
        attention,
        [(1, 4, 513, 128), (1, 4, 700, 128), (1, 4, 700, 128)],
        1e-5,
    ),
    "attention of halves": (
        lambda q, k, v: attention(q.half(), k.half(), v.half()),
        [(4, 16, 500, 64)] * 3,
        1e-3,
    ),
    "causal attention of bfloat16, wide heads, few for keys": (
        lambda *x: attention(*(t.bfloat16() for t in x), is_causal=True, enable_gqa=True),
        [(2, 8, 700, 128), (2, 2, 700, 128), (2, 2, 700, 128)],
        2e-2,
    ),
    "attention of one query": (
        lambda q, k, v: attention(q, k, v, enable_gqa=True),
        [(2, 8, 1, 128), (2, 2, 5000, 128), (2, 2, 5000, 128)],
        1e-5,
    ),
    "softmax": (lambda x: x.softmax(1), [(2048, 2048)], 1e-5),
    "log_softmax": (lambda x: x.log_softmax(1), [(512, 10000)], 1e-4),
    "rows": (lambda x: x[eg.arange(49999, -1, -3, device=x.device)], [(50000, 64)], 0),
    "conv2d": (lambda x, w: F.conv2d(x, w, padding=1), [(16, 64, 32, 32), (64, 64, 3, 3)], 1e-3),
    "layer_norm": (lambda x: F.layer_norm(x, (768,)), [(1024, 768)], 1e-4),
}


@pytest.mark.parametrize("name", FULL)
def test_sizes_of_real_programs_equal_the_hosts(name, monkeypatch):
    """What the emulated GPU is too slow for: many blocks at a time. Gradients are the same bits each time."""
    function, shapes, tolerance = FULL[name]
    monkeypatch.setattr(eg.backends.cudnn, "allow_tf32", False)
    inputs = [draw(*s, seed=i) for i, s in enumerate(shapes)]
    check(function, *inputs, tolerance=tolerance)
    if name == "conv2d":  # the package's own kernels, too
        monkeypatch.setattr(eg.backends.cudnn, "enabled", False)
        check(function, *inputs, tolerance=tolerance)
    there = [x.cuda() for x in inputs]
    once, again = (derivatives(function, there, 1) for _ in range(2))
    assert all(bool((a == b).all()) for a, b in zip(once, again, strict=True))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("batch", [32, 200])
def test_recurrent_layers_of_real_programs_equal_the_hosts(kind, batch):
    layer, x = getattr(eg.nn, kind)(64, 128), draw(50, batch, 64)

    def results():
        layer.zero_grad()
        mine = x.detach().to(next(layer.parameters()).device).requires_grad_()
        y = layer(mine)[0]
        y.square().mean().backward()
        return [y.detach(), mine.grad, *(p.grad for p in layer.parameters())]

    host = results()
    layer.to("cuda")
    once, again = results(), results()
    for a, b, c in zip(host, once, again, strict=True):
        same(b, a, 1e-5)
        assert bool((b == c).all())


def test_more_than_2_to_the_31_elements():
    n = 2**31 + 4099
    x = eg.zeros(n, dtype=eg.uint8, device="cuda")
    x[-1] = 3
    x[2**31] = 2
    assert int(x.sum()) == 5 and int(x.argmax()) == n - 1
    y = x[1:] + 1
    assert y[-1].item() == 4 and int((y == 3).sum()) == 1
    places = x.nonzero().flatten()
    assert places.tolist() == [2**31, n - 1]
    assert x[places].tolist() == [2, 3] and x.flip(0)[0].item() == 3
    assert x.gather(0, places).tolist() == [2, 3]
    assert int(x.reshape(-1, 1).expand(-1, 2)[-1].sum()) == 6
    assert int(x.cumsum(0, dtype=eg.int32)[-1]) == 5


def test_out_of_memory_leaves_the_card_usable():
    with pytest.raises(eg.cuda.OutOfMemoryError, match="tried to allocate"):
        eg.empty(1 << 46, dtype=eg.uint8, device="cuda")
    same(eg.ones(3, device="cuda") + 1, eg.full((3,), 2.0))


# -- cuDNN's attention -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [eg.float16, eg.bfloat16])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_by_cudnn(dtype, causal):
    """By its plans alone after the first call, which proves them: whatever is left to our own kernel warns, as an error here."""
    pytest.importorskip("cudnn", reason="needs the package nvidia-cudnn-frontend")
    if eg.cuda.get_device_capability() < (8, 0):
        pytest.skip("cuDNN's attention needs sm_80")
    shapes = (2, 200, 8, 64), (2, 300, 2, 64), (2, 300, 2, 64)
    inputs = [draw(*s, dtype=dtype, seed=i).cuda() for i, s in enumerate(shapes)]

    def f(q, k, v):
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)

    def found(kind):
        with sdpa_kernel(kind), warnings.catch_warnings():
            warnings.simplefilter("error")
            return derivatives(f, inputs, 1)

    expected = found(SDPBackend.FLASH_ATTENTION)
    for _ in range(3):
        for a, b in zip(found(SDPBackend.CUDNN_ATTENTION), expected, strict=True):
            same(a, b, float(b.abs().max()) * (2e-2 if dtype == eg.bfloat16 else 4e-3))
    for _ in range(4):  # without statistics it is another plan, made at the third call
        f(*inputs)
    same(eg.cuda.graph(lambda: f(*inputs))(), expected[0], 0.02)
