"""Calls that no overload of an op takes: arguments in PyTorch's old order, objects that are no tensors of the core, which is
what PyTorch's ``__torch_function__`` is for, and ops that a class of the program's holds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from numbers import Real
from typing import Any

from eagergrad import _C

# The numbers that old programs give among the tensors: addcmul(x, value, y, z), addmm(beta, x, alpha, a, b).
_PRODUCT = ("beta", "alpha")
_OLD_NUMBERS = {
    "sub": ("alpha",),
    "addcmul": ("value",),
    "addcdiv": ("value",),
    "addmm": _PRODUCT,
    "addmv": _PRODUCT,
    "addr": _PRODUCT,
    "addbmm": _PRODUCT,
    "baddbmm": _PRODUCT,
}


def is_scipy_sparse(x: Any) -> bool:
    """Whether x is a scipy.sparse matrix or array; does not import SciPy."""
    return any(c.__module__.startswith("scipy.sparse.") for c in type(x).__mro__)


def _handler(x: Any) -> Any:
    """The ``__torch_function__`` of an object's class; None where there is none, or where it is switched off."""
    kind = type(x)
    found = getattr(kind, "__torch_function__", None)
    if found is None and "scipy.sparse" in sys.modules and is_scipy_sparse(x):
        from eagergrad.sparse import SparseTensor

        return SparseTensor.__torch_function__
    if issubclass(kind, _C.TensorBase) and not _C.takes_over(x):
        return None
    return found


def leaves(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Any]:
    for x in (*args, *kwargs.values()):
        if isinstance(x, (list, tuple)):
            yield from x
        else:
            yield x


def _old_order(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The op with PyTorch's old order of arguments brought into today's; NotImplemented if it is not that."""
    names = _OLD_NUMBERS.get(getattr(op, "__name__", "").rstrip("_"))
    if names is None:
        return NotImplemented
    numbers = [x for x in args if isinstance(x, Real)]
    tensors = [x for x in args if isinstance(x, _C.TensorBase)]
    takes = 2 if names == ("alpha",) else 3
    if not 0 < len(numbers) <= len(names) or not len(tensors) == len(args) - len(numbers) == takes:
        return NotImplemented
    return op(*tensors, **dict(zip(names, numbers, strict=False)), **kwargs)


def _before_its_bases(found: list[Any], x: Any) -> None:
    """Adds an argument: classes are asked once, in order, but subclasses before the classes they extend."""
    at = next((i for i, y in enumerate(found) if issubclass(type(x), type(y))), len(found))
    found.insert(at, x)


def _as_asked(op: Any, handler: Any) -> Any:
    """An op as a class is asked about it: Tensor's method for an operator, of which classes of the package want the name."""
    if not isinstance(op, str) or handler.__module__.startswith("eagergrad."):
        return op
    from eagergrad import Tensor

    return getattr(Tensor, op)


def first_answer(
    op: Any, args: tuple[Any, ...], kwargs: dict[str, Any], relevant: Any = None
) -> tuple[Any, Any]:
    """What the first class among the arguments that knows the op makes of it, or NotImplemented; and the classes.

    ``relevant``: the arguments that are asked, if not all.
    """
    found: list[Any] = []
    seen: set[type] = set()
    for x in leaves(args, kwargs) if relevant is None else relevant:
        if type(x) in seen:
            continue
        seen.add(type(x))
        if _handler(x) is not None:
            _before_its_bases(found, x)
    types = tuple(type(x) for x in found)
    if any((c.__module__, c.__name__) == ("torch", "Tensor") for t in types for c in t.__mro__):
        raise TypeError(
            f"[{getattr(op, '__name__', op)}] got a tensor of PyTorch; eagergrad.from_dlpack(x) makes one of eagergrad's "
            "over the same memory"
        )
    for x in found:
        handler = _handler(x)
        result = handler(_as_asked(op, handler), types, args, kwargs)
        if result is not NotImplemented:
            return result, types
    return NotImplemented, types


def _held(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The op without the object whose class holds it, ``act = eg.tanh``; NotImplemented if it is called otherwise.

    PyTorch's functions are built in, so that a class that holds one does not make it a method. An op is Tensor's method too.
    """
    if isinstance(op, str) or not args or isinstance(args[0], _C.TensorBase):
        return NotImplemented
    if any(held is op for c in type(args[0]).__mro__ for held in vars(c).values()):
        return op(*args[1:], **kwargs)
    return NotImplemented


def override(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the first argument with a ``__torch_function__`` makes of the op; NotImplemented without one.

    ``op`` is the op, or for an operator its name.
    """
    result = _old_order(op, args, kwargs)
    if result is NotImplemented:
        result = first_answer(op, args, kwargs)[0]
    return _held(op, args, kwargs) if result is NotImplemented else result


def override_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What an argument that is neither a tensor nor of the package makes of a function in Python; NotImplemented without one.

    It is asked about what stands in the function's module under its name, with all decorators.
    """
    function = getattr(sys.modules[function.__module__], function.__name__, function)
    strangers = [
        x
        for x in leaves(args, kwargs)
        if not isinstance(x, _C.TensorBase) and not type(x).__module__.startswith("eagergrad.")
    ]
    return first_answer(function, args, kwargs, strangers)[0]


def factorized(*asked: Any) -> Any:
    """What a GPU's library makes of matrices: see `eagergrad.linalg._factors`."""
    from eagergrad.linalg import _factors

    return _factors.factorized_elsewhere(*asked)


def as_gradient(x: Any) -> Any:
    """A sparse tensor as what `.grad` can hold; other objects as they are, for the core to refuse."""
    if not is_scipy_sparse(x) and not hasattr(type(x), "to_sparse_coo"):
        return x
    from eagergrad.sparse.row_sparse import as_rows

    return as_rows(x)
