"""`eagergrad.onnx.export`: a traced call of a model as an ONNX file."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import eagergrad as eg
from eagergrad.export._model import Call, Example, numpy_name, traced
from eagergrad.export._onnx_graph import Graph, NoForm, Val
from eagergrad.export._trace import Const, ExportError, Ref, Size, size_of
from eagergrad.export._write import Names, canonical, refs
from eagergrad.export.onnx_forms import FORMS, elementwise
from eagergrad.serialization import _atomic

_MISSING = "[onnx.export] the package onnx is not installed: pip install 'eagergrad[onnx]'"


def export(
    model: Any,
    args: Any = (),
    f: Any = None,
    *,
    kwargs: dict[str, Any] | None = None,
    verbose: bool = False,
    input_names: Any = None,
    output_names: Any = None,
    opset_version: int | None = None,
    dynamic_axes: dict[str, Any] | None = None,
    export_params: bool = True,
    do_constant_folding: bool = True,
    dynamo: bool = True,
) -> Any:
    """Writes a model to an ONNX file, from one call of it with `args`. Returns the ``onnx.ModelProto``, which is checked.

    Args:
        model: a Module, which is put into evaluation mode for the while, or a function of tensors.
        args: a tensor or a tuple of arguments, `kwargs` further ones by name; they give dtypes and sizes.
        f: a path or a binary file; None writes nothing.
        verbose: whether to print the graph.
        input_names, output_names: names of the tensors in order; parameters' names and ``output``, ``output_1`` ... unless given.
        opset_version: 18 to 21 of ONNX's standard operators; 18 unless given, and with a warning where it is less.
        dynamic_axes: ``{"input": {0: "batch"}, ...}`` or ``{"input": [0], ...}``: one dimension of inputs whose size stays open; sizes
            of outputs follow. What is said of outputs is for their names alone.
        export_params: False leaves the weights out, as inputs that whoever runs the graph gives.
        do_constant_folding, dynamo: mean nothing here: what a model computes of its weights alone is in the file as it is, and there is
            one exporter.

    Raises:
        ExportError: as `export_numpy` does, where a value decides what is computed or an op has no form in ONNX.
        ImportError: the package onnx is not installed.

    Source: the ONNX standard, https://onnx.ai/onnx/operators.

    >>> import eagergrad as eg
    >>> proto = export(eg.nn.Linear(3, 2), eg.ones(1, 3), dynamic_axes={"input": {0: "batch"}})
    >>> [node.op_type for node in proto.graph.node]
    ['Gemm', 'Identity']
    """
    try:
        import onnx
    except ImportError:
        raise ImportError(_MISSING) from None
    if opset_version is not None and opset_version > 21:
        raise ValueError(f"[onnx.export] expected opset_version of at most 21, got {opset_version}")
    if opset_version is not None and opset_version < 18:
        warnings.warn(
            f"[onnx.export] version {opset_version} is too old, 18 is written", stacklevel=2
        )
    opset = max(opset_version or 18, 18)
    example = _example(model, args, kwargs)
    names = Example(model, example, None).names()
    names = list(input_names or names)[: len(names)] + names[len(input_names or names) :]
    dims = _open(names, dynamic_axes or {})
    call = traced(model, example, dims if any(d is not None for d in dims) else None)
    proto = _Writer(onnx, call, names, output_names or (), dynamic_axes or {}, export_params).model(
        type(model).__name__, opset
    )
    onnx.checker.check_model(proto)
    if verbose:
        print(onnx.printer.to_text(proto.graph))
    if f is not None:
        data = proto.SerializeToString()
        if hasattr(f, "write"):
            f.write(data)
        else:
            with _atomic(Path(f)) as file:
                file.write(data)
    return proto


def _example(model: Any, args: Any, kwargs: dict[str, Any] | None) -> Any:
    given = tuple(args) if isinstance(args, (tuple, list)) else (args,)
    if not kwargs:
        return given
    function = model.forward if isinstance(model, eg.nn.Module) else model
    return dict(inspect.signature(function).bind(*given, **kwargs).arguments)


def _open(names: list[str], axes: dict[str, Any]) -> tuple[int | None, ...]:
    dims = []
    for name in names:
        given = list(axes.get(name, ()))
        if len(given) > 1:
            raise ExportError(f"[onnx.export] one dimension of {name!r} may stay open, got {given}")
        dims.append(given[0] if given else None)
    return tuple(dims)


class _Writer:
    def __init__(
        self,
        onnx: Any,
        call: Call,
        inputs: list[str],
        outputs: Any,
        axes: dict[str, Any],
        with_weights: bool,
    ) -> None:
        self.onnx = onnx
        self.call = call
        self.inputs, self.outputs = inputs, list(outputs)
        self.axes, self.with_weights = axes, with_weights
        example = call.example
        first = next((k for k, d in enumerate(example.dims) if d is not None), None)
        batch = (
            None if first is None or example.batch is None else (inputs[first], example.dims[first])
        )
        self.graph = Graph(onnx, batch)  # type: ignore[arg-type]
        self.values = {k: Val(name, *self.kind(k)) for k, name in enumerate(inputs)}
        self.constants: dict[int, Val] = {}

    def kind(self, number: int) -> tuple[np.dtype, tuple[Any, ...]]:
        kinds = [r.trace.kinds[number] for r in self.call.runs]
        dtype = np.dtype(numpy_name(kinds[0][0]))
        if len(kinds) == 1:
            return dtype, kinds[0][1]
        shape = tuple(
            size_of(list(n), self.call.sizes) for n in zip(*(s for _, s in kinds), strict=True)
        )  # type: ignore[arg-type]
        if None in shape:
            raise ExportError(
                "[onnx.export] a shape depends on the batch's size otherwise than by a multiple of it"
            )
        return dtype, shape

    def model(self, name: str, opset: int) -> Any:
        run, helper = self.call.runs[0], self.onnx.helper
        results = {x.number for x in run.outputs if isinstance(x, Ref)}
        self.needed = Names(self.call.trace, {}, results)
        for call in self.call.trace.calls:
            if self.needed.is_needed(call):
                self.add(call)
        outputs = []
        for k, x in enumerate(run.outputs):
            if not isinstance(x, (Ref, Const)):
                continue
            value = self.argument(x)
            given = self.outputs[k] if k < len(self.outputs) else f"output_{k}" if k else "output"
            self.graph.list.append(helper.make_node("Identity", [value.name], [given]))
            outputs.append(self.info(given, value))
        inputs = [self.info(n, self.values[k]) for k, n in enumerate(self.inputs)]
        used = {n for node in self.graph.list for n in node.input}
        weights = [
            self.onnx.numpy_helper.from_array(a, n)
            for n, a in self.graph.constants.items()
            if n in used
        ]
        if not self.with_weights:
            own = {c.name for c in self.call.constants}
            inputs += [
                helper.make_tensor_value_info(w.name, w.data_type, w.dims)
                for w in weights
                if w.name in own
            ]
            weights = [w for w in weights if w.name not in own]
        graph = helper.make_graph(self.graph.list, name, inputs, outputs, weights)
        return helper.make_model(
            graph,
            producer_name="eagergrad",
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=8,
        )

    def info(self, name: str, value: Val) -> Any:
        said = self.axes.get(name, {})
        named = said if isinstance(said, dict) else {}
        shape = [
            named.get(d, "batch") if isinstance(n, Size) else n for d, n in enumerate(value.shape)
        ]
        return self.onnx.helper.make_tensor_value_info(
            name, self.onnx.helper.np_dtype_to_tensor_dtype(value.dtype), shape
        )

    def argument(self, x: Any) -> Any:
        if isinstance(x, Ref):
            return self.values[x.number]
        if isinstance(x, Const):
            return self.constant(x.number)
        if isinstance(x, eg.dtype):
            return np.dtype(numpy_name(x))
        if isinstance(x, slice):
            return slice(self.argument(x.start), self.argument(x.stop), self.argument(x.step))
        return tuple(map(self.argument, x)) if isinstance(x, (tuple, list)) else x

    def constant(self, number: int) -> Val:
        if number not in self.constants:
            c = self.call.constants[number]
            name = (
                c.name if c.name in self.graph.constants else self.graph.constant(c.array, c.name)
            )
            if c.shape is not None:
                name = self.graph.node("Expand", name, self.graph.shape_of(c.shape))
            shape = c.array.shape if c.shape is None else c.shape
            self.constants[number] = Val(name, c.array.dtype, shape)
        return self.constants[number]

    def add(self, call: Any) -> None:
        self.graph.scope = call.module
        name = canonical(call.op if call.written is None else call.op[:-1])
        kinds = [None if n is None else self.kind(n) for n in call.results]
        if call.written is not None:
            kinds = [self.kind(call.written)]
        args = [self.argument(x) for x in call.args]
        kwargs = {
            k: self.argument(v)
            for k, v in call.kwargs.items()
            if k not in ("requires_grad", "layout", "device", "memory_format")
        }
        try:
            results = self.form(name, args, kwargs, kinds)
            for n, found in zip(call.results, results, strict=False):
                if found is None and n in self.needed.last:
                    raise NoForm("the places of the largest elements")
        except (NoForm, TypeError, KeyError, ZeroDivisionError) as error:
            raise ExportError(
                f"[onnx.export] {call.where}: {call.op} has no form in ONNX ({error})"
            ) from error
        if call.written is not None:
            self.write(call, results)
            return
        for n, kind, found in zip(call.results, kinds, results, strict=True):
            if n is not None and kind is not None and found is not None:
                self.values[n] = Val(found, *kind)

    def write(self, call: Any, results: list[Any]) -> None:
        """What is written in place is a new value under the old one's number; views of it would still be of the old one."""
        calls = self.call.trace.calls
        at = next(k for k, c in enumerate(calls) if c is call)
        groups = [
            {n for n in (*_refs(c)[:1], *c.results) if n is not None}
            for c in calls[:at]
            if c.op in _VIEWS
        ]
        shares = {call.written}
        while any(g & shares and not g <= shares for g in groups):
            shares = shares.union(*(g for g in groups if g & shares))
        later = {n for c in calls[at + 1 :] for n in _refs(c)}
        later |= {x.number for x in self.call.runs[0].outputs if isinstance(x, Ref)}
        if (shares - {call.written}) & later:
            raise ExportError(
                f"[onnx.export] {call.where}: {call.op} writes into a tensor of which views are read later"
            )
        old = self.values[call.written]
        self.values[call.written] = Val(results[0], old.dtype, old.shape)

    def form(
        self, name: str, args: list[Any], kwargs: dict[str, Any], kinds: list[Any]
    ) -> list[Any]:
        dtype, shape = next(k for k in kinds if k is not None)
        if name in FORMS:
            function = FORMS[name]
            known = {
                "name": name,
                "dtype": dtype,
                "shape": shape,
                "shapes": [k and k[1] for k in kinds],
            }
            takes = inspect.signature(function).parameters
            given = {k: v for k, v in known.items() if k in takes}
            found = function(
                self.graph, *args, **given, **{k: v for k, v in kwargs.items() if k != "dtype"}
            )
        else:
            found = elementwise(self.graph, name, args, kwargs, dtype)
        return found if isinstance(found, list) else [found]


_VIEWS = set(
    "view reshape flatten permute transpose squeeze unsqueeze expand select narrow getitem t unbind split chunk unflatten view_as movedim diagonal".split()
)


def _refs(call: Any) -> list[int]:
    return list(refs((call.args, call.kwargs)))
