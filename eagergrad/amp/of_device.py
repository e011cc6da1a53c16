"""The older classes of mixed precision, which a subclass makes those of one device type."""

from __future__ import annotations

from typing import Any, ClassVar

from eagergrad.amp.autocast_mode import autocast as _autocast
from eagergrad.amp.grad_scaler import GradScaler as _GradScaler


class autocast(_autocast):
    """`amp.autocast` for the class's device type and, unless another is given, its dtype."""

    _device_type: ClassVar[str]
    _dtype: ClassVar[Any]

    def __init__(
        self, enabled: bool = True, dtype: Any = None, cache_enabled: bool | None = None
    ) -> None:
        super().__init__(self._device_type, dtype or self._dtype, enabled, cache_enabled)


class GradScaler(_GradScaler):
    """`amp.GradScaler` for the class's device type."""

    _device_type: ClassVar[str]

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        scales = init_scale, growth_factor, backoff_factor, growth_interval
        super().__init__(self._device_type, *scales, enabled)
