"""Recurrent layers and cells on the GPU: the same results and gradients as on the CPU."""

from __future__ import annotations

import pytest

import eagergrad as eg
from cuda_pairs import check, draw, gpu  # noqa: F401 (a fixture)
from eagergrad._C import ops as _ops

GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


def layer(
    mode,
    inputs=3,
    hidden=5,
    *,
    bias=True,
    both=False,
    proj=0,
    batch=4,
    lengths=(),
    dtype=eg.float32,
):
    """A layer's function of (input, states..., weights...), and such tensors."""
    directions, state = 1 + both, proj or hidden
    rows = GATES[mode] * hidden
    shapes = [(directions, batch, state)]
    if mode == "LSTM":
        shapes.append((directions, batch, hidden))
    states = len(shapes)
    for _ in range(directions):
        shapes += [(rows, inputs), (rows, state)] + [(rows,)] * (2 * bias)
        if proj:
            shapes.append((proj, hidden))
    x = draw(sum(lengths), inputs) if lengths else draw(6, batch, inputs)

    def f(x, *rest):
        return _ops._rnn_layer(
            x, list(rest[:states]), list(rest[states:]), list(lengths), mode, bias, both
        )

    return f, [t.to(dtype) for t in (x, *(draw(*s, seed=i) for i, s in enumerate(shapes)))]


CASES = {
    "tanh": ("RNN_TANH", {}),
    "relu, packed": ("RNN_RELU", {"both": True, "lengths": (4, 3, 3, 1)}),
    "lstm, packed": ("LSTM", {"both": True, "lengths": (4, 2, 1)}),
    "lstm, projected": ("LSTM", {"proj": 2}),
    "lstm, projected and packed": ("LSTM", {"proj": 2, "both": True, "lengths": (4, 2)}),
    "gru": ("GRU", {"both": True}),
    "gru, packed": ("GRU", {"bias": False, "both": True, "lengths": (4, 3, 1)}),
    "wider than a block": ("LSTM", {"hidden": 70, "batch": 5}),
    # In one launch: widths that four divides, of at most four sequences where two cores are emulated.
    "tanh at once": ("RNN_TANH", {"hidden": 8, "batch": 3}),
    "relu at once, packed": ("RNN_RELU", {"hidden": 8, "both": True, "lengths": (4, 3, 3, 1)}),
    "lstm at once, packed": ("LSTM", {"hidden": 8, "both": True, "lengths": (4, 2, 1)}),
    "lstm, a sequence a block": ("LSTM", {"hidden": 76, "batch": 2, "both": True}),
    "lstm, many threads": ("LSTM", {"hidden": 132, "batch": 3, "dtype": eg.float64}),
    "gru at once, packed": ("GRU", {"hidden": 8, "both": True, "lengths": (4, 3, 1)}),
    "gru, a sequence a block": ("GRU", {"hidden": 12, "batch": 1, "bias": False}),
}


@pytest.mark.parametrize("case", CASES)
def test_layer(case):
    mode, options = CASES[case]
    f, tensors = layer(mode, **options)
    # Sums of many terms, in another order than the host's, go through many steps.
    check(f, *tensors, tolerance=1e-4 if options.get("hidden") == 76 else None)


def test_layer_without_recording():
    f, tensors = layer("GRU", both=True)
    with eg.no_grad():
        a, b = (f(*(t.to(d) for t in tensors))[0] for d in ("cpu", "cuda"))
    assert eg.allclose(a, b.to("cpu"), atol=1e-6)


@pytest.mark.parametrize("dtype", [eg.float64, eg.float16])
def test_layer_of_other_dtypes(dtype):
    f, tensors = layer("LSTM", batch=2, dtype=dtype)
    check(f, *tensors, tolerance=1e-12 if dtype == eg.float64 else 1e-2)


def test_gradients_are_added_to_those_before():
    f, tensors = layer("LSTM")
    grads = []
    for device in ("cpu", "cuda"):
        inputs = [t.detach().to(device).requires_grad_() for t in tensors]
        for _ in range(2):
            out = f(*inputs)[0]
            out.backward(eg.ones_like(out))
        grads.append([t.grad.to("cpu") for t in inputs])
    for a, b in zip(*grads):
        assert eg.allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"])
def test_cell(name):
    lstm, gates = name == "lstm_cell", {"lstm_cell": 4, "gru_cell": 3}.get(name, 1)
    state = [draw(3, 5, seed=1)] + [draw(3, 5, seed=2)] * lstm
    weights = [
        draw(*s, seed=3 + i)
        for i, s in enumerate([(gates * 5, 4), (gates * 5, 5), (gates * 5,), (gates * 5,)])
    ]

    def cell(x, *rest):
        h = list(rest[: len(state)])
        return getattr(eg, name)(x, h if lstm else h[0], *rest[len(state) :])

    check(cell, draw(3, 4), *state, *weights)


def test_gradient_of_the_gradient():
    f, tensors = layer("GRU", hidden=3, batch=2)
    check(f, *tensors, order=2)


def test_empty_batch():
    f, tensors = layer("LSTM", batch=0)
    check(f, *tensors)
