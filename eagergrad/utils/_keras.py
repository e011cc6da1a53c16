"""Weights in Keras' arrangement: the arrays of `get_weights()` for a tree of layers, and back.

Keras itself is not needed. An array of Keras is one or two parameters here, with dimensions in another order
(https://keras.io/api/layers): kernels end in (inputs, outputs), GRUs put the update gate first, and recurrent layers other than
the GRU add both biases up beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

import eagergrad as eg
from eagergrad.utils._arrays import array_to_tensor, tensor_to_array

__all__ = ["from_keras_weights", "to_keras_weights"]

Arrays = tuple[np.ndarray, ...]


class _Weight(NamedTuple):
    """One array of Keras."""

    name: str  # Keras' for it
    tensors: tuple[Any, ...]  # the parameters or buffers that it is made of
    arrange: Callable[..., np.ndarray]  # of their arrays
    restore: Callable[[np.ndarray], Arrays]


def _moved(
    name: str,
    tensor: Any,
    seen: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    final: Sequence[int] | None = None,
    gates: Sequence[int] | None = None,
) -> _Weight:
    """A tensor seen in a shape, with its first dimension in the order of ``gates`` (which is its own inverse) and
    its dimensions in that of ``axes``, then reshaped."""
    shape = tuple(tensor.shape)
    seen = shape if seen is None else tuple(seen)
    axes = tuple(range(len(seen))) if axes is None else tuple(axes)
    turned = tuple(seen[a] for a in axes)

    def arrange(a: np.ndarray) -> np.ndarray:
        a = a.reshape(seen)
        a = (a if gates is None else a[list(gates)]).transpose(axes)
        return a if final is None else a.reshape(final)

    def restore(k: np.ndarray) -> Arrays:
        k = k.reshape(turned).transpose(np.argsort(axes))
        return ((k if gates is None else k[list(gates)]).reshape(shape),)

    return _Weight(name, (tensor,), arrange, restore)


def _plain(**tensors: Any) -> Iterator[_Weight]:
    return (_moved(name, t) for name, t in tensors.items() if t is not None)


# ---- layers -------------------------------------------------------------------------------------


def _linear(m: Any, channels: int | None) -> Iterator[_Weight]:
    outputs, inputs = m.weight.shape
    c = channels if channels and inputs % channels == 0 else 1
    yield _moved("kernel", m.weight, (outputs, c, inputs // c), (2, 1, 0), (inputs, outputs))
    yield from _plain(bias=m.bias)


def _conv(m: Any, channels: int | None) -> Iterator[_Weight]:
    window = tuple(range(2, m.weight.dim()))
    outputs, depth, *sizes = m.weight.shape
    if m.transposed and m.groups > 1:
        raise ValueError("Keras has no transposed convolution in groups")
    if depth == 1 < m.groups and len(sizes) < 3:  # DepthwiseConv1D and 2D
        seen = (m.groups, outputs // m.groups, *sizes)
        yield _moved("kernel", m.weight, seen, (*window, 0, 1))
    else:
        yield _moved("kernel", m.weight, axes=(*window, 1, 0))
    yield from _plain(bias=m.bias)


def _batch_norm(m: Any, channels: int | None) -> Iterator[_Weight]:
    if m.running_mean is None:
        raise ValueError("Keras has no batch normalization without running statistics")
    mean, variance = m.running_mean, m.running_var
    yield from _of_features(
        channels, gamma=m.weight, beta=m.bias, moving_mean=mean, moving_variance=variance
    )


def _affine(m: Any, channels: int | None) -> Iterator[_Weight]:
    return _of_features(channels, gamma=m.weight, beta=m.bias)


def _of_features(channels: int | None, **tensors: Any) -> Iterator[_Weight]:
    """One number a feature: of a channel, or of images (also as vectors), whose channels come last in Keras."""
    for name, t in tensors.items():
        if t is None:
            continue
        n, images = t.numel(), channels is not None and t.numel() % channels == 0
        if images and t.dim() == 1:
            yield _moved(name, t, (channels, n // channels), (1, 0), (n,))
        elif images:
            yield _moved(name, t, axes=(*range(1, t.dim()), 0))
        else:
            yield _moved(name, t)


def _embedding(m: Any, channels: int | None) -> Iterator[_Weight]:
    return _plain(embeddings=m.weight)


def _recurrent(m: Any, channels: int | None) -> Iterator[_Weight]:
    if getattr(m, "proj_size", 0):
        raise ValueError("Keras has no LSTM with projections")
    cell = isinstance(m, eg.nn.RNNCellBase)
    layers = [""] if cell else [f"_l{i}" for i in range(m.num_layers)]
    gru = isinstance(m, eg.nn.GRU | eg.nn.GRUCell)
    for layer in layers:
        for end in ("", "_reverse") if not cell and m.bidirectional else ("",):
            w_ih, w_hh = (getattr(m, f"weight_{k}{layer}{end}") for k in ("ih", "hh"))
            b_ih, b_hh = (getattr(m, f"bias_{k}{layer}{end}", None) for k in ("ih", "hh"))
            yield _gated(f"kernel{layer}{end}", w_ih, gru)
            yield _gated(f"recurrent_kernel{layer}{end}", w_hh, gru)
            if b_ih is not None:
                biases = _gru_biases if gru else _summed
                yield biases(f"bias{layer}{end}", b_ih, b_hh)


_UPDATE_FIRST = (1, 0, 2)  # reset, update, new <-> update, reset, new


def _gated(name: str, w: Any, gru: bool) -> _Weight:
    if not gru:  # the LSTM's order is the same, and a RNN has none
        return _moved(name, w, axes=(1, 0))
    rows, columns = w.shape
    return _moved(name, w, (3, rows // 3, columns), (2, 0, 1), (columns, rows), gates=_UPDATE_FIRST)


def _summed(name: str, b_ih: Any, b_hh: Any) -> _Weight:
    return _Weight(name, (b_ih, b_hh), np.add, lambda k: (k, np.zeros_like(k)))


def _gru_biases(name: str, b_ih: Any, b_hh: Any) -> _Weight:
    """The two rows of a GRU with reset_after=True, PyTorch's kind."""

    def turned(b: np.ndarray) -> np.ndarray:
        return b.reshape(3, -1)[list(_UPDATE_FIRST)].reshape(-1)

    return _Weight(
        name,
        (b_ih, b_hh),
        lambda a, b: np.stack([turned(a), turned(b)]),
        lambda k: (turned(k[0]), turned(k[1])),
    )


