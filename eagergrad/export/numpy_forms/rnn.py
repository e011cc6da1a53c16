"""Cells and layers of recurrent nets."""

# ruff: noqa: B905 - the text runs with any Python that NumPy runs with

import numpy as np

from eagergrad.export.numpy_forms.matmul import linear


def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    h, c = hx
    i, f, g, o = np.split(linear(input, w_ih, b_ih) + linear(h, w_hh, b_hh), 4, -1)
    c = _logistic(f) * c + _logistic(i) * np.tanh(g)
    return _logistic(o) * np.tanh(c), c


def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    r, z, n = np.split(linear(input, w_ih, b_ih), 3, -1)
    hr, hz, hn = np.split(linear(hx, w_hh, b_hh), 3, -1)
    z = _logistic(z + hz)
    return (1 - z) * np.tanh(n + _logistic(r + hr) * hn) + z * hx


def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    return np.tanh(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh))


def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    return np.maximum(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh), 0)


def _logistic(x):
    return 1 / (1 + np.exp(-x))


def _rnn_layer(input, state, weights, batch_sizes, mode, has_bias, bidirectional):
    directions, biases = 2 if bidirectional else 1, 2 if has_bias else 0
    each = len(weights) // directions
    outputs, last = [], []
    for d in range(directions):
        w = weights[d * each : (d + 1) * each]
        b = w[2 : 2 + biases] if has_bias else (None, None)
        projection = w[2 + biases] if each > 2 + biases else None
        h = tuple(s[d] for s in state)
        y = np.empty((*input.shape[:2], h[0].shape[-1]), input.dtype)
        for t in reversed(range(len(input))) if d else range(len(input)):
            if mode == "LSTM":
                h = lstm_cell(input[t], h, w[0], w[1], *b)
                h = h if projection is None else (h[0] @ projection.T, h[1])
            elif mode == "GRU":
                h = (gru_cell(input[t], h[0], w[0], w[1], *b),)
            else:
                h = (
                    (rnn_relu_cell if mode == "RNN_RELU" else rnn_tanh_cell)(
                        input[t], h[0], w[0], w[1], *b
                    ),
                )
            y[t] = h[0]
        outputs.append(y)
        last.append(h)
    return (np.concatenate(outputs, -1), *(np.stack(s) for s in zip(*last)))
