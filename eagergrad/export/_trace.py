"""What a model computes, as a list of calls of ops.

Note [Tracing]
A `Traced` value holds the value of one example and passes for a Tensor (see `tensor/stand_in.py`), so the model runs as it is
written, loops and all; each op of the core that meets one is noted. What only a value can tell (``if x > 0``, ``x.item()``)
raises with the line that asks. Sizes are plain integers: a model is traced with several sizes of the batch, and an integer that
follows them is an expression of the batch's size (`joined`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad.tensor.stand_in import Proxy

# They refuse bad values or tell a dtype, and give nothing that a model computes with.
_CHECKS = {"_check_matrices", "_first_nonzero", "_require", "result_type"}
_PACKAGE = str(Path(eg.__file__).parent)


class ExportError(RuntimeError):
    """A model that cannot be written down: what it does is said, with the line that does it."""


@dataclass(frozen=True)
class Ref:
    """A value of the trace, by its number."""

    number: int


@dataclass(frozen=True)
class Const:
    """A tensor that the model has or makes, by its place in `Trace.constants`."""

    number: int


@dataclass(frozen=True)
class Size:
    """``factor * batch + offset``: an integer that follows the size of the batch."""

    factor: int
    offset: int


@dataclass
class Call:
    """One call of an op. `results` are numbers of values, None for what is no tensor; `form` tells how they were packed."""

    op: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: list[int | None]
    packed: bool
    written: int | None  # the value that it wrote in place, instead of results
    where: str
    module: str


@dataclass
class Trace:
    calls: list[Call] = field(default_factory=list)
    constants: list[Tensor] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)  # where constants were met
    kinds: list[tuple[Any, tuple[int, ...]]] = field(
        default_factory=list
    )  # dtype and shape of each value
    modules: list[str] = field(default_factory=list)  # those that run, the innermost last

    def value(self, tensor: Tensor) -> Traced:
        """A new value of the trace."""
        self.kinds.append((tensor.dtype, tuple(tensor.shape)))
        return Traced(self, tensor, len(self.kinds) - 1)

    def constant(self, tensor: Tensor) -> Const:
        for k, known in enumerate(self.constants):
            if known is tensor:
                return Const(k)
        self.constants.append(tensor)
        self.lines.append(users_line())
        return Const(len(self.constants) - 1)

    def noted(self, x: Any) -> Any:
        """An argument as a call keeps it."""
        if type(x) is Traced:
            return Ref(x.number)
        if isinstance(x, Tensor):
            return self.constant(x)
        if isinstance(x, slice):
            return slice(self.noted(x.start), self.noted(x.stop), self.noted(x.step))
        if isinstance(x, (tuple, list)):
            return tuple(self.noted(v) for v in x)
        return x

    def run(
        self, name: str, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Any:
        """Calls the function on the values and notes it."""
        call = Call(
            name,
            self.noted(args),
            {k: self.noted(v) for k, v in kwargs.items()},
            [],
            False,
            None,
            users_line(),
            self.modules[-1] if self.modules else "",
        )
        if name.endswith("_"):
            if type(args[0]) is not Traced:
                raise ExportError(
                    f"[export] {call.where}: what depends on the input is written into a tensor that does not; make that "
                    "with new_zeros(), new_empty() or new_full() of one that does"
                )
            call.written = args[0].number
        result = function(*_values(args), **_values(kwargs))
        if call.written is None:
            for given in _leaves((args, kwargs)):
                if result is given.value:
                    return given  # nothing was to do
        self.calls.append(call)
        if call.written is not None:
            return args[0]
        return self.packed(call, result)

    def packed(self, call: Call, result: Any) -> Any:
        if isinstance(result, Tensor):
            value = self.value(result)
            call.results = [value.number]
            return value
        if not isinstance(result, (tuple, list)):
            if call.op in _CHECKS:
                self.calls.pop()  # of the example alone
                return result
            raise ExportError(f"[export] {call.where}: {call.op} gives no tensor: {result!r}")
        call.packed = True
        parts = [self.value(x) if isinstance(x, Tensor) else x for x in result]
        call.results = [x.number if type(x) is Traced else None for x in parts]
        kind = type(result)
        return kind(*parts) if hasattr(kind, "_fields") else kind(parts)


def _values(x: Any) -> Any:
    if type(x) is Traced:
        return x.value
    if isinstance(x, slice):
        return slice(_values(x.start), _values(x.stop), _values(x.step))
    if isinstance(x, dict):
        return {k: _values(v) for k, v in x.items()}
    if type(x) in (tuple, list):
        return type(x)(_values(v) for v in x)
    return x


def _leaves(x: Any) -> list[Traced]:
    if type(x) is Traced:
        return [x]
    if isinstance(x, slice):
        x = (x.start, x.stop, x.step)
    if isinstance(x, dict):
        x = tuple(x.values())
    return [v for item in x for v in _leaves(item)] if isinstance(x, (tuple, list)) else []


def users_line() -> str:
    """``file:line`` of the innermost frame outside of the package."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back  # type: ignore[assignment]
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "the model"


