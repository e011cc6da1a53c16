"""Weights move between Keras' layers and ours: against formulas of Keras' layers in NumPy, and Keras itself where installed."""

import os

import numpy as np
import pytest

import eagergrad as eg
from eagergrad import nn
from eagergrad.serialization import from_keras_weights, to_keras_weights

rng = np.random.default_rng(0)


def draw(*shape):
    return rng.standard_normal(shape).astype("float32")


def fill(module, x):
    """Random weights in Keras' arrangement, copied into the module, and what it makes of x then."""
    weights = [np.abs(draw(*w.shape)) * 0.5 for w in to_keras_weights(module)]
    from_keras_weights(module, weights)
    back = to_keras_weights(module)
    assert all(np.array_equal(a, b) for a, b in zip(weights, back, strict=True))
    y = module.eval()(eg.tensor(x))
    return weights, (y[0] if isinstance(y, tuple) else y).detach().numpy()


def close(ours, theirs):
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1e-5 * max(1.0, np.abs(theirs).max())


# ---- formulas -------------------------------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_dense():
    x = draw(2, 3)
    (kernel, bias), y = fill(nn.Linear(3, 4), x)
    close(y, x @ kernel + bias)


def conv2d(x, kernel):
    """Keras' Conv2D without padding: images (n, h, w, c), kernel (kh, kw, c, outputs)."""
    kh, kw = kernel.shape[:2]
    rows, columns = x.shape[1] - kh + 1, x.shape[2] - kw + 1
    windows = [
        np.einsum("nhwc,co->nhwo", x[:, i : i + rows, j : j + columns], kernel[i, j])
        for i in range(kh)
        for j in range(kw)
    ]
    return sum(windows)


def to_last(y):
    return np.moveaxis(y, 1, -1)


def test_convolution():
    x = draw(2, 5, 6, 3)
    (kernel, bias), y = fill(nn.Conv2d(3, 4, (3, 2)), np.moveaxis(x, -1, 1).copy())
    assert kernel.shape == (3, 2, 3, 4)
    close(to_last(y), conv2d(x, kernel) + bias)


def test_depthwise_convolution():
    x = draw(2, 5, 6, 3)
    layer = nn.Conv2d(3, 6, 2, groups=3, bias=False)
    (kernel,), y = fill(layer, np.moveaxis(x, -1, 1).copy())
    assert kernel.shape == (2, 2, 3, 2)
    apart = [conv2d(x[..., c : c + 1], kernel[:, :, c : c + 1]) for c in range(3)]
    close(to_last(y), np.concatenate(apart, -1))


def test_transposed_convolution():
    x = draw(2, 4, 3, 3)
    layer = nn.ConvTranspose2d(3, 4, 2, bias=False)
    (kernel,), y = fill(layer, np.moveaxis(x, -1, 1).copy())
    assert kernel.shape == (2, 2, 4, 3)
    expected = np.zeros((2, 5, 4, 4), "float32")
    for i in range(2):
        for j in range(2):
            expected[:, i : i + 4, j : j + 3] += np.einsum("nhwc,oc->nhwo", x, kernel[i, j])
    close(to_last(y), expected)


def test_batch_and_layer_norm():
    x = draw(4, 3)
    (gamma, beta, mean, variance), y = fill(nn.BatchNorm1d(3), x)
    close(y, (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta)
    (gamma, beta), y = fill(nn.LayerNorm(3), x)
    spread = np.sqrt(x.var(1, keepdims=True) + 1e-5)
    close(y, (x - x.mean(1, keepdims=True)) / spread * gamma + beta)


def test_embedding():
    (table,), y = fill(nn.Embedding(5, 3), np.array([[1, 4]]))
    close(y, table[[[1, 4]]])


def lstm(x, kernel, recurrent, bias):
    h = c = np.zeros((x.shape[0], len(recurrent)), "float32")
    out = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.stack(out, 1)


def gru(x, kernel, recurrent, bias):
    h, out = np.zeros((x.shape[0], len(recurrent)), "float32"), []
    for t in range(x.shape[1]):
        xz, xr, xh = np.split(x[:, t] @ kernel + bias[0], 3, axis=1)
        hz, hr, hh = np.split(h @ recurrent + bias[1], 3, axis=1)
        z, r = sigmoid(xz + hz), sigmoid(xr + hr)
        h = z * h + (1 - z) * np.tanh(xh + r * hh)
        out.append(h)
    return np.stack(out, 1)


def simple_rnn(x, kernel, recurrent, bias):
    h, out = np.zeros((x.shape[0], len(recurrent)), "float32"), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ kernel + bias + h @ recurrent)
        out.append(h)
    return np.stack(out, 1)


