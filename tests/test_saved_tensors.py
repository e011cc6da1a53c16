"""Hooks of saved tensors, writes to them, and hooks of several gradients."""

import gc
import weakref

import pytest

import eagergrad as eg
from eagergrad.autograd import graph

OPS = {
    "mul": lambda x, y: x * y,
    "tanh": lambda x, y: eg.tanh(x) + y,  # saves its output
    "matmul": lambda x, y: x @ y.T,
    "softmax": lambda x, y: eg.softmax(x * y, 1),
    "layer_norm": lambda x, y: eg.nn.functional.layer_norm(x, (4,), y[0], y[1]),  # several saved
    "max": lambda x, y: (x * y).max(1).values,
    "where": lambda x, y: eg.where(x > 0, x * y, y),
    "cross_entropy": lambda x, y: eg.nn.functional.cross_entropy(x * y, eg.tensor([0, 1, 2])),
    "sum_of_squares": lambda x, y: (x**2 + y**3).sum(0),
}


def leaves():
    eg.manual_seed(0)
    return [eg.randn(3, 4, dtype=eg.float64, requires_grad=True) for _ in range(2)]


def gradients(f, *, hooks=None):
    x, y = leaves()
    if hooks is None:
        z = f(x, y).sum()
    else:
        with graph.saved_tensors_hooks(*hooks):
            z = f(x, y).sum()
    first = eg.autograd.grad(z, [x, y], create_graph=True, allow_unused=True)
    total = sum((g**2).sum() for g in first if g is not None)
    second = (
        eg.autograd.grad(total, [x, y], allow_unused=True) if total.requires_grad else [None, None]
    )
    return [*first, *second]


@pytest.mark.parametrize("name", OPS)
def test_packing_keeps_first_and_second_gradients(name):
    seen = []

    def pack(t):
        assert t.is_leaf and not eg.is_grad_enabled()
        seen.append(t.shape)
        return t.numpy().copy()

    expected = gradients(OPS[name])
    found = gradients(OPS[name], hooks=(pack, eg.from_numpy))
    assert seen
    for e, f in zip(expected, found, strict=True):
        assert (e is None) == (f is None)
        if e is not None:
            assert eg.allclose(e, f)


