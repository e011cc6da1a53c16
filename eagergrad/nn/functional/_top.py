"""Layers as PyTorch shows them at its top level, where the order of arguments differs from nn.functional's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import eagergrad as eg
from eagergrad import _C, Tensor
from eagergrad._C import ops as _ops
from eagergrad.amp.autocast_mode import suspended

from . import norm as _norm
from .dropout import dropout as _dropout

__all__ = [
    "affine_grid_generator",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "ctc_loss",
    "embedding",
    "grid_sampler",
    "grid_sampler_2d",
    "grid_sampler_3d",
    "gru",
    "hinge_embedding_loss",
    "instance_norm",
    "kl_div",
    "lstm",
    "margin_ranking_loss",
    "poisson_nll_loss",
    "rnn_relu",
    "rnn_tanh",
    "triplet_margin_loss",
]

REDUCTIONS = ("none", "mean", "sum")


def _numbered(name: str, *parameters: str) -> Any:
    """The loss of nn.functional with these parameters in this order, reduction among them as a number."""

    def loss(*args: Any, **options: Any) -> Tensor:
        if len(args) > len(parameters):
            raise TypeError(
                f"{name}() takes {len(parameters)} positional arguments but {len(args)} were given"
            )
        given = {**dict(zip(parameters, args, strict=False)), **options}
        reduction = given.pop("reduction", 1)
        return getattr(eg.nn.functional, name)(**given, reduction=REDUCTIONS[reduction])

    loss.__name__ = loss.__qualname__ = name
    loss.__doc__ = f"nn.functional.{name} with reduction 0 (none), 1 (mean) or 2 (sum)."
    return loss


binary_cross_entropy_with_logits = _numbered(
    "binary_cross_entropy_with_logits", "input", "target", "weight", "pos_weight", "reduction"
)
cosine_embedding_loss = _numbered(
    "cosine_embedding_loss", "input1", "input2", "target", "margin", "reduction"
)
ctc_loss = _numbered(
    "ctc_loss",
    *("log_probs", "targets", "input_lengths", "target_lengths"),
    *("blank", "reduction", "zero_infinity"),
)
hinge_embedding_loss = _numbered("hinge_embedding_loss", "input", "target", "margin", "reduction")
kl_div = _numbered("kl_div", "input", "target", "reduction")
margin_ranking_loss = _numbered(
    "margin_ranking_loss", "input1", "input2", "target", "margin", "reduction"
)
poisson_nll_loss = _numbered(
    "poisson_nll_loss", "input", "target", "log_input", "full", "eps", "reduction"
)
triplet_margin_loss = _numbered(
    "triplet_margin_loss",
    *("anchor", "positive", "negative", "margin", "p", "eps", "swap", "reduction"),
)


def embedding(
    weight: Tensor,
    indices: Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """`nn.functional.embedding` with the table first; padding_idx -1 is none."""
    return eg.nn.functional.embedding(
        indices,
        weight,
        None if padding_idx == -1 else padding_idx,
        scale_grad_by_freq=scale_grad_by_freq,
        sparse=sparse,
    )


def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """`nn.functional.grid_sample` with its modes as numbers."""
    return eg.nn.functional.grid_sample(
        input,
        grid,
        ("bilinear", "nearest", "bicubic")[interpolation_mode],
        ("zeros", "border", "reflection")[padding_mode],
        align_corners,
    )


grid_sampler_2d = grid_sampler_3d = grid_sampler


def affine_grid_generator(theta: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """`nn.functional.affine_grid`."""
    return eg.nn.functional.affine_grid(theta, list(size), align_corners)


def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:
    """`nn.functional.batch_norm` with weight and bias first; `cudnn_enabled` changes nothing."""
    return _norm.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:
    """`nn.functional.instance_norm` with weight and bias first; `cudnn_enabled` changes nothing."""
    return _norm.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def _projected(mode: str, states: Sequence[Tensor]) -> bool:
    return mode == "LSTM" and states[0].shape[-1] != states[1].shape[-1]


def _keeps_state_dtype(
    mode: str, x: Tensor, states: Sequence[Tensor], batch_sizes: Sequence[int]
) -> bool:
    """Whether float32 states stay float32 in an autocast region of the CPU.

    PyTorch narrows the products alone there, and the states' own arithmetic promotes the result again; only its
    fused LSTM, which takes neither packed rows nor projections, and the simple layers give the region's dtype.
    """
    if not x.is_cpu or not _C.autocast_on("cpu") or states[0].dtype != eg.float32:
        return False
    return mode == "GRU" or (mode == "LSTM" and (len(batch_sizes) > 0 or _projected(mode, states)))


def run_layers(
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    batch_sizes: Sequence[int],
    mode: str,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    bidirectional: bool,
) -> tuple[Tensor, list[Tensor]]:
    """A stack of recurrent layers on (T, B, size), or on packed rows (N, size) with batch_sizes.

    States (layers * directions, B, size): h, and c for "LSTM". `dropout` (0 outside training) acts between layers.
    Gives the last layer's output and the last states.
    """
    if _C.autocast_on() and _keeps_state_dtype(mode, x, states, batch_sizes):
        with suspended():
            wide = [w.float() for w in weights]
            out, ends = run_layers(
                x.float(),
                states,
                wide,
                batch_sizes,
                mode,
                has_biases,
                num_layers,
                dropout,
                bidirectional,
            )
        if _projected(mode, states):
            half = eg.get_autocast_dtype("cpu")
            out, ends[0] = out.to(half), ends[0].to(half)
        return out, ends
    n, each = 2 if bidirectional else 1, len(weights) // num_layers
    last: list[list[Tensor]] = []
    for layer in range(num_layers):
        own = [s[layer * n : (layer + 1) * n] for s in states] if num_layers > 1 else states
        layer_weights = weights[layer * each : (layer + 1) * each]
        x, *after = _ops._rnn_layer(
            x, own, layer_weights, batch_sizes, mode, has_biases, bidirectional
        )
        last.append(after)
        if dropout > 0 and layer + 1 < num_layers:
            x = _dropout(x, dropout)
    if num_layers == 1:
        return x, last[0]
    return x, [eg.cat(list(group), 0) for group in zip(*last, strict=True)]


def _packed(
    mode: str,
    data: Tensor,
    batch_sizes: Tensor,
    hx: Any,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
) -> tuple[Tensor, ...]:
    states = list(hx) if mode == "LSTM" else [hx]
    p = dropout if train else 0.0
    sizes = batch_sizes.tolist()
    out, last = run_layers(
        data, states, list(params), sizes, mode, has_biases, num_layers, p, bidirectional
    )
    return (out, *last)


def _padded(
    mode: str,
    input: Tensor,
    hx: Any,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    x = input.transpose(0, 1) if batch_first else input
    states = list(hx) if mode == "LSTM" else [hx]
    p = dropout if train else 0.0
    out, last = run_layers(
        x, states, list(params), [], mode, has_biases, num_layers, p, bidirectional
    )
    return (out.transpose(0, 1) if batch_first else out, *last)


def _call(mode: str, args: tuple, kwargs: dict[str, Any]) -> tuple[Tensor, ...]:
    second_is_sizes = len(args) > 1 and isinstance(args[1], Tensor) and args[1].dim() == 1
    if "batch_sizes" in kwargs or second_is_sizes:
        return _packed(mode, *args, **kwargs)
    return _padded(mode, *args, **kwargs)


def lstm(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
    """(output, h, c) of a stack of LSTM layers with the weights `params`.

    lstm(input, (h, c), params, has_biases, num_layers, dropout, train, bidirectional, batch_first), or packed
    lstm(data, batch_sizes, (h, c), params, has_biases, num_layers, dropout, train, bidirectional).

    >>> import eagergrad as eg
    >>> layer, h = eg.nn.LSTM(2, 3), eg.zeros(1, 4, 3)
    >>> y, h, c = eg.lstm(eg.ones(5, 4, 2), (h, h), layer._flat_weights, True, 1, 0.0, False, False, False)
    >>> tuple(y.shape), tuple(c.shape)
    ((5, 4, 3), (1, 4, 3))
    """
    return _call("LSTM", args, kwargs)  # type: ignore[return-value]


def gru(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """(output, h) of a stack of GRU layers; arguments as `lstm`, with one state."""
    return _call("GRU", args, kwargs)  # type: ignore[return-value]


def rnn_tanh(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """(output, h) of a stack of Elman layers with tanh; arguments as `lstm`, with one state."""
    return _call("RNN_TANH", args, kwargs)  # type: ignore[return-value]


def rnn_relu(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """(output, h) of a stack of Elman layers with relu; arguments as `lstm`, with one state."""
    return _call("RNN_RELU", args, kwargs)  # type: ignore[return-value]
