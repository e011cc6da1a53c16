"""`amp.autocast` and its decorators for "cuda"."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import eagergrad as eg
from eagergrad import amp
from eagergrad.amp import of_device

__all__ = ["autocast", "custom_bwd", "custom_fwd"]

custom_bwd = functools.partial(amp.custom_bwd, device_type="cuda")


def custom_fwd(fwd: Callable[..., Any] | None = None, *, cast_inputs: Any = None) -> Any:
    """`amp.custom_fwd` for "cuda"."""
    return amp.custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


class autocast(of_device.autocast):
    """`amp.autocast("cuda", ...)`."""

    _device_type, _dtype = "cuda", eg.float16
