"""`export_numpy`: traces a model, writes what it computes and runs what was written, without eagergrad."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eagergrad import Tensor, nn
from eagergrad._version import __version__
from eagergrad.export._model import Call, Example, Run, traced
from eagergrad.export._trace import ExportError, Ref
from eagergrad.export._write import Writer, parameter, size_text
from eagergrad.serialization import _atomic

_TOLERANCE = 1e-5


def export_numpy(
    model: Callable[..., Any],
    example: Any,
    path: Any,
    *,
    batch: int | tuple[int | None, ...] | None = 0,
    check: bool = True,
) -> Path:
    """Writes ``<path>.py`` and ``<path>.npz``: a function ``predict`` that computes what the model does, with NumPy alone.

    Args:
        model: a Module, which is put into evaluation mode for the while, or a function of tensors.
        example: what it is called with: a tensor, a tuple of arguments, or a dict of them by name; tensors may lie in tuples and
            lists. They give dtypes and sizes; other arguments are written down as they are.
        path: of the module to write; its folder must exist. A suffix .py is left out.
        batch: the dimension along which inputs hold a batch, whose size is then left open; a tuple has one (or None) for each
            tensor of the example. None keeps all sizes of the example.
        check: whether to run the module in an interpreter of its own that cannot import eagergrad, and to compare.

    Returns:
        The path of the module.

    The model is run as it is written, and each op of the core that meets the input is written down: loops come unrolled, layers
    of recurrent nets as loops. Weights keep their names of ``state_dict()``. The module says what it takes, and refuses other
    shapes and dtypes with ValueError.

    Raises:
        ExportError: a value of the input decides what is computed (``if x.sum() > 0``), an op has no form in NumPy, a dtype is not
            NumPy's, or the module that was written gives other results than the model. It names the line of the model.

    >>> import eagergrad as eg, tempfile
    >>> net = eg.nn.Sequential(eg.nn.Linear(3, 4), eg.nn.Tanh())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     text = export_numpy(net, eg.ones(2, 3), f"{folder}/net").read_text()
    >>> print(text.partition("def _compute")[2].strip())
    (input):
        # 0
        v1 = linear(input, W['0.weight'], W['0.bias'])
        # 1
        v1 = tanh(v1)
        return v1
    """
    target = Path(path)
    target = target.with_suffix("") if target.suffix == ".py" else target
    if not target.name.isidentifier():
        raise ValueError(
            f"[export_numpy] a module's name must be an identifier, got {target.name!r}"
        )
    call = traced(model, example, batch)
    text, arrays = _written(model, call, target.name)
    with _atomic(target.with_suffix(".npz")) as f:
        np.savez(f, **arrays)
    with _atomic(target.with_suffix(".py")) as f:
        f.write(text.encode())
    if check:
        for run in call.runs[:: len(call.runs) - 1 or 1]:
            _compare(target, run)
    return target.with_suffix(".py")


# ---- the text ---------------------------------------------------------------------------------------------------------


def _written(model: Any, call: Call, name: str) -> tuple[str, dict[str, np.ndarray]]:
    example, run = call.example, call.runs[0]
    arrays = {c.name: c.array for c in call.constants}
    texts = [
        f"W[{c.name!r}]"
        if c.shape is None
        else f"np.broadcast_to(W[{c.name!r}], {size_text(c.shape)})"
        for c in call.constants
    ]
    arguments, unpacking, inputs = _signature(example)
    outputs = {x.number for x in run.outputs if isinstance(x, Ref)}
    values: dict[str, Any] = {n: a.copy() for n, a in zip(inputs, run.given, strict=True)}
    values |= {"W": arrays, "batch": example.batch}
    writer = Writer(call.trace, dict(enumerate(texts)), dict(enumerate(inputs)), outputs, values)
    writer.write()
    result = _packed(run, writer)
    shapes = [
        tuple(None if d == k and example.batch is not None else n for k, n in enumerate(a.shape))
        for d, a in zip(example.dims, run.given, strict=True)
    ]
    checks = [
        f"{n} = _input({n}, {n!r}, np.{a.dtype.name.replace('bool', 'bool_')}, {shape}, {writer.writes})"
        for n, a, shape in zip(inputs, run.given, shapes, strict=True)
    ]
    first = next((k for k, d in enumerate(example.dims) if d is not None), None)
    size = (
        []
        if first is None or example.batch is None or not any("batch" in x for x in writer.lines)
        else [f"batch = {inputs[first]}.shape[{example.dims[first]}]"]
    )
    described = [
        f"    {n}: {a.dtype}, {s}" for n, a, s in zip(inputs, run.given, shapes, strict=True)
    ]
    text = _TEMPLATE.format(
        what=type(model).__name__
        if isinstance(model, nn.Module)
        else getattr(model, "__name__", "a function"),
        version=__version__,
        name=name,
        described="\n".join(described),
        functions="\n\n".join(s.strip() + "\n" for s in writer.functions.sources.values()),
        signature=", ".join(arguments),
        unpack=textwrap.indent("\n".join([*unpacking, *checks]), "    "),
        inputs=", ".join(inputs),
        lines=textwrap.indent("\n".join([*size, *writer.lines, f"return {result}"]), "    "),
    )
    return text, {k: v for k, v in arrays.items() if f"W[{k!r}]" in text}


def _signature(example: Example) -> tuple[list[str], list[str], list[str]]:
    """Parameters of predict, lines that take nested ones apart, and names of the tensors."""
    arguments, unpacking, inputs = [], [], []

    def pattern(x: Any, name: str) -> str:
        if isinstance(x, Tensor):
            inputs.append(name)
            return name
        if isinstance(x, (tuple, list)):
            return (
                "("
                + "".join(pattern(v, f"{name}_{k}") + ", " for k, v in enumerate(x)).strip()
                + ")"
            )
        if isinstance(x, dict):
            raise ExportError(
                "[export_numpy] expected an example of tensors, tuples and lists, got a dict inside"
            )
        return "_"

    for name, value in example.arguments:
        own = parameter(name)
        taken = pattern(value, own)
        if taken == "_":
            continue  # written down as it is
        arguments.append(own)
        if taken != own:
            unpacking.append(f"{taken} = {own}")
    return arguments, unpacking, inputs


def _packed(run: Run, writer: Writer) -> str:
    left = iter(run.outputs)

    def text(spec: Any) -> str:
        if spec.rebuild is None:
            return writer.text(next(left))
        items = [text(child) for child in spec.children]
        kind, *keys = spec.keys
        if isinstance(kind, type) and issubclass(kind, dict):
            return "{" + ", ".join(f"{k!r}: {v}" for k, v in zip(keys, items, strict=True)) + "}"
        if kind is list:
            return f"[{', '.join(items)}]"
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"

    return text(run.form)


_TEMPLATE = '''"""What {what} computes, with NumPy alone. Written by eagergrad {version}; the weights are in {name}.npz.

    from {name} import predict

