"""Loss scaling, which keeps the small gradients of half precision from vanishing."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from enum import Enum
from typing import Any

import eagergrad as eg
from eagergrad import _C

__all__ = ["GradScaler"]


class _Stage(Enum):
    UNSCALED = 1
    STEPPED = 2


class GradScaler:
    """Scales a loss, and the gradients back, by a factor that shrinks when they overflow
    (Micikevicius et al., 2018).

    Per iteration: `scaler.scale(loss).backward()`, `scaler.step(optimizer)`, `scaler.update()`. A
    step whose gradients hold an inf or NaN is left out, and `update` multiplies the scale by
    `backoff_factor`; after `growth_interval` good iterations it multiplies it by `growth_factor`.
    With `enabled=False`, or on "cuda" without a GPU, it does nothing.

    >>> import eagergrad as eg
    >>> x = eg.tensor([2.0], requires_grad=True)
    >>> optimizer = eg.optim.SGD([x], lr=0.25)
    >>> scaler = eg.amp.GradScaler("cpu", init_scale=8.0)
    >>> scaler.scale((x * x).sum()).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> x.item()
    1.0
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled
        if enabled and device == "cuda" and not eg.cuda.is_available():
            warnings.warn(
                "GradScaler is enabled for cuda, but there is no GPU here: it is disabled. On the "
                "CPU use GradScaler('cpu').",
                stacklevel=2,
            )
            self._enabled = False
        if self._enabled and growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if self._enabled and backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._scale = float(init_scale)
        self._used = False
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._growth_tracker = 0
        self._stages: dict[int, _Stage] = {}
        # The largest of the gradients of each optimizer: a tensor until it is asked for.
        self._largest: dict[int, Any] = {}

    def scale(self, outputs: Any) -> Any:
        """Multiply a tensor, or the tensors of nested iterables, by the scale."""
        if not self._enabled:
            return outputs
        self._used = True
        if isinstance(outputs, eg.Tensor):
            return outputs * eg.tensor(self._scale, device=outputs.device)
        if isinstance(outputs, Iterable):
            scaled = map(self.scale, outputs)
            return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled  # type: ignore[call-arg]
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def _check_used(self, what: str) -> None:
        if not self._used:
            raise AssertionError(
                f"Attempted {what} before scaler.scale(loss or outputs) was called in this iteration"
            )

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer by the scale, for example to clip them before
        `step`.
        """
        if not self._enabled:
            return
        self._check_used("unscale_")
        stage = self._stages.get(id(optimizer))
        if stage is _Stage.UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if stage is _Stage.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        grads = [
            p.grad
            for group in optimizer.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        grads = [g.coalesce().values() if g.is_sparse else g for g in grads]
        if any(g.dtype == eg.float16 for g in grads):
            raise ValueError("Attempting to unscale FP16 gradients.")
        if not grads:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        self._largest[id(optimizer)] = _C.ops._global_norm(grads, math.inf)
        with eg.no_grad():
            _C.ops._scale_all_(grads, 1.0 / self._scale)
        self._stages[id(optimizer)] = _Stage.UNSCALED

    def _overflowed(self, optimizer: int) -> bool:
        """Waits for a GPU, so it is asked when a step is about to be made and not before."""
        largest = self._largest[optimizer]
        if isinstance(largest, eg.Tensor):
            self._largest[optimizer] = largest = largest.item()
        return not math.isfinite(largest)

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Unscale the gradients, if that was not done, and step unless they overflowed."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._check_used("step")
        stage = self._stages.get(id(optimizer))
        if stage is _Stage.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if stage is None:
            self.unscale_(optimizer)
        self._stages[id(optimizer)] = _Stage.STEPPED
        if self._overflowed(id(optimizer)):
            return None
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Adjust the scale at the end of an iteration, or set it."""
        if not self._enabled:
            return
        self._check_used("update")
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._largest:
            raise AssertionError("No inf checks were recorded prior to update.")
        elif any(map(self._overflowed, self._largest)):
            self._scale *= self._backoff_factor
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._growth_tracker = 0
                if math.isfinite(self._scale * self._growth_factor):
                    self._scale *= self._growth_factor
        self._stages.clear()
        self._largest.clear()

    def is_enabled(self) -> bool:
        """Does it scale at all?"""
        return self._enabled

    def get_scale(self) -> float:
        """The scale, 1 if disabled."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by when it grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by when it grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by after an overflow."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by after an overflow."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many good iterations the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set after how many good iterations the scale grows."""
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """Scale, factors and counts as numbers; empty if disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned. RuntimeError if it is empty and this scaler is
        enabled.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled "
                "instance of GradScaler."
            )
        self._scale = float(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]
