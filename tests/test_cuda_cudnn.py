"""Attention of halves by cuDNN's Python frontend: how its plans are asked for, by a stand-in that computes with NumPy, and, where the
frontend is installed, what cuDNN says of the graphs that are described to it. No device is needed for that."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import itertools
import sys
import types
import warnings

import numpy as np
import pytest

import eagergrad as eg
import emulated_gpu
import interpreter
from cuda_pairs import check, draw, gpu  # noqa: F401 (a fixture)
from eagergrad import _C
from eagergrad.backends import cuda as switches
from eagergrad.cuda import cudnn_attention
from eagergrad.nn import functional as F
from eagergrad.nn.attention import SDPBackend, sdpa_kernel

CUDNN = SDPBackend.CUDNN_ATTENTION


# --- a stand-in for the frontend ----------------------------------------------------------------------


class Memory:
    """Elements of a GPU's memory, for eagergrad.as_tensor."""

    device = eg.device("cuda:0")

    def __init__(self, address, described):
        size = 4 if described.kind == "float32" else 2
        self.dtype = np.dtype("f4" if size == 4 else "i2")
        strides = tuple(size * s for s in described.strides)
        self.__cuda_array_interface__ = {
            "shape": tuple(described.sizes),
            "strides": strides,
            "typestr": self.dtype.str,
            "data": (address, False),
            "version": 3,
        }

    def tensor(self, kind):
        return eg.as_tensor(self).view(getattr(eg, kind))


class Tensor:
    def __init__(self, uid, sizes=None, strides=None, kind=None):
        self.uid, self.sizes, self.strides, self.kind = uid, sizes, strides, kind
        self.is_output = False

    def get_uid(self):
        return self.uid

    def set_output(self, yes):
        self.is_output = yes
        return self

    def set_dim(self, sizes):
        self.sizes = sizes
        return self

    def set_stride(self, strides):
        self.strides = strides
        return self

    def set_data_type(self, kind):
        self.kind = kind
        return self


def softmax_scores(q, k, scale, causal):
    s = scale * q @ k.swapaxes(-1, -2)
    if causal:
        s = np.where(np.tri(*s.shape[-2:]) > 0, s, -np.inf)
    top = s.max(-1, keepdims=True)
    statistics = top + np.log(np.exp(s - top).sum(-1, keepdims=True))
    return np.exp(s - statistics), statistics


