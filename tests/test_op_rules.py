"""Rules that hold across ops: which operands may be numbers, what out= takes, which dtypes are refused."""

from __future__ import annotations

import numpy as np
import pytest

import eagergrad as eg
import eagergrad.nn.functional as F

T = eg.tensor([1, 2, 3])
X = eg.tensor([0.5, 1.5, 2.5])
B = eg.tensor([True, False, True])


@pytest.mark.parametrize("name", "add sub mul div floor_divide".split())
def test_arithmetic_takes_numbers_for_either_tensor(name):
    op = getattr(eg, name)
    assert op(T, 2).shape == (3,)
    assert op(2, T).shape == (3,)
    assert op(3, 2).dim() == 0


@pytest.mark.parametrize(
    "name", "bitwise_and bitwise_left_shift pow float_power remainder xlogy".split()
)
def test_one_of_two_operands_may_be_a_number(name):
    op = getattr(eg, name)
    assert op(T, 2).shape == op(2, T).shape == (3,)
    with pytest.raises(TypeError):
        op(2, 3)


@pytest.mark.parametrize("name", "eq ge gt le lt ne fmod copysign rsub".split())
def test_only_the_second_operand_may_be_a_number(name):
    op = getattr(eg, name)
    assert op(T, 2).shape == (3,)
    with pytest.raises(TypeError):
        op(2, T)


@pytest.mark.parametrize(
    "name", "atan2 fmax hypot maximum minimum logical_and logaddexp nextafter gcd ldexp".split()
)
def test_no_operand_may_be_a_number(name):
    op = getattr(eg, name)
    for args in ((T, 2), (2, T), (2, 3)):
        with pytest.raises(TypeError):
            op(*args)


REFUSED = [
    *((getattr(eg, n), (B,)) for n in "abs ceil floor round trunc relu median trace kthvalue".split()),
    *((getattr(eg, n), (B, B)) for n in "fmod remainder floor_divide pow gcd lcm".split()),
    *((getattr(eg, n), (T, T)) for n in "hypot logaddexp nextafter igamma".split()),
    *((getattr(F, n), (T,)) for n in "silu gelu elu selu celu mish softplus hardswish leaky_relu glu".split()),
    (eg.frac, (T,)),
    (eg.lerp, (T, T, 0.5)),
    (F.softmax, (T, 0)),
    (eg.matmul, (B, B)),
    (F.pad, (eg.ones(1, 3, dtype=eg.bool), (1, 1), "reflect")),
    (eg.index_reduce, (eg.ones(3, dtype=eg.bool), 0, eg.tensor([0]), eg.ones(1, dtype=eg.bool), "prod")),
]  # fmt: skip


@pytest.mark.parametrize(("op", "args"), REFUSED)
def test_dtypes_without_a_meaning_are_refused(op, args):
    if op is eg.trace:
        args = (B.expand(3, 3),)
    if op is eg.kthvalue:
        args = (B, 1)
    if op is F.glu:
        args = (eg.tensor([1, 2]),)
    with pytest.raises(NotImplementedError):
        op(*args)


def test_positive_of_bool_is_refused():
    with pytest.raises(RuntimeError):
        eg.positive(B)
    assert eg.positive(T) is T


@pytest.mark.parametrize("name", "exp sin sigmoid lgamma square".split())
def test_out_of_a_wider_dtype_takes_what_can_be_cast(name):
    out = eg.zeros(3, dtype=eg.float64)
    assert getattr(eg, name)(X, out=out) is out
    np.testing.assert_allclose(out.numpy(), getattr(eg, name)(X).numpy(), rtol=1e-6)
    with pytest.raises(RuntimeError):
        getattr(eg, name)(X, out=eg.zeros(3, dtype=eg.int64))


EXACT = [
    (eg.abs, (X,)),
    (eg.floor, (X,)),
    (eg.mm, (eg.ones(2, 2), eg.ones(2, 2))),
    (eg.sort, (X,)),
    (eg.linalg.inv, (eg.eye(2),)),
    (eg.quantile, (X, 0.5)),
    (eg.norm, (X,)),
]


