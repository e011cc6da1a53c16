"""Layers and cells of recurrent nets."""

from __future__ import annotations

from typing import Any

import numpy as np

from eagergrad.export._onnx_graph import Graph, NoForm, Val
from eagergrad.export.onnx_forms.forms import form
from eagergrad.export.onnx_forms.matmul import _linear

# Where ONNX wants PyTorch's gates: LSTM i f g o as i o f g, GRU r z n as z r n.
_GATES = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN_TANH": [0], "RNN_RELU": [0]}


@form("_rnn_layer")
def _rnn(g: Graph, input: Val, state: Any, weights: Any, batch_sizes: Any, mode: str, has_bias: bool, bidirectional: bool,
         *, dtype: Any, **options: Any) -> list[str]:  # fmt: skip
    directions, biases = 1 + bidirectional, 2 if has_bias else 0
    each = len(weights) // directions
    if batch_sizes or each > 2 + biases:
        raise NoForm("packed sequences and projections of recurrent layers")
    hidden, order = weights[1].shape[1], _GATES[mode]

    def gates(parts: list[Val]) -> str:
        rows = np.concatenate([np.arange(hidden) + hidden * k for k in order])
        picked = [g.node("Gather", w.name, g.constant(rows), axis=0) for w in parts]
        return g.node("Concat", *(g.node("Unsqueeze", w, g.ints([0])) for w in picked), axis=0)

    own = [weights[d * each : (d + 1) * each] for d in range(directions)]
    inputs = [input.name, gates([w[0] for w in own]), gates([w[1] for w in own])]
    if has_bias:
        inputs.append(
            g.node("Concat", gates([w[2] for w in own]), gates([w[3] for w in own]), axis=1)
        )
    else:
        inputs.append("")
    inputs += ["", *(s.name for s in state)]
    how: dict[str, Any] = {
        "hidden_size": hidden,
        "direction": "bidirectional" if bidirectional else "forward",
    }
    if mode == "GRU":
        how["linear_before_reset"] = 1
    if mode.startswith("RNN"):
        how["activations"] = ["Tanh" if mode == "RNN_TANH" else "Relu"] * directions
    y, *last = g.nodes(mode.partition("_")[0], *inputs, count=1 + len(state), **how)
    # (time, direction, batch, hidden) to (time, batch, direction * hidden)
    y = g.node("Reshape", g.node("Transpose", y, perm=[0, 2, 1, 3]), g.ints([0, 0, -1]))
    return [y, *last]


@form("lstm_cell")
def _lstm_cell(
    g: Graph,
    input: Val,
    hx: Any,
    w_ih: Val,
    w_hh: Val,
    b_ih: Any = None,
    b_hh: Any = None,
    **options: Any,
) -> list[str]:
    h, c = hx
    both = g.node("Add", _linear(g, input, w_ih, b_ih), _linear(g, h, w_hh, b_hh))
    axis = len(input.shape) - 1
    i, f, cell, o = g.nodes("Split", both, count=4, axis=axis, num_outputs=4)
    kept = g.node("Mul", g.node("Sigmoid", f), c.name)
    new = g.node("Add", kept, g.node("Mul", g.node("Sigmoid", i), g.node("Tanh", cell)))
    return [g.node("Mul", g.node("Sigmoid", o), g.node("Tanh", new)), new]


@form("gru_cell")
def _gru_cell(
    g: Graph,
    input: Val,
    hx: Val,
    w_ih: Val,
    w_hh: Val,
    b_ih: Any = None,
    b_hh: Any = None,
    **options: Any,
) -> str:
    axis = len(input.shape) - 1
    r, z, n = g.nodes("Split", _linear(g, input, w_ih, b_ih), count=3, axis=axis, num_outputs=3)
    hr, hz, hn = g.nodes("Split", _linear(g, hx, w_hh, b_hh), count=3, axis=axis, num_outputs=3)
    reset, update = g.node("Sigmoid", g.node("Add", r, hr)), g.node("Sigmoid", g.node("Add", z, hz))
    new = g.node("Tanh", g.node("Add", n, g.node("Mul", reset, hn)))
    return g.node("Add", new, g.node("Mul", update, g.node("Sub", hx.name, new)))


@form("rnn_tanh_cell rnn_relu_cell")
def _rnn_cell(
    g: Graph,
    input: Val,
    hx: Val,
    w_ih: Val,
    w_hh: Val,
    b_ih: Any = None,
    b_hh: Any = None,
    *,
    name: str,
    **options: Any,
) -> str:
    both = g.node("Add", _linear(g, input, w_ih, b_ih), _linear(g, hx, w_hh, b_hh))
    return g.node("Tanh" if "tanh" in name else "Relu", both)
