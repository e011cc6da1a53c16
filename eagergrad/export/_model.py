"""A model's call as one trace: the example, the traces of it with several sizes of the batch, and the tensors that the model has."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import eagergrad as eg
from eagergrad import Tensor, nn
from eagergrad.export._trace import ExportError, Size, Trace, Traced, joined, size_of
from eagergrad.nn.modules._hooks import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from eagergrad.utils._pytree import tree_flatten, tree_unflatten

_DTYPES = {
    getattr(eg, n): n for n in "float16 float32 float64 uint8 int8 int16 int32 int64".split()
} | {eg.bool: "bool_"}


def numpy_name(dtype: Any) -> str:
    """What NumPy calls a dtype."""
    if dtype not in _DTYPES:
        raise ExportError(
            f"[export] NumPy has no {dtype}: convert the model and its input, with .float()"
        )
    return _DTYPES[dtype]


class Example:
    """Arguments of the model by their names, and the size of the batch."""

    def __init__(self, model: Any, example: Any, batch: Any) -> None:
        self.by_name = isinstance(example, dict)
        function = model.forward if isinstance(model, nn.Module) else model
        try:
            if self.by_name:
                bound = inspect.signature(function).bind(**example)
            else:
                args = example if isinstance(example, (tuple, list)) else (example,)
                bound = inspect.signature(function).bind(*args)
        except TypeError as error:
            raise TypeError(f"[export] the example is no call of the model: {error}") from None
        kinds = inspect.signature(function).parameters
        self.arguments: list[tuple[str, Any]] = []
        for name, value in bound.arguments.items():
            kind = kinds[name].kind
            many = (
                {f"{name}{k}": v for k, v in enumerate(value)}
                if kind is kind.VAR_POSITIONAL
                else None
            )
            many = value if kind is kind.VAR_KEYWORD else many
            self.arguments += ({name: value} if many is None else many).items()
        self.leaves, self.form = tree_flatten([v for _, v in self.arguments])
        tensors = [x for x in self.leaves if isinstance(x, Tensor)]
        if not tensors:
            raise ValueError("[export] expected an example with a tensor at least")
        dims = batch if isinstance(batch, tuple) else (batch,) * len(tensors)
        if len(dims) != len(tensors):
            raise ValueError(
                f"[export] expected a batch dimension for each of {len(tensors)} tensors, got {dims}"
            )
        self.dims = [
            None if d is None or not x.dim() else d % x.dim()
            for d, x in zip(dims, tensors, strict=True)
        ]
        found = {x.shape[d] for d, x in zip(self.dims, tensors, strict=True) if d is not None}
        if len(found) > 1:
            raise ValueError(f"[export] the example's tensors have batches of {sorted(found)}")
        self.batch: int | None = found.pop() if found else None
        if self.batch == 0:
            raise ValueError("[export] the example's batch is empty")

    def names(self) -> list[str]:
        """A name for each tensor: its parameter's, with places where it lies in a tuple."""
        found: list[str] = []

        def collect(name: str, x: Any) -> None:
            if isinstance(x, Tensor):
                found.append(name)
            elif isinstance(x, (tuple, list)):
                for k, v in enumerate(x):
                    collect(f"{name}_{k}", v)

        for name, value in self.arguments:
            collect(name, value)
        return found

    def tensors(self, size: int | None) -> list[Tensor]:
        """The example's tensors for another size of the batch: items come again."""
        tensors = [x.detach() for x in self.leaves if isinstance(x, Tensor)]
        if size is None or size == self.batch:
            return tensors
        assert self.batch is not None
        again = eg.arange(size) % self.batch
        return [
            x if d is None else x.index_select(d, again.to(x.device))
            for d, x in zip(self.dims, tensors, strict=True)
        ]

    def call(self, model: Any, tensors: list[Any]) -> Any:
        left = iter(tensors)
        leaves = [next(left) if isinstance(x, Tensor) else x for x in self.leaves]
        values = tree_unflatten(leaves, self.form)
        if self.by_name:
            return model(**dict(zip((name for name, _ in self.arguments), values, strict=True)))
        return model(*values)


@contextlib.contextmanager
def evaluating(model: Any) -> Iterator[None]:
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    before = [m.training for m in modules]
    for m in modules:
        m.training = False
    try:
        yield
    finally:
        for m, training in zip(modules, before, strict=True):
            m.training = training


