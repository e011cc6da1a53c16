"""Names of PyTorch's compiler. There is nothing to compile here: a program runs as it is written,
so these return what they are given."""

from typing import Any, Final, TypeVar

import eagergrad as eg
from eagergrad.nn import Module

__all__ = [
    "Final",
    "ScriptFunction",
    "ScriptModule",
    "annotate",
    "export",
    "fork",
    "freeze",
    "ignore",
    "is_scripting",
    "is_tracing",
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


class ScriptModule(Module):
    """The base of compiled modules: an ordinary module. What `script` returns is the module it was given."""


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
    """Return the function, class or module itself.

    >>> script(len) is len
    True
    """
    return obj


def trace(func: T, example_inputs: Any = None, *args: Any, **options: Any) -> T:
    """Return the function or module itself; it stays free to branch on its data."""
    return func


def trace_module(mod: T, inputs: Any, *args: Any, **options: Any) -> T:
    """Return the module itself."""
    return mod


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


def ignore(drop: Any = False, **options: Any) -> Any:
    """Return the method itself; also as a decorator with arguments."""
    return drop if callable(drop) else lambda fn: fn


def annotate(the_type: Any, the_value: T) -> T:
    """Return the value."""
    return the_value


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
    eg.save(m, f)


def load(f: Any, map_location: Any = None, *args: Any, **options: Any) -> Any:
    """Load a whole module whose class the program has imported, as `eagergrad.load` does."""
    return eg.load(f, map_location)
