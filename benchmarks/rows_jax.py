"""What JAX does in the rows of the other tables, where it is installed.

Each function is compiled by `jax.jit` as a whole, loops over time by `lax.scan`, and its compilation is not counted: JAX at its
best. Rows without a side here have no figure of JAX's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, nn
from jax.experimental import sparse

from .harness import Function
from .rows_sparse import _scipy, _weight

SIDES: dict[str, Callable[[], Function]] = {}


def beside(name: str) -> Callable[[Callable[[], Function]], Callable[[], Function]]:
    """Decorator: JAX's side of the row of that name."""

    def add(make: Callable[[], Function]) -> Callable[[], Function]:
        SIDES[name] = make
        return make

    return add


def _draw(*shape: int, scale: float = 1) -> Any:
    values = np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)
    return jnp.asarray(scale * values)


def _numbers(below: int, *shape: int) -> Any:
    return jnp.asarray(np.random.default_rng(0).integers(0, below, shape))


def _compiled(function: Callable[..., Any], *arguments: Any) -> Function:
    call = jax.jit(function)
    return lambda: jax.block_until_ready(call(*arguments))


def _gradients(loss: Callable[..., Any], *arguments: Any, of: int | None = None) -> Function:
    """Value and gradients by the first `of` arguments, or by all."""
    argnums = tuple(range(len(arguments) if of is None else of))
    return _compiled(jax.value_and_grad(loss, argnums), *arguments)


# ---- single operations


def _operation(name: str, function: Callable[..., Any], *shapes: tuple[int, ...]) -> None:
    SIDES[name] = lambda: _compiled(function, *(_draw(*s) for s in shapes))


SMALL, LARGE = (32, 64), (2048, 2048)
_operation("a + b, 32x64", jnp.add, SMALL, SMALL)
_operation("a * 2, 32x64", lambda a: a * 2, SMALL)
_operation("a.tanh(), 32x64", jnp.tanh, SMALL)
_operation("a[3:7, ::2], 32x64", lambda a: a[3:7, ::2], SMALL)
_operation("a.sum(1), 32x64", lambda a: a.sum(1), SMALL)
for _n in (256, 512, 1024, 2048):
    _operation(f"matmul {_n}", jnp.matmul, (_n, _n), (_n, _n))
_operation("tanh, 2048x2048", jnp.tanh, LARGE)
_operation("exp, 2048x2048", jnp.exp, LARGE)
_operation("GELU, 2048x2048", lambda a: nn.gelu(a, approximate=False), LARGE)
_operation("copy of a transpose, 2048x2048", lambda a: a.T.copy(), LARGE)
_operation("a + b, 4096x4096", jnp.add, (4096, 4096), (4096, 4096))
_operation("a + b, 2048x2048", jnp.add, LARGE, LARGE)
_operation("sum, 2048x2048", jnp.sum, LARGE)
_operation("sum(0), 2048x2048", lambda a: a.sum(0), LARGE)
_operation("a + row, 2048x2048", jnp.add, LARGE, (2048,))
_operation("softmax(1), 2048x2048", lambda a: nn.softmax(a, 1), LARGE)
_operation("topk(10), 256x10000", lambda a: lax.top_k(a, 10), (256, 10000))
_operation("sort, 256x10000",
           lambda a: lax.sort((a, lax.broadcasted_iota(jnp.int32, a.shape, 1)), num_keys=1),
           (256, 10000))  # fmt: skip


@beside("gather rows: a[i], 20000 of 50000x64")
def gather_rows() -> Function:
    return _compiled(lambda a, i: a[i], _draw(50000, 64), _numbers(50000, 20000))


@beside("scatter-add rows: index_add, 20000 into 50000x64")
def scatter_rows() -> Function:
    call = jax.jit(lambda a, i, b: a.at[i].add(b), donate_argnums=0)
    a, i, b = jnp.zeros((50000, 64)), _numbers(50000, 20000), _draw(20000, 64)

    def step() -> None:
        nonlocal a
        a = jax.block_until_ready(call(a, i, b))

    return step