def test_a_packing_hook_knows_parameters():
    class Twice(eg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2 + 0 * ctx.saved_tensors[0]

    layer, x = eg.nn.Linear(3, 2, bias=False), eg.ones(1, 3, requires_grad=True)
    seen = []
    with graph.saved_tensors_hooks(lambda t: (seen.append(t), t)[1], lambda t: t):
        y = Twice.apply(x) * layer(x).exp().sum()
    assert any(t is layer.weight for t in seen) and sum(t is x for t in seen) == 2
    assert all(t.is_leaf for t in seen)  # of others their values alone: no cycle through the node
    y.sum().backward()
    weight, z = layer.weight.detach().requires_grad_(), eg.ones(1, 3, requires_grad=True)
    (2 * z * (z @ weight.T).exp().sum()).sum().backward()
    assert eg.allclose(layer.weight.grad, weight.grad) and eg.allclose(x.grad, z.grad)


def test_packed_tensors_are_not_kept():
    x = eg.ones(5, requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: t.numpy().copy(), eg.from_numpy):
        hidden = x * 3
        y = hidden.exp().sin()
    alive = weakref.ref(hidden)
    gc.disable()
    try:
        del hidden
        assert alive() is None
    finally:
        gc.enable()
    y.sum().backward()
    value = eg.full((5,), 3.0).exp()
    assert eg.allclose(x.grad, value.cos() * value * 3)


def test_hooks_nest_and_end():
    order = []
    x = eg.ones(2, requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: order.append("outer") or t, lambda t: t):
        with graph.saved_tensors_hooks(lambda t: order.append("inner") or t, lambda t: t):
            x.exp()
        x.exp()
    x.exp()
    assert order == ["inner", "outer"]


def test_in_place_ops_under_hooks():
    x = eg.tensor([0.5, 2.0], requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        y = x.clone()
        y.sin_()
        y.mul_(y)
    y.sum().backward()
    assert eg.allclose(x.grad, 2 * x.detach().sin() * x.detach().cos())


def test_functions_written_in_python_pack_what_they_save():
    class Cube(eg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * x
            ctx.save_for_backward(x, y)
            return y * x

        @staticmethod
        def backward(ctx, g):
            x, _ = ctx.saved_tensors
            return 3 * x * x * g

    packed = []
    x = eg.tensor(2.0, requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: packed.append(t.item()) or t.numpy(), eg.from_numpy):
        z = Cube.apply(x)
    assert packed == [2.0, 4.0]
    (g,) = eg.autograd.grad(z, x, create_graph=True)
    (gg,) = eg.autograd.grad(g, x)
    assert g.item() == 12.0 and gg.item() == 12.0


def test_bad_hooks_are_refused():
    x = eg.ones(3, requires_grad=True)
    with pytest.raises(TypeError, match="callable"):
        with graph.saved_tensors_hooks(None, None):
            pass
    with graph.saved_tensors_hooks(lambda t: t, lambda t: 1.0):
        y = x.exp()
    with pytest.raises(TypeError, match="expected to be a Tensor"):
        y.sum().backward()
    with graph.saved_tensors_hooks(lambda t: t, lambda t: eg.ones(4)):
        y = x.exp()
    with pytest.raises(RuntimeError, match="expected"):
        y.sum().backward()
    with graph.saved_tensors_hooks(lambda t: t.mul_(2), lambda t: t):
        with pytest.raises(RuntimeError, match="modifying its input in place"):
            x.detach().clone().requires_grad_().exp()
    with graph.saved_tensors_hooks(lambda t: 1 / 0, lambda t: t):
        with pytest.raises(ZeroDivisionError):
            x.exp()
    assert x.exp().requires_grad


def test_disabled_hooks_raise_their_message():
    with graph.disable_saved_tensors_hooks("not here"):
        with pytest.raises(RuntimeError, match="not here"):
            with graph.save_on_cpu():
                pass

    @graph.disable_saved_tensors_hooks("nor here")
    def f():
        with graph.save_on_cpu():
            pass

    with pytest.raises(RuntimeError, match="nor here"):
        f()
    with graph.save_on_cpu():
        with pytest.raises(RuntimeError, match="too late"):
            with graph.disable_saved_tensors_hooks("too late"):
                pass


@pytest.mark.parametrize("write", ["sin_", "zero_", "item", "slice", "view"])
def test_saved_tensors_may_be_written(write):
    a = eg.tensor([[0.5, 1.0], [2.0, 3.0]], requires_grad=True)
    with graph.allow_mutation_on_saved_tensors() as mode:
        b = a.clone()
        out = (b**2).sum()
        if write == "item":
            b[0, 0] = 7.0
        elif write == "slice":
            b[1] += 7.0
        elif write == "view":
            b.t()[0].zero_()
        else:
            getattr(b, write)()
        out.backward()
        mode.clear()
    assert eg.equal(a.grad, 2 * a.detach())


def test_writing_needs_its_region():
    a = eg.ones(2, requires_grad=True)
    with graph.allow_mutation_on_saved_tensors():
        out = (a.clone() ** 2).sum()
        with pytest.raises(RuntimeError, match="nested"):
            with graph.allow_mutation_on_saved_tensors():
                pass
    with pytest.raises(AssertionError, match="outside"):
        out.backward()
    b = a.clone()
    out = (b**2).sum()
    b.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        out.backward()


# --- edges and hooks of several tensors -----------------------------------------------------------------------


def test_edges_stand_for_tensors():
    x = eg.tensor([1.0, 2.0], requires_grad=True)
    a, b = (x * 2).split(1)
    edge = graph.get_gradient_edge(b)
    assert isinstance(edge.node, graph.Node) and edge.output_nr == 1 == b.output_nr
    y = (a * b * b).sum()
    assert eg.autograd.grad(y, edge, retain_graph=True)[0].tolist() == [16.0]
    leaf = graph.get_gradient_edge(x)
    assert eg.autograd.grad(y, (leaf, x), retain_graph=True)[0].tolist() == [32.0, 32.0]
    eg.autograd.backward(y, inputs=[leaf], retain_graph=True)
    assert x.grad.tolist() == [32.0, 32.0]
    assert eg.autograd.grad(edge, x, eg.ones(1))[0].tolist() == [0.0, 2.0]
    with pytest.raises(RuntimeError, match="does not require gradients"):
        graph.get_gradient_edge(eg.ones(1))


def test_hook_of_several_gradients():
    a, b, c = (eg.ones(2, requires_grad=True) for _ in range(3))
    calls = []
    handle = graph.register_multi_grad_hook((a, b, c), calls.append)
    (a * 2 + b).sum().backward()
    assert len(calls) == 1
    assert calls[0][0].tolist() == [2.0, 2.0] and calls[0][2] is None
    y = (a * b * c).sum()
    y.backward(inputs=[b], retain_graph=True)
    assert [g is None for g in calls[1]] == [True, False, True]
    handle.remove()
    y.backward()
    assert len(calls) == 2


def test_hook_of_any_gradient():
    a, b = (eg.ones(2, requires_grad=True) for _ in range(2))
    calls = []
    graph.register_multi_grad_hook((a, b), calls.append, mode="any")
    for n in (1, 2):
        (a * b).sum().backward()
        assert len(calls) == n
    with pytest.raises(ValueError, match="mode"):
        graph.register_multi_grad_hook((a, b), calls.append, mode="some")


def test_nodes_carry_notes():
    y = eg.ones(2, requires_grad=True) * 2
    y.grad_fn.metadata["name"] = "double"
    assert y.grad_fn.metadata == {"name": "double"}
    y.sum().backward()


def test_increment_version():
    x = eg.ones(2, requires_grad=True)
    y = x.exp()
    graph.increment_version(y)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        y.sum().backward()


@pytest.mark.parametrize(
    "op",
    [
        lambda x: x / x.norm(),
        lambda x: 1.0 / x,
        lambda x: x**0.5,
        lambda x: x**-1,
        lambda x: eg.sinc(x),
        lambda x: eg.nn.functional.normalize(x, dim=0),
    ],
)
def test_the_result_may_be_written_on(op):
    x = eg.tensor([0.5, 2.0, 3.0], dtype=eg.float64, requires_grad=True)
    op(x).sum().backward()
    expected, x.grad = x.grad, None
    y = op(x)
    y += 1.0
    y.sum().backward()
    assert eg.equal(x.grad, expected)
    assert eg.autograd.gradcheck(op, (x,)) and eg.autograd.gradgradcheck(op, (x,))


def test_dividing_in_place_by_what_needs_a_gradient():
    x, norm = eg.tensor([2.0, 4.0]), eg.tensor(2.0, requires_grad=True)
    x.div_(norm)
    x.sum().backward()
    assert norm.grad.item() == -1.5


WRITES = {  # what backward does not read: which of x, weight and bias, or the result
    "glu": (lambda x, w, b: eg.nn.functional.glu(x), "result"),
    "batch_norm": (lambda x, w, b: eg.nn.functional.batch_norm(x, None, None, w, b, True), 2),
    "batch_norm at evaluation": (
        lambda x, w, b: eg.nn.functional.batch_norm(x, eg.zeros(4), eg.ones(4), w, b),
        2,
    ),
    "group_norm": (lambda x, w, b: eg.nn.functional.group_norm(x, 2, w, b), 2),
    "layer_norm": (lambda x, w, b: eg.nn.functional.layer_norm(x, (4,), w, b), 2),
}


@pytest.mark.parametrize("name", WRITES)
def test_what_backward_does_not_read_may_be_written(name):
    f, target = WRITES[name]

    def gradients(write):
        x = eg.arange(12.0).view(3, 4).sin().requires_grad_()
        leaves = [x, *(eg.ones(4, requires_grad=True) for _ in range(2))]
        given = [t * 1 for t in leaves]
        y = f(*given)
        loss = (y * 1).square().sum()
        if write:
            (y if target == "result" else given[target]).mul_(2)
        return eg.autograd.grad(loss, leaves, allow_unused=True)

    for written, plain in zip(gradients(True), gradients(False), strict=True):
        assert (written is None) == (plain is None)
        assert written is None or written.tolist() == plain.tolist()
