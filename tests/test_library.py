"""Ops of a program's own (eagergrad.library), compiled modules, quasi-random points, quantisation as it is trained, attention
by functions of the position, and single names of other modules."""

import copy
import math

import numpy as np
import pytest

import eagergrad as eg
from eagergrad import library, nn
from eagergrad.nn.attention import bias
from eagergrad.nn.attention import flex_attention as flex


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


def test_results_may_be_lists_and_numbers() -> None:
    @library.custom_op("tests::halves", mutates_args=())
    def halves(x: eg.Tensor, n: int) -> tuple[list[eg.Tensor], int]:
        return [x[:n] * 2, x[n:] * 3], n

    def backward(ctx, grads, _):
        return eg.cat([grads[0] * 2, grads[1] * 3]), None

    halves.register_autograd(backward)
    x = eg.ones(3, requires_grad=True)
    parts, n = halves(x, 1)
    assert n == 1 and isinstance(parts, list) and parts[1].tolist() == [3.0, 3.0]
    (parts[0].sum() + parts[1].sum()).backward()
    assert x.grad.tolist() == [2.0, 3.0, 3.0]
    halves.register_autograd(lambda ctx, grads, _: grads[0])
    with pytest.raises(RuntimeError, match="2 gradients"):
        halves(eg.ones(3, requires_grad=True), 1)[0][0].sum().backward()


def test_kernels_may_be_written_in_numpy() -> None:
    @library.custom_op("tests::cubes", mutates_args=())
    def cubes(x: eg.Tensor) -> eg.Tensor:
        return eg.tensor(x.cpu().numpy() ** 3)

    assert cubes(eg.ones(2, requires_grad=True)).tolist() == [1.0, 1.0]


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


# ---- attention by functions of the position -----------------------------------------------------------------------


def causal(b, h, q_idx, kv_idx):
    return q_idx >= kv_idx


@pytest.mark.parametrize(
    ("mask_mod", "sizes"),
    [
        (causal, (None, None)),
        (flex.and_masks(causal, lambda b, h, q, k: q - k < 2), (None, None)),
        (flex.or_masks(lambda b, h, q, k: k < 1, lambda b, h, q, k: q == k), (None, None)),
        (lambda b, h, q, k: k <= b + h, (2, 4)),
        (flex.noop_mask, (None, None)),
    ],
)
def test_flexible_attention_is_attention_with_the_mask(mask_mod, sizes) -> None:
    q, k, v = eg.randn(2, 4, 5, 8), eg.randn(2, 2, 6, 8), eg.randn(2, 2, 6, 3)
    mask = flex.create_mask(mask_mod, *sizes, 5, 6)
    attend = nn.functional.scaled_dot_product_attention
    want = attend(q, k, v, mask, enable_gqa=True, scale=0.4)
    block = flex.create_block_mask(mask_mod, *sizes, 5, 6)
    options = {"block_mask": block, "enable_gqa": True, "scale": 0.4}
    assert eg.allclose(flex.flex_attention(q, k, v, **options), want, atol=1e-5)
    out, lse = flex.flex_attention(q, k, v, return_lse=True, **options)
    assert eg.allclose(out, want, atol=1e-5)
    scores = (q @ k.repeat_interleave(2, 1).mT * 0.4).masked_fill(~mask, -math.inf)
    assert eg.allclose(lse, scores.logsumexp(-1), atol=1e-5)


def test_flexible_attention_changes_scores_and_is_recorded() -> None:
    q = eg.randn(1, 2, 4, 3, dtype=eg.float64, requires_grad=True)
    slopes = eg.tensor([0.5, 0.25], dtype=eg.float64, requires_grad=True)

    def alibi(score, b, h, q_idx, kv_idx):
        return score + slopes[h] * (kv_idx - q_idx)

    def attend(q, slopes):
        return flex.flex_attention(q, q, q, score_mod=alibi)

    distance = (eg.arange(4) - eg.arange(4)[:, None]).double()
    added = slopes.detach()[:, None, None] * distance
    want = nn.functional.scaled_dot_product_attention(q, q, q, added)
    assert eg.allclose(attend(q, slopes), want)
    assert eg.autograd.gradcheck(attend, (q, slopes))


