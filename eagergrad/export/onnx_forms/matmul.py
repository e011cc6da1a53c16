"""Products, and attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from eagergrad.export._onnx_graph import Graph, NoForm, Val
from eagergrad.export.onnx_forms.forms import form


@form("matmul mm bmm mv dot")
def _matmul(g: Graph, input: Val, other: Val, **options: Any) -> str:
    return g.node("MatMul", input.name, other.name)


@form("linear")
def _linear(g: Graph, input: Val, weight: Val, bias: Val | None = None, **options: Any) -> str:
    if len(input.shape) == 2 and bias is not None:
        return g.node("Gemm", input.name, weight.name, bias.name, transB=1)
    turned = weight.name if len(weight.shape) < 2 else g.node("Transpose", weight.name, perm=[1, 0])
    y = g.node("MatMul", input.name, turned)
    return y if bias is None else g.node("Add", y, bias.name)


@form("addmm baddbmm")
def _addmm(
    g: Graph,
    input: Val,
    a: Val,
    b: Val,
    beta: Any = 1,
    alpha: Any = 1,
    *,
    dtype: Any,
    **options: Any,
) -> str:
    y = g.node("MatMul", a.name, b.name)
    y = y if alpha == 1 else g.node("Mul", y, g.number(alpha, dtype))
    x = input.name if beta == 1 else g.node("Mul", input.name, g.number(beta, dtype))
    return g.node("Add", x, y)


@form("scaled_dot_product_attention")
def _attention(g: Graph, query: Val, key: Val, value: Val, attn_mask: Val | None = None, is_causal: bool = False,
               scale: Any = None, enable_gqa: bool = False, *, dtype: Any, **options: Any) -> str:  # fmt: skip
    if enable_gqa and query.shape[-3] != key.shape[-3]:
        raise NoForm("heads that share keys")
    rank = len(query.shape)
    order = [*range(rank - 2), rank - 1, rank - 2]
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = g.node("MatMul", query.name, g.node("Transpose", key.name, perm=order))
    scores = g.node("Mul", scores, g.number(scale, dtype))
    lowest = g.number(-math.inf, dtype)
    if is_causal:
        seen = np.tri(query.shape[-2], key.shape[-2], dtype=np.bool_)
        scores = g.node("Where", g.constant(seen), scores, lowest)
    if attn_mask is not None and attn_mask.dtype == np.bool_:
        scores = g.node("Where", attn_mask.name, scores, lowest)
    elif attn_mask is not None:
        scores = g.node("Add", scores, attn_mask.name)
    weights = g.node("Softmax", scores, axis=rank - 1)
    weights = g.node("Where", g.node("IsNaN", weights), g.number(0, dtype), weights)
    return g.node("MatMul", weights, value.name)
