"""autograd.Function: ops written in Python."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import eagergrad as eg
from eagergrad.autograd import Function
from util import assert_close


class Square(Function):
    @staticmethod
    def forward(ctx: Any, x: eg.Tensor) -> eg.Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: eg.Tensor) -> eg.Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * g


def leaf(*values: float) -> eg.Tensor:
    return eg.tensor(list(values), dtype=eg.float64, requires_grad=True)


def test_forward_and_backward() -> None:
    x = leaf(1.0, 3.0)
    y = Square.apply(x)
    assert y.requires_grad and "Square" in y.grad_fn.name()
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 6.0]


def test_second_order_comes_from_the_ops_in_backward() -> None:
    x = leaf(2.0)
    (g,) = eg.autograd.grad(Square.apply(x).sum(), x, create_graph=True)
    (h,) = eg.autograd.grad(g.sum(), x)
    assert h.item() == 2.0
    assert eg.autograd.gradgradcheck(Square.apply, (leaf(1.0, 2.0),))


def test_forward_is_not_recorded() -> None:
    inside = []

    class Look(Function):
        @staticmethod
        def forward(ctx: Any, x: eg.Tensor) -> eg.Tensor:
            inside.append((eg.is_grad_enabled(), (x * 2).requires_grad))
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: eg.Tensor) -> eg.Tensor:
            inside.append((eg.is_grad_enabled(), g.requires_grad))
            return g

    Look.apply(leaf(1.0)).sum().backward()
    assert inside == [(False, False), (False, False)]


def test_no_history_without_inputs_that_need_it() -> None:
    assert not Square.apply(eg.ones(2)).requires_grad
    with eg.no_grad():
        assert not Square.apply(leaf(1.0)).requires_grad


def test_several_inputs_outputs_and_needs_input_grad() -> None:
    needs = []

    class SumAndProduct(Function):
        @staticmethod
        def forward(ctx: Any, a: eg.Tensor, b: eg.Tensor, k: float) -> tuple[eg.Tensor, eg.Tensor]:
            ctx.save_for_backward(a, b)
            ctx.k = k
            return a + k * b, a * b

        @staticmethod
        def backward(ctx: Any, gs: eg.Tensor, gp: eg.Tensor) -> tuple[Any, ...]:
            a, b = ctx.saved_tensors
            needs.append(ctx.needs_input_grad)
            return gs + gp * b, ctx.k * gs + gp * a, None

    a, b = leaf(2.0), leaf(5.0)
    s, p = SumAndProduct.apply(a, b, 3.0)
    (s + 2 * p).sum().backward()
    assert a.grad.item() == 11.0 and b.grad.item() == 7.0
    SumAndProduct.apply(a, b.detach(), 3.0)[1].sum().backward()
    assert needs == [(True, True, False), (True, False, False)]


def test_unused_outputs_get_zeros_or_none() -> None:
    seen = []

    class Two(Function):
        @staticmethod
        def forward(ctx: Any, x: eg.Tensor, fill: bool) -> tuple[eg.Tensor, eg.Tensor]:
            ctx.set_materialize_grads(fill)
            return x + 1, x + 2

        @staticmethod
        def backward(ctx: Any, a: Any, b: Any) -> tuple[Any, None]:
            seen.append(b if b is None else b.tolist())
            return a, None

    x = leaf(1.0)
    Two.apply(x, True)[0].sum().backward()
    Two.apply(x, False)[0].sum().backward()
    assert seen == [[0.0], None]


def test_backward_may_return_none() -> None:
    class Stop(Function):
        @staticmethod
        def forward(ctx: Any, x: eg.Tensor) -> eg.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: eg.Tensor) -> None:
            return None

    x = leaf(1.0)
    (Stop.apply(x) + x).sum().backward()
    assert x.grad.item() == 1.0


def test_mark_dirty_for_in_place_functions() -> None:
    class Double(Function):
        @staticmethod
        def forward(ctx: Any, x: eg.Tensor) -> eg.Tensor:
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx: Any, g: eg.Tensor) -> eg.Tensor:
            return 2 * g

    x = leaf(1.0)
    y = x * 1
    z = Double.apply(y)
    assert z is y and y.item() == 2.0
    y.sum().backward()
    assert x.grad.item() == 2.0
    with pytest.raises(RuntimeError, match="leaf"):
        Double.apply(leaf(1.0))


def test_dirty_inputs_must_be_returned() -> None:
    class Other(Function):
        @staticmethod
        def forward(ctx: Any, x: eg.Tensor) -> eg.Tensor:
            ctx.mark_dirty(x)
            return x * 2

    with pytest.raises(RuntimeError, match="marked tensors as dirty that it did not return"):
        Other.apply(leaf(1.0) * 1)


def test_a_node_is_one_object_while_it_is_held() -> None:
    x = leaf(1.0, 2.0)
    a, b = (x * 2).split(1)
    node = a.grad_fn
    assert node is b.grad_fn is (a + 1).grad_fn.next_functions[0][0]
    assert Square.apply(x).grad_fn is not node


def test_a_node_has_the_attributes_of_its_context() -> None:
    x = leaf(1.0, 2.0)
    node = Square.apply(x).grad_fn
    assert node.needs_input_grad == (True,)
    assert [t.tolist() for t in node.saved_tensors] == [[1.0, 2.0]]
    node.context.note = "kept"
    assert node.note == "kept"
    with pytest.raises(AttributeError, match="SquareBackward"):
        _ = node.absent
    with pytest.raises(AttributeError, match="_to_save"):
        _ = node._to_save
    y = Square.apply(x)
    y.sum().backward()
    with pytest.raises(RuntimeError, match="a second time"):
        _ = y.grad_fn.saved_tensors


def test_mark_non_differentiable() -> None:
    class Sort(Function):
        @staticmethod
        def forward(ctx: Any, x: eg.Tensor) -> tuple[eg.Tensor, eg.Tensor]:
            y, index = x.sort()
            ctx.mark_non_differentiable(index)
            ctx.save_for_backward(index)
            return y, index

        @staticmethod
        def backward(ctx: Any, g: eg.Tensor, _: Any) -> eg.Tensor:
            return eg.zeros_like(g).scatter_(0, ctx.saved_tensors[0], g)

    x = leaf(3.0, 1.0, 2.0)
    y, index = Sort.apply(x)
    assert y.requires_grad and not index.requires_grad
    (y * eg.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad.tolist() == [3.0, 1.0, 2.0]


def test_setup_context_style() -> None:
    class Cube(Function):
        @staticmethod
        def forward(x: eg.Tensor, k: int) -> eg.Tensor:
            return k * x**3

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            x, ctx.k = inputs
            ctx.save_for_backward(x)

        @staticmethod
        def backward(ctx: Any, g: eg.Tensor) -> tuple[Any, None]:
            (x,) = ctx.saved_tensors
            return 3 * ctx.k * x * x * g, None

    x = leaf(2.0)
    Cube.apply(x, 2).sum().backward()
    assert x.grad.item() == 24.0


def test_once_differentiable() -> None:
    from eagergrad.autograd.function import once_differentiable

    class Once(Function):
        @staticmethod
        def forward(ctx: Any, x: eg.Tensor) -> eg.Tensor:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: eg.Tensor) -> eg.Tensor:
            return 2 * ctx.saved_tensors[0] * g

    x = leaf(2.0)
    (g,) = eg.autograd.grad(Once.apply(x).sum(), x, create_graph=True)
    assert g.item() == 4.0
    with pytest.raises(RuntimeError):
        g.sum().backward()


def test_the_wrong_number_of_gradients_is_an_error() -> None:
    class Bad(Function):
        @staticmethod
        def forward(ctx: Any, a: eg.Tensor, b: eg.Tensor) -> eg.Tensor:
            return a + b

        @staticmethod
        def backward(ctx: Any, g: eg.Tensor) -> eg.Tensor:
            return g

    with pytest.raises(RuntimeError):
        Bad.apply(leaf(1.0), leaf(1.0)).sum().backward()


def test_a_gradient_of_the_wrong_shape_is_an_error() -> None:
    class Bad(Function):
        @staticmethod
        def forward(ctx: Any, x: eg.Tensor) -> eg.Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: eg.Tensor) -> eg.Tensor:
            return eg.ones(5, dtype=eg.float64)

    with pytest.raises(RuntimeError):
        Bad.apply(leaf(1.0, 2.0)).sum().backward()


def test_exceptions_arrive_unchanged() -> None:
    class Fails(Function):
        @staticmethod
        def forward(ctx: Any, x: eg.Tensor) -> eg.Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: eg.Tensor) -> eg.Tensor:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Fails.apply(leaf(1.0)).sum().backward()


def test_saved_outputs_make_no_cycle_and_are_checked() -> None:
    class Exp(Function):
        @staticmethod
        def forward(ctx: Any, x: eg.Tensor) -> eg.Tensor:
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, g: eg.Tensor) -> eg.Tensor:
            return g * ctx.saved_tensors[0]

    x = leaf(0.0, 1.0)
    y = Exp.apply(x)
    y.sum().backward()
    assert_close(x.grad, x.exp())
    assert eg.autograd.gradgradcheck(Exp.apply, (leaf(0.5),))
    z = Exp.apply(x)
    z += 1
    with pytest.raises(RuntimeError, match=r"in-?place"):
        z.sum().backward()


def test_saved_tensors_are_gone_after_backward() -> None:
    x = leaf(1.0)
    y = Square.apply(x)
    y.sum().backward()
    with pytest.raises(RuntimeError):
        y.sum().backward()


def test_returning_an_input_unchanged() -> None:
    class Identity(Function):
        @staticmethod
        def forward(ctx: Any, x: eg.Tensor) -> eg.Tensor:
            return x

        @staticmethod
        def backward(ctx: Any, g: eg.Tensor) -> eg.Tensor:
            return 10 * g

    x = leaf(1.0)
    y = Identity.apply(x)
    assert y is not x and x.is_leaf
    y.sum().backward()
    assert x.grad.item() == 10.0


def test_calling_forward_directly_is_refused() -> None:
    with pytest.raises((RuntimeError, TypeError)):
        Square()(leaf(1.0))


def test_setup_context_sees_the_defaults_of_forward() -> None:
    class Linear(Function):
        @staticmethod
        def forward(x: eg.Tensor, w: eg.Tensor, b: Any = None, scale: float = 2.0) -> eg.Tensor:
            return x * w * scale

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            x, w, b, ctx.scale = inputs
            assert b is None and ctx.needs_input_grad == (True, True, False, False)
            ctx.save_for_backward(x, w)

        @staticmethod
        def backward(ctx: Any, g: eg.Tensor) -> Any:
            x, w = ctx.saved_tensors
            return g * w * ctx.scale, g * x * ctx.scale, None, None

    for options, scale in (({}, 2.0), ({"scale": 3.0}, 3.0)):
        x, w = leaf(2.0), leaf(5.0)
        Linear.apply(x, w, **options).sum().backward()
        assert (x.grad.item(), w.grad.item()) == (5.0 * scale, 2.0 * scale)


def test_a_tensor_given_by_name_gets_a_gradient():
    class Scale(eg.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor=2.0, *, shift=0.0):
            ctx.factor = factor
            return x * factor + shift

        @staticmethod
        def backward(ctx, g):
            return (g * ctx.factor,) + (None,) * (len(ctx.needs_input_grad) - 1)

    x = eg.ones(2, requires_grad=True)
    for y in (Scale.apply(x=x), Scale.apply(x, shift=1.0), Scale.apply(factor=2.0, x=x)):
        x.grad = None
        y.sum().backward()
        assert x.grad.tolist() == [2.0, 2.0]


class Keeps(eg.autograd.Function):
    """Its context holds an input, an output and something of its own."""

    contexts: list = []

    @staticmethod
    def forward(ctx, x):
        y = x * 2
        ctx.save_for_backward(x, y)
        ctx.own = x.detach().clone()
        Keeps.contexts.append(weakref.ref(ctx))
        return y

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        assert ctx.next_functions and x.grad_fn is None
        return g * 2 + 0 * y * ctx.own


@pytest.mark.parametrize("walk", ["not at all", "once", "kept", "twice"])
def test_a_graph_that_is_dropped_frees_its_contexts_without_the_collector(walk):
    x = eg.ones(3, requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        Keeps.contexts.clear()
        y = Keeps.apply(x).sum()
        if walk == "once":
            y.backward()
        elif walk == "kept":
            y.backward(retain_graph=True)
        elif walk == "twice":
            (g,) = eg.autograd.grad(y, x, create_graph=True)
            del g
        del y
        assert [ref() for ref in Keeps.contexts] == [None]
    finally:
        gc.enable()


def test_a_context_lets_go_of_the_outputs_that_it_marked():
    class Doubled(eg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            Keeps.contexts.append(weakref.ref(ctx))
            ctx.mark_dirty(x)
            signs = x.sign()
            ctx.mark_non_differentiable(signs)
            return x.mul_(2), signs

        @staticmethod
        def backward(ctx, g, _):
            return g * 2

    gc.collect()
    gc.disable()
    try:
        Keeps.contexts.clear()
        y = eg.ones(3, requires_grad=True).clone()
        Doubled.apply(y)
        assert y.tolist() == [2.0] * 3 and y.grad_fn.name() == "DoubledBackward"
        del y
        assert Keeps.contexts[0]() is None
    finally:
        gc.enable()


def test_a_context_may_outlive_its_graph():
    x = eg.ones(3, requires_grad=True)
    y = Keeps.apply(x)
    ctx = Keeps.contexts[-1]()
    assert ctx.saved_tensors[1].grad_fn is not None
    del y
    kept = ctx.saved_tensors
    assert kept[0] is x and kept[1].tolist() == [2.0] * 3 and kept[1].grad_fn is None
    assert ctx.next_functions == ()
    y = Keeps.apply(x)
    ctx = Keeps.contexts[-1]()
    y.sum().backward()
    with pytest.raises(
        RuntimeError, match=r"a second time.*KeepsBackward, made at .*test_function"
    ):
        ctx.saved_tensors
    del y
    with pytest.raises(RuntimeError, match=r"a second time.*a graph that is gone"):
        ctx.saved_tensors


@pytest.mark.parametrize("hooked", [False, True])
def test_a_sparse_tensor_is_saved(hooked):
    class Product(eg.autograd.Function):
        @staticmethod
        def forward(ctx, indices, values, size, dense):
            matrix = eg.sparse_coo_tensor(indices, values, size)
            ctx.save_for_backward(matrix, dense)
            return matrix @ dense

        @staticmethod
        def backward(ctx, g):
            matrix, dense = ctx.saved_tensors
            rows, cols = matrix._indices()
            return None, (g @ dense.t())[rows, cols], None, matrix.t() @ g

    indices = eg.tensor([[0, 1, 1], [2, 0, 1]])
    values = eg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    dense = eg.arange(6.0).reshape(3, 2).requires_grad_()
    with (
        eg.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t)
        if hooked
        else eg.enable_grad()
    ):
        y = Product.apply(indices, values, (2, 3), dense)
    y.sum().backward()
    assert values.grad.tolist() == [9.0, 1.0, 5.0]
    assert dense.grad.tolist() == [[2.0, 2.0], [3.0, 3.0], [1.0, 1.0]]
