"""Attention and transformer layers."""

import math

import numpy as np
import pytest

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import nn
from layers import assert_agrees, assert_same, outcome, twins
from util import check_gradients

rng = np.random.default_rng(9)


def real(*shape):
    return rng.uniform(-1, 1, shape)


def double(*shape):
    return eg.tensor(real(*shape))


def expected(q, k, v, keep=None, add=None, scale=None):
    """Plain NumPy; rows that see nothing give 0."""
    s = q @ np.swapaxes(k, -1, -2) * (scale or 1 / math.sqrt(q.shape[-1]))
    if add is not None:
        s = s + add
    if keep is not None:
        s = np.where(keep, s, -np.inf)
    top = s.max(-1, keepdims=True)
    p = np.exp(s - np.where(np.isinf(top), 0, top))
    total = p.sum(-1, keepdims=True)
    return p / np.where(total == 0, 1, total) @ v


def attend(q, k, v, **kwargs):
    tensors = {n: eg.tensor(t) if isinstance(t, np.ndarray) else t for n, t in kwargs.items()}
    return F.scaled_dot_product_attention(*(eg.tensor(t) for t in (q, k, v)), **tensors).numpy()


# ---- scaled dot products ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "queries,keys,width,values",
    [(1, 1, 1, 1), (4, 5, 3, 2), (24, 64, 16, 16), (50, 70, 20, 65), (200, 3, 8, 64)],
)
def test_attention_of_any_size(queries, keys, width, values):
    q, k, v = real(2, 3, queries, width), real(2, 3, keys, width), real(2, 3, keys, values)
    np.testing.assert_allclose(attend(q, k, v), expected(q, k, v), rtol=1e-10)
    causal = np.tril(np.ones((queries, keys), bool))
    np.testing.assert_allclose(
        attend(q, k, v, is_causal=True), expected(q, k, v, causal), rtol=1e-10
    )
    q, k, v = (t.astype(np.float32) for t in (q, k, v))
    np.testing.assert_allclose(attend(q, k, v), expected(q, k, v), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    "queries, keys, width, values", [(1, 5, 3, 2), (33, 70, 40, 65), (200, 257, 64, 32)]
)
@pytest.mark.parametrize("kind", ["none", "causal", "keep", "add"])
@pytest.mark.parametrize("rows_first", [False, True])
def test_attention_of_bfloat16(queries, keys, width, values, kind, rows_first):
    sizes = [(2, 4, queries, width), (2, 2, keys, width), (2, 2, keys, values)]
    inputs = [eg.tensor(real(*s)).bfloat16() for s in sizes]
    mask = None
    if kind == "keep":
        keep = rng.random((2, 1, queries, keys)) > 0.4
        keep[:, :, 0] = False
        mask = eg.tensor(keep)
    elif kind == "add":
        mask = eg.tensor(real(queries, keys)).bfloat16()

    def run(dtype):
        tensors = [t.to(dtype) for t in inputs]
        if rows_first:
            tensors = [t.transpose(1, 2).contiguous().transpose(1, 2) for t in tensors]
        tensors = [t.detach().requires_grad_() for t in tensors]
        add = mask.to(dtype) if kind == "add" else mask
        y = F.scaled_dot_product_attention(
            *tensors, attn_mask=add, is_causal=kind == "causal", enable_gqa=True
        )
        g = eg.tensor(np.random.default_rng(0).standard_normal(y.shape)).bfloat16().to(dtype)
        return [y.detach(), *eg.autograd.grad(y, tensors, g)]

    for ours, exact in zip(run(eg.bfloat16), run(eg.float32), strict=True):
        assert ours.dtype == eg.bfloat16
        atol = 0.015 * exact.abs().max().item()
        np.testing.assert_allclose(ours.float().numpy(), exact.numpy(), atol=atol)


