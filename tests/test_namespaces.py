"""Namespaces that answer for a machine with one process and no GPU."""

import copy
import pickle
import typing
import warnings

import pytest

import eagergrad as eg
from eagergrad import accelerator, backends, cuda, distributed, fx, jit
from eagergrad import multiprocessing as mp


@pytest.fixture
def no_gpu():
    if cuda.is_available():
        pytest.skip("there is a GPU")


def test_cuda_answers_without_a_gpu(no_gpu):
    assert not cuda.is_available() and cuda.device_count() == 0
    assert cuda.memory_allocated() == cuda.max_memory_allocated() == 0
    cuda.manual_seed(1), cuda.manual_seed_all(1), cuda.empty_cache(), cuda.synchronize()
    with pytest.raises(RuntimeError, match="no CUDA device"):
        cuda.set_device(0)
    with pytest.raises(TypeError, match="no GPU"):
        cuda.FloatTensor(3)
    assert accelerator.current_accelerator() is None and not accelerator.is_available()


def test_backends_keep_their_switches():
    backends.cudnn.benchmark = True
    with backends.cudnn.flags(benchmark=False, deterministic=True):
        assert not backends.cudnn.benchmark and backends.cudnn.deterministic
    assert backends.cudnn.benchmark and not backends.cudnn.deterministic
    backends.cudnn.benchmark = False
    assert not backends.mps.is_available() and not backends.mkl.is_available()
    backends.cuda.matmul.allow_tf32 = True
    backends.cuda.matmul.allow_tf32 = False


def test_group_of_one_process():
    assert distributed.is_available() and not distributed.is_initialized()
    with pytest.raises(ValueError, match="init_process_group"):
        distributed.get_rank()
    distributed.init_process_group("gloo", rank=0, world_size=1)
    try:
        assert distributed.get_rank() == 0 and distributed.get_world_size() == 1
        x, out = eg.arange(3.0), [eg.zeros(3)]
        distributed.all_reduce(x)
        assert distributed.broadcast(x, 0, async_op=True).wait()
        distributed.all_gather(out, x)
        assert out[0].tolist() == x.tolist() == [0.0, 1.0, 2.0]
        with pytest.raises(RuntimeError, match="invalid tensor size"):
            distributed.all_gather([eg.zeros(2)], x)
        distributed.barrier()
    finally:
        distributed.destroy_process_group()
    assert not distributed.is_initialized()


def test_compiler_names_return_what_they_are_given():
    def f(x):
        return x

    assert jit.script(f) is f and jit.trace(f, (1,)) is f and jit.ignore(f) is f
    assert jit.ignore(drop=True)(f) is f and jit.unused(f) is f and fx.wrap("f") == "f"
    assert not jit.is_scripting() and not jit.is_tracing()
    assert jit.interface(eg.nn.Module) is eg.nn.Module and jit.Attribute(2, int).value == 2


class Scripted(eg.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = eg.nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x).relu()

    def twice(self, x):
        return self(self(x))


def test_scripted_modules_are_the_modules_and_can_be_saved(tmp_path):
    net, x = Scripted(), eg.ones(1, 2)
    made = jit.script(net)
    assert isinstance(made, jit.ScriptModule) and jit.script(made) is made
    assert eg.equal(made.twice(x), net.twice(x)) and made.layer is net.layer
    assert list(made.state_dict()) == list(net.state_dict())
    made.eval()
    assert not net.training
    assert "original_name=Scripted" in repr(made) and "Traced" in repr(jit.trace(net, x))
    made.save(tmp_path / "net.pt")
    jit.save(jit.trace_module(net, {"forward": x}), str(tmp_path / "traced.pt"))
    for name in ("net.pt", "traced.pt"):
        back = jit.load(tmp_path / name)
        assert eg.equal(back(x), net(x)) and isinstance(back, jit.ScriptModule)
    for twin in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert type(twin) is type(made) and twin.layer is not net.layer
        assert eg.equal(twin(x), net(x))
    with pytest.raises(ValueError, match="does not exist"):
        jit.load(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("x", "kind", "fits"),
    [
        (1, int, True),
        (1, (str, int), True),
        ([1], typing.List[int], True),  # noqa: UP006 - as programs write it
        ([1, "a"], list[int], False),
        ((1, "a"), tuple[int, str], True),
        ((1,), tuple[int, str], False),
        ((1, 2), tuple[int, ...], True),
        ({"a": [1]}, dict[str, list[int]], True),
        ({"a": [1.5]}, dict[str, list[int]], False),
        (None, typing.Optional[int], True),  # noqa: UP045
        ("a", int | None, False),
        (object(), typing.Any, True),
    ],
)
def test_jit_isinstance_looks_into_containers(x, kind, fits):
    assert jit.isinstance(x, kind) is fits


