"""What ops of the core are in ONNX: functions of a graph and the op's arguments, by the names that they have there.

Tensors come as `Val`, sizes that follow the batch as `Size`, all else as it was given. Elementwise ops of the table need none:
their line is taken apart (`elementwise`).
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from eagergrad import _C
from eagergrad.export._numpy_text import line_of
from eagergrad.export._onnx_graph import Graph, NoForm, Val
from eagergrad.export._trace import Size

FORMS: dict[str, Callable[..., Any]] = {}


def form(names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        FORMS.update(dict.fromkeys(names.split(), function))
        return function

    return register


def _list(x: Any, n: int) -> list[int]:
    items = [x] if isinstance(x, int) else list(x)
    return items * n if len(items) == 1 else items


def _axes(dim: Any, rank: int) -> list[int]:
    if dim is None or dim == () or not rank:
        return list(range(rank))
    return [d % rank for d in ([dim] if isinstance(dim, int) else dim)]


def _sizes(size: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(size[0]) if len(size) == 1 and isinstance(size[0], tuple) else size


# ---- elementwise --------------------------------------------------------------------------------------------------------

_CALLS = {
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "abs": "Abs", "tanh": "Tanh", "sin": "Sin", "cos": "Cos", "tan": "Tan", "asin": "Asin",
    "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh",
    "floor": "Floor", "ceil": "Ceil", "round": "Round", "erf": "Erf", "pow": "Pow", "where": "Where",
    "maximum": "Max", "minimum": "Min", "isnan": "IsNaN", "isinf": "IsInf",
}  # fmt: skip
_AS = {
    "sign": "where(x > 0, 1, where(x < 0, -1, 0))",
    "log1p": "log(1 + x)", "expm1": "exp(x) - 1", "exp2": "exp(x * 0.6931471805599453)", "log2": "log(x) * 1.4426950408889634",
    "log10": "log(x) * 0.4342944819032518", "normal_cdf": "0.5 * (1 + erf(x * 0.7071067811865476))", "erfc": "1 - erf(x)",
    "trunc": "sign(x) * floor(abs(x))", "logaddexp": "maximum(a, b) + log1p(exp(-abs(a - b)))",
    "floor_divide": "floor(a / b)", "remainder": "a - b * floor(a / b)", "fmod": "a - b * trunc(a / b)",
    "hypot": "sqrt(a * a + b * b)", "xlogy": "where((a == 0) & (b == b), 0, a * log(b))",
}  # fmt: skip
_WHOLE = {"relu": "Relu", "sigmoid": "Sigmoid"}
_OPERATORS: dict[type, str] = {
    ast.Add: "Add",
    ast.Sub: "Sub",
    ast.Mult: "Mul",
    ast.Div: "Div",
    ast.BitAnd: "And",
    ast.BitOr: "Or",
}
_COMPARISONS: dict[type, str] = {
    ast.Lt: "Less", ast.LtE: "LessOrEqual", ast.Gt: "Greater", ast.GtE: "GreaterOrEqual", ast.Eq: "Equal",
}  # fmt: skip


class _Line:
    """A line of the table as nodes: every number has one dtype, comparisons are bool."""

    def __init__(self, graph: Graph, dtype: np.dtype, values: dict[str, str]) -> None:
        self.graph = graph
        self.dtype = dtype
        self.values = values

    def of(self, text: str) -> str:
        return self.visit(ast.parse(text, mode="eval").body)

    def number(self, x: float) -> str:
        return self.graph.constant(np.asarray(x, self.dtype))

    def visit(self, node: Any) -> str:
        node_of = self.graph.node
        if isinstance(node, ast.Constant):
            return self.number(node.value)
        if isinstance(node, ast.Name):
            return self.number(math.nan) if node.id == "NAN" else self.values[node.id]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            if isinstance(node.operand, ast.Constant):
                return self.number(-node.operand.value)
            return node_of("Neg", self.visit(node.operand))
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            return node_of(_OPERATORS[type(node.op)], self.visit(node.left), self.visit(node.right))
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            left, right = self.visit(node.left), self.visit(node.comparators[0])
            if isinstance(node.ops[0], ast.NotEq):
                return node_of("Not", node_of("Equal", left, right))
            return node_of(_COMPARISONS[type(node.ops[0])], left, right)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self.call(node.func.id, [self.visit(a) for a in node.args])
        raise NoForm(ast.unparse(node))

    def call(self, name: str, args: list[str]) -> str:
        if name == "T":
            return args[0]
        if name in _WHOLE:
            return self.graph.node(_WHOLE[name], *args)
        if name == "isinf":  # of float16 in later versions of ONNX alone
            args = [self.graph.cast_name(args[0], np.float32)]
        if name in _CALLS:
            return self.graph.node(_CALLS[name], *args)
        if name in _AS:
            return _Line(
                self.graph, self.dtype, dict(zip("ab" if len(args) > 1 else "x", args, strict=True))
            ).of(_AS[name])
        line = line_of(name)
        if line is None or line[1] == f"{name}({', '.join(line[0])})":
            raise NoForm(name)
        parameters, text = line
        values = {p.partition("=")[0]: a for p, a in zip(parameters, args, strict=False)}
        for p in parameters[len(args) :]:
            values[p.partition("=")[0]] = self.number(float(p.partition("=")[2]))
        return _Line(self.graph, self.dtype, values).of(text)


def elementwise(
    g: Graph, name: str, args: Sequence[Any], kwargs: dict[str, Any], dtype: Any
) -> str:
    """The op as nodes; `dtype` is its result's."""
    line = line_of(name)
    if not known(name):
        raise NoForm(name)
    parameters = [p.partition("=")[0] for p in line[0]] if line else []
    given = [*args, *(kwargs[p] for p in parameters[len(args) :] if p in kwargs)]
    if dtype == np.bool_:
        kinds = [x.dtype for x in given if isinstance(x, Val)]
        dtype = np.result_type(*kinds)
        floats = [x for x in given if isinstance(x, float)]
        dtype = np.dtype(np.float32) if floats and dtype.kind != "f" else dtype
        dtype = np.dtype(np.int32) if dtype == np.bool_ else dtype
    values = [g.cast(x, dtype) if isinstance(x, Val) else g.constant(np.asarray(x, dtype)) if not isinstance(x, Size) else
              g.cast(g.size(x), dtype) for x in given]  # fmt: skip
    return _Line(g, np.dtype(dtype), {}).call(name, values)