@pytest.mark.parametrize(("kind", "run"), [(nn.LSTM, lstm), (nn.GRU, gru), (nn.RNN, simple_rnn)])
def test_recurrent_layers(kind, run):
    x = draw(2, 6, 3)
    weights, y = fill(kind(3, 4, batch_first=True), x)
    close(y, run(x, *weights))
    weights, y = fill(kind(3, 4, 2, batch_first=True, bidirectional=True), x)
    assert len(weights) == 12
    for start in (0, 6):
        ahead = run(x, *weights[start : start + 3])
        back = run(x[:, ::-1], *weights[start + 3 : start + 6])[:, ::-1]
        x = np.concatenate([ahead, back], -1)
    close(y, x)


@pytest.mark.parametrize(
    ("kind", "run"), [(nn.LSTMCell, lstm), (nn.GRUCell, gru), (nn.RNNCell, simple_rnn)]
)
def test_cells(kind, run):
    x = draw(2, 3)
    weights, y = fill(kind(3, 4), x)
    close(y, run(x[:, None], *weights)[:, 0])


def image_net():
    return nn.Sequential(
        nn.Conv2d(3, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(48, 5), nn.Linear(5, 2)
    )


def test_features_of_images_change_their_order():
    x = draw(2, 4, 5, 3)
    first = np.moveaxis(x, -1, 1).copy()
    (kernel, bias, *dense), y = fill(image_net(), first)
    seen = np.maximum(conv2d(x, kernel) + bias, 0).reshape(2, -1)
    close(y, (seen @ dense[0] + dense[1]) @ dense[2] + dense[3])


def test_channels_first_keeps_their_order():
    net = image_net()
    weights = to_keras_weights(net, data_format="channels_first")
    assert np.array_equal(weights[2], net[3].weight.detach().numpy().T)
    from_keras_weights(net, weights, data_format="channels_first")
    assert np.array_equal(weights[2], net[3].weight.detach().numpy().T)
    with pytest.raises(ValueError, match="channels_last"):
        to_keras_weights(net, data_format="NHWC")


def test_arrays_are_copies_of_any_dtype():
    layer = nn.Linear(2, 2).bfloat16()
    weights = to_keras_weights(layer)
    assert [w.dtype for w in weights] == [np.float32] * 2
    weights[0][:] = 3
    assert not (layer.weight == 3).any()
    from_keras_weights(layer, [w.astype("float64") for w in weights])
    assert (layer.weight == 3).all() and layer.weight.dtype == eg.bfloat16
    assert layer.weight.is_leaf and layer.weight.requires_grad


# ---- refusals ---------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_before_anything_is_written():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = {name: t.clone() for name, t in net.state_dict().items()}
    weights = to_keras_weights(net)
    with pytest.raises(ValueError, match=r"expected 4 arrays, .*0\.kernel.* got 3"):
        from_keras_weights(net, weights[:3])
    wrong = [np.zeros_like(weights[0]), weights[1], weights[2].T, weights[3]]
    with pytest.raises(ValueError, match=r"1\.kernel must have shape \(3, 1\), got \(1, 3\)"):
        from_keras_weights(net, wrong)
    assert all((t == before[name]).all() for name, t in net.state_dict().items())


def test_a_gru_that_resets_before_is_another_layer():
    weights = to_keras_weights(nn.GRU(2, 3))
    with pytest.raises(ValueError, match="reset_after=False"):
        from_keras_weights(nn.GRU(2, 3), [*weights[:2], weights[2][0]])


@pytest.mark.parametrize(
    ("layer", "kind", "text"),
    [
        (nn.PReLU(), TypeError, "PReLU: no layer of Keras"),
        (nn.LSTM(2, 3, proj_size=2), ValueError, "projections"),
        (nn.ConvTranspose1d(4, 4, 2, groups=2), ValueError, "in groups"),
        (nn.BatchNorm1d(2, track_running_stats=False), ValueError, "running statistics"),
    ],
)
def test_layers_that_keras_lacks_are_refused_with_their_path(layer, kind, text):
    with pytest.raises(kind, match=f"layer 1, .*{text}"):
        to_keras_weights(nn.Sequential(nn.ReLU(), layer))


# ---- Keras itself -------------------------------------------------------------------------------------------------------


by_keras = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("torch")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras")


IMAGES = {
    "Conv1D": (lambda k: k.Conv1D(4, 3), lambda: nn.Conv1d(5, 4, 3), (9,)),
    "Conv2D": (lambda k: k.Conv2D(4, (3, 2), 2), lambda: nn.Conv2d(5, 4, (3, 2), 2), (9, 8)),
    "Conv3D": (lambda k: k.Conv3D(4, (3, 2, 1)), lambda: nn.Conv3d(5, 4, (3, 2, 1)), (5, 6, 4)),
    "DepthwiseConv1D": (
        lambda k: k.DepthwiseConv1D(3, depth_multiplier=2),
        lambda: nn.Conv1d(5, 10, 3, groups=5),
        (9,),
    ),
    "DepthwiseConv2D": (
        lambda k: k.DepthwiseConv2D(3, depth_multiplier=2),
        lambda: nn.Conv2d(5, 10, 3, groups=5),
        (9, 8),
    ),
    "Conv1DTranspose": (
        lambda k: k.Conv1DTranspose(4, 3),
        lambda: nn.ConvTranspose1d(5, 4, 3),
        (9,),
    ),
    "Conv2DTranspose": (
        lambda k: k.Conv2DTranspose(4, (3, 2), (1, 2)),
        lambda: nn.ConvTranspose2d(5, 4, (3, 2), (1, 2)),
        (9, 8),
    ),
    "Conv3DTranspose": (
        lambda k: k.Conv3DTranspose(4, (3, 2, 2), 2),
        lambda: nn.ConvTranspose3d(5, 4, (3, 2, 2), 2),
        (3, 4, 3),
    ),
    "BatchNormalization": (
        lambda k: k.BatchNormalization(epsilon=1e-5),
        lambda: nn.BatchNorm2d(5),
        (4, 3),
    ),
    "GroupNormalization": (
        lambda k: k.GroupNormalization(5, epsilon=1e-5),
        lambda: nn.GroupNorm(5, 5),
        (4, 3),
    ),
}


def against(keras, theirs, ours, x, to_ours=lambda x: x, to_theirs=lambda y: y):
    theirs(x)  # builds it
    weights, y = fill(ours, to_ours(x))
    theirs.set_weights(weights)
    assert all(np.array_equal(a, b) for a, b in zip(theirs.get_weights(), weights, strict=True))
    close(to_theirs(y), np.asarray(keras.ops.convert_to_numpy(theirs(x, training=False))))


@by_keras
@pytest.mark.parametrize("name", IMAGES)
def test_layers_of_images_equal_keras(keras, name):
    theirs, ours, sizes = IMAGES[name]
    layer = keras.Sequential([theirs(keras.layers)])
    against(
        keras, layer, ours(), draw(2, *sizes, 5), lambda x: np.moveaxis(x, -1, 1).copy(), to_last
    )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("name", "kind"), [("LSTM", nn.LSTM), ("GRU", nn.GRU), ("SimpleRNN", nn.RNN)]
)
@by_keras
def test_recurrent_layers_equal_keras(keras, name, kind, bias):
    def layer():
        return getattr(keras.layers, name)(4, return_sequences=True, use_bias=bias)

    ours = kind(3, 4, batch_first=True, bias=bias)
    against(keras, keras.Sequential([layer()]), ours, draw(2, 6, 3))
    both = [keras.layers.Bidirectional(layer()) for _ in range(2)]
    ours = kind(3, 4, 2, batch_first=True, bias=bias, bidirectional=True)
    against(keras, keras.Sequential(both), ours, draw(2, 6, 3))


