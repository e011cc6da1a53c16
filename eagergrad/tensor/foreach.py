"""Functions over lists of tensors, by PyTorch's names: ``_foreach_add(xs, ys)``, ``_foreach_mul_(xs, 0.9)``.

Optimizers of one's own are written with them. Here they are loops: an op costs little, and the optimizers of
`eagergrad.optim` take their steps in one call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eagergrad import _C

_BOTH = (
    "abs acos add addcdiv addcmul asin atan ceil clamp_max clamp_min cos cosh div erf erfc exp expm1 floor frac lerp lgamma "
    "log log10 log1p log2 maximum minimum mul neg pow reciprocal round rsqrt sigmoid sign sin sinh sqrt sub tan tanh trunc"
).split()
_NAMES = [*_BOTH, *(n + "_" for n in _BOTH), "clone", "copy_", "max", "norm", "zero_"]
_WITH_VALUE = ("addcdiv", "addcmul")  # their third argument is a number for all, or one for each
_OF_NUMBERS = {"maximum": "clamp_min", "minimum": "clamp_max"}


def _each(value: Any, n: int, name: str) -> list[Any]:
    """One argument a tensor: a list's own, or the same for all."""
    if not isinstance(value, (list, tuple)):
        return [value] * n
    if len(value) != n:
        raise RuntimeError(
            f"[_foreach_{name}] expected lists of one length, got {n} and {len(value)}"
        )
    return list(value)


def _one(name: str) -> Callable[..., Any]:
    from eagergrad import Tensor, linalg

    if name == "norm":
        return lambda x, ord=2, dtype=None: linalg.vector_norm(x, ord, dtype=dtype)
    base, tail = name.rstrip("_"), name[len(name.rstrip("_")) :]
    if base in _WITH_VALUE:
        return lambda x, a, b, value=1: getattr(x, name)(a, b, value=value)
    numbers = getattr(Tensor, _OF_NUMBERS.get(base, base) + tail)
    tensors = getattr(Tensor, name, None)  # maximum and minimum have no in-place form

    def op(x: Any, *args: Any, **kwargs: Any) -> Any:
        if base not in _OF_NUMBERS or not isinstance(args[0], _C.TensorBase):
            return numbers(x, *args, **kwargs)
        return tensors(x, *args) if tensors else x.copy_(getattr(x, base)(*args))

    return op


def _foreach(name: str) -> Callable[..., Any]:
    def function(self: Any, *args: Any, **kwargs: Any) -> Any:
        if "scalars" in kwargs or "value" in kwargs:
            args += (kwargs.pop("scalars", None) or kwargs.pop("value"),)
        if name.rstrip("_") in _WITH_VALUE and isinstance(args[-1], _C.TensorBase):
            args = (*args[:-1], args[-1].tolist())
        op = _one(name)
        each = [_each(a, len(self), name) for a in args]
        results = [op(x, *rest, **kwargs) for x, *rest in zip(self, *each, strict=True)]
        return self if name.endswith("_") else tuple(results)

    function.__name__ = function.__qualname__ = f"_foreach_{name}"
    function.__doc__ = f"`{name}` of each tensor of a list."
    return function


FUNCTIONS = {f"_foreach_{n}": _foreach(n) for n in _NAMES}