@form("round")
def _round(g: Graph, input: Val, *, decimals: int = 0, dtype: Any) -> str:
    if decimals:
        raise NoForm("decimals")
    return g.node("Round", g.cast(input, dtype))


@form("add sub rsub")
def _sum_or_difference(
    g: Graph, input: Any, other: Any, *, alpha: Any = 1, name: str, dtype: Any
) -> str:
    text = "a + b * c" if name == "add" else "a - b * c" if name == "sub" else "b - a * c"
    values = [
        g.cast(x, dtype) if isinstance(x, Val) else g.number(x, dtype) for x in (input, other)
    ]
    text = text.replace(" * c", "") if alpha == 1 else text
    return _Line(g, dtype, dict(zip("abc", [*values, g.number(alpha, dtype)], strict=True))).of(
        text
    )


@form("div")
def _div(g: Graph, input: Any, other: Any, *, rounding_mode: Any = None, dtype: Any) -> str:
    values = [
        g.cast(x, dtype) if isinstance(x, Val) else g.number(x, dtype) for x in (input, other)
    ]
    text = {None: "a / b", "floor": "floor(a / b)", "trunc": "trunc(a / b)"}[rounding_mode]
    if np.dtype(dtype).kind != "f" and rounding_mode:
        raise NoForm("whole numbers divided and rounded")
    return _Line(g, dtype, dict(zip("ab", values, strict=True))).of(text)


@form(
    "logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor bitwise_not"
)
def _logic(g: Graph, *args: Any, name: str, dtype: Any) -> str:
    kind = name.rpartition("_")[2]
    if name.startswith("bitwise") and dtype != np.bool_:
        raise NoForm("bits of whole numbers")
    values = [
        g.cast(x, np.bool_) if isinstance(x, Val) else g.constant(np.asarray(bool(x))) for x in args
    ]
    return g.node(kind.capitalize(), *values)


@form("clamp clamp_min clamp_max")
def _clamp(g: Graph, input: Val, min: Any = None, max: Any = None, *, name: str, dtype: Any) -> str:
    if name == "clamp_max":
        min, max = None, min if max is None else max
    y = g.cast(input, dtype)
    for bound, op in ((min, "Max"), (max, "Min")):
        if bound is not None:
            y = g.node(
                op, y, g.cast(bound, dtype) if isinstance(bound, Val) else g.number(bound, dtype)
            )
    return y


