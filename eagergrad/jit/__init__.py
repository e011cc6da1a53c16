"""Names of PyTorch's compiler. There is nothing to compile here: a program runs as it is written,
so these return what they are given."""

import builtins
import functools
import os
import types
import typing
from typing import Any, Final, NamedTuple, TypeVar

import eagergrad as eg
from eagergrad.nn import Module

__all__ = [
    "Attribute",
    "Final",
    "ScriptFunction",
    "ScriptModule",
    "TracerWarning",
    "annotate",
    "export",
    "fork",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "load",
    "optimize_for_inference",
    "save",
    "script",
    "script_if_tracing",
    "script_method",
    "trace",
    "trace_module",
    "unused",
    "wait",
]

T = TypeVar("T")


class TracerWarning(Warning):
    """A category for programs that silence it; nothing here gives it."""


class ScriptModule(Module):
    """The base of compiled modules: an ordinary module that `save` writes to a file."""

    def save(self, f: Any, _extra_files: Any = None) -> None:
        """Save the whole module, as `eagergrad.jit.save` does."""
        save(self, f)


@functools.cache
def _scripted_class(kind: type[Module], named: str) -> Any:
    """A module class with `ScriptModule`'s methods; objects share all their attributes with the module they are made of."""

    def _get_name(self: Any) -> str:
        return named

    def extra_repr(self: Any) -> str:
        own = kind.extra_repr(self)
        return f"original_name={kind.__name__}" + (f", {own}" if own else "")

    def __reduce__(self: Any) -> Any:
        return _scripted, (_plain(self), named)

    methods = {f.__name__: f for f in (_get_name, extra_repr, __reduce__)}
    return type(named, (kind, ScriptModule), {**methods, "_original_class": kind})


def _scripted(module: Any, named: str = "RecursiveScriptModule") -> Any:
    """A module as a `ScriptModule` over the same parameters and children; anything else as it is."""
    if not builtins.isinstance(module, Module) or builtins.isinstance(module, ScriptModule):
        return module
    made = object.__new__(_scripted_class(type(module), named))
    object.__setattr__(made, "__dict__", module.__dict__)
    return made


def _plain(module: Any) -> Any:
    """The module that `_scripted` was given, or its equal."""
    kind = getattr(type(module), "_original_class", None)
    if kind is None:
        return module
    made = object.__new__(kind)
    object.__setattr__(made, "__dict__", module.__dict__)
    return made


class ScriptFunction:
    """The class of compiled functions: there are none, `script` returns the function it was given."""


def fork(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Return a future of the function's result; it runs now.

    >>> wait(fork(pow, 2, 3))
    8
    """
    from concurrent.futures import Future

    future: Any = Future()
    try:
        future.set_result(func(*args, **kwargs))
    except Exception as error:
        future.set_exception(error)
    return future


def wait(future: Any) -> Any:
    """Return the result of `fork`."""
    return future.result()


def script(obj: T, optimize: Any = None, example_inputs: Any = None, **options: Any) -> T:
    """Return a function or class itself, a module as a `ScriptModule` of the same parameters, attributes and methods.

    >>> script(len) is len
    True
    >>> script(eg.nn.ReLU())
    RecursiveScriptModule(original_name=ReLU)
    """
    return _scripted(obj)


def trace(func: T, example_inputs: Any = None, *args: Any, **options: Any) -> T:
    """Return a function itself, a module as `script` does; it stays free to branch on its data."""
    return _scripted(func, "TopLevelTracedModule")


def trace_module(mod: T, inputs: Any, *args: Any, **options: Any) -> T:
    """Return the module as `trace` does."""
    return _scripted(mod, "TopLevelTracedModule")


def script_method(fn: T) -> T:
    """Return the method itself."""
    return fn


def script_if_tracing(fn: T) -> T:
    """Return the function itself."""
    return fn


def export(fn: T) -> T:
    """Return the method itself."""
    return fn


def unused(fn: T) -> T:
    """Return the method itself."""
    return fn


# Marks of torchvision's networks, whose text programs carry with them.
_overload = _overload_method = _script_if_tracing = script_if_tracing


def ignore(drop: Any = False, **options: Any) -> Any:
    """Return the method itself; also as a decorator with arguments."""
    return drop if callable(drop) else lambda fn: fn


def annotate(the_type: Any, the_value: T) -> T:
    """Return the value."""
    return the_value


class Attribute(NamedTuple):
    """A value of a module with the type it is compiled as."""

    value: Any
    type: Any


def interface(obj: T) -> T:
    """Return the class itself."""
    return obj


def isinstance(obj: Any, target_type: Any) -> bool:
    """Return whether an object is of a type; of containers' type arguments too, down to every item.

    >>> from typing import Dict, List, Optional
    >>> isinstance([1, 2], List[int]), isinstance({"a": 1.5}, Dict[str, int]), isinstance(None, Optional[str])
    (True, False, True)
    """
    if builtins.isinstance(target_type, tuple):
        return any(isinstance(obj, t) for t in target_type)
    origin, wanted = typing.get_origin(target_type), typing.get_args(target_type)
    if origin in (typing.Union, types.UnionType):
        return any(isinstance(obj, t) for t in wanted)
    if target_type is Any:
        return True
    if origin is None:
        return builtins.isinstance(obj, type(None) if target_type is None else target_type)
    if not builtins.isinstance(obj, origin):
        return False
    if origin is dict:
        return all(isinstance(k, wanted[0]) and isinstance(v, wanted[1]) for k, v in obj.items())
    if origin is tuple and wanted[-1:] != (...,):
        return len(obj) == len(wanted) and all(map(isinstance, obj, wanted))
    return all(isinstance(x, wanted[0]) for x in obj)


def freeze(mod: T, *args: Any, **options: Any) -> T:
    """Return the module itself."""
    return mod


def optimize_for_inference(mod: T, *args: Any, **options: Any) -> T:
    """Return the module itself."""
    return mod


def is_scripting() -> bool:
    """Return False: nothing is being compiled."""
    return False


def is_tracing() -> bool:
    """Return False: nothing is being traced."""
    return False


def save(m: Any, f: Any, _extra_files: Any = None) -> None:
    """Save a whole module, as `eagergrad.save` does."""
    eg.save(_plain(m), f)


def load(f: Any, map_location: Any = None, *args: Any, **options: Any) -> Any:
    """Load what `save` wrote, as `eagergrad.load` does: the program has imported the module's class.

    ValueError if there is no file of that name.
    """
    if builtins.isinstance(f, (str, os.PathLike)) and not os.path.exists(f):
        raise ValueError(f"The provided filename {os.fspath(f)} does not exist")
    return _scripted(eg.load(f, map_location))