def _rules() -> dict[Any, Callable[[Any, int | None], Iterator[_Weight]]]:
    nn = eg.nn
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    return {
        nn.Linear: _linear,
        conv + transposed: _conv,
        (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d): _batch_norm,
        (nn.LayerNorm, nn.GroupNorm): _affine,
        nn.Embedding: _embedding,
        (nn.RNNBase, nn.RNNCellBase): _recurrent,
    }


def _weights(module: Any, data_format: str) -> Iterator[tuple[str, _Weight]]:
    """Path and array of each layer in the order in which the layers were registered, which is Keras' order."""
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(
            f"data_format must be 'channels_last' or 'channels_first', got {data_format!r}"
        )
    rules = _rules()
    channels = None  # of the images that the next layers get, perhaps as vectors
    for path, m in module.named_modules():
        where = f"layer {path or '(the module itself)'}, {type(m).__name__}"
        rule = next((rule for kinds, rule in rules.items() if isinstance(m, kinds)), None)
        if rule is None:
            own = [*m._parameters.values(), *m._buffers.values()]
            if any(t is not None for t in own):
                raise TypeError(f"{where}: no layer of Keras is known that has these weights")
            continue
        try:
            yield from ((f"{path}.{w.name}" if path else w.name, w) for w in rule(m, channels))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        if rule is _conv and data_format == "channels_last":
            channels = m.out_channels
        elif rule not in (_batch_norm, _affine):
            channels = None


