"""The older names of mixed precision on a GPU: `amp.autocast("cuda")` and `amp.GradScaler("cuda")`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import eagergrad as eg
from eagergrad import amp

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]

custom_bwd = functools.partial(amp.custom_bwd, device_type="cuda")


def custom_fwd(fwd: Callable[..., Any] | None = None, *, cast_inputs: Any = None) -> Any:
    """`amp.custom_fwd` for "cuda"."""
    return amp.custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


class autocast(amp.autocast):
    """`amp.autocast("cuda", ...)`."""

    def __init__(
        self, enabled: bool = True, dtype: Any = None, cache_enabled: bool | None = None
    ) -> None:
        super().__init__("cuda", dtype or eg.float16, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """`amp.GradScaler("cuda", ...)`."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__(
            "cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled
        )
