"""nn.utils and nn.parallel: clipping, vectors, packed sequences, parametrizations, functional calls."""

import copy
import math
from collections import namedtuple

import numpy as np
import pytest

import eagergrad as eg
from eagergrad import nn
from eagergrad.nn import utils
from eagergrad.nn.utils import parametrizations, parametrize, rnn


def with_grads(*values):
    params = []
    for v in values:
        p = nn.Parameter(eg.zeros(len(v)))
        p.grad = eg.tensor(v)
        params.append(p)
    return params


# ---- clipping ----------------------------------------------------------------------------------------------------


def test_norm_clipping_scales_all_gradients_together():
    params = with_grads([3.0], [0.0, 4.0]) + [nn.Parameter(eg.zeros(1))]
    assert utils.clip_grad_norm_(params, 1.0).item() == 5
    np.testing.assert_allclose(params[0].grad.tolist(), [0.6], atol=1e-5)
    np.testing.assert_allclose(params[1].grad.tolist(), [0.0, 0.8], atol=1e-5)
    assert utils.clip_grad_norm_(iter(params), 10.0).item() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(params[0].grad.tolist(), [0.6], atol=1e-5)


@pytest.mark.parametrize(
    "p,norm", [(1, 7.0), (2.0, 5.0), (math.inf, 4.0), ("inf", 4.0), (3, 91 ** (1 / 3))]
)
def test_norm_types(p, norm):
    assert utils.get_total_norm(
        [q.grad for q in with_grads([3.0], [4.0])], p
    ).item() == pytest.approx(norm)


def test_nonfinite_norms_raise_on_request():
    params = with_grads([math.nan], [1.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert math.isnan(utils.clip_grad_norm_(params, 1.0).item())
    assert math.isnan(params[1].grad.item())


def test_value_clipping():
    (p,) = with_grads([-3.0, 0.5, 2.0])
    utils.clip_grad_value_(p, 1)
    assert p.grad.tolist() == [-1.0, 0.5, 1.0]


def test_clipping_without_gradients():
    assert utils.clip_grad_norm_([nn.Parameter(eg.zeros(1))], 1.0).item() == 0
    utils.clip_grad_value_([nn.Parameter(eg.zeros(1))], 1.0)


# ---- vectors, fusion, stateless calls ----------------------------------------------------------------------------


def test_parameters_as_one_vector():
    net = nn.Linear(2, 3)
    vector = utils.parameters_to_vector(net.parameters())
    assert tuple(vector.shape) == (9,) and vector.requires_grad
    utils.vector_to_parameters(eg.arange(9.0), net.parameters())
    assert net.weight.tolist() == [[0, 1], [2, 3], [4, 5]] and net.bias.tolist() == [6, 7, 8]
    with pytest.raises(TypeError):
        utils.vector_to_parameters([1.0], net.parameters())


def test_functional_call_replaces_and_restores():
    net = nn.Sequential(nn.Linear(2, 1), nn.Tanh())
    before = net[0].weight
    w = eg.ones(1, 2, requires_grad=True)
    y = eg.func.functional_call(net, {"0.weight": w, "0.bias": eg.zeros(1)}, (eg.ones(1, 2),))
    assert y.item() == pytest.approx(math.tanh(2))
    y.sum().backward()
    assert w.grad is not None and before.grad is None and net[0].weight is before
    with pytest.raises(RuntimeError, match="nope"):
        eg.func.functional_call(net, {"nope": w}, eg.ones(1, 2), strict=True)
    with pytest.raises(RuntimeError):
        eg.func.functional_call(net, {"0.weight": eg.ones(5, 5)}, eg.ones(1, 2))
    assert net[0].weight is before


def test_functional_call_ties_weights():
    a = nn.Linear(1, 1, bias=False)
    net = nn.Sequential(a, nn.Linear(1, 1, bias=False))
    net[1].weight = a.weight
    three = {"0.weight": eg.full((1, 1), 3.0)}
    assert eg.func.functional_call(net, three, eg.ones(1, 1)).item() == 9
    first, rest = three, {"1.weight": eg.zeros(1, 1)}
    with pytest.raises(ValueError, match="share"):
        eg.func.functional_call(net, (first, rest), eg.ones(1, 1))


def test_skip_init():
    assert tuple(utils.skip_init(nn.Linear, 3, 2).weight.shape) == (2, 3)
    with pytest.raises(RuntimeError):
        utils.skip_init(list)


# ---- sequences ---------------------------------------------------------------------------------------------------

SEQUENCES = [[1.0, 2.0], [3.0, 4.0, 5.0], [6.0]]


def sequences():
    return [eg.tensor(s) for s in SEQUENCES]


def test_pad_sequence():
    assert rnn.pad_sequence(sequences()).tolist() == [[1, 3, 6], [2, 4, 0], [0, 5, 0]]
    right = rnn.pad_sequence(sequences(), True, -1.0)
    assert right.tolist() == [[1, 2, -1], [3, 4, 5], [6, -1, -1]]
    left = rnn.pad_sequence(sequences(), True, padding_side="left")
    assert left.tolist() == [[0, 1, 2], [3, 4, 5], [0, 0, 6]]
    back = rnn.unpad_sequence(right, eg.tensor([2, 3, 1]), batch_first=True)
    assert [s.tolist() for s in back] == SEQUENCES
    with pytest.raises(RuntimeError, match="sequence 1"):
        rnn.pad_sequence([eg.zeros(2, 3), eg.zeros(2, 4)])


def test_packing_sorts_and_comes_back():
    packed = rnn.pack_sequence(sequences(), enforce_sorted=False)
    assert packed.data.tolist() == [3, 1, 6, 4, 2, 5]
    assert packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices.tolist() == [1, 0, 2]
    assert packed.unsorted_indices.tolist() == [1, 0, 2]
    padded, lengths = rnn.pad_packed_sequence(packed, batch_first=True, total_length=4)
    assert padded.tolist() == [[1, 2, 0, 0], [3, 4, 5, 0], [6, 0, 0, 0]]
    assert lengths.tolist() == [2, 3, 1]
    assert [s.tolist() for s in rnn.unpack_sequence(packed)] == SEQUENCES
    data, sizes, _, _ = packed
    assert data is packed.data and sizes is packed.batch_sizes


def test_unsorted_batches_come_back_row_by_row():
    packed = rnn.pack_sequence([eg.zeros(2, 3), eg.ones(4, 3)], enforce_sorted=False)
    padded, lengths = rnn.pad_packed_sequence(packed, batch_first=True)
    assert padded.is_contiguous()
    one, two = rnn.unpad_sequence(padded, lengths, batch_first=True)
    one.add_(7)
    assert padded[0].eq(0).all() and one.is_contiguous() and two.is_contiguous()


def test_packing_agrees_with_pytorch():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(5, 4, 2)).astype(np.float32)
    lengths = [5, 3, 3, 1]
    theirs = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), lengths)
    ours = rnn.pack_padded_sequence(eg.tensor(x), eg.tensor(lengths, device="cpu"))
    assert ours.data.tolist() == theirs.data.tolist()
    assert ours.batch_sizes.tolist() == theirs.batch_sizes.tolist()
    assert ours.sorted_indices is None and ours.unsorted_indices is None


