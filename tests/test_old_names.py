"""The old idioms that real programs are full of."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

import eagergrad as eg


def test_tensor_is_a_constructor_of_floats() -> None:
    assert eg.Tensor([1, 2]).dtype == eg.float32 and eg.Tensor([1, 2]).tolist() == [1.0, 2.0]
    assert eg.Tensor(2, 3).shape == (2, 3) and eg.Tensor().shape == (0,)
    assert eg.Tensor([[1.5]]).shape == (1, 1)
    assert eg.Tensor(np.array([1, 2])).dtype == eg.float32
    t = eg.ones(2)
    assert eg.Tensor(t).tolist() == [1.0, 1.0]
    assert eg.Tensor(eg.Size([2, 2])).shape == (2, 2)


def test_typed_constructors() -> None:
    for name, dtype in {
        "FloatTensor": "float32",
        "DoubleTensor": "float64",
        "HalfTensor": "float16",
        "LongTensor": "int64",
        "IntTensor": "int32",
        "ShortTensor": "int16",
        "CharTensor": "int8",
        "ByteTensor": "uint8",
        "BoolTensor": "bool",
    }.items():
        make = getattr(eg, name)
        assert make([1, 0]).dtype == getattr(eg, dtype), name
        assert make(2, 3).shape == (2, 3)
        assert isinstance(make([1]), eg.Tensor)
        assert isinstance(eg.ones(1, dtype=getattr(eg, dtype)), make)
    assert not isinstance(eg.ones(1), eg.LongTensor)
    assert eg.LongTensor([1, 2]).tolist() == [1, 2]
    assert eg.FloatTensor(np.zeros((2, 2), np.float32)).shape == (2, 2)


def test_type_names_the_type_and_converts() -> None:
    x = eg.ones(2)
    assert x.type().endswith("FloatTensor") and eg.ones(1, dtype=eg.long).type().endswith(
        "LongTensor"
    )
    assert x.type(eg.LongTensor).dtype == eg.int64
    assert x.type(eg.float64).dtype == eg.float64
    assert x.type(eg.ones(1, dtype=eg.int32).type()).dtype == eg.int32
    assert x.type_as(eg.ones(1, dtype=eg.float64)).dtype == eg.float64


def test_variable_is_a_tensor() -> None:
    from eagergrad.autograd import Variable

    x = Variable(eg.ones(2), requires_grad=True)
    assert isinstance(x, eg.Tensor) and isinstance(x, Variable) and x.requires_grad
    (x * 2).sum().backward()
    assert x.grad.data.tolist() == [2.0, 2.0] and x.data.tolist() == [1.0, 1.0]
    assert not Variable(eg.ones(1)).requires_grad


def test_volatile_has_no_effect() -> None:
    x = eg.ones(1)
    with pytest.warns(UserWarning, match="no_grad"):
        x.volatile = True
    with pytest.warns(UserWarning, match="always False"):
        assert x.volatile is False


def test_data_of_results_and_gradients() -> None:
    w = eg.ones(2, requires_grad=True)
    loss = (w * 3).sum()
    loss.backward()
    w.data -= 0.1 * w.grad.data
    w.grad.data.zero_()
    assert abs(w.data[0] - 0.7) < 1e-6 and w.grad.sum() == 0
    assert loss.data.item() == 6.0 and not loss.data.requires_grad
    w.data = w.data.clone()
    w.data.copy_(eg.zeros(2))
    w.data.fill_(2)
    w.data.normal_(0, 0.02)
    w.data.uniform_(-0.1, 0.1)


def test_new_makes_tensors_of_the_same_type() -> None:
    x = eg.ones(2, dtype=eg.float64)
    assert x.new_zeros(2, 3).dtype == x.new_ones(3).dtype == x.new_empty(2).dtype == eg.float64
    assert x.new_full((2,), 3).tolist() == [3.0, 3.0]
    assert x.new_tensor([1, 2]).dtype == eg.float64
    assert x.new(2, 3).shape == (2, 3) and x.new([1, 2]).dtype == eg.float64
    assert x.new_zeros((2,), dtype=eg.int64, requires_grad=False).dtype == eg.int64


def test_tensors_as_numbers() -> None:
    x = eg.tensor(3)
    assert float(x) == 3.0 and int(x) == 3 and bool(x) and complex(x) == 3 + 0j
    assert [10, 20, 30, 40][x] == 40 and list(range(x)) == [0, 1, 2]
    assert f"{eg.tensor(2.5):.2f}" == "2.50" and f"{x:3d}" == "  3"
    assert "%d %.1f" % (x, eg.tensor(0.5)) == "3 0.5"
    assert math.sqrt(eg.tensor(4.0)) == 2.0
    assert abs(eg.tensor(-2.0)).item() == 2.0 and (+x).item() == 3 and (-x).item() == -3
    assert divmod(7, 2) and (7 // eg.tensor(2)).item() == 3 and (7 % eg.tensor(4)).item() == 3
    assert (2 ** eg.tensor(3.0)).item() == 8.0 and (1 / eg.tensor(4.0)).item() == 0.25
    assert (5 - eg.tensor(1)).item() == 4
    for bad in (float, int, bool):
        with pytest.raises((RuntimeError, ValueError, TypeError)):
            bad(eg.ones(2))
    with pytest.raises(TypeError):
        [1, 2][eg.tensor(1.0)]


def test_tensors_as_sequences() -> None:
    x = eg.tensor([1, 2, 3])
    assert len(x) == 3 and [int(v) for v in x] == [1, 2, 3] and sum(x).item() == 6
    assert max(x).item() == 3 and sorted(x.tolist()) == [1, 2, 3]
    _, b, _ = x
    assert (b == 2).item()
    assert list(zip(x, x, strict=True))[1][0].item() == 2


def test_comparison_operators() -> None:
    x = eg.tensor([1.0, 2.0])
    assert (x == 1).tolist() == [True, False] and (x != x).any().item() is False
    assert (x >= 2).tolist() == [False, True] and (x > 1).tolist() == [False, True]
    assert ((x > 1) & (x < 3)).tolist() == [False, True]
    assert (~(x > 1)).tolist() == [True, False] and ((x > 1) | (x < 1.5)).all()
    assert ((x > 1) ^ (x > 0)).tolist() == [True, False]
    assert x is not None and hash(x) == hash(x) and x in {x}


def test_sizes() -> None:
    x = eg.zeros(2, 3, 4)
    assert x.size() == eg.Size([2, 3, 4]) == (2, 3, 4) and x.size(0) == 2 and x.size(-1) == 4
    assert x.size(dim=1) == 3 and x.shape[1:] == (3, 4) and isinstance(x.shape, tuple)
    assert isinstance(x.shape[1:], eg.Size) and x.shape.numel() == 24
    assert x.dim() == x.ndim == x.ndimension() == 3 and x.nelement() == x.numel() == 24
    assert repr(x.shape).endswith("Size([2, 3, 4])")
    assert x.stride() == (12, 4, 1) and x.stride(0) == 12 and x.storage_offset() == 0
    assert x.element_size() == 4 and x.nbytes == 96 and x.is_contiguous()
    assert eg.numel(x) == 24 and eg.is_tensor(x) and not eg.is_tensor(1)
    assert x.view(-1, x.size(2)).shape == (6, 4)
    with pytest.raises(IndexError):
        x.size(3)


def test_transposes() -> None:
    x = eg.arange(6).view(2, 3)
    assert x.T.shape == x.t().shape == x.mT.shape == (3, 2)
    assert eg.zeros(2, 3, 4).mT.shape == (2, 4, 3) and eg.zeros(2, 3).H.shape == (3, 2)
    assert x.T.tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.host("names of the CPU")
def test_devices() -> None:
    x = eg.zeros(2)
    assert x.device == eg.device("cpu") and x.device.type == "cpu" and str(x.device) == "cpu"
    assert x.to("cpu") is x and x.cpu() is x and x.to(eg.device("cpu")).shape == (2,)
    assert x.to(x.device, eg.float64).dtype == eg.float64 and x.to(dtype=eg.int64).dtype == eg.int64
    assert x.to(eg.ones(1, dtype=eg.float16)).dtype == eg.float16
    assert not x.is_cuda and not x.is_sparse and x.get_device() == -1
    device = eg.device("cuda" if eg.cuda.is_available() else "cpu")
    assert eg.zeros(1, device=device).device.type == device.type
    assert eg.cuda.device_count() >= 0 and eg.device("cuda", 0) == eg.device("cuda:0")
    eg.cuda.manual_seed(1), eg.cuda.manual_seed_all(1), eg.cuda.empty_cache()


def test_modules_that_only_have_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert eg.backends.cudnn.benchmark in (True, False)
    for switch in ("benchmark", "deterministic", "enabled"):
        monkeypatch.setattr(eg.backends.cudnn, switch, True)
    assert eg.backends.mps.is_available() in (True, False)
    assert eg.distributed.is_available() in (True, False)
    assert isinstance(eg.__version__, str)
    eg.backends.cuda.matmul.allow_tf32 = True

    @eg.jit.script
    def f(x: eg.Tensor) -> eg.Tensor:
        return x * 2

    assert f(eg.ones(1)).item() == 2.0


def test_in_place_operators() -> None:
    x = eg.ones(2)
    y = x
    x += 1
    x -= eg.ones(2) * 0.5
    x *= 2
    x /= 3
    x **= 2
    assert x is y and np.allclose(x.numpy(), 1.0)
    m = eg.tensor([True, False])
    m &= eg.tensor([True, True])
    m |= eg.tensor([False, True])
    m ^= eg.tensor([True, False])
    assert m.tolist() == [False, True]
    i = eg.tensor([7, 8])
    i //= 2
    i %= 2
    assert i.tolist() == [1, 0]
    i <<= 2
    assert i.tolist() == [4, 0]


def test_add_with_alpha_and_the_old_order() -> None:
    x = eg.ones(2)
    assert x.add_(eg.ones(2), alpha=-0.5).tolist() == [0.5, 0.5]
    assert x.sub(eg.ones(2), alpha=2).tolist() == [-1.5, -1.5]
    assert x.addcmul_(eg.ones(2), eg.ones(2), value=2).tolist() == [2.5, 2.5]


def test_axis_and_keepdims_as_in_numpy() -> None:
    x = eg.arange(6.0).view(2, 3)
    assert x.sum(axis=0).tolist() == [3.0, 5.0, 7.0]
    assert x.mean(axis=1, keepdims=True).shape == (2, 1)
    assert eg.cat((x, x), axis=1).shape == (2, 6)
    assert x.argmax(axis=1).tolist() == [2, 2]
    assert eg.sum(input=x, dim=1, keepdim=True).shape == (2, 1)


def test_results_with_names() -> None:
    x = eg.tensor([[1.0, 3.0], [2.0, 0.0]])
    r = x.max(dim=1)
    assert r.values.tolist() == [3.0, 2.0] and r.indices.tolist() == [1, 0] and r[0] is r.values
    assert x.sort().values.tolist() == [[1.0, 3.0], [0.0, 2.0]]
    assert x.topk(1).indices.tolist() == [[1], [0]]
    assert eg.linalg.slogdet(x).logabsdet.item() == pytest.approx(math.log(6))
    values, indices = x.min(0)
    assert values.tolist() == [1.0, 0.0] and indices.tolist() == [0, 1]


def test_copies_and_pickles() -> None:
    x = eg.arange(6.0).view(2, 3).requires_grad_()
    y = copy.deepcopy(x)
    assert y.requires_grad and y.is_leaf and eg.equal(x, y) and y.data_ptr() != x.data_ptr()
    z = pickle.loads(pickle.dumps(x))
    assert z.requires_grad and eg.equal(x, z) and z.stride() == x.stride()
    pair = copy.deepcopy([x, x])
    assert pair[0] is pair[1]
    for shallow in (copy.copy(x), copy.copy(x.T)):
        assert shallow.data_ptr() == x.data_ptr() and shallow.requires_grad and shallow.is_leaf
    with pytest.raises(RuntimeError):
        copy.deepcopy(x * 2)


def test_apply_map_and_resize() -> None:
    x = eg.tensor([1.0, 2.0])
    x.apply_(lambda v: v * 10)
    assert x.tolist() == [10.0, 20.0]
    x.resize_(3)
    assert x.shape == (3,)
    x.resize_as_(eg.zeros(2, 2))
    assert x.shape == (2, 2)
    y = eg.zeros(0)
    y.set_(eg.ones(2))
    assert y.tolist() == [1.0, 1.0]


def test_printing_options_and_repr() -> None:
    assert "tensor" in repr(eg.tensor([1.0])).lower() and "requires_grad" in repr(
        eg.ones(1, requires_grad=True)
    )
    eg.set_printoptions(precision=2)
    eg.set_printoptions(profile="default")


def test_seeds_and_states() -> None:
    eg.manual_seed(5)
    a = eg.rand(3)
    state = eg.get_rng_state()
    b = eg.rand(3)
    eg.set_rng_state(state)
    assert eg.equal(b, eg.rand(3))
    eg.random.manual_seed(5)
    assert eg.equal(a, eg.rand(3))
    g = eg.Generator()
    g.manual_seed(7)
    c = eg.rand(2, generator=g)
    assert eg.equal(c, eg.rand(2, generator=eg.Generator().manual_seed(7)))
    assert eg.initial_seed() == 5


def test_subclasses_keep_working() -> None:
    class Mine(eg.Tensor):
        pass

    x = eg.ones(2).as_subclass(Mine)
    assert isinstance(x, Mine) and isinstance(x, eg.Tensor)
    p = eg.nn.Parameter(eg.ones(2))
    assert isinstance(p, eg.Tensor) and p.requires_grad and "Parameter" in repr(p)
    assert type(p * 2) is eg.Tensor


def test_attributes_can_be_attached() -> None:
    x = eg.ones(1)
    x.note = "mine"
    assert x.note == "mine"
    with pytest.raises(AttributeError):
        x.missing


def test_the_gradient_has_a_second_name():
    p = eg.nn.Parameter(eg.ones(2))
    p._grad = eg.full((2,), 3.0)
    assert p.grad.tolist() == p._grad.tolist() == [3.0, 3.0]
    eg.optim.SGD([p], lr=1.0).step()
    assert p.tolist() == [-2.0, -2.0]


@pytest.mark.parametrize("name", ["addcmul", "addcdiv"])
def test_a_number_before_the_tensors(name: str) -> None:
    x, y, z = eg.tensor([1.0, 2.0]), eg.tensor([3.0, 4.0]), eg.tensor([5.0, 6.0])
    new = getattr(x, name)(y, z, value=0.5)
    assert getattr(x, name)(0.5, y, z).equal(new) and getattr(eg, name)(x, 0.5, y, z).equal(new)
    with pytest.raises(TypeError):
        getattr(x, name)(0.5, 2.0, y)
    getattr(x, name + "_")(0.5, y, z)
    assert x.equal(new)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("addmm", [(2, 2), (2, 3), (3, 2)]),
        ("addmv", [(2,), (2, 3), (3,)]),
        ("addr", [(2, 3), (2,), (3,)]),
        ("addbmm", [(2, 2), (4, 2, 3), (4, 3, 2)]),
        ("baddbmm", [(4, 2, 2), (4, 2, 3), (4, 3, 2)]),
    ],
)
def test_beta_and_alpha_among_the_tensors(name: str, shapes: list) -> None:
    x, a, b = (eg.randn(s) for s in shapes)
    op, method = getattr(eg, name), getattr(x, name)
    both = op(x, a, b, beta=0.5, alpha=2)
    assert op(0.5, x, 2, a, b).equal(both) and method(0.5, 2, a, b).equal(both)
    assert op(0.5, x, a, b).equal(op(x, a, b, beta=0.5))
    assert getattr(x, name + "_")(0.5, 2, a, b) is x and x.equal(both)


def test_sub_with_alpha_in_the_middle() -> None:
    x, y = eg.tensor([1.0, 2.0]), eg.tensor([3.0, 4.0])
    assert x.sub(2, y).tolist() == eg.sub(x, 2, y).tolist() == [-5.0, -6.0]
    assert x.sub_(2, y).tolist() == [-5.0, -6.0]


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (ValueError, [[1, 2], [3]]),
        (TypeError, [1, [2]]),
        (TypeError, [[1, 2], 3]),
        (TypeError, [[[1]], [2]]),
    ],
)
def test_uneven_nests_are_refused(error: type, data: list) -> None:
    with pytest.raises(error, match="equal length"):
        eg.tensor(data)


@pytest.mark.host("names of the CPU")
def test_mixed_precision_under_the_name_of_the_cpu():
    from eagergrad.cpu.amp import GradScaler, autocast

    with eg.cpu.amp.autocast():
        assert (eg.ones(2, 2) @ eg.ones(2, 2)).dtype is eg.bfloat16
    assert autocast is eg.cpu.amp.autocast and GradScaler(enabled=False).get_scale() == 1.0


def test_weight_of_direction_and_length():
    v, g = eg.tensor([[3.0, 4.0], [0.0, 2.0]]), eg.tensor([[10.0], [1.0]])
    assert eg._weight_norm(v, g).tolist() == [[6.0, 8.0], [0.0, 1.0]]


def test_sparse_torch() -> None:
    one_hot = eg.sparse.torch.eye(3).index_select(dim=0, index=eg.tensor([2, 0]))
    assert one_hot.tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]


@pytest.mark.parametrize("flag", ["has_mps", "has_cuda", "has_cudnn", "has_mkldnn"])
def test_flags_of_backends(flag: str) -> None:
    with pytest.warns(UserWarning, match=flag):
        assert isinstance(getattr(eg, flag), bool)


def test_the_class_tensor_stands_for_the_default_dtype():
    mask = eg.tensor([1, 2]) > 1
    assert mask.type(eg.Tensor).dtype == mask.type("torch.Tensor").dtype == eg.float32


def test_what_libraries_import_from_private_places():
    from eagergrad.distributions.utils import _standard_normal, _sum_rightmost
    from eagergrad.utils._foreach_utils import _group_tensors_by_device_and_dtype
    from eagergrad.utils.checkpoint import get_device_states, set_device_states

    assert issubclass(eg.jit.TracerWarning, Warning)
    transforms = eg.distributions.transforms
    assert isinstance(transforms.ExpTransform().inv, transforms._InverseTransform)
    assert eg.Future is eg.futures.Future and eg.cuda._initialized == eg.cuda.is_initialized()
    x = eg.ones(2, 3, dtype=eg.float64)
    assert _sum_rightmost(x, 1).tolist() == [3.0, 3.0]
    assert _standard_normal((2,), eg.float64, "cpu").dtype == eg.float64
    assert get_device_states(x, [x]) == ([], [])
    set_device_states([], [])
    groups = _group_tensors_by_device_and_dtype([[x, x.float()], []])
    assert [len(lists) for lists, _ in groups.values()] == [2, 2]


def test_the_default_device_has_pytorchs_keyword() -> None:
    before = eg.get_default_device()
    eg.set_default_device(device=before)
    assert eg.get_default_device() == before


def test_transforms_can_be_imported_and_say_what_is_missing():
    from eagergrad.fft import irfft, rfft

    for transform in (rfft, irfft, eg.fft.fft2):
        with pytest.raises(NotImplementedError, match="no complex numbers"):
            transform(eg.ones(4))
    with pytest.raises(AttributeError, match="no attribute 'slow'"):
        _ = eg.fft.slow


class _Holds(eg.nn.Module):
    act = eg.tanh  # no method in PyTorch, whose functions are built in
    conv = eg.conv1d

    def forward(self, x: eg.Tensor) -> eg.Tensor:
        return self.conv(self.act(x), weight=eg.ones(1, 1, 2), padding=1)


def test_an_op_that_a_class_holds_is_no_method_of_it() -> None:
    x = eg.tensor([[[1.0, -2.0]]], requires_grad=True)
    y = _Holds()(x)
    assert y.tolist() == eg.conv1d(x.tanh(), eg.ones(1, 1, 2), padding=1).tolist()
    y.sum().backward()
    assert x.grad is not None
    with pytest.raises(TypeError, match="must be Tensor, not str"):
        _Holds().act("x")
    with pytest.raises(TypeError, match="must be Tensor, not _Holds"):
        eg.sigmoid(_Holds())


def test_numbers_that_a_compiler_leaves_open_are_none_of_ours() -> None:
    assert not isinstance(3, (eg.SymInt, eg.SymFloat, eg.SymBool))


def test_assert_async() -> None:
    eg._assert_async(eg.tensor(True))
    with pytest.raises(RuntimeError, match="but got zero"):
        eg._assert_async(eg.tensor(0.0))
    with pytest.raises(RuntimeError, match="told"):
        eg._assert_async(eg.tensor([False]), "told")
    with pytest.raises(RuntimeError, match="more than one value"):
        eg._assert_async(eg.ones(2))
    with pytest.raises(TypeError, match="'input' must be Tensor, not int"):
        eg._assert_async(1)


def test_an_op_shows_the_defaults_of_what_is_given_by_name() -> None:
    assert eg.meshgrid.__kwdefaults__ == {"indexing": None}
    assert "dtype" in eg.zeros.__kwdefaults__ and eg.tanh.__kwdefaults__ == {}