@pytest.mark.parametrize(
    "shape", [(30, 40), (2, 1, 30, 40), (3, 30, 40), (1, 1, 1, 40), (2, 3, 30, 1)]
)
def test_masks_broadcast(shape):
    q, k, v = real(2, 3, 30, 5), real(2, 3, 40, 5), real(2, 3, 40, 4)
    keep, add = rng.random(shape) < 0.5, real(*shape)
    np.testing.assert_allclose(
        attend(q, k, v, attn_mask=keep), expected(q, k, v, keep), rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(
        attend(q, k, v, attn_mask=add), expected(q, k, v, add=add), rtol=1e-10
    )


def test_fewer_than_four_dimensions():
    q, k, v = real(6, 4), real(7, 4), real(7, 3)
    np.testing.assert_allclose(attend(q, k, v), expected(q, k, v), rtol=1e-10)
    np.testing.assert_allclose(attend(q[None], k[None], v[None])[0], expected(q, k, v), rtol=1e-10)
    five = [np.broadcast_to(t, (2, 1, 2, *t.shape)).copy() for t in (q, k, v)]
    np.testing.assert_allclose(attend(*five)[1, 0, 1], expected(q, k, v), rtol=1e-10)


def test_no_keys_give_zero():
    assert attend(real(2, 3, 4), real(2, 0, 4), real(2, 0, 5)).tolist() == [[[0] * 5] * 3] * 2
    assert attend(real(2, 0, 4), real(2, 3, 4), real(2, 3, 5)).shape == (2, 0, 5)


def test_row_that_sees_nothing_gives_zero_and_no_gradient():
    keep = eg.tensor([[True, False], [False, False]])
    xs = [double(2, 3).requires_grad_() for _ in range(3)]
    out = F.scaled_dot_product_attention(*xs, attn_mask=keep)
    assert out[1].tolist() == [0, 0, 0]
    out.sum().backward()
    assert xs[0].grad[1].tolist() == [0, 0, 0]
    assert all(np.isfinite(x.grad.numpy()).all() for x in xs)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads", [None, 1])
def test_gradients_of_first_and_second_order(causal, heads):
    shape = (2, 3) if heads is None else ()
    xs = [double(*shape, 4, 3), double(*shape, 5, 3), double(*shape, 5, 2)]
    check_gradients(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal), xs, order=2
    )


def test_gradients_with_masks():
    keep = eg.tensor(rng.random((4, 5)) < 0.6)
    xs = [double(2, 4, 3), double(2, 5, 3), double(2, 5, 2)]
    check_gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, keep), xs, order=2)
    check_gradients(F.scaled_dot_product_attention, [*xs, double(4, 5)], order=2)


def test_gradients_over_several_blocks():
    xs = [double(1, 2, 100, 8), double(1, 2, 90, 8), double(1, 2, 90, 5)]
    check_gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v), xs)
    check_gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), xs)


def test_heads_of_keys_may_be_shared():
    q, k, v = double(2, 6, 4, 3), double(2, 2, 5, 3), double(2, 2, 5, 3)
    repeated = [t.repeat_interleave(3, 1) for t in (k, v)]
    np.testing.assert_allclose(
        F.scaled_dot_product_attention(q, k, v, enable_gqa=True).numpy(),
        F.scaled_dot_product_attention(q, *repeated).numpy(),
        rtol=1e-12,
    )
    check_gradients(
        lambda *t: F.scaled_dot_product_attention(*t, enable_gqa=True), [q, k, v], order=2
    )


def test_transposed_heads_need_no_copy_and_come_back_transposed():
    x = double(2, 5, 3, 4)  # batch, time, heads, width
    y = F.scaled_dot_product_attention(*[x.transpose(1, 2)] * 3)
    c = x.transpose(1, 2).contiguous()
    np.testing.assert_allclose(
        y.numpy(), F.scaled_dot_product_attention(c, c, c).numpy(), rtol=1e-12
    )
    assert y.transpose(1, 2).is_contiguous()


def test_dropout_keeps_the_mean_and_zero_keeps_all():
    eg.manual_seed(0)
    q, k, v = eg.zeros(4, 2), eg.zeros(2000, 2), eg.ones(2000, 1)
    out = F.scaled_dot_product_attention(q, k, v, dropout_p=0.3)
    assert (out - 1).abs().max() < 0.1 and (out != 1).any()


def test_results_do_not_depend_on_the_number_of_threads():
    xs = [eg.randn(2, 3, 210, 16, requires_grad=True) for _ in range(3)]
    before, found = eg.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            eg.set_num_threads(threads)
            y = F.scaled_dot_product_attention(*xs, is_causal=True)
            found.append([y, *eg.autograd.grad(y.sum(), xs)])
    finally:
        eg.set_num_threads(before)
    for other in found[1:]:
        assert all((a == b).all() for a, b in zip(other, found[0], strict=True))


@pytest.mark.parametrize(
    "shapes,kwargs",
    [
        (((2, 4, 3), (2, 5, 2), (2, 5, 3)), {}),
        (((2, 4, 3), (2, 5, 3), (2, 6, 3)), {}),
        (((2, 4, 3), (3, 5, 3), (3, 5, 3)), {}),
        (((4, 3), (5, 3), (5, 3)), {"attn_mask": np.ones((4, 4), bool)}),
        (((4, 3), (5, 3), (5, 3)), {"attn_mask": np.ones((4, 5), np.int64)}),
        (((1, 3, 4, 3), (1, 2, 5, 3), (1, 2, 5, 3)), {"enable_gqa": True}),
    ],
)
def test_bad_arguments_raise(shapes, kwargs):
    with pytest.raises(RuntimeError):
        attend(*(real(*s) for s in shapes), **kwargs)


