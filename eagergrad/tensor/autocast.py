"""What autocast regions do to functions that are composed in Python; the rules of ops stand in csrc/python/autocast.cpp."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from eagergrad import _C
from eagergrad.tensor.out import REFUSALS, refused

F = TypeVar("F", bound=Callable[..., Any])


def _reached(x: Any, devices: tuple[str, ...]) -> bool:
    return (
        isinstance(x, _C.TensorBase)
        and x.dtype.is_floating_point
        and x.dtype.itemsize <= 4
        and x.device.type in devices
        and _C.autocast_on(x.device.type)
    )


def _composed(function: F, devices: tuple[str, ...], any_half: bool) -> F:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not _C.autocast_on():
            try:
                return function(*args, **kwargs)
            except REFUSALS as error:
                return refused(error, function, args, kwargs)
        given = [x for x in (*args, *kwargs.values()) if _reached(x, devices)]
        if not given:
            return function(*args, **kwargs)
        from eagergrad.amp.autocast_mode import suspended

        if any_half or any(x.dtype.itemsize == 4 for x in given):
            args = tuple(x.float() if _reached(x, devices) else x for x in args)
            kwargs = {k: x.float() if _reached(x, devices) else x for k, x in kwargs.items()}
        with suspended():  # the ops within take what they are given
            return function(*args, **kwargs)

    return wrapped  # type: ignore[return-value]


def full_precision(function: F) -> F:
    """Inside an autocast region, give the function its half precision tensors as float32."""
    return _composed(function, ("cpu", "cuda"), True)


def full_precision_on_cuda(function: F) -> F:
    """The same for tensors on a GPU only."""
    return _composed(function, ("cuda",), True)


def full_precision_on_cpu(function: F) -> F:
    """The same for tensors on the CPU only."""
    return _composed(function, ("cpu",), True)


def widest_on_cuda(function: F) -> F:
    """Inside an autocast region of a GPU, give the function float32 if one of its tensors is."""
    return _composed(function, ("cuda",), False)