def work(i, expected):
    if i == expected:
        raise ValueError("from a process")


def test_spawn_reports_the_traceback():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # forking beside threads
        mp.spawn(work, (9,), nprocs=2, start_method="fork")
        with pytest.raises(mp.ProcessRaisedException, match="from a process"):
            mp.spawn(work, (1,), nprocs=2, start_method="fork")


def test_assert_close_says_where():
    from eagergrad.testing import assert_close

    assert_close({"a": [eg.ones(2), 1.0]}, {"a": [eg.ones(2), 1.0 + 1e-9]})
    with pytest.raises(AssertionError, match=r"index \(1,\).*\['a'\]"):
        assert_close({"a": eg.tensor([1.0, 2.0])}, {"a": eg.tensor([1.0, 3.0])})
    with pytest.raises(AssertionError, match="dtypes differ"):
        assert_close(eg.ones(1), eg.ones(1, dtype=eg.float64))
    with pytest.raises(AssertionError, match="shapes differ"):
        assert_close(eg.ones(1), eg.ones(2))
    with pytest.raises(AssertionError):
        assert_close(eg.tensor(float("nan")), eg.tensor(float("nan")))
    assert_close(eg.tensor(float("nan")), eg.tensor(float("nan")), equal_nan=True)
    with pytest.raises(TypeError):
        assert_close("a", 1)


def test_names_of_the_compiler_and_the_exporter():
    from eagergrad import compiler, onnx

    assert compiler.disable(len) is len and compiler.disable(recursive=False)(len) is len
    assert not compiler.is_compiling() and not onnx.is_in_onnx_export()


def test_attention_has_one_kernel():
    from eagergrad.nn.attention import SDPBackend, sdpa_kernel

    q = eg.randn(1, 2, 3, 4)
    attend = eg.nn.functional.scaled_dot_product_attention
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
        inside = attend(q, q, q)
    assert inside.tolist() == attend(q, q, q).tolist()
    with pytest.raises(AssertionError, match="SDPBackend"), sdpa_kernel(["math"]):
        pass


def test_variable_in_its_old_module():
    from eagergrad.autograd.variable import Variable

    assert Variable is eg.autograd.Variable


def test_modules_are_there_without_a_second_import():
    assert eg.nn.modules.utils.consume_prefix_in_state_dict_if_present
    assert eg.nn.attention.SDPBackend and eg.nn.common_types._size_2_t
    assert cuda.amp.custom_fwd and cuda.amp.custom_bwd


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("indices", RuntimeError),
        ("values", RuntimeError),
        ("coalesce", RuntimeError),
        ("is_coalesced", RuntimeError),
        ("crow_indices", RuntimeError),
        ("_indices", NotImplementedError),
        ("_values", NotImplementedError),
        ("_nnz", NotImplementedError),
    ],
)
def test_dense_tensors_refuse_what_sparse_ones_have(method, error):
    with pytest.raises(error, match="sparse"):
        getattr(eg.ones(2, 3), method)()


def test_the_error_of_linear_algebra_under_its_old_name():
    assert eg._C._LinAlgError is eg.linalg.LinAlgError
    with pytest.raises(eg._C._LinAlgError):
        eg.linalg.inv(eg.zeros(2, 2))