@pytest.mark.parametrize(("op", "args"), EXACT)
def test_out_of_another_dtype_is_refused(op, args):
    result = op(*args)
    single = isinstance(result, eg.Tensor)
    outs = [eg.zeros(0, dtype=eg.float64) for _ in ([result] if single else result)]
    with pytest.raises(RuntimeError, match="Expected out tensor to have dtype"):
        op(*args, out=outs[0] if single else tuple(outs))


PYTHON = [
    (eg.norm, (eg.ones(2, 3), 2, 0)),
    (eg.median, (eg.ones(2, 3), 0)),
    (eg.mode, (eg.ones(2, 3), 0)),
    (eg.kron, (eg.eye(2), eg.ones(2, 2))),
    (eg.cross, (X, X)),
    (eg.tensordot, (eg.ones(2, 2), eg.ones(2, 2), 1)),
    (eg.renorm, (eg.ones(2, 2), 2, 0, 0.5)),
    (eg.linalg.qr, (eg.eye(3) + 1,)),
    (eg.linalg.svd, (eg.eye(3) + 1,)),
    (eg.linalg.solve, (eg.eye(3) + 1, X)),
    (eg.linalg.lstsq, (eg.eye(3) + 1, X)),
    (eg.lu, (eg.eye(3) + 1,)),
    (eg.frexp, (X,)),
    (eg.special.entr, (X,)),
    (eg.special.hermite_polynomial_h, (X, 2)),
]


@pytest.mark.parametrize(("op", "args"), PYTHON)
def test_out_of_functions_written_in_python(op, args):
    result = op(*args)
    single = isinstance(result, eg.Tensor)
    wanted = (result,) if single else tuple(result)
    outs = tuple(eg.empty(0, dtype=r.dtype) for r in wanted)
    given = outs[0] if single else outs
    got = op(*args, out=given)
    assert all(a is b for a, b in zip((got,) if single else got, outs, strict=True))
    for r, o in zip(wanted, outs, strict=True):
        np.testing.assert_array_equal(r.numpy(), o.numpy())


def test_none_in_a_list_of_tensors_is_refused():
    for f in (eg.cat, eg.stack, eg.vstack):
        with pytest.raises(TypeError):
            f((X, None))
    assert eg.zeros(2, 2).index_put((None, eg.tensor([0])), eg.tensor(1.0)).sum() == 2


def test_integer_products_add_the_bias():
    x, w, b = eg.tensor([[1, 2]]), eg.tensor([[3, 4], [5, 6]]), eg.tensor([10, 20])
    assert F.linear(x, w, b).tolist() == [[21, 37]]


def test_empty_group_norm():
    x = eg.ones(0, 2, requires_grad=True)
    w = eg.ones(2, requires_grad=True)
    F.group_norm(x, 1, w).sum().backward()
    assert x.grad.shape == (0, 2)
    assert w.grad.tolist() == [0, 0]


def test_beta_zero_gives_a_zero_gradient():
    x = eg.full((2,), eg.nan, requires_grad=True)
    y = eg.addmv(x, eg.ones(2, 2), eg.ones(2), beta=0)
    assert y.tolist() == [2, 2]
    y.sum().backward()
    assert x.grad.tolist() == [0, 0]


def test_whole_factors_of_whole_products():
    y = eg.addmm(T[:2], eg.ones(2, 2, dtype=eg.int64), eg.ones(2, 2, dtype=eg.int64), alpha=2.7)
    assert y.dtype is eg.int64
    assert y.tolist() == [[5, 6], [5, 6]]


def test_max_of_two_tensors_prefers_the_tensor():
    assert eg.max(eg.tensor(-8), eg.tensor(6)).item() == 6
    assert eg.min(eg.ones(2, 2), eg.tensor(0)).tolist() == [[0, 0], [0, 0]]


def test_sequences_of_whole_numbers_start_from_whole_numbers():
    assert eg.arange(0.1, -7.9, -4, dtype=eg.int64).tolist() == [0, -4]
    assert eg.linspace(4.3, 1, 4, dtype=eg.int64).tolist() == [4, 3, 2, 1]


