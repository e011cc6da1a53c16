"""Elementwise ops, whose line of the table is taken apart into nodes."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from eagergrad import _C
from eagergrad.export._numpy_text import line_of
from eagergrad.export._onnx_graph import Graph, NoForm, Val
from eagergrad.export._trace import Size
from eagergrad.export.onnx_forms.forms import FORMS, form

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


def known(name: str) -> bool:
    """Whether an op has a form."""
    return (
        name in FORMS
        or name in _AS
        or name in _CALLS
        or (line_of(name) is not None and name in _C.op_table)
    )