class Graph:
    def __init__(self, frontend, io_data_type, intermediate_data_type, compute_data_type, handle):
        assert intermediate_data_type == compute_data_type == "float32"
        self.frontend, self.handle, self.tensors, self.steps = frontend, handle, [], []

    def tensor(self, **described):
        t = Tensor(
            100 + len(self.tensors),
            described.get("dim"),
            described.get("stride"),
            described.get("data_type"),
        )
        self.tensors.append(t)
        return t

    def sdpa(self, q, k, v, attn_scale, use_causal_mask, is_inference):
        out, statistics = self.tensor(), None if is_inference else self.tensor()

        def compute(get, put):
            p, sums = softmax_scores(get(q), self.shared(get(k)), attn_scale, use_causal_mask)
            put(out, p @ self.shared(get(v)) * self.frontend.factor)
            if statistics:
                put(statistics, sums)

        self.compute, self.heads = compute, (q, k)
        return out, statistics

    def sdpa_backward(
        self, q, k, v, o, g, stats, attn_scale, use_causal_mask, use_deterministic_algorithm
    ):
        assert use_deterministic_algorithm
        made = [self.tensor() for _ in range(3)]

        def compute(get, put):
            keys, values, q_, g_ = self.shared(get(k)), self.shared(get(v)), get(q), get(g)
            p, sums = softmax_scores(q_, keys, attn_scale, use_causal_mask)
            np.testing.assert_allclose(sums, get(stats), rtol=1e-2, atol=1e-2)
            ds = p * (g_ @ values.swapaxes(-1, -2) - (g_ * get(o)).sum(-1, keepdims=True))
            put(made[0], attn_scale * ds @ keys * self.frontend.factor)
            put(made[1], self.summed(attn_scale * ds.swapaxes(-1, -2) @ q_))
            put(made[2], self.summed(p.swapaxes(-1, -2) @ g_))

        self.compute, self.heads = compute, (q, k)
        return made

    def group(self):
        return self.heads[0].sizes[1] // self.heads[1].sizes[1]

    def shared(self, x):
        return x.repeat(self.group(), 1)

    def summed(self, x):
        b, h, *rest = x.shape
        return x.reshape(b, h // self.group(), self.group(), *rest).sum(2)

    def validate(self):
        self.steps.append("validate")
        self.frontend.asked += 1
        if self.frontend.refuses:
            raise RuntimeError("not supported")

    def build_operation_graph(self):
        self.steps.append("graph")

    def create_execution_plans(self, modes):
        self.steps.append("plans")

    def check_support(self):
        self.steps.append("support")

    def build_plans(self):
        self.steps.append("build")

    def get_workspace_size(self):
        assert self.steps == ["validate", "graph", "plans", "support", "build"]
        return 64

    @eg.no_grad()
    def execute(self, addresses, workspace, handle):
        assert workspace and handle == self.handle
        if self.frontend.fails:
            raise RuntimeError("out of luck")
        self.frontend.runs += 1

        def get(t):
            return Memory(addresses[t.uid], t).tensor(t.kind).double().cpu().numpy()

        def put(t, values):
            assert t.is_output
            assert list(values.shape) == list(t.sizes)
            kind = getattr(eg, t.kind)
            Memory(addresses[t.uid], t).tensor(t.kind).copy_(eg.tensor(values).to(kind))

        with np.errstate(all="ignore"):
            self.compute(get, put)


class Frontend(types.ModuleType):
    data_type = types.SimpleNamespace(HALF="float16", BFLOAT16="bfloat16", FLOAT="float32")
    heur_mode = types.SimpleNamespace(A="a", FALLBACK="fallback")

    def __init__(self):
        super().__init__("cudnn")
        self.refuses = self.fails = False
        self.factor = 1.0
        self.asked = self.runs = 0
        self.create_handle = itertools.count(7).__next__

    def set_stream(self, handle, stream):
        assert handle >= 7
        assert stream is not None

    def pygraph(self, **options):
        return Graph(self, **options)


@pytest.fixture
def frontend(monkeypatch):
    stand_in = Frontend()
    monkeypatch.setitem(sys.modules, "cudnn", stand_in)
    monkeypatch.setattr(cudnn_attention, "_handles", {})
    _C.cudnn_attention_planner(cudnn_attention.plan, cudnn_attention._warn)
    yield stand_in
    _C.cudnn_attention_planner(None, cudnn_attention._warn)


def heads(*shapes, dtype=eg.float16):
    return [draw(*s, seed=i, dtype=dtype) for i, s in enumerate(shapes)]


def on_gpu(*shapes, dtype=eg.float16, rows=20):
    shapes = shapes or ((1, 2, rows, 16),) * 3
    return [x.cuda() for x in heads(*shapes, dtype=dtype)]


@contextlib.contextmanager
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# --- what a plan computes -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [eg.float16, eg.bfloat16])
@pytest.mark.parametrize("causal", [False, True])
def test_results_and_gradients_by_cudnn(frontend, dtype, causal):
    shapes = (2, 4, 20, 16), (2, 2, 36, 16), (2, 2, 36, 24)

    def f(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True, scale=0.3)

    with sdpa_kernel(CUDNN), quiet():
        for runs in (2, 4):  # proof of both passes; then by cuDNN alone
            check(f, *heads(*shapes, dtype=dtype), order=1)
            assert (frontend.asked, frontend.runs) == (2, runs)
        if dtype == eg.float16 and causal:
            check(f, *heads(*shapes, dtype=dtype), order=2)


def test_heads_that_lie_row_by_row(frontend):
    def f(q, k, v):
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)

    with sdpa_kernel(CUDNN), quiet():
        for _ in range(2):
            check(f, *heads(*((2, 20, 3, 16),) * 3), order=1)
    assert frontend.runs == 4