class Run:
    """One traced call: inputs and outputs with their values."""

    def __init__(
        self, trace: Trace, given: list[np.ndarray], outputs: list[Any], form: Any
    ) -> None:
        self.trace = trace
        self.given = given  # the inputs as they were before anything wrote into them
        self.outputs, self.form = [trace.noted(x) for x in outputs], form
        self.results = [
            _array(x.value if type(x) is Traced else x) for x in outputs if isinstance(x, Tensor)
        ]


def _array(x: Tensor) -> np.ndarray:
    numpy_name(x.dtype)
    return x.detach().cpu().numpy().copy()


def _run(model: Any, example: Example, size: int | None) -> Run:
    trace = Trace()
    tensors = [x.clone() for x in example.tensors(size)]
    given = [_array(x) for x in tensors]
    inputs = [trace.value(x) for x in tensors]
    names = {id(m): n for n, m in model.named_modules()} if isinstance(model, nn.Module) else {}
    enter = register_module_forward_pre_hook(
        lambda m, _: trace.modules.append(names.get(id(m), ""))
    )

    def leave(m: Any, _: Any, result: Any) -> None:
        trace.modules.pop()

    exits = register_module_forward_hook(leave)
    try:
        outputs, form = tree_flatten(example.call(model, inputs))
    finally:
        enter.remove()
        exits.remove()
    if not any(type(x) is Traced for x in outputs):
        raise ExportError("[export] nothing that the model returns depends on the input")
    return Run(trace, given, outputs, form)


@dataclass
class Constant:
    """A tensor that does not depend on the input; with a shape, it is spread to that, which follows the batch's size."""

    name: str
    array: np.ndarray
    shape: tuple[Any, ...] | None = None


def _constants(model: Any, runs: list[Run], sizes: list[Any]) -> list[Constant]:
    names: dict[int, str] = {}
    if isinstance(model, nn.Module):
        for group in (model.named_buffers(), model.named_parameters()):
            names |= {id(x): name for name, x in group}
    found = []
    for k, same in enumerate(zip(*(r.trace.constants for r in runs), strict=True)):
        x, line = same[0], runs[0].trace.lines[k]
        name = names.get(id(x), f"constant_{k}")
        if all(t is x or (t.shape == x.shape and eg.equal(t, x)) for t in same[1:]):
            found.append(Constant(name, _array(x)))
            continue
        shape = [size_of(list(n), sizes) for n in zip(*(t.shape for t in same), strict=True)]
        if None in shape or any(t.dim() != x.dim() for t in same):
            raise ExportError(
                f"[export] {line}: a tensor that the model makes depends on the batch's size"
            )
        # Either one number everywhere, or the same along the dimensions that follow the batch.
        follow = [d for d, n in enumerate(shape) if isinstance(n, Size)]
        core = [_first(t, follow) for t in same]
        if any(not eg.equal(c.expand_as(t), t) for c, t in zip(core, same, strict=True)) or any(
            not eg.equal(c, core[0]) for c in core
        ):
            raise ExportError(
                f"[export] {line}: the values of a tensor that the model makes depend on the batch's size"
            )
        found.append(Constant(name, _array(core[0]), tuple(shape)))
    return found


def _first(x: Tensor, dims: list[int]) -> Tensor:
    for d in dims:
        x = x.narrow(d, 0, 1)
    return x.contiguous()


@dataclass
class Call:
    """A traced call of a model: the runs of it, of which the first is the example's, and what all of them have in common."""

    example: Example
    sizes: list[Any]  # of the batch, one a run
    runs: list[Run]
    trace: Trace
    constants: list[Constant]


def traced(model: Any, example: Any, batch: Any) -> Call:
    """The model's call, in evaluation mode. `batch`: see `export_numpy`."""
    given = Example(model, example, batch)
    n = given.batch
    sizes = [n] if n is None else [n, n + 1, 2 * n + 3]
    with eg.no_grad(), evaluating(model):
        runs = [_run(model, given, size) for size in sizes]
    if any(len(r.trace.constants) != len(runs[0].trace.constants) for r in runs):
        raise ExportError("[export] how many tensors the model makes depends on the batch's size")
    trace = joined([r.trace for r in runs], sizes) if n is not None else runs[0].trace
    return Call(given, sizes, runs, trace, _constants(model, runs, sizes))
