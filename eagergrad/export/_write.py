"""A trace as the text of a module that needs NumPy alone, line by line; each line is run as it is written."""

from __future__ import annotations

import ast
import builtins
import inspect
import keyword
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

import eagergrad as eg
from eagergrad import _C
from eagergrad.export._model import numpy_name
from eagergrad.export._numpy_text import function_of
from eagergrad.export._trace import Call, Const, ExportError, Ref, Size, Trace
from eagergrad.export.numpy_forms import FUNCTIONS


def canonical(name: str) -> str:
    """The op that another name stands for."""
    op = _C.op_table.get(name)
    same = re.search(r"(?:The same as|Another name of) (\w+)", (op.__doc__ or "") if op else "")
    return canonical(same[1]) if same and name not in FUNCTIONS else name


class Functions:
    """The functions that the lines call, each written once, with those that it calls."""

    def __init__(self) -> None:
        self.sources: dict[str, str] = {}
        self.namespace: dict[str, Any] = {"np": np, "math": math, "builtins": builtins}

    def add(self, name: str) -> str | None:
        """The name of the function of an op; None if NumPy has none."""
        name = canonical(name)
        if name in self.sources:
            return name
        if name in FUNCTIONS:
            source = inspect.getsource(FUNCTIONS[name])
            needs = {
                n.id for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name)
            } & FUNCTIONS.keys()
        else:
            found = function_of(name)
            if found is None:
                return None
            source, needs = found
        self.sources[name] = source
        for needed in sorted(needs - {name}):
            if self.add(needed) is None:
                del self.sources[name]
                return None
        exec(compile(source, f"<{name}>", "exec"), self.namespace)
        return name


class Names:
    """Names of values: one that no later line reads lends its name to another."""

    def __init__(self, trace: Trace, inputs: dict[int, str], outputs: set[int]) -> None:
        self.names = dict(inputs)
        self.taken = set(inputs.values())
        self.last = {n: len(trace.calls) for n in outputs}
        for at in reversed(range(len(trace.calls))):
            call = trace.calls[at]
            if not self.is_needed(call):
                continue
            for n in refs((call.args, call.kwargs)):
                self.last.setdefault(n, at)

    def is_needed(self, call: Call) -> bool:
        """Whether what a call gives is read, or may be, in memory that it shares."""
        return call.written is not None or any(n in self.last for n in call.results)

    def read(self, number: int) -> str:
        return self.names[number]

    def release(self, at: int) -> None:
        """Line `at` has read what it reads."""
        for n in [n for n in self.names if self.last.get(n, -1) <= at]:
            name = self.names.pop(n)
            if name.startswith("v") and name[1:].isdigit():
                self.taken.discard(name)

    def new(self, number: int) -> str:
        name = next(f"v{k}" for k in range(1, len(self.taken) + 2) if f"v{k}" not in self.taken)
        self.names[number] = name
        self.taken.add(name)
        return name


def refs(x: Any) -> Iterator[int]:
    """Numbers of the values in an argument."""
    if isinstance(x, Ref):
        yield x.number
    elif isinstance(x, slice):
        yield from refs((x.start, x.stop, x.step))
    elif isinstance(x, dict):
        yield from refs(tuple(x.values()))
    elif isinstance(x, (tuple, list)):
        for item in x:
            yield from refs(item)


def size_text(s: Any) -> str:
    """A size, or a shape, as an expression of the batch's."""
    if isinstance(s, tuple):
        return f"({', '.join(map(size_text, s))}{',' if len(s) == 1 else ''})"
    if not isinstance(s, Size):
        return repr(s)
    text = "batch" if s.factor == 1 else f"{s.factor} * batch"
    return text if not s.offset else f"({text} {'+' if s.offset > 0 else '-'} {abs(s.offset)})"