@pytest.mark.parametrize("shape", [(1, 1, 20, 8), (1, 3, 20, 8), (3, 1, 20, 8)])
def test_dimensions_of_one_element(frontend, shape):
    with sdpa_kernel(CUDNN), quiet():
        for _ in range(2):
            check(F.scaled_dot_product_attention, *heads(shape, shape, shape), order=1)
    assert frontend.runs == 4


# --- when one is asked for --------------------------------------------------------------------------------


def test_a_plan_is_made_when_a_shape_comes_for_the_third_time(frontend):
    q, k, v = on_gpu()
    for times in range(1, 6):
        F.scaled_dot_product_attention(q, k, v)
        assert frontend.asked == int(times >= 3)
        assert frontend.runs == max(0, times - 2)


def test_switches(frontend):
    q, k, v = on_gpu()

    def used():
        before = frontend.runs
        F.scaled_dot_product_attention(q, k, v)
        return frontend.runs > before

    for _ in range(3):
        F.scaled_dot_product_attention(q, k, v)
    assert used()
    assert switches.cudnn_sdp_enabled()
    switches.enable_cudnn_sdp(False)
    try:
        assert not used()
        assert not switches.cudnn_sdp_enabled()
        with sdpa_kernel(CUDNN):
            assert used()
            assert switches.cudnn_sdp_enabled()
            assert not switches.flash_sdp_enabled()
        assert not used()
    finally:
        switches.enable_cudnn_sdp(True)
    assert used()
    flash = SDPBackend.FLASH_ATTENTION
    for kinds, in_order, expected in (
        ([flash, SDPBackend.MATH], False, False),
        ([flash, CUDNN], False, True),
        ([flash, CUDNN], True, False),
        ([CUDNN, flash], True, True),
        ([SDPBackend.OVERRIDEABLE], True, False),
    ):
        with sdpa_kernel(kinds, set_priority=in_order):
            assert used() == expected
    with switches.sdp_kernel(enable_cudnn=False):
        assert not used()
    assert used()


def test_what_is_left_to_other_kernels(frontend):
    def computed(*inputs, **options):
        F.scaled_dot_product_attention(*inputs, **options)
        return frontend.asked

    mask = draw(20, 20).cuda().half()
    for inputs, options in (
        (on_gpu(dtype=eg.float32), {}),
        (on_gpu(), {"attn_mask": mask}),
        (on_gpu(), {"attn_mask": mask > 0}),
        (on_gpu((1, 2, 20, 12), (1, 2, 20, 12), (1, 2, 20, 12)), {}),
        (on_gpu((1, 2, 20, 264), (1, 2, 20, 264), (1, 2, 20, 264)), {}),
        ([x[..., 1:] for x in on_gpu(*((1, 2, 20, 17),) * 3)], {}),
        ([x.expand(3, -1, -1, -1) for x in on_gpu()], {}),
    ):
        with (
            sdpa_kernel(CUDNN),
            pytest.warns(UserWarning, match="no attention but cuDNN's") as told,
        ):
            assert {computed(*inputs, **options) for _ in range(2)} == {0}
        assert len(told) == 1
        with quiet():
            for _ in range(4):
                assert computed(*inputs, **options) == 0
    few = on_gpu((1, 2, 1, 16), (1, 2, 20, 16), (1, 2, 20, 16))
    for _ in range(4):
        assert computed(*few) == 0
    with sdpa_kernel(CUDNN):
        assert computed(*few) == 1


