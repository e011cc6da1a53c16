"""The keyword ``out=`` of functions that are written in Python."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from eagergrad import _C
from eagergrad.tensor.foreign import override_function

_write = _C.op_table["_write_out"]
REFUSALS = AttributeError, TypeError, NotImplementedError
_NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}


def pytorch_names(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments with NumPy's names replaced by PyTorch's."""
    if _NUMPY_NAMES.keys().isdisjoint(kwargs):
        return kwargs
    return {_NUMPY_NAMES.get(name, name): value for name, value in kwargs.items()}


def with_numpy_names(function: Any) -> Any:
    """A decorator: the function also takes ``axis`` for ``dim`` and ``keepdims`` for ``keepdim``."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **pytorch_names(kwargs))

    return call


def asking(function: Any) -> Any:
    """A decorator: what the function refuses is offered to the arguments' ``__torch_function__``."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except REFUSALS as error:
            return refused(error, function, args, kwargs)

    return call


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
    raise of_kind(error, function, args, kwargs) if isinstance(error, AttributeError) else error


def of_kind(error: AttributeError, function: Any, args: tuple, kwargs: dict[str, Any]) -> Exception:
    """A TypeError where the function asked for a tensor's attribute of an argument that is none, else the error."""
    found = error.obj
    if isinstance(found, _C.TensorBase):
        return error
    names = inspect.signature(function).parameters
    for name, value in (*zip(names, args, strict=False), *kwargs.items()):
        if value is found:
            kind = type(found).__name__
            return TypeError(f"{function.__name__}(): argument '{name}' must be Tensor, not {kind}")
    return error


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
