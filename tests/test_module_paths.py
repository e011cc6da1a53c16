"""Modules that programs import under PyTorch's paths."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

import eagergrad as eg
from eagergrad import nn


@pytest.mark.parametrize(
    "path",
    """functional overrides storage hub jit.annotations mps xpu cpu cuda.nvtx nn.grad nn.utils.prune nn.modules.pixelshuffle utils.benchmark
    utils.model_zoo _utils nn._reduction cuda.amp.grad_scaler cuda.amp.autocast_mode""".split(),
)
def test_path_is_importable_and_an_attribute(path: str) -> None:
    module = importlib.import_module(f"eagergrad.{path}")
    found = eg
    for part in path.split("."):
        found = getattr(found, part)
    assert found is module


def test_names_that_layers_written_elsewhere_import() -> None:
    from eagergrad.nn.functional import _pair, handle_torch_function, has_torch_function
    from eagergrad.nn.modules.activation import MultiheadAttention
    from eagergrad.nn.modules.padding import _ConstantPadNd, _ReflectionPadNd, _ReplicationPadNd
    from eagergrad.nn.modules.transformer import _get_activation_fn, _get_clones

    assert not has_torch_function((1,)) and callable(handle_torch_function)
    assert _pair(3) == (3, 3) and MultiheadAttention is nn.MultiheadAttention
    assert issubclass(nn.ConstantPad2d, _ConstantPadNd)
    assert issubclass(nn.ReflectionPad1d, _ReflectionPadNd)
    assert issubclass(nn.ReplicationPad3d, _ReplicationPadNd)
    assert len(_get_clones(nn.Linear(1, 1), 3)) == 3
    assert _get_activation_fn("relu") is nn.functional.relu
    with pytest.raises(AttributeError):
        nn.functional.no_such_name


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_loss_written_elsewhere_asks_about_its_reduction() -> None:
    from eagergrad.nn.functional import _Reduction

    assert _Reduction is nn._reduction
    assert [_Reduction.get_enum(name) for name in ("none", "mean", "sum")] == [0, 1, 2]
    with pytest.raises(ValueError, match="median is not a valid value"):
        _Reduction.get_enum("median")
    old = [(None, None), (False, None), (True, None), (None, False), (True, True), (False, False)]
    assert [_Reduction.legacy_get_string(*pair) for pair in old] == (
        "mean sum mean none mean none".split()
    )
    assert _Reduction.legacy_get_enum(False, True, emit_warning=False) == 2


# ---- storages ---------------------------------------------------------------------------------------------------


def test_views_share_a_storage_and_copies_do_not() -> None:
    x = eg.arange(6.0).view(2, 3)
    assert x[1].storage().data_ptr() == x.t().storage().data_ptr() == x.data_ptr()
    assert x.clone().untyped_storage() != x.untyped_storage() == x[1:].untyped_storage()
    assert x[1].storage().tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert len(x[1, 2:].storage()) == 6 and x.storage().size() == 6
    assert x.untyped_storage().nbytes() == 24 == len(x.untyped_storage())


def test_the_size_of_a_storage_counts_its_bytes() -> None:
    small, large = (sys.getsizeof(eg.zeros(n).untyped_storage()) for n in (0, 100))
    assert large - small == 400


def test_storage_reads_and_writes_the_memory() -> None:
    x = eg.tensor([1, 2, 3], dtype=eg.int16)
    s = x.storage()
    s[1] = 7
    assert s[1] == 7 and s[-1] == 3 and list(s[:2]) == [1, 7] and x.tolist() == [1, 7, 3]
    s.clone().fill_(0)
    assert x.tolist() == [1, 7, 3]
    s.copy_(eg.ShortStorage([4, 5, 6]))
    assert x.tolist() == [4, 5, 6] and s.dtype == eg.int16 and s.type().endswith("ShortStorage")
    assert eg.is_storage(s) and not eg.is_storage(x)
    assert isinstance(s, eg.TypedStorage) and eg.FloatStorage(2).tolist() == [0.0, 0.0]


# ---- lists of tensors --------------------------------------------------------------------------------------------


def test_foreach_functions_are_the_ops_of_each() -> None:
    xs = [eg.tensor([1.0, -2.0]), eg.tensor([[3.0]])]
    ys = [x + 1 for x in xs]
    assert [x.tolist() for x in eg._foreach_add(xs, ys, alpha=2)] == [[5.0, -4.0], [[11.0]]]
    assert [x.tolist() for x in eg._foreach_mul(xs, [2.0, 3.0])] == [[2.0, -4.0], [[9.0]]]
    assert [x.tolist() for x in eg._foreach_maximum(xs, 0.5)] == [[1.0, 0.5], [[3.0]]]
    assert [float(n) for n in eg._foreach_norm([eg.tensor([3.0, 4.0])])] == [5.0]
    by_list = eg._foreach_addcmul(xs, xs, ys, [1.0, 2.0])
    assert [x.tolist() for x in by_list] == [[3.0, 0.0], [[27.0]]]
    assert eg._foreach_addcdiv(xs, xs, xs, eg.tensor([1.0, 2.0]))[1].item() == 5.0
    assert [float(n) for n in eg._foreach_norm(ys, ord=float("inf"))] == [2.0, 4.0]
    assert eg._foreach_addcdiv_(xs, xs, xs, value=2) is xs and xs[0].tolist() == [3.0, 0.0]
    assert eg._foreach_maximum_(xs, ys) is xs and xs[0].tolist() == [3.0, 0.0]
    eg._foreach_zero_(xs)
    assert xs[1].item() == 0
    with pytest.raises(RuntimeError, match="one length"):
        eg._foreach_add(xs, ys[:1])
    with pytest.raises(AttributeError):
        eg._foreach_nothing


def test_flat_and_back() -> None:
    from eagergrad._utils import _flatten_dense_tensors, _unflatten_dense_tensors

    xs = [eg.ones(2, 1), eg.zeros(3)]
    flat = _flatten_dense_tensors(xs)
    assert all(a.equal(b) for a, b in zip(xs, _unflatten_dense_tensors(flat, xs), strict=True))


# ---- the rest ---------------------------------------------------------------------------------------------------


def test_gradients_of_convolutions_alone() -> None:
    x = eg.randn(2, 4, 7, 6, requires_grad=True)
    w = eg.randn(6, 2, 3, 3, requires_grad=True)
    options = {"stride": 2, "padding": 1, "dilation": 1, "groups": 2}
    y = nn.functional.conv2d(x, w, None, **options)
    g = eg.randn(y.shape)
    y.backward(g)
    assert nn.functional.grad is nn.grad
    assert eg.allclose(nn.grad.conv2d_input(x.shape, w, g, **options), x.grad, atol=1e-5)
    assert eg.allclose(nn.grad.conv2d_weight(x, w.shape, g, **options), w.grad, atol=1e-5)


def test_hub_loads_from_folders_and_the_cache(tmp_path) -> None:
    from eagergrad import hub

    (tmp_path / "hubconf.py").write_text(
        'def double(x, times=2):\n    """Twice."""\n    return x * times\n'
    )
    folder = str(tmp_path)
    assert hub.list(folder) == ["double"] and hub.help(folder, "double") == "Twice."
    assert hub.load(folder, "double", 4, source="local", times=3) == 12
    with pytest.raises(RuntimeError, match="callable"):
        hub.load(folder, "triple", source="local")
    with pytest.raises(ValueError, match="local"):
        hub.load("owner/repo", "double")
    eg.save({"w": eg.ones(2)}, tmp_path / "net-1.pth")
    state = hub.load_state_dict_from_url("https://host/net-1.pth", model_dir=folder)
    assert state["w"].tolist() == [1.0, 1.0]
    url = (tmp_path / "net-1.pth").as_uri()
    cache = str(tmp_path / "cache")
    with pytest.raises(RuntimeError, match="hash"):
        hub.load_state_dict_from_url(url, model_dir=cache, check_hash=True, file_name="a-00.pth")
    assert not (tmp_path / "cache" / "a-00.pth").exists() and not list(tmp_path.glob("cache/*"))
    state = hub.load_state_dict_from_url(url, model_dir=cache, progress=False)
    assert state["w"].tolist() == [1.0, 1.0] and (tmp_path / "cache" / "net-1.pth").exists()


def test_old_tolerance_and_made_tensors() -> None:
    eg.testing.assert_allclose(eg.ones(2, dtype=eg.float64), np.ones(2, np.float32))
    with pytest.raises(AssertionError):
        eg.testing.assert_allclose(eg.ones(2), eg.zeros(2))
    x = eg.testing.make_tensor((3, 4), dtype=eg.float32, low=2, noncontiguous=True)
    assert x.shape == (3, 4) and not x.is_contiguous() and float(x.min()) >= 2
    b = eg.testing.make_tensor(50, dtype=eg.int8, low=-1, high=2, exclude_zero=True)
    assert set(b.tolist()) <= {-1, 1}
    with pytest.raises(ValueError, match="low"):
        eg.testing.make_tensor(2, dtype=eg.float32, low=3, high=1)


def test_timer_gives_seconds_a_run() -> None:
    from eagergrad.utils.benchmark import Timer

    timer = Timer("x.add_(1)", globals={"x": eg.zeros(1)}, label="add")
    once = timer.timeit(5)
    assert once.median == once.mean > 0 and "add" in repr(once) and "5 runs" in repr(once)
    many = timer.blocked_autorange(min_run_time=0.01)
    assert sum(many.raw_times) >= 0.01 and many.iqr >= 0


def test_futures_run_at_once() -> None:
    assert eg.jit.wait(eg.jit.fork(max, 2, 3)) == 3
    with pytest.raises(ZeroDivisionError):
        eg.jit.wait(eg.jit.fork(lambda: 1 / 0))


def test_torch_function_protocol() -> None:
    from eagergrad import overrides

    class Mine:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func.__name__, len(args)

    def api(x):
        return overrides.handle_torch_function(api, (x,), x)

    assert overrides.has_torch_function((1, Mine())) and overrides.is_tensor_like(Mine())
    assert api(Mine()) == ("api", 1) and not overrides.has_torch_function_unary(eg.ones(1))
    with pytest.raises(TypeError, match="api"):
        api(3)


def test_methods_that_are_functions_as_well() -> None:
    x = eg.ones(2, requires_grad=True)
    y = x * 2
    assert eg.detach(y).data_ptr() == y.data_ptr() and not eg.detach(y).requires_grad
    assert eg.detach_(y) is y and y.grad_fn is None and eg.get_device(x) == x.get_device()
    eg.manual_seed(0)
    drawn = eg.binomial(eg.full((2000,), 10.0), eg.tensor(0.3))
    assert abs(float(drawn.mean()) - 3) < 0.2 and drawn.dtype == eg.float32
    with pytest.raises(ValueError, match="probabilities"):
        eg.binomial(eg.ones(1), eg.tensor(1.5))


def test_what_libraries_tell_and_ask_the_core() -> None:
    assert eg._C._log_api_usage_once("library.part") is None
    assert eg._C._get_tracing_state() is None
    from eagergrad.serialization import MAP_LOCATION

    assert str in MAP_LOCATION.__args__