def test_without_the_frontend_there_is_a_warning_where_it_alone_is_allowed():
    _C.cudnn_attention_planner(None, cudnn_attention._warn)
    with (
        sdpa_kernel(CUDNN),
        pytest.warns(UserWarning, match="nvidia-cudnn-frontend is not installed"),
    ):
        F.scaled_dot_product_attention(*on_gpu())
    with quiet():
        F.scaled_dot_product_attention(*on_gpu())


def test_gradients_of_one_input_are_by_the_own_kernel(frontend):
    q, k, v = on_gpu()
    with sdpa_kernel(CUDNN):
        F.scaled_dot_product_attention(q.requires_grad_(), k, v).sum().backward()
    assert frontend.asked == 1


def test_nothing_is_planned_while_a_graph_is_captured(frontend):
    inputs = on_gpu()
    place = eg.zeros(2, dtype=eg.int64, device="cuda")
    with sdpa_kernel([CUDNN, SDPBackend.FLASH_ATTENTION]):
        with emulated_gpu.capturing(place):
            for _ in range(4):
                F.scaled_dot_product_attention(*inputs)
        assert frontend.asked == 0
        for _ in range(3):
            F.scaled_dot_product_attention(*inputs)
        before = frontend.runs
        assert before == 1  # it is ready
    # The stand-in reads and writes through the host, which a capture refuses; cuDNN does not.
    with emulated_gpu.capturing(place), pytest.warns(UserWarning, match="cuDNN failed"):
        F.scaled_dot_product_attention(*inputs)
    assert frontend.runs == before + 1


# --- what goes wrong -----------------------------------------------------------------------------------------


def expected_of(inputs):
    return F.scaled_dot_product_attention(*[x.cpu() for x in inputs])


def near(found, expected):
    return bool((found.cpu().double() - expected.double()).abs().max() < 2e-3)


def test_a_plan_that_computes_something_else_is_not_used(frontend):
    frontend.factor = 1.1
    inputs = on_gpu()
    with sdpa_kernel([CUDNN, SDPBackend.MATH]):
        for _ in range(2):
            F.scaled_dot_product_attention(*inputs)
        with pytest.warns(UserWarning, match=r"float16 query \[1, 2, 20, 16\].*, forward") as told:
            found = F.scaled_dot_product_attention(*inputs)
        assert len(told) == 1
        assert near(found, expected_of(inputs))
        with quiet():
            for _ in range(3):
                assert near(F.scaled_dot_product_attention(*inputs), expected_of(inputs))
    assert (frontend.asked, frontend.runs) == (1, 1)


def test_gradients_that_are_something_else_are_not_used(frontend):
    inputs = [x.requires_grad_() for x in on_gpu()]
    with sdpa_kernel(CUDNN):
        y = F.scaled_dot_product_attention(*inputs)
        frontend.factor = 1.1
        with pytest.warns(UserWarning, match="backward"):
            found = eg.autograd.grad(y.sum(), inputs)
    on_host = [x.detach().cpu().requires_grad_() for x in inputs]
    for a, b in zip(found, eg.autograd.grad(expected_of(on_host).sum(), on_host), strict=True):
        assert near(a, b)


def test_what_cudnn_refuses_is_not_asked_for_again(frontend):
    frontend.refuses = True
    inputs = on_gpu()
    with quiet():
        for _ in range(6):
            assert near(F.scaled_dot_product_attention(*inputs), expected_of(inputs))
    assert frontend.asked == 1


def test_a_plan_that_fails_is_not_used_again(frontend):
    inputs = on_gpu()
    with sdpa_kernel([CUDNN, SDPBackend.MATH]):
        for _ in range(4):
            F.scaled_dot_product_attention(*inputs)
        frontend.fails = True
        with pytest.warns(UserWarning, match="cuDNN failed.*out of luck"):
            assert near(F.scaled_dot_product_attention(*inputs), expected_of(inputs))
        with quiet():
            assert near(F.scaled_dot_product_attention(*inputs), expected_of(inputs))


