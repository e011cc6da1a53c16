"""How eagergrad's functions become the standard's: promotion that knows no weak 0-d arrays, names of arguments, axes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import eagergrad as eg

Function = Callable[..., Any]


def dtype_of(x: Any) -> Any:
    """The dtype itself, or that of an array."""
    kind = x if isinstance(x, eg.dtype) else getattr(x, "dtype", None)
    if kind is None:
        raise TypeError(f"expected an array, a dtype or a real number, got {x!r}")
    return kind


def result_type(*arrays_and_dtypes: Any) -> Any:
    """The dtype that operations on these arrays, dtypes and Python numbers give.

    Numbers are weak, arrays of no dimension are not (in eagergrad's own functions, as in PyTorch's, they are).
    """
    numbers = [x for x in arrays_and_dtypes if isinstance(x, (bool, int, float))]
    kinds = [dtype_of(x) for x in arrays_and_dtypes if not isinstance(x, (bool, int, float))]
    if not kinds:
        raise ValueError("[result_type] expected an array or a dtype among the arguments")
    found = functools.reduce(eg.promote_types, kinds)
    for x in numbers:
        if isinstance(x, float) and not found.is_floating_point:
            found = eg.get_default_dtype()
        elif not isinstance(x, bool) and found is eg.bool:
            found = eg.int64
    return found


def alike(*xs: Any) -> Any:
    """The arrays and numbers as arrays of their common dtype."""
    arrays = [x for x in xs if isinstance(x, eg.Tensor)]
    kind, device = result_type(*xs), arrays[0].device
    return [
        x.to(kind) if isinstance(x, eg.Tensor) else eg.full((), x, dtype=kind, device=device)
        for x in xs
    ]


def binary(op: Function, takes_numbers: bool = False) -> Function:
    """An elementwise function of two arrays, of which one may be a Python number."""

    def function(x1: Any, x2: Any, /) -> Any:
        if isinstance(x1, eg.Tensor) and isinstance(x2, eg.Tensor):
            return op(x1, x2) if x1.dtype is x2.dtype else op(*alike(x1, x2))
        return op(x1, x2) if takes_numbers else op(*alike(x1, x2))

    return function


def renamed(op: Function, **names: str) -> Function:
    """The function with the standard's names of arguments."""

    def function(*args: Any, **options: Any) -> Any:
        return op(*args, **{names.get(name, name): value for name, value in options.items()})

    return function


def axes_of(x: Any, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return (axis,) if isinstance(axis, int) else tuple(axis)


def only_axis(name: str, x: Any, axis: Any) -> int:
    """The axis, which only arrays of one dimension may leave out."""
    if axis is None and x.ndim != 1:
        raise ValueError(f"[{name}] expected an axis for an array of {x.ndim} dimensions")
    return 0 if axis is None else axis


def reduction(op: Function) -> Function:
    """A reduction ``op(x, axes, keepdims, **options)`` over all axes, one, several or none."""

    def function(x: Any, /, *, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
        axes = axes_of(x, axis)
        if not axes:  # which eagergrad's reductions take for all: one of length 1 instead
            return op(x[None], (0,), False, **options)
        return op(x, axes, keepdims, **options)

    return function
