"""Choosing and ordering elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from eagergrad.export._onnx_graph import Graph, NoForm, Val
from eagergrad.export.onnx_forms.forms import form


@form("embedding")
def _embedding(g: Graph, indices: Val, weight: Val, *args: Any, **options: Any) -> str:
    return g.node("Gather", weight.name, indices.name, axis=0)


@form("index_select")
def _index_select(g: Graph, input: Val, dim: int, index: Val, **options: Any) -> str:
    return g.node("Gather", input.name, index.name, axis=dim % len(input.shape))


@form("gather")
def _gather(g: Graph, input: Val, dim: int, index: Val, **options: Any) -> str:
    axis = dim % len(input.shape)
    pairs = enumerate(zip(input.shape, index.shape, strict=True))
    parts = [(d, 0, m, 1) for d, (n, m) in pairs if d != axis and n != m]
    x = g.slice(input.name, parts) if parts else input.name
    return g.node("GatherElements", x, index.name, axis=axis)


@form("topk")
def _topk(
    g: Graph,
    input: Val,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,
    **options: Any,
) -> list[str]:
    return g.nodes(
        "TopK", input.name, g.ints([k]), count=2, axis=dim % len(input.shape), largest=int(largest)
    )


@form("sort argsort")
def _sort(
    g: Graph,
    input: Val,
    dim: int = -1,
    descending: bool = False,
    stable: bool = False,
    *,
    name: str,
    **options: Any,
) -> Any:
    axis = dim % len(input.shape)
    if not isinstance(input.shape[axis], int):
        raise NoForm("a sort along the batch")
    found = g.nodes(
        "TopK", input.name, g.ints([input.shape[axis]]), count=2, axis=axis, largest=int(descending)
    )
    return found[1] if name == "argsort" else found


@form("one_hot")
def _one_hot(g: Graph, input: Val, num_classes: int = -1, **options: Any) -> str:
    if num_classes < 0:
        raise NoForm("one_hot without num_classes")
    return g.node(
        "OneHot", input.name, g.constant(np.asarray(num_classes)), g.ints([0, 1]), axis=-1
    )