def test_std_of_equal_elements_has_derivatives_of_zero():
    x = eg.ones(3, dtype=eg.float64, requires_grad=True)
    w = eg.ones((), dtype=eg.float64, requires_grad=True)
    (g,) = eg.autograd.grad(x.std() * w, x, create_graph=True)
    assert [d.sum().item() for d in eg.autograd.grad(g.sum(), (x, w))] == [0.0, 0.0]
    assert eg.func.jvp(eg.std, (x.detach(),), (eg.arange(3.0).double(),))[1].item() == 0.0


@pytest.mark.parametrize("p", [1.5, 2, 3])
def test_norms_of_nothing_but_zeros_have_tangents_of_zero(p):
    x, v = eg.zeros(3, dtype=eg.float64), eg.arange(3.0).double()
    assert eg.func.jvp(lambda t: t.norm(p), (x,), (v,))[1].item() == 0.0


def test_logcumsumexp_begins_with_the_first_number():
    x = eg.tensor([[0.0, 5.0], [1.0, -2.0]])
    assert [eg.logcumsumexp(x, dim).select(dim, 0).tolist() for dim in (0, 1)] == [[0, 5], [0, 1]]


def test_gradient_of_logcumsumexp_survives_large_numbers():
    x = eg.tensor([-800.0, 0.0, 800.0], dtype=eg.float64, requires_grad=True)
    (g,) = eg.autograd.grad(eg.logcumsumexp(x, 0).sum(), x, create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), [1, 1, 1], atol=1e-12)


def test_gradient_of_a_value_filled_twice_counts_once():
    v = eg.tensor(2.0, requires_grad=True)
    eg.zeros(3).index_fill(0, eg.tensor([1, 1]), v).sum().backward()
    assert v.grad.item() == 1


def test_frexp_has_a_gradient():
    x = eg.tensor([3.0, 0.25], requires_grad=True)
    m, e = eg.frexp(x)
    m.sum().backward()
    assert (m * 2.0**e).tolist() == [3.0, 0.25]
    assert x.grad.tolist() == [0.25, 2.0]


def test_pseudo_inverse_of_singular_matrices_has_both_gradients():
    a = eg.tensor([[1.0, 2.0], [2.0, 4.0], [0.0, 0.0]], dtype=eg.float64, requires_grad=True)
    p = eg.linalg.pinv(a)
    np.testing.assert_allclose(p.detach().numpy(), np.linalg.pinv(a.detach().numpy()), atol=1e-12)
    (g,) = eg.autograd.grad((p * p).sum(), a, create_graph=True)
    (h,) = eg.autograd.grad(g.sum(), a)
    assert bool(g.isfinite().all() and h.isfinite().all())
    s = eg.eye(2, dtype=eg.float64) * 3
    np.testing.assert_allclose(eg.linalg.pinv(s, hermitian=True).numpy(), np.eye(2) / 3)


def test_factories_make_what_out_holds():
    for make in (eg.zeros, eg.ones, eg.rand, eg.arange, eg.eye):
        out = eg.empty(0, dtype=eg.float64)
        assert make(3, out=out) is out
        assert out.dtype is eg.float64
        np.testing.assert_array_equal(out.shape, make(3).shape)
    with pytest.raises(RuntimeError):
        eg.zeros(2, dtype=eg.float32, out=eg.zeros(2, dtype=eg.int64))


def test_steps_below_one_of_whole_sequences():
    assert eg.arange(1, 2, 0.25, dtype=eg.int32).tolist() == [1, 1, 1, 1]
    with pytest.raises(ValueError, match="step"):
        eg.arange(1, 2, 0.25, dtype=eg.int64)
    assert eg.range(0, 3, dtype=eg.int64).tolist() == [0, 1, 2, 3]
    for make in (eg.arange, eg.linspace, eg.logspace, eg.randperm):
        args = (4,) if make in (eg.arange, eg.randperm) else (0, 1, 3)
        with pytest.raises(NotImplementedError):
            make(*args, dtype=eg.bool)


