"""Ops of a program's own (eagergrad.library), compiled modules, quasi-random points and quantisation as it is trained."""

import copy
import math

import numpy as np
import pytest

import eagergrad as eg
from eagergrad import library, nn
from eagergrad.nn.attention import bias


@library.custom_op("tests::sine", mutates_args=())
def sine(x: eg.Tensor) -> eg.Tensor:
    return x.detach().clone().apply_(math.sin) if x.device.type == "cpu" else x.sin()


@sine.register_fake
def _(x):
    return eg.empty_like(x)


sine.register_autograd(
    lambda ctx, g: g * ctx.saved_tensors[0].cos(),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
)


def test_an_op_has_its_kernel_its_gradient_and_its_name() -> None:
    x = eg.randn(4, dtype=eg.float64, requires_grad=True)
    assert eg.autograd.gradcheck(sine, x)
    assert "sine" in sine(x).grad_fn.name() and "tests::sine" in repr(sine)
    assert eg.ops.tests.sine is sine and eg.ops.tests.sine.default(x).requires_grad
    assert eg.allclose(eg.func.vmap(sine)(x.detach()), x.detach().sin())
    assert set(library.opcheck(sine, (x,)).values()) == {"SUCCESS"}


def test_arguments_may_be_lists_defaults_and_keywords() -> None:
    @library.custom_op(
        "tests::weighted", mutates_args=(), schema="(Tensor[] xs, float s) -> Tensor"
    )
    def weighted(xs, s=2.0, *, shift=0.0):
        return sum(xs) * s + shift

    seen = []

    def setup_context(ctx, inputs, keyword_only_inputs, output):
        ctx.s, ctx.n = inputs[1], len(inputs[0])
        seen.append((keyword_only_inputs, ctx.needs_input_grad))

    def backward(ctx, g):
        return [g * ctx.s] * ctx.n, None

    library.register_autograd("tests::weighted", backward, setup_context=setup_context)
    a, b = eg.ones(2, requires_grad=True), eg.ones(2)
    y = weighted([a, b], shift=1.0)
    y.sum().backward()
    assert y.tolist() == [5.0, 5.0] and a.grad.tolist() == [2.0, 2.0]
    assert seen == [({"shift": 1.0}, ([True, False], False))]


def test_an_op_may_write_its_arguments() -> None:
    @library.custom_op("tests::scale_", mutates_args={"x"})
    def scale_(x: eg.Tensor, s: float) -> None:
        x.mul_(s)

    x = eg.ones(2)
    scale_(x, 3.0)
    assert x.tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match="functional"):
        scale_.register_autograd(lambda ctx, g: g)


def test_an_op_casts_in_autocast_regions() -> None:
    @library.custom_op("tests::kind", mutates_args=())
    def kind(x: eg.Tensor) -> eg.Tensor:
        return x.clone()

    kind.register_autocast("cpu", eg.float32)
    half = eg.ones(2, dtype=eg.bfloat16)
    with eg.autocast("cpu"):
        assert kind(half).dtype == eg.float32
    assert kind(half).dtype == eg.bfloat16


def test_what_is_wrong_with_an_op_is_said() -> None:
    def bare(x):
        return x

    def annotated(x: eg.Tensor) -> eg.Tensor:
        return x.mul_(2)

    with pytest.raises(ValueError, match="type annotation"):
        library.custom_op("tests::bare", bare, mutates_args=())
    with pytest.raises(ValueError, match="namespace"):
        library.custom_op("bare", annotated, mutates_args=())
    with pytest.raises(ValueError, match="mutates_args"):
        library.custom_op("tests::other", annotated, mutates_args=("y",))
    with pytest.raises(ValueError, match="is an op"):
        library.custom_op("relu::other", annotated, mutates_args=())
    op = library.custom_op("tests::writes", annotated, mutates_args=(), device_types="cpu")
    with pytest.raises(RuntimeError, match="expected a Tensor"):
        op(3)
    with pytest.raises(RuntimeError, match="mutates_args"):
        library.opcheck(op, (eg.ones(1),))
    assert "mutates" in library.opcheck(op, (eg.ones(1),), raise_exception=False)["test_schema"]
    with pytest.raises(RuntimeError, match="no autograd formula"):
        op(eg.ones(1, requires_grad=True)).sum().backward()
    with pytest.raises(ValueError, match="no op"):
        library.register_kernel("tests::none", "cpu")


# ---- compile ----------------------------------------------------------------------------------------------------


def test_a_compiled_module_shows_the_module_it_wraps() -> None:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)
            self.config = {"width": 2}

        def forward(self, x):
            return self.layer(x)

    net = Net()
    made = eg.compile(net)
    x = eg.ones(1, 2)
    assert eg.equal(made(x), net(x)) and made.config is net.config and made.layer is net.layer
    assert list(made.state_dict()) == ["_orig_mod.layer.weight", "_orig_mod.layer.bias"]
    made.eval()
    assert not net.training and not made.training
    made.note = 3
    assert net.note == 3
    del made.note
    assert not hasattr(net, "note")
    twin = copy.deepcopy(made)
    assert type(twin) is type(made) and twin._orig_mod is not net
    assert len(eg.compile(nn.Sequential(nn.ReLU()))) == 1
    with pytest.raises(AttributeError, match="'Net'"):
        made.nothing


