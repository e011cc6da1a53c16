"""What autocast regions do to losses that are composed here; the ops' rules stand in the core."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import eagergrad as eg
from eagergrad import _C, Tensor

F = TypeVar("F", bound=Callable[..., Any])


def _full(x: Any) -> Any:
    half = isinstance(x, Tensor) and x.dtype in (eg.bfloat16, eg.float16)
    return x.float() if half and x.device.type == "cpu" else x


def full_precision(function: F) -> F:
    """Inside an autocast region, give the function its half precision tensors as float32."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if _C.autocast_on():
            args = tuple(_full(a) for a in args)
            kwargs = {name: _full(value) for name, value in kwargs.items()}
        return function(*args, **kwargs)

    return wrapped  # type: ignore[return-value]