def test_rows_without_keys_and_what_flexible_attention_tells() -> None:
    q = eg.randn(1, 1, 3, 4)
    nothing = flex.create_block_mask(lambda b, h, i, j: (i > 0) & (j < 2), None, None, 3, 3)
    out, aux = flex.flex_attention(
        q, q, q, block_mask=nothing, return_aux=flex.AuxRequest(lse=True, max_scores=True)
    )
    assert (
        out[0, 0, 0].tolist() == [0.0] * 4
        and aux.lse[0, 0, 0] == aux.max_scores[0, 0, 0] == -math.inf
    )
    half = flex.flex_attention(q.half(), q.half(), q.half(), score_mod=lambda s, *at: s)
    assert half.dtype == eg.float16


def test_blocks_of_a_mask() -> None:
    block = flex.create_block_mask(causal, None, 2, 5, 6, BLOCK_SIZE=2)
    assert block.to_dense()[0, 1].tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert block.shape == (1, 2, 5, 6) and block.seq_lengths == (5, 6) and block.numel() == 60
    assert block.sparsity() == pytest.approx(100 * (1 - 2 * 6 * 4 / 60))
    assert block.to("cpu").mask_mod is causal and "sparsity" in repr(block)


def test_flexible_attention_says_what_does_not_fit() -> None:
    q, k = eg.ones(1, 4, 3, 2), eg.ones(1, 2, 3, 2)
    for args, options, match in [
        ((q[0], q[0], q[0]), {}, "4D"),
        ((q, k, k), {}, "enable_gqa"),
        ((k, q[:, :3], q[:, :3]), {"enable_gqa": True}, "multiple"),
        ((q, q[..., :1], q), {}, "sizes"),
        ((q, q.expand(2, 4, 3, 2), q.expand(2, 4, 3, 2)), {}, "samples"),
        ((q, q, q), {"block_mask": flex.create_block_mask(causal, None, None, 2, 3)}, "q_len=3"),
    ]:
        with pytest.raises(ValueError, match=match):
            flex.flex_attention(*args, **options)


# ---- names --------------------------------------------------------------------------------------------------------


def test_names_and_arguments_of_other_modules() -> None:
    layer = nn.Linear(2, 2)
    both = nn.Sequential(layer, layer)
    assert len(list(both.modules())) == 2 and len(list(both.modules(remove_duplicate=False))) == 3
    assert nn.ModuleList([layer]).pop(key=0) is layer
    x = eg.ones(1, 2)
    dicts = [dict(layer.named_parameters())]
    called = eg.func.functional_call(layer, parameter_and_buffer_dicts=dicts, args=x)
    assert eg.equal(called, layer(x))
    if not eg.cuda.is_available():
        assert eg.cuda.get_rng_state_all() == []
        with pytest.raises(RuntimeError), eg.accelerator.device_index(0):
            pass
    eg.cuda.set_rng_state_all(eg.cuda.get_rng_state_all())
    with eg.accelerator.device_index(None):
        assert eg.accelerator.memory_allocated() >= 0


def test_native_batch_norm() -> None:
    x, w = eg.randn(4, 3, 2), eg.ones(3)
    mean, var = eg.zeros(3), eg.ones(3)
    y, m, r = eg.native_batch_norm(x, w, None, mean, var, True, 0.1, 1e-5)
    assert eg.allclose(y, (x - m[:, None]) * r[:, None], atol=1e-5)
    assert eg.allclose(mean, 0.1 * m) and eg.allclose(r, (x.var((0, 2), False) + 1e-5).rsqrt())
    y, m, r = eg.native_batch_norm(x, w, None, mean, var, False, 0.1, 1e-5)
    assert m.numel() == r.numel() == 0 and eg.allclose(
        y[:, 0], (x[:, 0] - mean[0]) / (var[0] + 1e-5).sqrt(), atol=1e-5
    )
