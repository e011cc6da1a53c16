"""Views, and what joins and parts tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from eagergrad.export._onnx_graph import Graph, NoForm, Val
from eagergrad.export._trace import Size
from eagergrad.export.onnx_forms.forms import _sizes, form


@form("view reshape unflatten flatten ravel view_as reshape_as squeeze unsqueeze")
def _reshape(
    g: Graph, input: Val, *args: Any, name: str, shape: tuple[Any, ...], **options: Any
) -> str:
    # The shape of the result is known, and which of its sizes follow the batch.
    return g.node("Reshape", input.name, g.shape_of(shape))


@form("permute transpose swapaxes swapdims t movedim moveaxis _reversed_dims adjoint")
def _permute(g: Graph, input: Val, *args: Any, name: str, **options: Any) -> str:
    rank = len(input.shape)
    order = np.arange(rank)
    if not rank:
        return input.name
    if name == "permute":
        order = np.asarray(_sizes(args), int) % rank
    elif name in ("movedim", "moveaxis"):
        # Where sizes that tell the dimensions apart go; broadcast, they take no memory.
        order = np.asarray(np.moveaxis(np.broadcast_to(0, range(rank)), *args).shape)
    elif name in ("t", "_reversed_dims"):
        order = order[::-1]
        if rank < 2:
            return input.name
    else:
        a, b = args if args else (-1, -2)
        order[[a, b]] = order[[b, a]]
    return g.node("Transpose", input.name, perm=[int(d) for d in order])


@form("expand expand_as broadcast_to")
def _expand(g: Graph, input: Val, *args: Any, shape: tuple[Any, ...], **options: Any) -> str:
    return g.node("Expand", input.name, g.shape_of(shape))


@form("repeat tile")
def _repeat(g: Graph, input: Val, *args: Any, **options: Any) -> str:
    times = _sizes(args)
    missing = len(times) - len(input.shape)
    x = input.name
    if missing > 0:
        x = g.node("Unsqueeze", x, g.ints(range(missing)))
    return g.node("Tile", x, g.shape_of((1,) * -missing + tuple(times)))


@form("cat stack hstack vstack")
def _cat(g: Graph, tensors: Any, dim: int = 0, *, name: str, dtype: Any, **options: Any) -> str:
    parts = [x for x in tensors if x.shape != (0,)]
    names = [g.cast(x, dtype) for x in parts]
    if name == "stack":
        rank = len(parts[0].shape) + 1
        names = [g.node("Unsqueeze", x, g.ints([dim % rank])) for x in names]
        return g.node("Concat", *names, axis=dim % rank)
    if name in ("hstack", "vstack"):
        raise NoForm(name)
    return g.node("Concat", *names, axis=dim % len(parts[0].shape))


@form("split split_with_sizes chunk tensor_split unbind")
def _split(
    g: Graph, input: Val, *args: Any, name: str, shapes: list[Any], **options: Any
) -> list[str]:
    dim = (
        args[-1]
        if name == "unbind" and args
        else 0
        if name == "unbind"
        else args[1]
        if len(args) > 1
        else options.get("dim", 0)
    )
    axis = dim % len(input.shape)
    if name == "unbind":
        return [
            g.node("Gather", input.name, g.constant(np.asarray(k)), axis=axis)
            for k in range(len(shapes))
        ]
    sizes = [s[axis] for s in shapes]
    if any(isinstance(n, Size) for n in sizes):
        raise NoForm("parts of the batch")
    return g.nodes("Split", input.name, g.ints(sizes), count=len(sizes), axis=axis)


@form("select")
def _select(g: Graph, input: Val, dim: int, index: Any, **options: Any) -> str:
    return g.node("Gather", input.name, g.index(index), axis=dim % len(input.shape))


@form("narrow")
def _narrow(g: Graph, input: Val, dim: int, start: Any, length: Any, **options: Any) -> str:
    stop = start + length if isinstance(start, int) and isinstance(length, int) else None
    if stop is None or isinstance(start, Val):
        raise NoForm("a part that follows the batch")
    return g.slice(input.name, [(dim % len(input.shape), start, stop, 1)])


@form("getitem")
def _getitem(g: Graph, input: Val, index: Any, **options: Any) -> str:
    items = list(index) if isinstance(index, tuple) else [index]
    taken = sum(i is not None and i is not ... for i in items)
    if ... in items:
        k = items.index(...)
        items[k : k + 1] = [slice(None)] * (len(input.shape) - taken)
    x, axis = input.name, 0
    slices: list[tuple[int, Any, Any, int]] = []
    numbers: list[tuple[int, Any]] = []
    tensors: list[tuple[int, Val]] = []
    new: list[int] = []
    for i in items:
        if i is None:
            new.append(axis - len(numbers) + len(new))
            continue
        if isinstance(i, slice):
            start, stop, step = (i.start or 0, i.stop, i.step or 1)
            if (start, stop, step) != (0, None, 1):
                slices.append((axis, start, np.iinfo(np.int64).max if stop is None else stop, step))
        elif isinstance(i, Val):
            tensors.append((axis, i))
        elif type(i) is int or isinstance(i, Size):
            numbers.append((axis, i))
        else:
            raise NoForm("an index of this kind")
        axis += 1
    if tensors and (len(tensors) > 1 or numbers or new or tensors[0][1].dtype.kind != "i"):
        raise NoForm("indices by several tensors, or a mask")
    x = g.slice(x, slices) if slices else x
    for axis, i in reversed(numbers):
        x = g.node("Gather", x, g.index(i), axis=axis)
    if new:
        x = g.node("Unsqueeze", x, g.ints(new))
    for axis, t in tensors:
        x = g.node("Gather", x, t.name, axis=axis)
    return x


@form("setitem")
def _setitem(g: Graph, input: Val, index: Any, value: Any, *, dtype: Any, **options: Any) -> str:
    items = list(index) if isinstance(index, tuple) else [index]
    parts = [
        (axis, i) for axis, i in enumerate(items) if not (isinstance(i, slice) and i == slice(None))
    ]
    if len(parts) != 1 or None in items or ... in items:
        raise NoForm("a write that is no part along one dimension")
    ((axis, i),) = parts
    size = input.shape[axis]
    is_number = type(i) is int
    if not isinstance(size, int) or not (
        is_number or (isinstance(i, slice) and i.step in (None, 1))
    ):
        raise NoForm("a write to such an index")
    start, stop, _ = (slice(i, i + 1 or None) if is_number else i).indices(size)
    shape = [*input.shape[:axis], *([] if is_number else [stop - start]), *input.shape[axis + 1 :]]
    y = g.node(
        "Expand",
        g.cast(value, dtype) if isinstance(value, Val) else g.number(value, dtype),
        g.shape_of(shape),
    )
    y = g.node("Unsqueeze", y, g.ints([axis])) if is_number else y
    around = [g.slice(input.name, [(axis, 0, start, 1)])] if start else []
    after = [g.slice(input.name, [(axis, stop, size, 1)])] if stop < size else []
    return g.node("Concat", *around, y, *after, axis=axis)


@form("flip")
def _flip(g: Graph, input: Val, *args: Any, **options: Any) -> str:
    rank = len(input.shape)
    low = np.iinfo(np.int64).min
    return g.slice(input.name, [(d % rank, -1, low, -1) for d in _sizes(args)])


@form("tril triu")
def _triangle(g: Graph, input: Val, diagonal: int = 0, *, name: str, **options: Any) -> str:
    return g.node("Trilu", input.name, g.constant(np.asarray(diagonal)), upper=int(name == "triu"))


@form("new_zeros new_ones new_full zeros_like ones_like full_like")
def _made(
    g: Graph, *args: Any, name: str, dtype: Any, shape: tuple[Any, ...], **options: Any
) -> str:
    value = args[1] if name.endswith("full") or name == "full_like" else int("ones" in name)
    return g.node("Expand", g.number(value, dtype), g.shape_of(shape))
