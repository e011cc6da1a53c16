"""`amp.GradScaler` for "cuda"."""

from __future__ import annotations

from eagergrad.amp import of_device

__all__ = ["GradScaler"]


class GradScaler(of_device.GradScaler):
    """`amp.GradScaler("cuda", ...)`."""

    _device_type = "cuda"