def test_packing_passes_gradients():
    x = eg.ones(3, 2, requires_grad=True)
    packed = rnn.pack_padded_sequence(x, [3, 1])
    padded, _ = rnn.pad_packed_sequence(packed)
    (padded * eg.arange(1.0, 7).reshape(3, 2)).sum().backward()
    assert x.grad.tolist() == [[1, 2], [3, 0], [5, 0]]


@pytest.mark.parametrize(
    "lengths,words",
    [([1, 3], "sorted"), ([3, 0], "greater than 0"), ([3], "batch_size"), ([4, 1], "exceeds")],
)
def test_bad_lengths_are_named(lengths, words):
    with pytest.raises(RuntimeError, match=words):
        rnn.pack_padded_sequence(eg.zeros(3, 2), lengths)


def test_bad_total_length():
    with pytest.raises(ValueError, match="total_length"):
        rnn.pad_packed_sequence(rnn.pack_sequence([eg.zeros(3)]), total_length=2)


def test_packed_sequences_convert():
    packed = rnn.pack_sequence([eg.ones(2)])
    assert packed.double().data.dtype == eg.float64 and packed.long().data.dtype == eg.int64
    assert packed.to(eg.float32) is packed and packed.is_cuda == packed.data.is_cuda
    assert copy.copy(packed).data is packed.data


# ---- weight norm and spectral norm -------------------------------------------------------------------------------