class Writer:
    """Lines of the function that computes a trace, with the values of the example beside them."""

    def __init__(
        self,
        trace: Trace,
        constants: dict[int, str],
        inputs: dict[int, str],
        outputs: set[int],
        values: dict[str, Any],
    ) -> None:
        self.trace = trace
        self.constants = constants  # texts
        self.functions = Functions()
        self.functions.namespace.update(values)
        self.names = Names(trace, inputs, outputs)
        self.lines: list[str] = []
        self.writes = False

    def text(self, x: Any) -> str:
        if isinstance(x, Ref):
            return self.names.read(x.number)
        if isinstance(x, Const):
            return self.constants[x.number]
        if isinstance(x, Size):
            return size_text(x)
        if isinstance(x, eg.dtype):
            return f"np.{numpy_name(x)}"
        if isinstance(x, eg.device):
            return "None"
        if isinstance(x, slice):
            parts = (x.start, x.stop, x.step)
            return f"slice({', '.join(map(self.text, parts))})"
        if isinstance(x, (tuple, list)):
            items = [self.text(v) for v in x]
            return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
        if isinstance(x, float) and not math.isfinite(x):
            return "np.nan" if math.isnan(x) else "np.inf" if x > 0 else "-np.inf"
        if x is ... or x is None or isinstance(x, (bool, int, float, str)):
            return "..." if x is ... else repr(x)
        raise ExportError(
            f"[export] an argument of type {type(x).__name__} cannot be written down: {x!r}"
        )

    def write(self) -> None:
        module = None
        for at, call in enumerate(self.trace.calls):
            if not self.names.is_needed(call):
                continue
            if call.module != module:
                module = call.module
                self.lines.append(f"# {module}" if module else "#")
            self.line(at, call)

    def line(self, at: int, call: Call) -> None:
        text = self.expression(call)
        self.names.release(at)
        if call.written is not None:
            return self.run(text, call)
        names = [self.names.new(n) if n in self.names.last else "_" for n in call.results]
        target = ", ".join(names) + ("," if call.packed and len(names) == 1 else "")
        self.run(f"{target} = {text}", call)
        for name, number in zip(names, call.results, strict=True):
            if name != "_":
                self.settle(name, number, call)

    def expression(self, call: Call) -> str:
        if call.op == "getitem":
            return f"{self.text(call.args[0])}[{self.text(call.args[1])}]"
        if call.op == "setitem_":
            self.writes = True
            place, index, value = map(self.text, call.args)
            return f"{place}[{index}] = {value}"
        name = self.functions.add(call.op if call.written is None else call.op[:-1])
        if name is None:
            raise ExportError(f"[export] {call.where}: {call.op} has no form in NumPy")
        if name == "where" and call.op == "_where_method":
            call.args = (call.args[1], call.args[0], *call.args[2:])
        args = [self.text(x) for x in call.args]
        if call.kwargs.get("out") is not None:
            raise ExportError(
                f"[export] {call.where}: {call.op} writes into out=, for which there is no form in NumPy"
            )
        for key, x in call.kwargs.items():
            if key not in _MEANINGLESS:
                args.append(f"{_PARAMETERS.get(key, key)}={self.text(x)}")
        text = f"{name}({', '.join(args)})"
        if call.written is None:
            return text
        self.writes = True
        return f'np.copyto({self.names.read(call.written)}, {text}, casting="unsafe")'

    def run(self, line: str, call: Call) -> None:
        self.lines.append(line)
        try:
            with np.errstate(all="ignore"):
                exec(compile(line, "<export>", "exec"), self.functions.namespace)
        except Exception as error:
            raise ExportError(f"[export] {call.where}: {call.op} as `{line}`: {error}") from error

    def settle(self, name: str, number: int, call: Call) -> None:
        """What NumPy gives has the shape that the model's op gave, and gets its dtype."""
        dtype, shape = self.trace.kinds[number]
        found = self.functions.namespace[name]
        if found is None:
            raise ExportError(
                f"[export] {call.where}: result {call.results.index(number)} of {call.op} has no form in NumPy"
            )
        if np.shape(found) != shape:
            raise ExportError(
                f"[export] {call.where}: {call.op} gives shape {shape}, and {np.shape(found)} in NumPy"
            )
        if found.dtype != np.dtype(numpy_name(dtype)):
            line = self.lines.pop()
            alone = re.fullmatch(rf"{name} = (.*)", line)
            cast = f".astype(np.{numpy_name(dtype)})"
            if alone:
                self.run(f"{name} = {alone[1]}{cast}", call)
            else:
                self.lines.append(line)
                self.run(f"{name} = {name}{cast}", call)


_PARAMETERS = {"axis": "dim", "keepdims": "keepdim"}
_MEANINGLESS = set("out requires_grad layout pin_memory device memory_format non_blocking".split())


def parameter(name: str) -> str:
    """A parameter's name that shadows nothing that the lines use."""
    words = {"np", "math", "builtins", "batch", "W", "slice", *FUNCTIONS, *_C.op_table}
    taken = keyword.iskeyword(name) or name in words or re.fullmatch(r"v\d+", name)
    return name + "_" if taken else name