# ---- both directions ----------------------------------------------------------------------------


def _array(t: Any) -> np.ndarray:
    t = t.detach()
    return np.asarray(tensor_to_array(t.float() if t.dtype == eg.bfloat16 else t))


def to_keras_weights(module: Any, data_format: str = "channels_last") -> list[np.ndarray]:
    """The weights of a module as Keras arranges them, for ``set_weights`` of a model with the same layers.

    Layers are taken in the order in which the module registered them: Linear (Dense), Conv1d to 3d, depthwise ones
    (DepthwiseConv1D and 2D), ConvTranspose1d to 3d, BatchNorm, LayerNorm, GroupNorm, Embedding, RNN (SimpleRNN), LSTM, GRU
    (reset_after=True) and their cells, with or without biases. Each layer of a stacked recurrent layer is one of Keras, a
    bidirectional one a ``Bidirectional``. Layers without weights need no counterpart.

    Args:
        data_format: Keras' for images. Under "channels_last" the first Linear after convolutions, and normalizations before
            it, find the features of images in another order than here; their numbers are put into Keras' order.

    Returns:
        Copies as NumPy arrays of the parameters' dtypes (bfloat16 as float32).

    Raises:
        TypeError: a module has weights that no layer of Keras is known to have.
        ValueError: Keras has the layer, but not with these options.

    >>> import eagergrad as eg
    >>> from eagergrad.serialization import to_keras_weights
    >>> net = eg.nn.Sequential(eg.nn.Linear(3, 4), eg.nn.Tanh(), eg.nn.GRU(4, 5))
    >>> [w.shape for w in to_keras_weights(net)]
    [(3, 4), (4,), (4, 15), (5, 15), (2, 15)]
    """
    return [
        np.array(w.arrange(*map(_array, w.tensors)), order="C")
        for _, w in _weights(module, data_format)
    ]


def from_keras_weights(
    module: Any, weights: Sequence[Any], data_format: str = "channels_last"
) -> None:
    """Copy what ``get_weights()`` of a Keras model returned into a module with the same layers; see `to_keras_weights`.

    Epsilons and momenta are no weights: Keras normalizes with ``epsilon=1e-3`` unless told otherwise, and its
    momentum of batch statistics is 1 minus the one here. A sum of biases becomes the first of the two.

    Raises:
        TypeError: a module has weights that no layer of Keras is known to have.
        ValueError: number or shapes of the arrays are not what the module needs; then nothing was written.

    >>> import numpy as np
    >>> import eagergrad as eg
    >>> from eagergrad.serialization import from_keras_weights
    >>> layer = eg.nn.Linear(3, 2)
    >>> from_keras_weights(layer, [np.ones((3, 2)), np.zeros(2)])
    >>> layer(eg.ones(1, 3)).tolist()
    [[3.0, 3.0]]
    """
    expected = list(_weights(module, data_format))
    arrays = [np.asarray(w) for w in weights]
    shapes = {
        name: w.arrange(*(np.empty(tuple(t.shape)) for t in w.tensors)).shape
        for name, w in expected
    }
    if len(arrays) != len(expected):
        raise ValueError(
            f"[from_keras_weights] expected {len(expected)} arrays, {shapes}, got {len(arrays)} of "
            f"shapes {[a.shape for a in arrays]}"
        )
    for (name, shape), a in zip(shapes.items(), arrays, strict=True):
        if a.shape != shape:
            one_row = a.shape == shape[1:] and shape[0] == 2
            raise ValueError(
                f"[from_keras_weights] {name} must have shape {shape}, got {a.shape}"
                + (": a GRU with reset_after=False computes something else" if one_row else "")
            )
    with eg.no_grad():
        for (_, w), a in zip(expected, arrays, strict=True):
            for t, part in zip(w.tensors, w.restore(a), strict=True):
                t.copy_(array_to_tensor(np.array(part, order="C")))
