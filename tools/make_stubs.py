"""Writes eagergrad/__init__.pyi and eagergrad/_C.pyi: what editors and type checkers know of the compiled ops.

Run it after an op was added or its signature changed: `python tools/make_stubs.py`. A test compares the files
with what it would write. The ops say their own signatures (`eg.sum.overloads`); what they return stands here.
"""

from __future__ import annotations

import argparse
import inspect
import keyword
import re
import sys
import types
from pathlib import Path
from typing import Any

import eagergrad as eg
from eagergrad import _C

ROOT = Path(__file__).resolve().parents[1]
METHOD_ONLY, FUNCTION_ONLY, INTERNAL, CREATES, TAKES_INPUT = 8, 4, 16, 32, 1 << 16
OUT = 2

HEADER = "# Written by tools/make_stubs.py; do not edit.\n"

# Types go by private names: `float`, `int`, `bool`, `dtype` and `device` are also names of the package and of Tensor.
TYPES = {
    "Tensor": "Tensor",
    "Tensor or number": "Tensor | complex",
    "tuple of Tensors": "Sequence[Tensor]",
    "tuple of Tensors and None": "Sequence[Tensor | None]",
    "tuple of ints": "_int | Sequence[_int]",
    "tuple of floats": "_float | Sequence[_float]",
    "number": "_float",
    "int": "_int",
    "float": "_float",
    "bool": "_bool",
    "str": "_str",
    "dtype": "_dtype",
    "device": "_device | _str",
    "Generator": "Generator",
}
STARRED = {
    "tuple of ints": "_int | Sequence[_int]",
    "tuple of Tensors": "Tensor | Sequence[Tensor]",
}
PRELUDE = """from builtins import bool as _bool, float as _float, int as _int, str as _str
from collections.abc import Iterator, Sequence
from typing import Any, overload

from eagergrad.tensor.device import device as _device
from eagergrad.tensor.dtype import dtype as _dtype
from eagergrad.tensor.layout import layout as _layout, memory_format as _memory_format
"""

MANY = "tuple[Tensor, ...]"
PAIR = "tuple[Tensor, Tensor]"
RETURNS = dict.fromkeys(
    [
        "broadcast_tensors",
        "chunk",
        "meshgrid",
        "split",
        "split_with_sizes",
        "tensor_split",
        "unbind",
    ]
    + ["unravel_index", "hsplit", "vsplit", "dsplit", "split_sizes"],
    MANY,
) | dict.fromkeys(
    ["sort", "topk", "kthvalue", "mode", "cummax", "cummin", "histogram", "std_mean", "var_mean"]
    + ["aminmax", "frexp", "slogdet"],
    PAIR,
)
RETURNS |= dict.fromkeys(["equal", "is_same_size", "is_nonzero", "allclose"], "_bool")
# The overloads with a dimension return values and indices, the others one tensor.
WITH_DIM = {"max": PAIR, "min": PAIR, "median": PAIR, "nanmedian": PAIR}

PARAMETER = re.compile(
    r"(?P<star>\*?)(?P<type>.*?)(?P<optional>\??) (?P<name>\w+)(?:=(?P<default>.*))?$"
)


def _split(text: str) -> list[str]:
    """The parameters of a signature: commas inside brackets do not separate."""
    return [p.strip() for p in re.split(r",\s*(?![^()\[\]]*[)\]])", text) if p.strip()]


def _definition(name: str, overload: str, op: Any, *, method: bool) -> str:
    inner = overload[overload.index("(") + 1 : overload.rindex(")")]
    written, keyword_only = [], False
    for i, parameter in enumerate(_split(inner)):
        if parameter == "*":
            keyword_only = True
            written.append("*")
            continue
        found = PARAMETER.match(parameter)
        assert found, overload
        if method and i == 0:
            written.append("self")
            continue
        if keyword.iskeyword(found["name"]):  # from=0: no name that Python's syntax allows
            written += ["*args: Any", "**kwargs: Any"]
            break
        if found["star"]:
            keyword_only = True
            written.append(f"*{found['name']}: {STARRED[found['type']]}")
            continue
        optional = found["optional"] or found["default"] == "None"
        kind = TYPES[found["type"]] + (" | None" if optional else "")
        default = "" if found["default"] is None else f" = {found['default']}"
        written.append(f"{found['name']}: {kind}{default}")
    extra = []
    if op.flags & OUT and not method and not name.endswith("_"):
        extra.append("out: Any = None")
    if op.flags & CREATES:
        extra += ["requires_grad: _bool = False", "layout: Any = None", "pin_memory: _bool = False"]
    if extra:
        written += ([] if keyword_only else ["*"]) + extra
    result = RETURNS.get(name, "Tensor")
    if name in WITH_DIM and " dim" in inner:
        result = WITH_DIM[name]
    return f"def {name}({', '.join(written)}) -> {result}: ..."


def _definitions(name: str, op: Any, *, method: bool) -> list[str]:
    lines = list(dict.fromkeys(_definition(name, o, op, method=method) for o in op.overloads))
    sentence = op.__doc__.split("\n\n")[1].strip().split("\n")[0] if "\n\n" in op.__doc__ else ""
    if sentence and '"' not in sentence:
        lines[0] = lines[0].removesuffix("...") + f'r"""{sentence}"""'
    if len(lines) == 1:
        return lines
    return [line for definition in lines for line in ("@overload", definition)]