def test_weight_norm_keeps_the_function_and_splits_the_weight():
    layer = nn.Linear(3, 2)
    x = eg.ones(1, 3)
    before = layer(x)
    utils.weight_norm(layer)
    assert sorted(layer.state_dict()) == ["bias", "weight_g", "weight_v"]
    assert tuple(layer.weight_g.shape) == (2, 1) and eg.allclose(layer(x), before)
    layer(x).sum().backward()
    assert layer.weight_g.grad is not None and layer.weight_v.grad is not None
    with pytest.raises(RuntimeError):
        utils.weight_norm(layer)
    utils.remove_weight_norm(layer)
    assert isinstance(layer.weight, nn.Parameter) and eg.allclose(layer(x), before)
    with pytest.raises(ValueError):
        utils.remove_weight_norm(layer)
    assert utils.weight_norm(nn.Linear(3, 2), dim=None).weight_g.dim() == 0


def test_parametrized_weight_norm_takes_old_checkpoints():
    old = utils.weight_norm(nn.Linear(3, 2))
    new = parametrizations.weight_norm(nn.Linear(3, 2))
    new.load_state_dict(old.state_dict())
    x = eg.ones(1, 3)
    assert eg.allclose(new(x), old(x))


@pytest.mark.parametrize("norm", [utils.spectral_norm, parametrizations.spectral_norm])
def test_spectral_norm_bounds_the_largest_singular_value(norm):
    eg.manual_seed(0)
    layer = norm(nn.Linear(6, 5), n_power_iterations=30)
    layer(eg.zeros(1, 6))
    layer.eval()
    layer(eg.zeros(1, 6))
    values = np.linalg.svd(layer.weight.detach().numpy(), compute_uv=False)
    assert values[0] == pytest.approx(1, abs=1e-3)
    layer(eg.ones(1, 6)).sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


def test_spectral_norm_can_be_removed():
    layer = utils.spectral_norm(nn.Linear(3, 2))
    layer.eval()
    y = layer(eg.ones(1, 3))
    utils.remove_spectral_norm(layer)
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    assert eg.allclose(layer(eg.ones(1, 3)), y, atol=1e-5)
    with pytest.raises(ValueError):
        utils.remove_spectral_norm(layer)


# ---- parametrize -------------------------------------------------------------------------------------------------


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).t()

    def right_inverse(self, x):
        return x.triu()


class Double(nn.Module):
    def forward(self, x):
        return 2 * x

    def right_inverse(self, x):
        return x / 2


def test_parametrization_computes_the_tensor():
    layer = nn.Linear(3, 3)
    assert parametrize.register_parametrization(layer, "weight", Symmetric()) is layer
    assert parametrize.is_parametrized(layer, "weight") and not parametrize.is_parametrized(
        layer, "bias"
    )
    assert eg.equal(layer.weight, layer.weight.t())
    assert sorted(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    layer(eg.ones(1, 3)).sum().backward()
    assert layer.parametrizations.weight.original.grad is not None
    layer.weight = eg.ones(3, 3)
    assert layer.weight.tolist() == [[1.0] * 3] * 3
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    assert isinstance(layer, nn.Linear)


def test_parametrizations_chain_and_go():
    layer = nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    value = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", Double())
    assert eg.allclose(layer.weight, value)
    twin = copy.deepcopy(layer)
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and eg.allclose(layer.weight, value)
    assert isinstance(layer.weight, nn.Parameter)
    assert parametrize.is_parametrized(twin) and eg.allclose(twin.weight, value)


def test_cached_computes_once():
    class Counting(nn.Module):
        calls = 0

        def forward(self, x):
            Counting.calls += 1
            return x

    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Counting())
    Counting.calls = 0
    with parametrize.cached():
        layer(eg.ones(1, 2))
        layer(eg.ones(1, 2))
    assert Counting.calls == 1
    layer(eg.ones(1, 2))
    assert Counting.calls == 2


def test_parametrization_errors():
    class Flat(nn.Module):
        def forward(self, x):
            return x.flatten()

    with pytest.raises(ValueError, match="shape"):
        parametrize.register_parametrization(nn.Linear(2, 2), "weight", Flat())
    with pytest.raises(ValueError, match="nope"):
        parametrize.register_parametrization(nn.Linear(2, 2), "nope", Double())
    with pytest.raises(ValueError):
        parametrize.remove_parametrizations(nn.Linear(2, 2), "weight")


@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
def test_orthogonal_stays_orthogonal(how, shape):
    eg.manual_seed(0)
    layer = nn.Linear(shape[1], shape[0], bias=False)
    parametrizations.orthogonal(layer, orthogonal_map=how)

    def check():
        w = layer.weight.detach()
        w = w if w.shape[0] >= w.shape[1] else w.t()
        assert eg.allclose(w.t() @ w, eg.eye(w.shape[1]), atol=1e-4)

    check()
    layer(eg.ones(1, shape[1])).pow(2).sum().backward()
    original = layer.parametrizations.weight.original
    with eg.no_grad():
        original.sub_(0.1 * original.grad)
    check()