@form("where _where_method masked_fill")
def _where(g: Graph, *args: Any, name: str, dtype: Any) -> str:
    condition, yes, no = {
        "where": args,
        "_where_method": (args[1], args[0], args[2]),
        "masked_fill": (args[1], args[2], args[0]),
    }[name]
    values = [g.cast(x, dtype) if isinstance(x, Val) else g.number(x, dtype) for x in (yes, no)]
    return g.node("Where", g.cast(condition, np.bool_), *values)


@form("lerp")
def _lerp(g: Graph, input: Val, end: Any, weight: Any, *, dtype: Any) -> str:
    values = [
        g.cast(x, dtype) if isinstance(x, Val) else g.number(x, dtype) for x in (input, end, weight)
    ]
    return _Line(g, dtype, dict(zip("abc", values, strict=True))).of("a + c * (b - a)")


@form("addcmul addcdiv")
def _addc(g: Graph, *args: Any, value: Any = 1, name: str, dtype: Any) -> str:
    values = [
        g.cast(x, dtype) if isinstance(x, Val) else g.number(x, dtype) for x in (*args, value)
    ]
    return _Line(g, dtype, dict(zip("abcd", values, strict=True))).of(
        "a + d * b * c" if name == "addcmul" else "a + d * b / c"
    )


@form("to _cast clone contiguous copy positive")
def _same(g: Graph, *args: Any, name: str, dtype: Any, **options: Any) -> str:
    return g.cast(args[1] if name == "copy" else args[0], dtype)


# ---- shapes -------------------------------------------------------------------------------------------------------------


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
        order = np.argsort(np.moveaxis(np.empty(range(2, 2 + rank)), *args).shape)
        order = np.asarray([n - 2 for n in np.moveaxis(np.empty(range(2, 2 + rank)), *args).shape])
    elif name in ("t", "_reversed_dims"):
        order = order[::-1]
        if rank < 2:
            return input.name
    elif rank:
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


# ---- choosing elements --------------------------------------------------------------------------------------------------


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


# ---- reductions ---------------------------------------------------------------------------------------------------------

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


# ---- products -----------------------------------------------------------------------------------------------------------


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


# ---- convolution and pooling --------------------------------------------------------------------------------------------


def _batched(g: Graph, x: Val, rank: int) -> tuple[str, bool]:
    alone = len(x.shape) == rank - 1
    return (g.node("Unsqueeze", x.name, g.ints([0])), True) if alone else (x.name, False)


def _unbatched(g: Graph, y: str, alone: bool) -> str:
    return g.node("Squeeze", y, g.ints([0])) if alone else y