def _attribute(name: str, value: Any) -> list[str]:
    """A member of the C++ base class that is no op."""
    properties = {
        "shape": "Size", "dtype": "_dtype", "device": "_device", "ndim": "_int", "grad": "Tensor | None",
        "requires_grad": "_bool", "is_leaf": "_bool", "retains_grad": "_bool", "data": "Tensor",
        "grad_fn": "Node | None", "_version": "_int", "_base": "Tensor | None",
    }  # fmt: skip
    if name in properties:
        return [f"{name}: {properties[name]}"]
    if callable(value):
        return [f"def {name}(self, *args: Any, **kwargs: Any) -> Any: ..."]
    return [f"{name}: Any"]


OPERATORS = [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
]
COMPARISONS = ["lt", "le", "gt", "ge", "eq", "ne"]


def _operators() -> list[str]:
    lines = []
    for name in OPERATORS:
        reflected = [f"__{name}__", f"__r{name}__"]
        for method in [*reflected, f"__i{name}__"]:
            if hasattr(_C.TensorBase, method):
                lines.append(f"def {method}(self, other: Any) -> Tensor: ...")
    lines += [
        f"def __{name}__(self, other: Any) -> Tensor: ...  # type: ignore[override]"
        for name in COMPARISONS
    ]
    lines += [f"def __{name}__(self) -> Tensor: ..." for name in ("neg", "pos", "abs", "invert")]
    lines += [
        "def __getitem__(self, index: Any) -> Tensor: ...",
        "def __setitem__(self, index: Any, value: Any) -> None: ...",
        "def __iter__(self) -> Iterator[Tensor]: ...",
        "def __len__(self) -> _int: ...",
        "def __bool__(self) -> _bool: ...",
        "def __int__(self) -> _int: ...",
        "def __float__(self) -> _float: ...",
        "def __index__(self) -> _int: ...",
        "def __hash__(self) -> _int: ...",
    ]
    return lines


def _indent(lines: list[str]) -> str:
    return "".join(f"    {line}\n" for line in lines)


def _core_names() -> list[str]:
    """What the extension module has besides its main classes."""
    lines = []
    for name, value in sorted(vars(_C).items()):
        if name.startswith("__") or name in ("Generator", "Node", "TensorBase"):
            continue
        if inspect.isroutine(value):
            lines.append(f"def {name}(*args: Any, **kwargs: Any) -> Any: ...")
        else:
            lines.append(f"{name}: Any")
    return lines


def core_stub() -> str:
    """The text of eagergrad/_C.pyi."""
    lines = _operators()
    done = {"__class__"}
    written_in_python = vars(eg.Tensor)
    for name in sorted(dir(_C.TensorBase)):
        if not name.startswith("__") and name not in written_in_python:
            lines += _attribute(name, getattr(_C.TensorBase, name))
            done.add(name)
    for name, op in sorted(_C.op_table.items()):
        is_method = op.flags & TAKES_INPUT and not op.flags & (FUNCTION_ONLY | INTERNAL)
        if is_method and name not in done and written_in_python.get(name) is op:
            lines += _definitions(name, op, method=True)
    return (
        HEADER
        + PRELUDE
        + "from eagergrad.tensor.size import Size\n"
        + "from eagergrad.tensor.tensor import Tensor\n\n"
        + "class Generator:\n"
        + _indent(
            [
                "def __init__(self, device: Any = None) -> None: ...",
                "def manual_seed(self, seed: _int) -> Generator: ...",
                "def initial_seed(self) -> _int: ...",
                "def __getattr__(self, name: str) -> Any: ...",
            ]
        )
        + "\nclass Node:\n    def __getattr__(self, name: str) -> Any: ...\n"
        + "\nclass TensorBase:\n    def __new__(cls, *args: Any, **kwargs: Any) -> Any: ...\n"
        + _indent(lines)
        + "\n"
        + "\n".join(_core_names())
        + "\n"
    )


def _home(value: Any) -> str | None:
    """The module that a public name is imported from."""
    module = getattr(value, "__module__", None)
    if module == "eagergrad":  # says where users find it
        places = [m for m in sys.modules if m.startswith("eagergrad.tensor.")]
        found = [m for m in places if vars(sys.modules[m]).get(value.__name__) is value]
        module = min(found, key=len, default=None)
    inside = isinstance(module, str) and module.startswith("eagergrad.")
    return module if inside else None


def package_stub() -> str:
    """The text of eagergrad/__init__.pyi."""
    imports: list[str] = []
    values: list[str] = []
    functions: list[str] = []
    for name in sorted(n for n in dir(eg) if not n.startswith("_") and n != "annotations"):
        try:
            value = getattr(eg, name)
        except AttributeError:
            continue
        if isinstance(value, types.ModuleType):
            imports.append(f"from eagergrad import {name} as {name}")
        elif isinstance(value, _C.Op):
            functions += _definitions(name, value, method=False)
        elif isinstance(value, eg.dtype):
            values.append(f"{name}: _dtype")
        elif isinstance(value, (float, str, int)) or value is None:
            values.append(f"{name}: Any" if value is None else f"{name}: _{type(value).__name__}")
        elif inspect.isclass(value) or inspect.isroutine(value):
            home = _home(value)
            if home:
                imports.append(f"from {home} import {value.__name__} as {name}")
            else:
                values.append(f"{name}: Any")
        else:
            values.append(f"{name}: Any")
    return (
        HEADER
        + PRELUDE
        + "\n".join(sorted(set(imports)))
        + "\n\n__version__: str\n"
        + "\n".join(values)
        + "\n\n"
        + "\n".join(functions)
        + "\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail if a file differs"
    )
    check = parser.parse_args().check
    stale = 0
    for path, text in (("_C.pyi", core_stub()), ("__init__.pyi", package_stub())):
        target = ROOT / "eagergrad" / path
        if not target.exists() or target.read_text() != text:
            stale += 1
            if check:
                print(f"eagergrad/{path} is out of date: python tools/make_stubs.py")
            else:
                target.write_text(text)
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
