"""NumPy functions of elementwise ops, made of the lines of `csrc/ops/elementwise.def`: the text of a line is Python, too."""

from __future__ import annotations

import ast
import functools
import re

from eagergrad import _C

# The vocabulary of the table, where NumPy calls it otherwise than `np.<name>`, or not at all.
_OTHERWISE = {
    "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan", "atan2": "arctan2", "atanh": "arctanh",
    "pow": "power", "max": "maximum", "min": "minimum",
}  # fmt: skip
_SAME = set(
    "abs ceil copysign cos cosh exp exp2 expm1 floor fmod hypot isfinite isinf isnan log log10 log1p log2 logaddexp logaddexp2 maximum "
    "minimum nextafter signbit sin sinh sqrt tan tanh trunc where fmin fmax heaviside gcd lcm logical_and logical_or logical_xor".split()
)


@functools.cache
def line_of(name: str) -> tuple[list[str], str] | None:
    """Parameters and text of the line of the table that has this op; None if none has."""
    op = _C.op_table.get(name)
    found = op and re.search(r"\n\ny = (.*)", op.__doc__ or "")
    if not found:
        return None
    tree = ast.parse(found[1], mode="eval")
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    inside = op.overloads[0].partition("(")[2].rpartition(")")[0]
    given = [p.split("=") for p in inside.split(", ") if p != "*"]
    tensors = ["a", "b", "c"] if "a" in names or "b" in names else ["x"]
    parameters = [
        tensors[k] if (k < len(tensors) and "number" not in head.split()[0]) or (" or number " in head and k < len(tensors))
        else head.split()[-1] + "".join(f"={d}" for d in default)
        for k, (head, *default) in enumerate(given)
    ]  # fmt: skip
    return parameters, found[1]


class _ToNumPy(ast.NodeTransformer):
    def __init__(self, own: str) -> None:
        self.own = own
        self.needs: set[str] = set()

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name):
            return node
        name = node.func.id
        if name == "T":  # NumPy takes the array's dtype for a number of Python
            return node.args[0]
        if name in _SAME or name in _OTHERWISE:
            return ast.Call(
                ast.parse(f"np.{_OTHERWISE.get(name, name)}", mode="eval").body, node.args, []
            )
        if name == self.own:
            raise LookupError(name)
        self.needs.add(name)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.parse("np.nan", mode="eval").body if node.id == "NAN" else node


def function_of(name: str) -> tuple[str, set[str]] | None:
    """Source of the function of an elementwise op, and the ops that it calls; None if NumPy lacks what it is made of."""
    line = line_of(name)
    if line is None:
        return None
    parameters, text = line
    turned = _ToNumPy(name)
    try:
        body = ast.unparse(turned.visit(ast.parse(text, mode="eval")))
    except LookupError:
        return None
    return f"def {name}({', '.join(parameters)}):\n    return {body}\n", turned.needs
