"""The vocabulary of the sample table: what a row says and how its arrays are drawn."""

from __future__ import annotations

import copy
import dataclasses
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

FLOATS = ("float64", "float32", "float16", "bfloat16")
WIDE_FLOATS = ("float64", "float32")
INTS = ("int64", "int32", "int16", "int8", "uint8")
NUMBERS = FLOATS + INTS
ALL = NUMBERS + ("bool",)
INTEGRAL = INTS + ("bool",)

# Relative tolerance against a reference computed in float64.
TOLERANCE = {"float64": 1e-10, "float32": 2e-5, "float16": 4e-3, "bfloat16": 3e-2}


@dataclasses.dataclass(frozen=True)
class Arr:
    """An array to be drawn: of the dtype under test unless `dtype` fixes it."""

    shape: tuple[int, ...]
    low: float | None = None
    high: float | None = None
    values: Any = None
    dtype: str | None = None
    grad: bool = True


def A(*shape: int, low: float | None = None, high: float | None = None, grad: bool = True) -> Arr:
    """Data of the dtype under test, inside the row's domain."""
    return Arr(shape, low, high, None, None, grad)


def D(dtype: str, *shape: int, low: float = -2, high: float = 2, grad: bool = True) -> Arr:
    """Data of a fixed dtype."""
    return Arr(shape, low, high, None, dtype, grad)


def N(*shape: int, high: int, low: int = 0) -> Arr:
    """int64 indices in [low, high)."""
    return Arr(shape, low, high, None, "int64", False)


def M(*shape: int) -> Arr:
    """A boolean mask."""
    return Arr(shape, 0, 2, None, "bool", False)


def V(values: Any, dtype: str | None = None, grad: bool = False) -> Arr:
    """Written-down values."""
    return Arr(np.shape(values), None, None, values, dtype, grad)


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of an op: positional and keyword arguments, arrays still to be drawn."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __repr__(self) -> str:
        parts = [repr(a) for a in self.args] + [f"{k}={v!r}" for k, v in self.kwargs.items()]
        return f"({', '.join(parts)})"


def C(*args: Any, **kwargs: Any) -> Call:
    """A sample call."""
    return Call(args, kwargs)


@dataclasses.dataclass(frozen=True)
class Bad:
    """A call that must raise one of `error` with `match` in its message."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    error: tuple[type[BaseException], ...]
    match: str = ""
    dtype: str = "float32"


def E(error: Any, *args: Any, match: str = "", dtype: str = "float32", **kwargs: Any) -> Bad:
    """An error row: the exception (or a tuple of them) and the call that raises it."""
    kinds = error if isinstance(error, tuple) else (error,)
    return Bad(args, kwargs, kinds, match, dtype)


@dataclasses.dataclass
class Row:
    """One op of the table (`rtype`: how the result's dtype follows from the inputs')."""

    name: str
    ref: Callable[..., Any] | None
    calls: Sequence[Call]
    domain: tuple[float, float] = (-2.0, 2.0)
    ints: tuple[int, int] = (-5, 6)
    dtypes: tuple[str, ...] = FLOATS
    order: int = 2  # how many times the op can be differentiated; 0: not at all
    rtype: str | None = "same"  # same | bool | float | int64 | sum | None (not checked)
    method: str | None = ""  # "": the function's own name; None: there is no method
    function: bool = True
    inplace: bool = False
    out: bool = False
    aliases: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    errors: Sequence[Bad] = ()
    skips: dict[str, str] = dataclasses.field(default_factory=dict)
    tol: float = 1.0
    elementwise: bool = False
    scipy: bool = False
    torch_bugs: tuple[str, ...] = ()  # properties that torch itself does not have

    @property
    def method_name(self) -> str | None:
        return self.name.rsplit(".", 1)[-1] if self.method == "" else self.method


def _seed(text: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(text.encode()))


def _draw(spec: Arr, row: Row, dtype: str, rng: np.random.Generator) -> np.ndarray:
    dtype = spec.dtype or dtype
    n = int(np.prod(spec.shape))
    if spec.values is not None:
        return np.array(spec.values, dtype=_storage(dtype))
    if dtype == "bool":
        return rng.integers(0, 2, spec.shape).astype(bool)
    if dtype in INTS:
        own = spec.low is not None and (spec.dtype or not row.elementwise)
        low, high = (int(spec.low), int(spec.high)) if own else row.ints
        if dtype == "uint8":
            low = max(low, 0)
        return (rng.permutation(n) % max(high - low, 1) + low).reshape(spec.shape).astype(dtype)
    low, high = (spec.low, spec.high) if spec.low is not None else row.domain
    step = (high - low) / max(n, 1)
    x = low + step * (rng.permutation(n) + rng.uniform(0.25, 0.75, n))  # all distinct
    return x.reshape(spec.shape).astype(_storage(dtype))


def _storage(dtype: str) -> str:
    return "float64" if dtype == "bfloat16" else dtype


def map_tree(f: Callable[[Any], Any], tree: Any) -> Any:
    """Apply `f` to the leaves of nested tuples, lists and dicts."""
    if isinstance(tree, (tuple, list)):
        parts = [map_tree(f, t) for t in tree]
        return parts if isinstance(tree, list) else tuple(parts)
    if isinstance(tree, dict):
        return {k: map_tree(f, v) for k, v in tree.items()}
    return f(tree)


def realise(row: Row, call: Call | Bad, dtype: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Draw a call's arrays; the same row, call and dtype always give the same values."""
    rng = _seed(f"{row.name}{call!r}{dtype}")

    def leaf(v: Any) -> Any:
        if not isinstance(v, Arr):
            return copy.copy(v) if isinstance(v, (list, dict)) else v
        return Drawn(_draw(v, row, dtype, rng), v.dtype or dtype, v.grad)

    return map_tree(leaf, call.args), map_tree(leaf, call.kwargs)


