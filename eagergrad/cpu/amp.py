"""The older names of mixed precision on the CPU: `amp.autocast("cpu")` and `amp.GradScaler("cpu")`."""

from __future__ import annotations

import eagergrad as eg
from eagergrad.amp import of_device

__all__ = ["GradScaler", "autocast"]


class autocast(of_device.autocast):
    """`amp.autocast("cpu", ...)`.

    >>> import eagergrad as eg
    >>> with autocast():
    ...     (eg.ones(2, 2) @ eg.ones(2, 2)).dtype
    eagergrad.bfloat16
    """

    _device_type, _dtype = "cpu", eg.bfloat16


class GradScaler(of_device.GradScaler):
    """`amp.GradScaler("cpu", ...)`."""

    _device_type = "cpu"
