"""The older names of mixed precision on the CPU: `amp.autocast("cpu")` and `amp.GradScaler("cpu")`."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad import amp

__all__ = ["GradScaler", "autocast"]


class autocast(amp.autocast):
    """`amp.autocast("cpu", ...)`.

    >>> import eagergrad as eg
    >>> with autocast():
    ...     (eg.ones(2, 2) @ eg.ones(2, 2)).dtype
    eagergrad.bfloat16
    """

    def __init__(
        self, enabled: bool = True, dtype: Any = None, cache_enabled: bool | None = None
    ) -> None:
        super().__init__("cpu", dtype or eg.bfloat16, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """`amp.GradScaler("cpu", ...)`."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__("cpu", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