@dataclasses.dataclass
class Drawn:
    """Values of an array argument and the dtype of the tensor they become."""

    values: np.ndarray
    dtype: str
    grad: bool


# -- helpers that write many rows the same way ----------------------------------------------------

UNARY_SHAPES = (A(2, 3), A(), A(0), A(2, 0, 3), A(3, 1, 4))
BINARY_SHAPES = (
    C(A(2, 3), A(2, 3)),
    C(A(2, 3), A(3)),
    C(A(2, 1, 3), A(4, 1)),
    C(A(), A(2, 2)),
    C(A(2, 3), A()),
    C(A(0, 3), A(3)),
    C(A(), A()),
)


def unary(name: str, ref: Callable[..., Any] | None, **kw: Any) -> Row:
    """A row of a function of one tensor, elementwise."""
    kw.setdefault("rtype", "float")
    kw.setdefault("inplace", "." not in name)
    kw.setdefault("method", "" if "." not in name else None)
    kw.setdefault("out", True)
    kw.setdefault("dtypes", FLOATS + ("int64", "int32", "bool"))
    calls = [C(s) for s in UNARY_SHAPES] + list(kw.pop("more", ()))
    errors = [E(TypeError), E(TypeError, "text"), *kw.pop("errors", ())]
    kw.setdefault("names", ("input",))
    return Row(name, ref, calls, elementwise=True, errors=errors, **kw)


def binary(name: str, ref: Callable[..., Any] | None, **kw: Any) -> Row:
    """A row of a function of two tensors that broadcast."""
    kw.setdefault("inplace", "." not in name)
    kw.setdefault("method", "" if "." not in name else None)
    kw.setdefault("out", True)
    kw.setdefault("names", ("input", "other"))
    domains = kw.pop("domains", None)
    calls = list(BINARY_SHAPES)
    if domains:
        (a, b), (c, d) = domains
        calls = [
            C(dataclasses.replace(k.args[0], low=a, high=b),
              dataclasses.replace(k.args[1], low=c, high=d))
            for k in calls
        ]  # fmt: skip
    calls += list(kw.pop("more", ()))
    errors = [
        E(RuntimeError, A(2, 3), A(4)),
        E(TypeError, A(2, 3), "text"),
        *kw.pop("errors", ()),
    ]
    return Row(name, ref, calls, elementwise=True, errors=errors, **kw)
