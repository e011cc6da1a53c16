"""Normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from eagergrad.export._onnx_graph import Graph, Val
from eagergrad.export.onnx_forms.forms import form
from eagergrad.export.onnx_forms.reduce import _reduced


@form("batch_norm")
def _batch_norm(g: Graph, input: Val, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
                momentum: float = 0.1, eps: float = 1e-5, *, dtype: Any, **options: Any) -> str:  # fmt: skip
    channels = input.shape[1]
    scale = weight.name if weight is not None else g.constant(np.ones(channels, dtype))
    shift = bias.name if bias is not None else g.constant(np.zeros(channels, dtype))
    if training or running_mean is None:
        axes = [0, *range(2, len(input.shape))]
        return _scaled(g, _normalized(g, input.name, axes, eps, dtype), weight, bias, input)
    return g.node(
        "BatchNormalization",
        input.name,
        scale,
        shift,
        running_mean.name,
        running_var.name,
        epsilon=eps,
    )


def _normalized(
    g: Graph, x: str, axes: list[int], eps: float, dtype: Any, centers: bool = True
) -> str:
    x = g.node("Sub", x, _reduced(g, "ReduceMean", x, axes, True)) if centers else x
    square = _reduced(g, "ReduceMean", g.node("Mul", x, x), axes, True)
    return g.node("Div", x, g.node("Sqrt", g.node("Add", square, g.number(eps, dtype))))


def _scaled(g: Graph, y: str, weight: Any, bias: Any, input: Val) -> str:
    shape = g.ints([-1, *[1] * (len(input.shape) - 2)])
    for op, p in (("Mul", weight), ("Add", bias)):
        y = y if p is None else g.node(op, y, g.node("Reshape", p.name, shape))
    return y


@form("layer_norm")
def _layer_norm(g: Graph, input: Val, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5,
                *, dtype: Any, **options: Any) -> str:  # fmt: skip
    n = len(normalized_shape)
    scale = weight.name if weight is not None else g.constant(np.ones(normalized_shape, dtype))
    return g.node(
        "LayerNormalization",
        input.name,
        scale,
        *([] if bias is None else [bias.name]),
        axis=-n,
        epsilon=eps,
    )


@form("group_norm")
def _group_norm(g: Graph, input: Val, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5,
                *, dtype: Any, **options: Any) -> str:  # fmt: skip
    groups = g.node("Reshape", input.name, g.ints([0, num_groups, -1]))
    y = _normalized(g, groups, [2], eps, dtype)
    return _scaled(g, g.node("Reshape", y, g.shape_of(input.shape)), weight, bias, input)


@form("rms_norm")
def _rms_norm(
    g: Graph,
    input: Val,
    normalized_shape: Any,
    weight: Any = None,
    eps: Any = None,
    *,
    dtype: Any,
    **options: Any,
) -> str:
    rank, n = len(input.shape), len(normalized_shape)
    eps = float(np.finfo(dtype).eps) if eps is None else eps
    y = _normalized(g, input.name, list(range(rank - n, rank)), eps, dtype, centers=False)
    return y if weight is None else g.node("Mul", y, weight.name)