def _refuse(what: str) -> Callable[..., Any]:
    def refuse(self: Traced, *args: Any, **kwargs: Any) -> Any:
        raise ExportError(
            f"[export] {users_line()}: {what} of a value that depends on the input is asked for; the file that is written "
            "computes the same whatever the input is"
        )

    return refuse


class Traced(Proxy):
    """A value of a trace. See Note [Tracing]."""

    __slots__ = ("__weakref__", "number", "trace", "value")

    def __init__(self, trace: Trace, value: Tensor, number: int) -> None:
        self.trace = trace
        self.value = value
        self.number = number

    @property
    def _held(self) -> Any:  # type: ignore[override]
        return self.value

    @property
    def shape(self) -> Any:  # type: ignore[override]
        return self.value.shape

    @staticmethod
    def _call(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return _leaves((args, kwargs))[0].trace.run(op.__name__, op, args, kwargs)

    def __repr__(self) -> str:
        return f"Traced({self.value.dtype}, {tuple(self.shape)})"

    def __getitem__(self, index: Any) -> Any:
        return self.trace.run("getitem", lambda x, i: x[i], (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        self.trace.run("setitem_", Tensor.__setitem__, (self, index, value), {})

    def detach(self) -> Traced:
        return self

    def stride(self, dim: int | None = None) -> Any:
        return self.value.stride() if dim is None else self.value.stride(dim)

    def _made(self, name: str, size: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # The sizes are noted; which value they were asked of is not.
        make = getattr(self.value, name)
        return self.trace.run(name, lambda *a, **k: make(*a, **k), size, kwargs)

    def new_zeros(self, *size: Any, **kwargs: Any) -> Any:
        return self._made("new_zeros", size, kwargs)

    def new_ones(self, *size: Any, **kwargs: Any) -> Any:
        return self._made("new_ones", size, kwargs)

    def new_empty(self, *size: Any, **kwargs: Any) -> Any:
        return self._made("new_zeros", size, kwargs)

    def new_full(self, *size: Any, **kwargs: Any) -> Any:
        return self._made("new_full", size, kwargs)

    __bool__ = _refuse("the truth")
    __float__ = __int__ = __index__ = item = tolist = _refuse("the number")  # type: ignore[assignment]
    __str__ = __format__ = _refuse("the text")  # type: ignore[assignment]
    __array__ = numpy = __dlpack__ = __contains__ = data_ptr = _refuse("the memory")
    __deepcopy__ = __reduce_ex__ = _refuse("a copy")  # type: ignore[assignment]
    backward = register_hook = retain_grad = _refuse("a gradient")


# ---- several traces as one ------------------------------------------------------------------------------------------


def joined(traces: list[Trace], batches: list[int]) -> Trace:
    """The first trace, with integers that follow the batch's size as `Size`. Raises ExportError where the traces differ otherwise."""
    first = traces[0]
    if any(len(t.calls) != len(first.calls) for t in traces):
        raise ExportError(
            f"[export] the model makes {[len(t.calls) for t in traces]} calls for batches of {batches}: what it does "
            "depends on the batch's size; give batch=None to export it for the example's sizes alone"
        )
    for calls in zip(*(t.calls for t in traces), strict=True):
        call = calls[0]
        if any((c.op, c.results) != (call.op, call.results) for c in calls):
            raise ExportError(f"[export] {call.where}: which op runs depends on the batch's size")
        call.args = _follow([c.args for c in calls], batches, call.where)
        call.kwargs = _follow([c.kwargs for c in calls], batches, call.where)
    return first


def _follow(xs: list[Any], batches: list[int], where: str) -> Any:
    x = xs[0]
    if isinstance(x, dict):
        return {k: _follow([v[k] for v in xs], batches, where) for k in x}
    if isinstance(x, tuple):
        if any(len(v) != len(x) for v in xs):
            raise ExportError(
                f"[export] {where}: how many arguments there are depends on the batch's size"
            )
        return tuple(_follow(list(items), batches, where) for items in zip(*xs, strict=True))
    if isinstance(x, slice):
        parts = [
            _follow([getattr(v, n) for v in xs], batches, where) for n in ("start", "stop", "step")
        ]
        return slice(*parts)
    if all(type(v) is type(x) and (v == x or v != v) for v in xs):
        return x
    if all(type(v) is int for v in xs):
        found = size_of(xs, batches)
        if found is not None:
            return found
    raise ExportError(
        f"[export] {where}: an argument depends on the batch's size: {xs} for {batches}"
    )


def size_of(numbers: list[int], batches: list[int]) -> Size | int | None:
    """What these numbers are of these sizes of the batch; None if no multiple of it and a number."""
    if len(set(numbers)) == 1:
        return numbers[0]
    factor, rest = divmod(numbers[1] - numbers[0], batches[1] - batches[0])
    offset = numbers[0] - factor * batches[0]
    fits = all(n == factor * b + offset for n, b in zip(numbers, batches, strict=True))
    return Size(factor, offset) if fits and not rest else None