def test_zeros_and_numbers_that_are_not_finite_prove_nothing(frontend):
    q, k, v = on_gpu()
    frontend.factor = 1.1
    with sdpa_kernel(CUDNN), quiet():
        assert not F.scaled_dot_product_attention(q, k, 0 * v).any()
        assert F.scaled_dot_product_attention(q, k, v / 0).isnan().any()
    with sdpa_kernel(CUDNN), pytest.warns(UserWarning, match="own kernel"):
        F.scaled_dot_product_attention(q, k, v)


def test_a_warning_that_is_an_error_is_raised(frontend):
    frontend.factor = 1.1
    inputs = on_gpu()
    with sdpa_kernel(CUDNN), quiet(), pytest.raises(UserWarning, match="own kernel"):
        F.scaled_dot_product_attention(*inputs)


# --- what cuDNN says -------------------------------------------------------------------------------------

# What cuDNN asks a device for when it plans (public figures of an A100 and an H100).
BOTH = {
    "cudaDeviceId": 0,
    "driverVer": 13000,
    "totalGlobalMem": 80 << 30,
    "maxGridSize": [2**31 - 1, 65535, 65535],
    "maxBlockSize": [1024, 1024, 64],
    "regsPerBlock": 65536,
    "smCountOrigin": 0,
    "warpSize": 32,
    "maxSharedMemoryPerBlock": 48 << 10,
    "oversizedSharedMemoryPerBlock": 0,
    "reservedSharedMemoryPerBlock": 1024,
    "maxRegistersPerSM": 65536,
    "maxCtasPerSM": 32,
    "maxThreadsPerBlock": 1024,
    "maxThreadsPerSM": 2048,
    "pciDeviceId": 0,
    "isTccDriver": 0,
    "supportCoopLaunch": 1,
    "memoryBusWidth": 5120,
}
DEVICES = {
    80: {
        **BOTH,
        "deviceVer": 800,
        "multiProcessorCount": 108,
        "maxSharedMemoryPerBlockOptin": 163 << 10,
        "smClockRateKHz": 1410000,
        "memClockRateKHz": 1593000,
        "l2CacheSize": 40 << 20,
        "deviceName": "NVIDIA A100-SXM4-80GB",
    },
    90: {
        **BOTH,
        "deviceVer": 900,
        "multiProcessorCount": 132,
        "maxSharedMemoryPerBlockOptin": 227 << 10,
        "smClockRateKHz": 1980000,
        "memClockRateKHz": 2619000,
        "l2CacheSize": 50 << 20,
        "deviceName": "NVIDIA H100 80GB HBM3",
    },
}

# cuDNN's libraries are linked to the driver's, which a machine without a GPU lacks. While plans are made nothing of it is called
# that has to succeed.
DEVICELESS = """if True:
    import ctypes, json, pathlib, re, subprocess, sys
    sys.path.insert(0, {tests!r})
    import cudnn
    from test_cuda_cudnn import DEVICES, asked_for
    from eagergrad.cuda.cudnn_attention import choose, describe

    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        maps = pathlib.Path("/proc/self/maps").read_text()
        (folder,) = {{pathlib.Path(p).parent for p in re.findall(r"\\\\S+/libcudnn\\\\.so\\\\S*", maps)}}
        (library,) = folder.glob("libcudnn_engines_runtime_compiled.so.9")
        names = set(re.findall(rb"(cu[A-Z]\\\\w+)\\\\x00", library.read_bytes()))
        text = b"int cuInit(unsigned f) {{ return 0; }}"
        for name, number in ((b"cuDriverGetVersion", b"13000"), (b"cuDeviceGetCount", b"0")):
            text += b"int %s(int* n) {{ *n = %s; return 0; }}" % (name, number)
            names.discard(name)
        for name in names - {{b"cuInit"}}:
            text += b"int %s() {{ return 100; }}" % name
        pathlib.Path("driver.c").write_bytes(text)
        command = "-w -shared -fPIC -xc driver.c -Wl,-soname,libcuda.so.1 -o driver.so"
        subprocess.run([*{compiler!r}, *command.split()], check=True)
        ctypes.CDLL("./driver.so", ctypes.RTLD_GLOBAL)
    for sm, properties in DEVICES.items():
        there = cudnn.create_device_properties(json.dumps(properties))
        for request, built in asked_for(sm):
            graph, tensors = describe(cudnn, request, device_property=there, sm_version=sm)
            choose(cudnn, graph)
            if built:
                graph.build_plans()
                print(sm, request, graph.get_workspace_size(), [t.get_uid() for t in tensors])
"""


