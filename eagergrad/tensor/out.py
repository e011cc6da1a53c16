"""The keyword ``out=`` of functions that are written in Python."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from eagergrad import _C
from eagergrad.tensor.foreign import override_function

F = TypeVar("F", bound=Callable[..., Any])

_write = _C.op_table["_write_out"]
REFUSALS = AttributeError, TypeError, NotImplementedError
_NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}


def pytorch_names(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments with NumPy's names replaced by PyTorch's."""
    if _NUMPY_NAMES.keys().isdisjoint(kwargs):
        return kwargs
    return {_NUMPY_NAMES.get(name, name): value for name, value in kwargs.items()}


def asking(function: F) -> F:
    """A decorator: what the function refuses is offered to the arguments' ``__torch_function__``.

    Without one, an argument that should be a tensor and is none is a TypeError that names it.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except REFUSALS as error:
            return refused(error, function, args, kwargs)

    return call  # type: ignore[return-value]


def with_numpy_names(function: F) -> F:
    """`asking` that also takes ``axis`` for ``dim`` and ``keepdims`` for ``keepdim``."""
    asked = asking(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return asked(*args, **pytorch_names(kwargs))

    return call  # type: ignore[return-value]


def with_out(function: Any = None, *, casts: bool = False) -> Any:
    """A decorator: the keyword ``out`` receives the result, a tensor or a tuple of them, and is returned.

    ``out`` has the result's dtype, or with ``casts`` any dtype that the result may be cast to. NumPy's names are taken too, and
    what the function refuses is offered to the arguments' ``__torch_function__``.
    """
    if function is None:
        return functools.partial(with_out, casts=casts)
    name = function.__name__

    @functools.wraps(function)
    def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        try:
            result = function(*args, **pytorch_names(kwargs))
        except REFUSALS as error:
            result = refused(error, function, args, kwargs)
        return result if out is None else write_results(name, out, result, casts)

    return call


def refused(error: Exception, function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """What an argument with a ``__torch_function__`` makes of a function that failed with the error.

    Raises:
        TypeError: there is none, and an argument that should be a tensor is none.
        Exception: the error.
    """
    result = override_function(function, args, kwargs)
    if result is not NotImplemented:
        return result
    raise _complaint(error, function, args, kwargs) or error


def _complaint(
    error: Exception, function: Any, args: tuple, kwargs: dict[str, Any]
) -> TypeError | None:
    """Of the first argument that should be a tensor and is none: so it is annotated, or an attribute was missed on it."""
    if isinstance(error, NotImplementedError):
        return None
    names = inspect.signature(function).parameters
    for name, value in (*zip(names, args, strict=False), *kwargs.items()):
        wanted = name in names and names[name].annotation == "Tensor"
        missed = isinstance(error, AttributeError) and error.obj is value
        if (wanted or missed) and not hasattr(type(value), "__torch_function__"):
            kind = type(value).__name__
            return TypeError(f"{function.__name__}(): argument '{name}' must be Tensor, not {kind}")
    return None


def write_results(name: str, out: Any, result: Any, casts: bool) -> Any:
    """Writes the results of the function of that name to ``out``; returns it in the shape of the results."""
    if not isinstance(result, (tuple, list)):
        if not isinstance(out, _C.TensorBase):
            raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
        _write(out, result, name, casts)
        return out
    if not isinstance(out, (tuple, list)) or len(out) != len(result):
        raise TypeError(f"{name}(): argument 'out' must be a tuple of {len(result)} Tensors")
    for target, value in zip(out, result, strict=True):
        _write(target, value, name, casts)
    return type(result)(*out) if hasattr(result, "_fields") else type(result)(out)