def test_float_power_in_place_wants_float64():
    x = eg.tensor([2.0, 3.0], dtype=eg.float64)
    assert x.float_power_(2) is x
    assert x.tolist() == [4.0, 9.0]
    with pytest.raises(RuntimeError, match="float64"):
        X.clone().float_power_(2)


def test_numbers_scattered_into_a_scalar():
    assert eg.tensor(1).scatter(0, eg.tensor(0), 2.5).item() == 2
    assert eg.tensor(1.0).scatter(0, eg.tensor(0), 2.5, reduce="add").item() == 3.5
    assert eg.tensor(1.0).scatter_(0, eg.tensor(0), 2.5, reduce="multiply").item() == 2.5


def test_draws_are_constant_in_their_parameters():
    p = eg.full((4,), 0.5, requires_grad=True)
    for y in (eg.bernoulli(p), eg.normal(p, 1.0), eg.normal(0.0, p)):
        assert y.requires_grad
        (g,) = eg.autograd.grad(y.sum(), p)
        assert g.tolist() == [0, 0, 0, 0]


def test_shapes_of_single_variables():
    one = eg.tensor([[1.0, 2.0, 4.0]])
    assert eg.cov(one).shape == ()
    assert eg.corrcoef(one).item() == 1
    assert eg.quantile(eg.tensor(3.0), 0.5, 0, True).shape == ()
    assert isinstance(eg.gradient(eg.tensor([1.0, 4.0, 9.0])), tuple)
    for bad in ({"fweights": X}, {"aweights": T}, {"fweights": T[:2]}, {"fweights": -T}):
        with pytest.raises(RuntimeError):
            eg.cov(X, **bad)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_softmax_is_row_major_along_any_dimension(dim):
    x = eg.randn(2, 3, 4)
    for f in (eg.softmax, eg.log_softmax):
        assert f(x, dim).is_contiguous()
        assert f(x, dim).view(-1).shape == (24,)


def test_whole_numbers_are_pooled_towards_zero():
    x = eg.tensor([[[-3, 0, 2, 5]]])
    assert F.avg_pool1d(x, 2).tolist() == [[[-1, 3]]]
    for f in (F.adaptive_max_pool1d, F.interpolate):
        with pytest.raises(NotImplementedError):
            f(x, 2)


def test_ends_of_a_line_are_numbers():
    assert eg.linspace(eg.tensor(0), 1, 3).tolist() == [0, 0.5, 1]
    for make in (eg.linspace, eg.logspace):
        with pytest.raises(RuntimeError, match="0-dimensional"):
            make(eg.ones(2), 1, 3)


def test_spectra_of_equal_values_have_gradients():
    a = (eg.eye(3, dtype=eg.float64) * 2).requires_grad_()
    (g,) = eg.autograd.grad(eg.linalg.svdvals(a).sum(), a)
    np.testing.assert_allclose(g.numpy(), np.eye(3), atol=1e-12)
    (g,) = eg.autograd.grad(eg.linalg.eigvalsh(a).sum(), a)
    np.testing.assert_allclose(g.numpy(), np.eye(3), atol=1e-12)
    assert eg.linalg.norm(eg.ones(0, 0), 2).item() == 0


def test_sparse_products_of_dense_matrices():
    assert eg.spmm(eg.eye(2), eg.ones(2, 2)).tolist() == [[1, 1], [1, 1]]


def test_shifts_in_place_write_to_the_tensor():
    x = eg.tensor([1, 2], dtype=eg.int32)
    y = x
    x <<= eg.tensor([1, 3])
    assert x is y
    assert x.dtype is eg.int32
    assert y.tolist() == [2, 16]
    y >>= 1
    assert x.tolist() == [1, 8]


def test_blocks_of_bools_stay_bool():
    x = eg.tensor([[[[True, False], [False, True]]]])
    blocks = F.unfold(x, 2)
    assert blocks.dtype is eg.bool and blocks.flatten().tolist() == [True, False, False, True]


def test_ormqr_wants_matrices():
    with pytest.raises(RuntimeError):
        eg.ormqr(eg.tensor(1.0), eg.tensor(1.0), eg.tensor(1.0))