{described}
"""

import builtins
import math
import os.path

import numpy as np

with np.load(os.path.splitext(__file__)[0] + ".npz") as _file:
    W = dict(_file)


def _input(x, name, dtype, shape, is_written):
    x = np.array(x) if is_written else np.asarray(x)
    if x.dtype != dtype:
        raise ValueError(f"{{name}}: expected {{np.dtype(dtype)}}, got {{x.dtype}}")
    if x.ndim != len(shape) or any_differs(shape, x.shape):
        raise ValueError(f"{{name}}: expected shape {{shape}}, None for any size, got {{x.shape}}")
    return x


def any_differs(wanted, found):
    return builtins.any(n is not None and n != m for n, m in zip(wanted, found))


{functions}

def predict({signature}):
{unpack}
    with np.errstate(all="ignore"):
        return _compute({inputs})


def _compute({inputs}):
{lines}
'''


# ---- the proof --------------------------------------------------------------------------------------------------------

_PROOF = """
import sys
sys.modules["eagergrad"] = None
sys.path.insert(0, {folder!r})
import importlib
import numpy as np
module = importlib.import_module({name!r})
with np.load({given!r}) as f:
    inputs = [f[f"arr_{{k}}"] for k in range(len(f.files))]
inputs = [module._input(x, "input", x.dtype, x.shape, True) for x in inputs]
with np.errstate(all="ignore"):
    result = module._compute(*inputs)
def leaves(x):
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, (tuple, list)):
        return [y for item in x for y in leaves(item)]
    return [np.asarray(x)] if hasattr(x, "dtype") else []
np.savez({found!r}, *leaves(result))
"""


def _compare(target: Path, run: Run) -> None:
    with tempfile.TemporaryDirectory() as folder:
        given, found = f"{folder}/given.npz", f"{folder}/found.npz"
        np.savez(given, *run.given)
        code = _PROOF.format(
            folder=str(target.resolve().parent), name=target.name, given=given, found=found
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder
        )
        if done.returncode:
            raise ExportError(f"[export_numpy] {target}.py does not run:\n{done.stderr[-2000:]}")
        with np.load(found) as f:
            results = [f[f"arr_{k}"] for k in range(len(f.files))]
    for ours, theirs in zip(run.results, results, strict=True):
        _same(target, ours, theirs)


def _same(target: Path, ours: np.ndarray, theirs: np.ndarray) -> None:
    if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
        raise ExportError(
            f"[export_numpy] {target}.py gives {theirs.dtype} {theirs.shape}, the model {ours.dtype} {ours.shape}"
        )
    tolerance = 1e-2 if ours.dtype == np.float16 else _TOLERANCE
    finite = np.abs(ours[np.isfinite(ours)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    if not np.allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale, equal_nan=True):
        worst = np.nanmax(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)))
        raise ExportError(
            f"[export_numpy] {target}.py gives other results than the model: up to {worst:.3g} apart"
        )