@form("conv1d conv2d conv3d")
def _conv(g: Graph, input: Val, weight: Val, bias: Val | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
          groups: int = 1, **options: Any) -> str:  # fmt: skip
    n = len(weight.shape) - 2
    x, alone = _batched(g, input, n + 2)
    dilation = _list(dilation, n)
    if padding == "same":
        whole = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        pads = [w // 2 for w in whole] + [w - w // 2 for w in whole]
    else:
        pads = ([0] * n if padding == "valid" else _list(padding, n)) * 2
    y = g.node("Conv", x, weight.name, *([] if bias is None else [bias.name]), strides=_list(stride, n), pads=pads,
               dilations=dilation, group=groups)  # fmt: skip
    return _unbatched(g, y, alone)


@form("conv_transpose1d conv_transpose2d conv_transpose3d")
def _conv_transpose(g: Graph, input: Val, weight: Val, bias: Val | None = None, stride: Any = 1, padding: Any = 0,
                    output_padding: Any = 0, groups: int = 1, dilation: Any = 1, **options: Any) -> str:  # fmt: skip
    n = len(weight.shape) - 2
    x, alone = _batched(g, input, n + 2)
    y = g.node("ConvTranspose", x, weight.name, *([] if bias is None else [bias.name]), strides=_list(stride, n), group=groups,
               pads=_list(padding, n) * 2, output_padding=_list(output_padding, n), dilations=_list(dilation, n))  # fmt: skip
    return _unbatched(g, y, alone)


@form(
    "max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices"
)
def _max_pool(g: Graph, input: Val, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
              ceil_mode: bool = False, *, name: str, **options: Any) -> Any:  # fmt: skip
    n = int(name[8])
    x, alone = _batched(g, input, n + 2)
    kernel = _list(kernel_size, n)
    y = g.node("MaxPool", x, kernel_shape=kernel, strides=_list(stride, n) if stride not in (None, ()) else kernel,
               pads=_list(padding, n) * 2, dilations=_list(dilation, n), ceil_mode=int(ceil_mode))  # fmt: skip
    y = _unbatched(g, y, alone)
    return [y, None] if name.endswith("indices") else y


@form("avg_pool1d avg_pool2d avg_pool3d")
def _avg_pool(g: Graph, input: Val, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
              count_include_pad: bool = True, divisor_override: Any = None, *, name: str, **options: Any) -> str:  # fmt: skip
    if ceil_mode or divisor_override is not None:
        raise NoForm("averages with ceil_mode or divisor_override")
    n = int(name[8])
    x, alone = _batched(g, input, n + 2)
    kernel = _list(kernel_size, n)
    y = g.node("AveragePool", x, kernel_shape=kernel, strides=_list(stride, n) if stride not in (None, ()) else kernel,
               pads=_list(padding, n) * 2, count_include_pad=int(count_include_pad))  # fmt: skip
    return _unbatched(g, y, alone)


@form("adaptive_avg_pool adaptive_max_pool adaptive_max_pool1d")
def _adaptive(g: Graph, input: Val, output_size: Any, *, name: str, **options: Any) -> Any:
    sizes = _list(output_size, 1)
    n, x = len(sizes), input.name
    kind = "Mean" if name == "adaptive_avg_pool" else "Max"
    lead = len(input.shape) - n
    for k, out in enumerate(sizes):
        axis, size = lead + k, input.shape[lead + k]
        if out == size:
            continue
        if out == 1:
            x = _reduced(g, f"Reduce{kind}", x, [axis], True)
            continue
        bounds = [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]
        parts = [
            _reduced(g, f"Reduce{kind}", g.slice(x, [(axis, a, b, 1)]), [axis], True)
            for a, b in bounds
        ]
        x = g.node("Concat", *parts, axis=axis)
    return [x, None] if name == "adaptive_max_pool" else x


@form("constant_pad_nd pad_mode")
def _pad(
    g: Graph,
    input: Val,
    pad: Any,
    value: Any = 0,
    *,
    name: str,
    mode: Any = None,
    dtype: Any,
    **options: Any,
) -> str:
    rank, n = len(input.shape), len(pad) // 2
    before, after = [0] * rank, [0] * rank
    for k in range(n):
        before[rank - 1 - k], after[rank - 1 - k] = pad[2 * k : 2 * k + 2]
    cut = [d for d in range(rank) if before[d] < 0 or after[d] < 0]
    x = input.name
    if cut:
        x = g.slice(
            x, [(d, -min(before[d], 0), min(after[d], 0) or np.iinfo(np.int64).max, 1) for d in cut]
        )
        before, after = [max(n, 0) for n in before], [max(n, 0) for n in after]
    if name == "constant_pad_nd":
        return g.node("Pad", x, g.ints(before + after), g.number(value, dtype), mode="constant")
    kind = mode or value
    return g.node(
        "Pad",
        x,
        g.ints(before + after),
        mode={"replicate": "edge", "circular": "wrap"}.get(kind, kind),
    )


@form("upsample")
def _upsample(g: Graph, input: Val, size: Any, factors: Any, mode: str, align_corners: bool = False, antialias: bool = False,
              *, shape: tuple[Any, ...], **options: Any) -> str:  # fmt: skip
    if antialias:
        raise NoForm("antialias")
    how: dict[str, Any]
    if mode == "nearest":
        how = {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
    elif mode == "nearest-exact":
        how = {
            "mode": "nearest",
            "coordinate_transformation_mode": "half_pixel",
            "nearest_mode": "round_prefer_ceil",
        }
    else:
        where = "align_corners" if align_corners else "pytorch_half_pixel"
        how = {
            "mode": "cubic" if mode == "bicubic" else "linear",
            "coordinate_transformation_mode": where,
            "cubic_coeff_a": -0.75,
        }
    if factors and not align_corners:
        scales = np.asarray([1, 1, *factors], np.float32)
        return g.node("Resize", input.name, "", g.constant(scales), **how)
    return g.node("Resize", input.name, "", "", g.shape_of(shape), **how)


@form("pixel_shuffle")
def _pixel_shuffle(g: Graph, input: Val, upscale_factor: int, **options: Any) -> str:
    return g.node("DepthToSpace", input.name, blocksize=upscale_factor, mode="CRD")


# ---- normalisation ------------------------------------------------------------------------------------------------------


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


# ---- recurrent nets -----------------------------------------------------------------------------------------------------

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


def known(name: str) -> bool:
    """Whether an op has a form."""
    return (
        name in FORMS
        or name in _AS
        or name in _CALLS
        or (line_of(name) is not None and name in _C.op_table)
    )