# ---- MultiheadAttention -------------------------------------------------------------------------

PADDING = np.array(
    [[False, False, False, True, True], [False] * 5, [False, True, False, True, False]]
)


def self_attention(**options):
    def call(layer, x):
        lib = eg if isinstance(layer, nn.Module) else pytest.importorskip("torch")
        made = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        out, weights = layer(x, x, x, **made)
        return (out,) if weights is None else (out, weights)

    return call


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"bias": False},
        {"batch_first": True},
        {"add_bias_kv": True},
        {"add_zero_attn": True},
        {"add_bias_kv": True, "add_zero_attn": True, "batch_first": True},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"need_weights": False},
        {"average_attn_weights": False},
        {"key_padding_mask": PADDING},
        {"key_padding_mask": PADDING, "need_weights": False},
        {"attn_mask": np.triu(np.ones((5, 5), bool), 1)},
        {"attn_mask": real(6, 5, 5), "need_weights": False},
        {
            "attn_mask": np.triu(np.full((5, 5), -np.inf), 1),
            "is_causal": True,
            "need_weights": False,
        },
    ],
    ids=lambda o: "-".join(o) or "plain",
)
def test_multihead_attention_agrees_with_pytorch(kwargs, options):
    x = real(3, 5, 8) if kwargs.get("batch_first") else real(5, 3, 8)
    assert_agrees("MultiheadAttention", [x], 8, 2, call=self_attention(**options), **kwargs)


@pytest.mark.parametrize("kwargs", [{}, {"kdim": 5, "vdim": 7}], ids=str)
def test_keys_and_values_of_other_sizes(kwargs):
    k, v = real(6, 3, kwargs.get("kdim", 8)), real(6, 3, kwargs.get("vdim", 8))
    assert_agrees("MultiheadAttention", [real(4, 3, 8), k, v], 8, 2, **kwargs)


def test_unbatched_attention():
    assert_agrees("MultiheadAttention", [real(5, 8)], 8, 4, call=self_attention())
    x, memory = real(5, 8), real(7, 8)
    assert_agrees("MultiheadAttention", [x, memory, memory], 8, 4, batch_first=True)


def test_attention_dropout_in_training_only():
    layer, x = nn.MultiheadAttention(8, 2, dropout=0.5), eg.randn(5, 3, 8)
    assert layer(x, x, x)[0].tolist() != layer(x, x, x)[0].tolist()
    layer.eval()
    assert layer(x, x, x)[0].tolist() == layer(x, x, x)[0].tolist()


@pytest.mark.parametrize(
    "call,error",
    [
        (lambda: nn.MultiheadAttention(7, 2), AssertionError),
        (lambda: nn.MultiheadAttention(0, 1), ValueError),
        (lambda: nn.MultiheadAttention(4, 2)(*[eg.zeros(2, 1, 6)] * 3), AssertionError),
        (
            lambda: nn.MultiheadAttention(4, 2)(*[eg.zeros(2, 1, 4)] * 3, attn_mask=eg.zeros(3, 3)),
            RuntimeError,
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(*[eg.zeros(2, 1, 4)] * 3, is_causal=True),
            RuntimeError,
        ),
    ],
)
def test_bad_multihead_arguments_raise(call, error):
    with pytest.raises(error):
        call()


# ---- transformers -------------------------------------------------------------------------------

SMALL = {"dim_feedforward": 16, "dropout": 0.0}


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_encoder_layer_agrees_with_pytorch(norm_first, activation, batch_first):
    kwargs = {"norm_first": norm_first, "activation": activation, "batch_first": batch_first}
    assert_agrees("TransformerEncoderLayer", [real(5, 3, 8)], 8, 2, **SMALL, **kwargs)


@pytest.mark.parametrize("norm_first", [False, True])
def test_decoder_layer_agrees_with_pytorch(norm_first):
    inputs = [real(4, 3, 8), real(5, 3, 8)]
    assert_agrees("TransformerDecoderLayer", inputs, 8, 2, norm_first=norm_first, **SMALL)