@beside("10 x (matmul 32x64x64, tanh, add), fwd+bwd")
def chain() -> Function:
    def loss(w: Any, b: Any, x: Any) -> Any:
        for _ in range(10):
            x = jnp.tanh(x @ w) + b
        return x.sum()

    return _gradients(loss, _draw(64, 64, scale=0.1), _draw(64), _draw(32, 64), of=2)


# ---- recurrent


@beside("tanh RNN by hand, B1 H32, 100 steps, fwd+bwd")
def rnn_by_hand() -> Function:
    def loss(w: Any, u: Any, b: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            return jnp.tanh(x @ w + h @ u + b), None

        return lax.scan(step, jnp.zeros((1, 32)), xs)[0].sum()

    w, u = _draw(32, 32, scale=0.1), _draw(32, 32, scale=0.1)
    return _gradients(loss, w, u, jnp.zeros(32), _draw(100, 1, 32), of=3)


def _lstm(w: Any, u: Any, b: Any, xs: Any) -> tuple[Any, Any]:
    """Last and all states."""
    hidden, batch = u.shape[0], xs.shape[1]

    def step(state: Any, x: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(x @ w + h @ u + b, 4, 1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        h = nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((batch, hidden))
    (h, _), hs = lax.scan(step, (zeros, zeros), xs)
    return h, hs


def _lstm_weights(inputs: int, hidden: int) -> tuple[Any, Any, Any]:
    gates = 4 * hidden
    return _draw(inputs, gates, scale=0.1), _draw(hidden, gates, scale=0.1), jnp.zeros(gates)


def _lstm_gradients(result: int) -> Callable[[], Function]:
    """Of the sum of the last state (0) or of all states (1)."""

    def make() -> Function:
        loss = lambda w, u, b, xs: _lstm(w, u, b, xs)[result].sum()  # noqa: E731
        return _gradients(loss, *_lstm_weights(64, 128), _draw(50, 32, 64), of=3)

    return make


for _name, _result in (("LSTM by hand", 0), ("loop over LSTMCell", 0), ("nn.LSTM", 1)):
    SIDES[f"{_name}, B32 H128 I64 T50, fwd+bwd"] = _lstm_gradients(_result)


@beside("nn.LSTM, 2 layers bidirectional, T40 B32 I64 H64, fwd+bwd")
def lstm_deep() -> Function:
    def loss(layers: Any, xs: Any) -> Any:
        for forward, backward in layers:
            xs = jnp.concatenate([_lstm(*forward, xs)[1], _lstm(*backward, xs[::-1])[1][::-1]], 2)
        return xs.sum()

    layers = [[_lstm_weights(n, 64) for _ in range(2)] for n in (64, 128)]
    return _gradients(loss, layers, _draw(40, 32, 64), of=1)


@beside("nn.GRU, B32 H128 I64 T50, fwd+bwd")
def gru() -> Function:
    def loss(w: Any, u: Any, b: Any, c: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            r, z, n = jnp.split(x @ w + b, 3, 1)
            hr, hz, hn = jnp.split(h @ u + c, 3, 1)
            z = nn.sigmoid(z + hz)
            h = (1 - z) * jnp.tanh(n + nn.sigmoid(r + hr) * hn) + z * h
            return h, h

        return lax.scan(step, jnp.zeros((32, 128)), xs)[1].sum()

    weights = _draw(64, 384, scale=0.1), _draw(128, 384, scale=0.1)
    return _gradients(loss, *weights, jnp.zeros(384), jnp.zeros(384), _draw(50, 32, 64), of=4)


# ---- convolution


def _convolve(
    x: Any, w: Any, b: Any = None, *, stride: int = 1, pad: int = 0, groups: int = 1
) -> Any:
    dims = w.ndim - 2
    y = lax.conv_general_dilated(
        x, w, (stride,) * dims, [(pad, pad)] * dims, feature_group_count=groups
    )
    return y if b is None else y + b.reshape(-1, *[1] * dims)


def _convolution(name: str, x: tuple[int, ...], w: tuple[int, ...], **options: int) -> None:
    def loss(w: Any, b: Any, x: Any) -> Any:
        return _convolve(x, w, b, **options).sum()

    SIDES[name] = lambda: _gradients(loss, _draw(*w), jnp.zeros(w[0]), _draw(*x))


_convolution(
    "conv2d 64 channels 3x3, 16x64x32x32, fwd+bwd", (16, 64, 32, 32), (64, 64, 3, 3), pad=1
)
_convolution("conv1d 64 channels 5, 16x64x256, fwd+bwd", (16, 64, 256), (64, 64, 5), pad=2)
_convolution("depthwise conv2d 64 channels 3x3, 16x64x32x32, fwd+bwd", (16, 64, 32, 32), (64, 1, 3, 3),
             pad=1, groups=64)  # fmt: skip
_convolution("conv2d 512 channels 3x3, 8x512x7x7, fwd+bwd", (8, 512, 7, 7), (512, 512, 3, 3), pad=1)
_convolution("patches of 16x16, 8x3x224x224 to 192, fwd+bwd", (8, 3, 224, 224), (192, 3, 16, 16),
             stride=16)  # fmt: skip


# ---- whole steps


def _cross_entropy(scores: Any, classes: Any) -> Any:
    return -jnp.take_along_axis(nn.log_softmax(scores), classes[:, None], 1).mean()


def _sgd(p: Any, state: Any, g: Any) -> tuple[Any, Any]:
    state = 0.9 * state + g
    return p - 1e-3 * state, state


def _adam(p: Any, state: Any, g: Any, decay: float = 0) -> tuple[Any, Any]:
    step, m, v = state
    step, m, v = step + 1, 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    scaled = m / (1 - 0.9**step) / (jnp.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return p * (1 - 1e-4 * decay) - 1e-4 * scaled, (step, m, v)


def _adam_state(p: Any) -> tuple[Any, Any, Any]:
    return jnp.zeros(()), jnp.zeros_like(p), jnp.zeros_like(p)


def _training(loss: Any, parameters: Any, rule: Any, state_of: Any, *data: Any) -> Function:
    """One step of an optimizer at a time; parameters and states are updated in their memory."""

    def update(parameters: list[Any], states: list[Any], *data: Any) -> Any:
        gradients = jax.grad(loss)(parameters, *data)
        flat, tree = jax.tree.flatten(parameters)
        results = [rule(*x) for x in zip(flat, states, jax.tree.leaves(gradients), strict=True)]
        return jax.tree.unflatten(tree, [p for p, _ in results]), [s for _, s in results]

    call = jax.jit(update, donate_argnums=(0, 1))
    states = [state_of(p) for p in jax.tree.leaves(parameters)]

    def step() -> None:
        nonlocal parameters, states
        parameters, states = jax.block_until_ready(call(parameters, states, *data))

    return step


def _dense(fan_in: int, fan_out: int) -> tuple[Any, Any]:
    return _draw(fan_in, fan_out, scale=fan_in**-0.5), jnp.zeros(fan_out)


def _perceptron(sizes: list[int], batch: int, rule: Any, state_of: Any) -> Function:
    def loss(layers: Any, x: Any, y: Any) -> Any:
        for w, b in layers[:-1]:
            x = nn.relu(x @ w + b)
        w, b = layers[-1]
        return _cross_entropy(x @ w + b, y)

    layers = [_dense(*pair) for pair in itertools.pairwise(sizes)]
    return _training(
        loss, layers, rule, state_of, _draw(batch, sizes[0]), _numbers(sizes[-1], batch)
    )


@beside("MLP 784-512-512-10, batch 128, SGD momentum, whole step")
def mlp_sgd() -> Function:
    return _perceptron([784, 512, 512, 10], 128, _sgd, jnp.zeros_like)


@beside("MLP 64-64-10, batch 32, Adam, whole step")
def mlp_adam() -> Function:
    return _perceptron([64, 64, 10], 32, _adam, _adam_state)


@beside("vmap(grad) of a 16-32-4 perceptron, 64 samples")
def gradients_of_each_sample() -> Function:
    def loss(p: Any, x: Any, y: Any) -> Any:
        (w, b), (v, c) = p
        return (((jnp.tanh(x @ w + b) @ v + c) - y) ** 2).sum()

    gradients = jax.vmap(jax.grad(loss), (None, 0, 0))
    return _compiled(gradients, [_dense(16, 32), _dense(32, 4)], _draw(64, 16), _draw(64, 4))


def _mean_pool(x: Any) -> Any:
    return lax.reduce_window(x, 0.0, lax.add, (1, 1, 2, 2), (1, 1, 2, 2), "VALID") / 4


@beside("LeNet, batch 64, SGD, whole step")
def lenet() -> Function:
    def loss(p: Any, x: Any, y: Any) -> Any:
        x = _mean_pool(jnp.tanh(_convolve(x, *p[0], pad=2)))
        x = _mean_pool(jnp.tanh(_convolve(x, *p[1]))).reshape(64, 400)
        for w, b in p[2:4]:
            x = jnp.tanh(x @ w + b)
        return _cross_entropy(x @ p[4][0] + p[4][1], y)

    kernels = [(_draw(n, m, 5, 5, scale=0.1), jnp.zeros(n)) for n, m in ((6, 1), (16, 6))]
    parameters = [*kernels, _dense(400, 120), _dense(120, 84), _dense(84, 10)]
    return _training(loss, parameters, _sgd, jnp.zeros_like, _draw(64, 1, 28, 28), _numbers(10, 64))


@beside("ResNet block, 64 channels, 16x64x32x32, SGD, whole step")
def resnet_block() -> Function:
    def normalised(x: Any, scale: Any, shift: Any) -> Any:
        mean, spread = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
        return (x - mean) * lax.rsqrt(spread + 1e-5) * scale[:, None, None] + shift[:, None, None]

    def loss(p: Any, x: Any, y: Any) -> Any:
        h = nn.relu(normalised(_convolve(x, p["w1"], pad=1), *p["n1"]))
        h = nn.relu(normalised(_convolve(h, p["w2"], pad=1), *p["n2"]) + x)
        return _cross_entropy(h.mean((2, 3)) @ p["head"][0] + p["head"][1], y)

    parameters = {"head": _dense(64, 10)}
    for i in "12":
        parameters |= {"w" + i: _draw(64, 64, 3, 3, scale=0.04), "n" + i: _norm(64)}
    return _training(
        loss, parameters, _sgd, jnp.zeros_like, _draw(16, 64, 32, 32), _numbers(10, 16)
    )


def _norm(channels: int) -> tuple[Any, Any]:
    return jnp.ones(channels), jnp.zeros(channels)


def _layer_norm(x: Any, scale: Any, shift: Any) -> Any:
    mean, spread = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(spread + 1e-5) * scale + shift


@beside("GPT, 2 blocks, C192, 6 heads, T128, B8, AdamW, whole step")
def gpt() -> Function:
    channels, heads, length, batch, vocabulary = 192, 6, 128, 8, 256

    def block(p: Any, x: Any) -> Any:
        h = _layer_norm(x, *p["norm1"]) @ p["qkv"][0] + p["qkv"][1]
        q, k, v = jnp.split(h.reshape(batch, length, 3 * heads, channels // heads), 3, 2)
        y = nn.dot_product_attention(q, k, v, is_causal=True).reshape(x.shape)
        x = x + y @ p["out"][0] + p["out"][1]
        h = nn.gelu(_layer_norm(x, *p["norm2"]) @ p["up"][0] + p["up"][1], approximate=False)
        return x + h @ p["down"][0] + p["down"][1]

    def loss(p: Any, x: Any, y: Any) -> Any:
        h = p["tokens"][x] + p["places"]
        for each in p["blocks"]:
            h = block(each, h)
        h = _layer_norm(h, *p["norm"]) @ p["head"][0] + p["head"][1]
        return _cross_entropy(h.reshape(-1, vocabulary), y)

    def weights() -> Any:
        sizes = {"qkv": (1, 3), "out": (1, 1), "up": (1, 4), "down": (4, 1)}
        layers = {name: _dense(a * channels, b * channels) for name, (a, b) in sizes.items()}
        return {"norm1": _norm(channels), "norm2": _norm(channels), **layers}

    parameters = {
        "tokens": _draw(vocabulary, channels),
        "places": _draw(length, channels),
        "blocks": [weights(), weights()],
        "norm": _norm(channels),
        "head": _dense(channels, vocabulary),
    }
    ids = _numbers(vocabulary, batch, length + 1)
    rule = lambda p, state, g: _adam(p, state, g, 0.01)  # noqa: E731
    return _training(loss, parameters, rule, _adam_state, ids[:, :-1], ids[:, 1:].reshape(-1))


# ---- attention, norms, losses, embedding, optimizers


@beside("LayerNorm(768), 1024x768, fwd+bwd")
def layer_norm() -> Function:
    loss = lambda *arguments: _layer_norm(*arguments).sum()  # noqa: E731
    return _gradients(loss, _draw(1024, 768), *_norm(768))


@beside("cross entropy, 256 x 10,000 classes, fwd+bwd")
def cross_entropy() -> Function:
    return _gradients(_cross_entropy, _draw(256, 10000), _numbers(10000, 256), of=1)


def _attention(name: str, batch: int, heads: int, length: int, width: int, causal: bool) -> None:
    def loss(q: Any, k: Any, v: Any) -> Any:
        return nn.dot_product_attention(q, k, v, is_causal=causal).sum()

    SIDES[name] = lambda: _gradients(loss, *(_draw(batch, length, heads, width) for _ in range(3)))


_attention("attention, causal, B8 6 heads T128 D32, fwd+bwd", 8, 6, 128, 32, True)
_attention("attention, B2 8 heads T1024 D64, fwd+bwd", 2, 8, 1024, 64, False)


@beside("embedding 10000x128, 32x50 indices, dense gradient, fwd+bwd")
def embedding() -> Function:
    return _gradients(lambda w, i: w[i].sum(), _draw(10000, 128), _numbers(10000, 32, 50), of=1)


def _adam_alone(name: str, *shapes: tuple[int, ...]) -> None:
    def make() -> Function:
        parameters, gradients = [_draw(*s) for s in shapes], [_draw(*s) for s in shapes]
        loss = lambda p, g: sum((a * b).sum() for a, b in zip(p, g, strict=True))  # noqa: E731
        return _training(loss, parameters, _adam, _adam_state, gradients)

    SIDES[name] = make


_adam_alone("Adam over 5 M parameters, against torch's fused=True", *[(1000, 1000)] * 5)
_adam_alone("Adam over 100 tensors of 32x32, against torch's default", *[(32, 32)] * 100)


# ---- sparse: BCOO, whose gradient by the dense operand is dense


@beside("bag of words 128x10000 (0.5 %) @ 10000x256")
def bag_of_words() -> Function:
    x = sparse.BCOO.from_scipy_sparse(_scipy())
    return _compiled(lambda x, w: x @ w, x, jnp.asarray(_weight()))


@beside("bag of words, dense gradient, fwd+bwd")
def bag_of_words_gradient() -> Function:
    x = sparse.BCOO.from_scipy_sparse(_scipy())
    return _gradients(lambda w, x: (x @ w).sum(), jnp.asarray(_weight()), x, of=1)
