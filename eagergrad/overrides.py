"""PyTorch's protocol for classes that are no tensors: who has a ``__torch_function__``, and asking it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from eagergrad import _C
from eagergrad.tensor.foreign import _handler, first_answer
from eagergrad.tensor.subclass import BaseTorchFunctionMode, TorchFunctionMode
from eagergrad.tensor.subclass import nowrap_functions as get_default_nowrap_functions

__all__ = [
    "BaseTorchFunctionMode",
    "TorchFunctionMode",
    "get_default_nowrap_functions",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "is_tensor_like",
    "is_tensor_method_or_property",
]


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Return whether one of the arguments has a ``__torch_function__`` of its own.

    >>> has_torch_function([1, 2.0])
    False
    """
    return any(_handler(x) is not None for x in relevant_args)


def has_torch_function_unary(x: Any) -> bool:
    """`has_torch_function` of one argument."""
    return _handler(x) is not None


def has_torch_function_variadic(*args: Any) -> bool:
    """`has_torch_function` of the arguments."""
    return has_torch_function(args)


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """Return what the first argument that knows the function makes of it.

    Raises:
        TypeError: none does.
    """
    result, types = first_answer(public_api, args, kwargs, relevant_args)
    if result is not NotImplemented:
        return result
    name = getattr(public_api, "__name__", public_api)
    raise TypeError(f"[{name}] no implementation found for types {[t.__name__ for t in types]}")


def is_tensor_like(inp: Any) -> bool:
    """Return whether an object is a tensor or has a ``__torch_function__``."""
    return isinstance(inp, _C.TensorBase) or hasattr(type(inp), "__torch_function__")


def is_tensor_method_or_property(func: Callable[..., Any]) -> bool:
    """Return whether a function is one of Tensor's methods."""
    from eagergrad import Tensor

    return getattr(Tensor, getattr(func, "__name__", ""), None) is func