@by_keras
def test_a_net_for_images_equals_keras(keras):
    k = keras.layers
    theirs = keras.Sequential(
        [
            k.Conv2D(4, 3, activation="relu"),
            k.BatchNormalization(epsilon=1e-5),
            k.MaxPooling2D(),
            k.Dropout(0.5),
            k.Flatten(),
            k.Dense(5, activation="tanh"),
            k.LayerNormalization(epsilon=1e-5),
            k.Dense(2),
        ]
    )
    ours = nn.Sequential(
        *(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.Dropout()),
        *(nn.Flatten(), nn.Linear(24, 5), nn.Tanh(), nn.LayerNorm(5), nn.Linear(5, 2)),
    )
    against(keras, theirs, ours, draw(2, 8, 6, 3), lambda x: np.moveaxis(x, -1, 1).copy())


@by_keras
def test_normalizations_of_flattened_images_equal_keras(keras):
    k = keras.layers
    norms = [k.BatchNormalization(epsilon=1e-5), k.LayerNormalization(epsilon=1e-5)]
    image_norm = k.LayerNormalization(axis=[1, 2, 3], epsilon=1e-5)
    theirs = keras.Sequential([k.Conv2D(4, 3), image_norm, k.Flatten(), *norms, k.Dense(5)])
    ours = nn.Sequential(
        *(nn.Conv2d(3, 4, 3), nn.LayerNorm([4, 3, 2]), nn.Flatten()),
        *(nn.BatchNorm1d(24), nn.LayerNorm(24), nn.Linear(24, 5)),
    )
    against(keras, theirs, ours, draw(2, 5, 4, 3), lambda x: np.moveaxis(x, -1, 1).copy())


@by_keras
def test_a_net_for_words_equals_keras(keras):
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(7, 4)
            self.rnn = nn.LSTM(4, 5, batch_first=True)
            self.out = nn.Linear(5, 2)

        def forward(self, x):
            return self.out(self.rnn(self.table(x))[0][:, -1])

    k = keras.layers
    theirs = keras.Sequential([k.Embedding(7, 4), k.LSTM(5), k.Dense(2)])
    against(keras, theirs, Words(), rng.integers(0, 7, (3, 5)))