def test_functions_are_compiled_to_themselves() -> None:
    assert eg.compile(len) is len and eg.compile(mode="max-autotune")(len) is len


# ---- points -----------------------------------------------------------------------------------------------------


def test_sobol_points() -> None:
    pytest.importorskip("scipy")
    engine = eg.quasirandom.SobolEngine(3)
    first = engine.draw(4)
    assert first.tolist()[1:3] == [[0.5, 0.5, 0.5], [0.75, 0.25, 0.25]]
    assert engine.num_generated == 4 and engine.draw_base2(2).shape == (4, 3)
    assert eg.equal(engine.reset().fast_forward(1).draw(3), first[1:])
    out = eg.empty(0, dtype=eg.float64)
    assert engine.draw(2, out=out) is out and out.shape == (2, 3)
    assert engine.draw(dtype=eg.float64).dtype == eg.float64
    with pytest.raises(ValueError, match="power of 2"):
        engine.draw_base2(1)
    with pytest.raises(ValueError, match="dimensionality"):
        eg.quasirandom.SobolEngine(0)
    a, b = (eg.quasirandom.SobolEngine(2, scramble=True, seed=5) for _ in range(2))
    points = a.draw(64)
    assert eg.equal(points, b.draw(64)) and (points.mean(0) - 0.5).abs().max() < 0.05
    assert repr(a) == "SobolEngine(dimension=2, scramble=True, seed=5)"
    eg.manual_seed(0)
    c = eg.quasirandom.SobolEngine(2, scramble=True).draw(2)
    eg.manual_seed(0)
    assert eg.equal(c, eg.quasirandom.SobolEngine(2, scramble=True).draw(2))


def test_sobol_points_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("scipy")
    ours, theirs = eg.quasirandom.SobolEngine(40), torch.quasirandom.SobolEngine(40)
    for n in (1, 5, 10):
        assert ours.draw(n).tolist() == theirs.draw(n).tolist()


# ---- quantisation and masks -------------------------------------------------------------------------------------


def test_fake_quantisation_passes_gradients_within_the_bounds() -> None:
    x = eg.tensor([[-0.26, 0.04, 5.0], [1.0, 2.0, -9.0]], requires_grad=True)
    y = eg.fake_quantize_per_tensor_affine(x, 0.1, 3, 0, 30)
    np.testing.assert_allclose(y.detach().numpy(), [[-0.3, 0.0, 2.7], [1.0, 2.0, -0.3]], atol=1e-6)
    y.sum().backward()
    assert x.grad.tolist() == [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]]
    scales, zeros = eg.tensor([0.5, 1.0]), eg.tensor([0, 10], dtype=eg.int32)
    z = eg.fake_quantize_per_channel_affine(x, scales, zeros, 0, 0, 20)
    assert z.tolist() == [[0.0, 0.0, 5.0], [1.0, 2.0, -9.0]]
    for bad in (
        lambda: eg.fake_quantize_per_tensor_affine(x, 0.1, 3, 5, 0),
        lambda: eg.fake_quantize_per_tensor_affine(x, 0.1, 31, 0, 30),
        lambda: eg.fake_quantize_per_channel_affine(x, scales, zeros, 1, 0, 20),
    ):
        with pytest.raises(RuntimeError):
            bad()


def test_causal_masks_of_unequal_lengths() -> None:
    q, k = eg.randn(2, 3, 4), eg.randn(2, 5, 4)
    attend = nn.functional.scaled_dot_product_attention
    corner = attend(q, k, k, attn_mask=bias.causal_upper_left(3, 5))
    assert eg.allclose(corner, attend(q, k, k, is_causal=True), atol=1e-6)
    last = attend(q, k, k, attn_mask=bias.causal_lower_right(3, 5))[:, -1]
    assert eg.allclose(last, attend(q[:, -1:], k, k)[:, 0], atol=1e-6)
    with pytest.raises(RuntimeError, match="2 sizes"):
        bias.causal_lower_right(3)


def test_a_mask_and_causal_order_leave_what_both_do() -> None:
    q = eg.randn(2, 4, 3)
    seen = eg.ones(4, 4, dtype=eg.bool).tril()
    mask = eg.rand(4, 4) > 0.4
    attend = nn.functional.scaled_dot_product_attention
    both = attend(q, q, q, attn_mask=mask, is_causal=True)
    assert eg.equal(both, attend(q, q, q, attn_mask=mask & seen))
    added = eg.randn(4, 4)
    both = attend(q, q, q, attn_mask=added, is_causal=True)
    assert eg.equal(both, attend(q, q, q, attn_mask=added.masked_fill(~seen, -eg.inf)))
    assert attend(q, q, q, attn_mask=mask, dropout_p=0.5, is_causal=True).shape == q.shape
