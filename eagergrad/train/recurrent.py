"""Starting values with which recurrent nets learn long before luck is needed."""

from __future__ import annotations

from typing import Any

import eagergrad as eg

__all__ = ["has_recurrent_layers", "recurrent_defaults"]


def _layers(model: Any) -> list:
    kinds = (eg.nn.RNNBase, eg.nn.RNNCellBase)
    return [m for m in model.modules() if isinstance(m, kinds)]


def has_recurrent_layers(model: Any) -> bool:
    """Return whether a model holds an RNN, LSTM or GRU layer or cell."""
    return bool(_layers(model))


def _is_lstm(layer: Any) -> bool:
    return isinstance(layer, eg.nn.LSTM | eg.nn.LSTMCell)


def recurrent_defaults(model: Any, forget_bias: float = 1.0, orthogonal: bool = True) -> Any:
    """Give recurrent layers orthogonal recurrent weights (Saxe et al. 2014), one block a gate, and
    LSTMs a forget gate that starts open (Gers et al. 2000; Jozefowicz et al. 2015).

    All other weights stay as PyTorch's defaults made them. Returns the model.

    >>> import eagergrad as eg
    >>> lstm = recurrent_defaults(eg.nn.LSTM(2, 1))
    >>> lstm.bias_ih_l0[1].item()
    1.0
    """
    with eg.no_grad():
        for layer in _layers(model):
            for name, p in layer.named_parameters(recurse=False):
                if name.startswith("weight_hh") and orthogonal:
                    for block in p.split(layer.hidden_size, 0):
                        block.copy_(eg.nn.init.orthogonal_(eg.empty_like(block)))
                elif name.startswith("bias") and _is_lstm(layer):
                    gate = p[layer.hidden_size : 2 * layer.hidden_size]
                    gate.fill_(forget_bias if name.startswith("bias_ih") else 0.0)
    return model


def _writes(layer: Any) -> list[int]:
    return [p._version for _, p in layer.named_parameters(recurse=False)]


def untouched(model: Any) -> bool:
    """Whether nobody has written to the recurrent weights since the layers were made: their
    counts of in-place writes are those of new layers."""
    for layer in _layers(model):
        kind = type(layer)
        if not kind.__module__.startswith("eagergrad."):
            return False
        options = {"bias": layer.bias}
        if isinstance(layer, eg.nn.RNNBase):
            options |= {"num_layers": layer.num_layers, "bidirectional": layer.bidirectional}
            options |= {"proj_size": min(layer.proj_size, 1)} if _is_lstm(layer) else {}
        size = 2 if getattr(layer, "proj_size", 0) else 1
        if _writes(layer) != _writes(_made_quietly(kind, size, options)):
            return False
    return True


def _made_quietly(kind: type, size: int, options: dict) -> Any:
    """A new small layer, the random state left as it was."""
    state = eg.get_rng_state()
    try:
        return kind(1, size, **options)
    finally:
        eg.set_rng_state(state)