@pytest.mark.parametrize("bias", [False, True])
def test_transformer_agrees_with_pytorch(bias):
    def call(net, src, tgt):
        mask = net.generate_square_subsequent_mask(tgt.shape[1], dtype=tgt.dtype)
        return net(src, tgt, tgt_mask=mask)

    inputs = [real(3, 5, 8), real(3, 4, 8)]
    kwargs = {"batch_first": True, "bias": bias, **SMALL}
    assert_agrees("Transformer", inputs, 8, 2, 2, 2, call=call, **kwargs)


def test_encoder_with_masks_agrees_with_pytorch():
    torch, *layers = twins("TransformerEncoderLayer", 8, 2, **SMALL)
    found = []
    x = real(5, 3, 8)
    for lib, layer in ((torch, layers[0]), (eg, layers[1])):
        norm = lib.nn.LayerNorm(8).to(lib.float64)
        net = lib.nn.TransformerEncoder(layer, 2, norm, enable_nested_tensor=False)
        mask = lib.nn.Transformer.generate_square_subsequent_mask(5) < 0
        padding = lib.tensor(PADDING)
        found.append(outcome(lib, lambda y, n=net, m=mask, p=padding: n(y, m, p), [x], []))
    assert_same(found[1], found[0])


def test_causal_mask_looks_back_only():
    layer = nn.TransformerEncoderLayer(8, 2, **SMALL).double()
    net = nn.TransformerEncoder(layer, 2)
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=eg.float64)
    assert mask[0, 1] == -math.inf and mask[1, 0] == 0
    x = double(5, 1, 8)
    y = x.clone()
    y[3:] += 1
    a, b = net(x, mask), net(y, mask)
    np.testing.assert_allclose(a[:3].detach().numpy(), b[:3].detach().numpy())
    assert (a[3:] != b[3:]).any()


def test_copies_of_a_layer_have_weights_of_their_own():
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, **SMALL), 2)
    assert net.layers[0].linear1.weight is not net.layers[1].linear1.weight
    assert len(list(net.parameters())) == 2 * 12


def test_transformer_gradients_of_second_order():
    layer = nn.TransformerEncoderLayer(
        4, 2, dim_feedforward=5, dropout=0.0, activation="gelu"
    ).double()
    check_gradients(layer, [double(3, 2, 4)], order=2, rtol=1e-4)


@pytest.mark.parametrize(
    "call",
    [
        lambda: nn.TransformerEncoderLayer(8, 2, activation="sine"),
        lambda: nn.Transformer(8, 2, 1, 1, 8)(eg.zeros(2, 3, 8), eg.zeros(2, 4, 8)),
        lambda: nn.Transformer(8, 2, 1, 1, 8)(eg.zeros(2, 3, 6), eg.zeros(2, 3, 6)),
    ],
)
def test_bad_transformer_arguments_raise(call):
    with pytest.raises(RuntimeError):
        call()


class _Weighted(nn.TransformerEncoderLayer):
    def _sa_block(self, x, attn_mask, key_padding_mask, is_causal=False):
        return 0.5 * super()._sa_block(x, attn_mask, key_padding_mask, is_causal)

    def _ff_block(self, x):
        return eg.zeros_like(x)


class _Blocks(nn.TransformerDecoderLayer):
    def forward(self, tgt, memory):
        x = self.norm1(tgt + self._sa_block(tgt, None, None))
        x = self.norm2(x + self._mha_block(x, memory, None, None))
        return self.norm3(x + self._ff_block(x))


def test_programs_override_the_blocks_of_a_layer():
    layer = _Weighted(8, 2, 16, dropout=0.0, norm_first=True)
    x = eg.randn(4, 3, 8)
    y = layer.norm1(x)
    attended = layer.self_attn(y, y, y, need_weights=False)[0]
    assert eg.allclose(layer(x), x + 0.5 * attended)


def test_programs_put_the_blocks_together_themselves():
    layer = _Blocks(8, 2, 16, dropout=0.0)
    plain = nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0)
    plain.load_state_dict(layer.state_dict())
    tgt, memory = eg.randn(4, 3, 8), eg.randn(5, 3, 8)
    assert eg.equal(layer(tgt, memory), plain(tgt, memory))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("queries, keys, features", [(3, 4, 0), (3, 0, 4), (0, 0, 3)])
def test_dropout_in_attention_without_features_or_keys(queries, keys, features, causal):
    q, k = eg.zeros(2, queries, features), eg.zeros(2, keys, features)
    v = eg.zeros(2, keys, 5, requires_grad=True)
    y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.5, is_causal=causal)
    y.sum().backward()
    assert y.tolist() == eg.zeros(2, queries, 5).tolist()
    assert v.grad.shape == v.shape
