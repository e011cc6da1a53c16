"""Reductions, scans and softmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from eagergrad.export._onnx_graph import Graph, NoForm, Val
from eagergrad.export.onnx_forms.forms import _axes, form

_REDUCE = {
    "sum": "ReduceSum",
    "mean": "ReduceMean",
    "prod": "ReduceProd",
    "amax": "ReduceMax",
    "amin": "ReduceMin",
}


@form("sum mean prod amax amin")
def _reduce(
    g: Graph,
    input: Val,
    dim: Any = None,
    keepdim: bool = False,
    *,
    name: str,
    dtype: Any,
    **options: Any,
) -> str:
    return _reduced(g, _REDUCE[name], g.cast(input, dtype), _axes(dim, len(input.shape)), keepdim)


def _reduced(g: Graph, op: str, x: str, axes: list[int], keepdim: bool) -> str:
    return g.node(op, x, g.ints(axes), keepdims=int(keepdim))


@form("max min")
def _extreme(
    g: Graph,
    input: Val,
    dim: Any = None,
    keepdim: bool = False,
    *,
    name: str,
    dtype: Any = None,
    **options: Any,
) -> Any:
    if isinstance(dim, Val):
        return g.node(name.capitalize(), g.cast(input, dtype), g.cast(dim, dtype))
    reduce = "ReduceMax" if name == "max" else "ReduceMin"
    if dim is None:
        return _reduced(g, reduce, input.name, list(range(len(input.shape))), False)
    return [
        _reduced(g, reduce, input.name, [dim % len(input.shape)], keepdim),
        _place(g, name, input, dim, keepdim),
    ]


def _place(g: Graph, name: str, input: Val, dim: Any, keepdim: bool) -> str:
    op = "ArgMax" if name.endswith("max") else "ArgMin"
    x = g.cast(input, np.int32) if input.dtype == np.bool_ else input.name
    if dim is None:
        return g.node(op, g.node("Reshape", x, g.ints([-1])), axis=0, keepdims=0)
    return g.node(op, x, axis=dim % len(input.shape), keepdims=int(keepdim))


@form("argmax argmin")
def _argmax(
    g: Graph, input: Val, dim: Any = None, keepdim: bool = False, *, name: str, **options: Any
) -> str:
    return _place(g, name, input, dim, keepdim)


@form("all any")
def _all(
    g: Graph, input: Val, dim: Any = None, keepdim: bool = False, *, name: str, **options: Any
) -> str:
    x = g.cast_name(g.cast(input, np.bool_), np.int32)
    y = _reduced(
        g, "ReduceMin" if name == "all" else "ReduceMax", x, _axes(dim, len(input.shape)), keepdim
    )
    return g.cast_name(y, np.bool_)


@form("var std")
def _var(g: Graph, input: Val, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None,
         name: str, dtype: Any, **options: Any) -> str:  # fmt: skip
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    axes = _axes(dim, len(input.shape))
    sizes = [input.shape[d] for d in axes]
    if not all(isinstance(n, int) for n in sizes):
        raise NoForm("a variance over the batch")
    n = math.prod(sizes)
    less = (1 if unbiased is None or unbiased else 0) if correction is None else correction
    x = input.name
    centered = g.node("Sub", x, _reduced(g, "ReduceMean", x, axes, True))
    mean = _reduced(g, "ReduceMean", g.node("Mul", centered, centered), axes, keepdim)
    y = g.node("Mul", mean, g.number(n / (n - less) if n > less else math.nan, dtype))
    return g.node("Sqrt", y) if name == "std" else y


@form("_vector_norm")
def _norm(
    g: Graph,
    input: Val,
    p: float,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any,
    **options: Any,
) -> str:
    axes, x = _axes(dim, len(input.shape)), g.cast(input, dtype)
    if p in (1, 2):
        return _reduced(g, f"ReduceL{int(p)}", x, axes, keepdim)
    if math.isinf(p):
        return _reduced(g, "ReduceMax" if p > 0 else "ReduceMin", g.node("Abs", x), axes, keepdim)
    power = g.node("Pow", g.node("Abs", x), g.number(p, dtype))
    return g.node("Pow", _reduced(g, "ReduceSum", power, axes, keepdim), g.number(1 / p, dtype))


@form("cumsum")
def _cumsum(g: Graph, input: Val, dim: int, *, dtype: Any, **options: Any) -> str:
    if not input.shape:
        return g.cast(input, dtype)
    return g.node(
        "CumSum", g.cast(input, dtype), g.constant(np.asarray(dim % max(len(input.shape), 1)))
    )


@form("logsumexp")
def _logsumexp(g: Graph, input: Val, dim: Any, keepdim: bool = False, **options: Any) -> str:
    if not input.shape:
        return input.name
    return _reduced(g, "ReduceLogSumExp", input.name, _axes(dim, len(input.shape)), keepdim)


@form("softmax log_softmax")
def _softmax(
    g: Graph, input: Val, dim: int, *args: Any, name: str, dtype: Any, **options: Any
) -> str:
    if not input.shape:
        raise NoForm("a number")
    return g.node(
        "Softmax" if name == "softmax" else "LogSoftmax",
        g.cast(input, dtype),
        axis=dim % max(len(input.shape), 1),
    )
