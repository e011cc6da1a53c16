"""Dual tensors, and what gradcheck checks beside the gradients themselves."""

from __future__ import annotations

from typing import Any

import pytest

import eagergrad as eg
import eagergrad.autograd.forward_ad as fwd
from eagergrad.autograd import Function, gradcheck, gradgradcheck
from util import assert_close

X = eg.tensor([0.5, 1.0, 2.0])
V = eg.tensor([1.0, 0.0, 0.5])


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.sin() * x + x.exp(),
        lambda x: eg.stack([x, x * x]).sum(0),
        lambda x: x.softmax(0),
    ],
)
def test_a_tangent_is_the_product_with_the_jacobian(f: Any) -> None:
    value, wanted = eg.func.jvp(f, (X,), (V,))
    with fwd.dual_level():
        primal, tangent = fwd.unpack_dual(f(fwd.make_dual(X, V)))
    assert_close(tangent, wanted)
    assert_close(primal, value)
    assert not primal.requires_grad and not tangent.requires_grad


def test_tangents_of_several_inputs_add_up() -> None:
    with fwd.dual_level():
        a, b = fwd.make_dual(X, V), fwd.make_dual(eg.ones(3), eg.full((3,), 0.1))
        assert_close(fwd.unpack_dual(a * b).tangent, V + 0.1 * X)
        assert fwd.unpack_dual(a * 0 + 1).tangent.tolist() == [0.0] * 3
        assert fwd.unpack_dual(X * 2).tangent is None
        assert fwd.unpack_dual(a).tangent.tolist() == V.tolist()
    assert fwd.unpack_dual(a).tangent is None


def test_a_tangent_stays_on_the_tape_of_its_primal() -> None:
    x = eg.tensor([0.5], requires_grad=True)
    with fwd.dual_level():
        tangent = fwd.unpack_dual(fwd.make_dual(x, eg.ones(1)) ** 3).tangent
        assert eg.autograd.grad(tangent, x)[0].item() == pytest.approx(3.0)


@pytest.mark.parametrize("mode", ["dual tensors", "jvp"])
def test_tangents_through_a_layer_are_recorded_for_its_weights(mode: str) -> None:
    layer = eg.nn.Linear(3, 2).double()
    x, v = X.double(), V.double()
    if mode == "jvp":
        value, tangent = eg.func.jvp(lambda x: layer(x) ** 3, (x,), (v,))
    else:
        with fwd.dual_level():
            value, tangent = fwd.unpack_dual(layer(fwd.make_dual(x, v)) ** 3)
    assert value.requires_grad
    gradients = eg.autograd.grad(value.sum() + tangent.sum(), tuple(layer.parameters()))
    y = layer(x)
    moved = v @ layer.weight.T
    wanted = eg.autograd.grad((y**3 + 3 * y**2 * moved).sum(), tuple(layer.parameters()))
    for found, expected in zip(gradients, wanted, strict=True):
        assert_close(found, expected)


def test_levels_are_one_and_refuse_what_cannot_be() -> None:
    with pytest.raises(RuntimeError, match="no level exists"):
        fwd.make_dual(X, V)
    with pytest.raises(RuntimeError, match="not the last one"):
        fwd.exit_dual_level()
    with fwd.dual_level():
        with pytest.raises(RuntimeError, match="Nested"):
            fwd.enter_dual_level()
        with pytest.raises(RuntimeError, match="shape"):
            fwd.make_dual(X, V[:2])
        with pytest.raises(ValueError, match="floating point"):
            fwd.make_dual(eg.arange(3), V)
        with eg.no_grad(), pytest.raises(RuntimeError, match="recording"):
            fwd.make_dual(X, V)


# -- gradcheck -------------------------------------------------------------------------------------------------------


class Wavering(Function):
    calls = 0

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        Wavering.calls += 1
        return g * (2 + 1e-7 * (Wavering.calls % 2))


class Constant(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return eg.full_like(g, 2.0)


class Unaware(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.set_materialize_grads(False)
        return x * 2, x.sum() * 0 + 1

    @staticmethod
    def backward(ctx: Any, a: Any, b: Any) -> Any:
        return a * 2 if a is not None else eg.ones(2, dtype=eg.float64) * b.sign()


def point(n: int = 2) -> Any:
    return eg.linspace(0.5, 1.0, n, dtype=eg.float64).requires_grad_()


def test_backward_must_repeat_itself() -> None:
    assert gradcheck(Wavering.apply, (point(3),), nondet_tol=1e-5)
    with pytest.raises(RuntimeError, match="not reentrant"):
        gradcheck(Wavering.apply, (point(3),))
    assert not gradcheck(Wavering.apply, (point(3),), raise_exception=False)


def test_backward_must_be_linear_in_the_gradient() -> None:
    with pytest.raises(RuntimeError, match="not multiplied by grad_output"):
        gradcheck(Constant.apply, (eg.ones(1, requires_grad=True),))


def test_outputs_without_a_gradient_are_tried() -> None:
    class Needs(Unaware):
        @staticmethod
        def backward(ctx: Any, a: Any, b: Any) -> Any:
            if b is None:
                raise RuntimeError("b is missing")
            return a * 2 if a is not None else b * eg.zeros(2, dtype=eg.float64)

    with pytest.raises(RuntimeError, match="missing"):
        gradcheck(Needs.apply, (point(),))


def test_other_checks_pass_where_they_should() -> None:
    def f(a: Any, b: Any) -> Any:
        return a * b, a.sin()

    options = {"check_forward_ad": True, "check_batched_grad": True, "check_grad_dtypes": True}
    assert gradcheck(f, (point(3), point(3)), masked=False, **options)
    assert gradcheck(f, (point(3), point(3)), check_forward_ad=True, check_backward_ad=False)
    assert gradgradcheck(
        eg.tanh, (point(),), check_fwd_over_rev=True, gen_non_contig_grad_outputs=True
    )


def test_forward_mode_is_compared_with_differences() -> None:
    class Wrong(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3

    with pytest.raises(RuntimeError, match="forward mode"):
        gradcheck(Wrong.apply, (point(),), check_forward_ad=True, check_backward_ad=False)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"check_backward_ad": False}, AssertionError),
        (
            {"check_batched_grad": True, "check_backward_ad": False, "check_forward_ad": True},
            AssertionError,
        ),
        ({"check_batched_forward_grad": True}, AssertionError),
        ({"unknown": 1}, TypeError),
    ],
)
def test_options_that_make_no_sense_are_refused(options: Any, error: Any) -> None:
    with pytest.raises(error):
        gradcheck(eg.tanh, (point(),), **options)
    with pytest.raises(ValueError, match="require gradient"):
        gradcheck(eg.tanh, (eg.ones(2),))