@pytest.mark.parametrize("trivial", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (3, 3), (1, 1)])
def test_orthogonal_can_be_assigned(trivial, shape):
    eg.manual_seed(0)
    layer = nn.Linear(shape[1], shape[0], bias=False)
    parametrizations.orthogonal(layer, orthogonal_map="householder", use_trivialization=trivial)
    for sign in (1, -1):
        target = sign * nn.init.orthogonal_(eg.empty(shape))
        layer.weight = target
        assert eg.allclose(layer.weight, target, atol=1e-4)


def test_orthogonal_knows_three_maps():
    with pytest.raises(ValueError):
        parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="nope")


# ---- several devices, as one -------------------------------------------------------------------------------------


def test_wrappers_call_their_module():
    inner = nn.Linear(2, 1)
    x = eg.ones(3, 2)
    eg.distributed.init_process_group("gloo", rank=0, world_size=1)
    try:
        for wrapper in (nn.DataParallel, nn.parallel.DistributedDataParallel):
            model = wrapper(inner)
            assert eg.equal(model(x), inner(x)) and model.module is inner
            assert list(model.state_dict()) == ["module.weight", "module.bias"]
        for _ in range(2):
            model(x).sum().backward()
        assert inner.weight.grad.tolist() == [[6.0, 6.0]]
        with model.no_sync():
            model(x).sum().backward()
        assert inner.weight.grad.tolist() == [[9.0, 9.0]]
        with pytest.raises(RuntimeError):
            nn.parallel.DistributedDataParallel(nn.Tanh())
    finally:
        eg.distributed.destroy_process_group()
    assert eg.equal(nn.parallel.data_parallel(inner, x), inner(x))
    with pytest.raises(ValueError):
        nn.DataParallel(inner, [0, 1])


def test_spectral_norm_iterates_from_u_and_its_parametrization_from_v():
    w = eg.tensor([[2.0, 1.0, 0.0], [0.5, -1.0, 3.0]])
    u, v = eg.tensor([1.0, 0.0]), eg.tensor([0.0, 1.0, 0.0])
    first = nn.functional.normalize
    old = nn.utils.spectral_norm(nn.Linear(3, 2))
    new = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2), n_power_iterations=1)
    inner = new.parametrizations.weight[0]
    with eg.no_grad():
        old.weight_orig.copy_(w), old.weight_u.copy_(u), old.weight_v.copy_(v)
        new.parametrizations.weight.original.copy_(w)
        inner._u.copy_(u), inner._v.copy_(v)
    old(eg.ones(1, 3))
    v_next = first(w.t() @ u, dim=0)
    u_next = first(w @ v_next, dim=0)
    assert eg.allclose(old.weight_v, v_next) and eg.allclose(old.weight_u, u_next)
    assert eg.allclose(old.weight, w / (u_next @ (w @ v_next)))
    new(eg.ones(1, 3))
    u_next = first(w @ v, dim=0)
    assert eg.allclose(inner._u, u_next) and eg.allclose(inner._v, first(w.t() @ u_next, dim=0))


def test_lazy_buffers_become_plain_tensors():
    layer = nn.LazyBatchNorm1d()
    layer(eg.rand(4, 3))
    assert type(layer.running_mean) is eg.Tensor and type(layer.weight) is nn.Parameter


def test_batches_are_scattered_and_gathered():
    Pair = namedtuple("Pair", "left right")
    x = eg.arange(10.0).reshape(5, 2)
    parts = nn.parallel.scatter((x, [x, "same"], {"p": Pair(x, 1)}, ()), ["cpu", "cpu"])
    assert [tuple(p[0].shape) for p in parts] == [(3, 2), (2, 2)]
    assert parts[1][1][1] == "same" and parts[1][2]["p"].right == 1 and parts[0][3] == ()
    assert eg.equal(parts[1][2]["p"].left, x[3:])
    found = nn.parallel.gather([Pair(p[0], {"x": p[1][0]}) for p in parts], "cpu")
    assert eg.equal(found.left, x) and eg.equal(found.right["x"], x)
    assert nn.parallel.gather([eg.tensor(1.0), eg.tensor(2.0)], "cpu").tolist() == [1.0, 2.0]
    args, kwargs = nn.parallel.scatter_gather.scatter_kwargs((x,), None, ["cpu", "cpu"])
    assert len(args) == 2 and kwargs == ({}, {})
    with pytest.raises(ValueError, match="the same keys"):
        nn.parallel.gather([{"a": x}, {"a": x, "b": x}], "cpu")