def asked_for(sm):
    """Requests as the core makes them, and whether to compile the plan as well (seconds each)."""

    def layout(heads, rows, width, row_by_row):
        row = heads * width if row_by_row and rows > 1 else width
        head = width if row_by_row and heads > 1 else rows * row
        return [max(heads * head, rows * row), head, row]

    everything = {"b": 2, "h": 8, "kv": 8, "n": 256, "m": 256, "d": 64, "dv": 64}
    for backward, dtype, causal, row_by_row in itertools.product(
        (False, True), ("float16", "bfloat16"), (False, True), (False, True)
    ):
        wide = not backward or sm >= 90
        for change in (
            {},
            {"kv": 2},
            {"n": 77, "m": 131},
            {"n": 131, "m": 77},
            {"b": 1},
            {"h": 1, "kv": 1},
            {"b": 1, "h": 1, "kv": 1, "n": 17, "m": 3},
            {"n": 1},
            {"m": 1},
            {"d": 8, "dv": 8},
            {"d": 72, "dv": 40},
            {"d": 128, "dv": 128},
            *([{"d": 256, "dv": 256}] if wide else []),
        ):
            s = {**everything, **change}
            b, h, kv, n, m, d, dv = s.values()
            q, k = layout(h, n, d, row_by_row), layout(kv, m, d, row_by_row)
            v, out = layout(kv, m, dv, row_by_row), layout(h, n, dv, row_by_row)
            sums = [h * n, n, 1]
            steps = [q, k, v, out, out, sums, q, k, v] if backward else [q, k, v, out, sums]
            for kept in (steps,) if backward else (steps, steps[:4]):
                request = cudnn_attention.Request(
                    backward,
                    dtype,
                    (b, h, kv, n, m, d, dv),
                    0.125,
                    causal,
                    tuple(itertools.chain(*kept)),
                )
                yield request, not change and causal and row_by_row and len(kept) > 4


def test_cudnn_takes_what_is_described_to_it(tmp_path):
    if importlib.util.find_spec("cudnn") is None:
        pytest.skip("the package nvidia-cudnn-frontend is not installed")
    version = importlib.metadata.version("nvidia-cudnn-frontend").split(".")
    if [int(n) for n in version[:2]] < [1, 32]:
        pytest.skip("a frontend that asks for a device, before 1.32")
    code = DEVICELESS.format(
        tests=str(emulated_gpu.HERE.parent), compiler=emulated_gpu.compiler()
    ).replace("\\\\", "\\")
    printed = interpreter.run(["-c", code], tmp_path)
    assert len(printed.splitlines()) == 8, printed


def test_the_frontend_is_found_without_being_imported(tmp_path):
    (tmp_path / "cudnn.py").write_text("raise RuntimeError('imported')")
    code = f"""if True:
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import eagergrad
        from eagergrad.cuda import cudnn_attention
        cudnn_attention.install()
        assert cudnn_attention.plan(0, False, "float16", (1,) * 7, 1.0, False, (1,) * 12) is None
    """
    interpreter.run_code(code, tmp_path)
