"""The base of all schedules, and how they read and set the options of parameter groups."""

from __future__ import annotations

import types
import warnings
import weakref
from functools import wraps
from typing import Any

import eagergrad as eg

from .optimizer import Optimizer

EPOCH_DEPRECATION_WARNING = (
    "scheduler.step(epoch) is deprecated: call scheduler.step() instead. A given epoch makes the "
    "closed form of the schedule be used where there is one, which ignores other schedulers."
)


# ---- options of groups, which may be tensors ------------------------------------------------------


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, eg.Tensor) else value


def _values(optimizer: Optimizer, key: str) -> list[Any]:
    return [_copy(group[key]) for group in optimizer.param_groups]


def _set(group: dict[str, Any], key: str, value: Any) -> None:
    if isinstance(group[key], eg.Tensor):
        group[key].fill_(float(value))
    else:
        group[key] = value


def _for_each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    groups = optimizer.param_groups
    if not isinstance(value, (list, tuple)):
        return [_copy(value) for _ in groups]
    if len(value) != len(groups):
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has "
            f"{len(value)} values, param_groups has {len(groups)}."
        )
    return [_copy(v) for v in value]


def _check_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def _state_of(function: Any) -> dict[str, Any] | None:
    """State of a callable object; plain functions have none that could be saved."""
    return None if isinstance(function, types.FunctionType) else function.__dict__.copy()


def _track_steps(optimizer: Optimizer) -> None:
    """Make `optimizer.step` note that it was called, for the warning about the wrong order."""
    if hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        return
    function = optimizer.step.__func__  # type: ignore[attr-defined]
    owner = weakref.ref(optimizer)

    @wraps(function)
    def step(*args: Any, **kwargs: Any) -> Any:
        self = owner()
        self._opt_called = True  # type: ignore[union-attr]
        return function(self, *args, **kwargs)

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    optimizer.step = step  # type: ignore[method-assign]


class LRScheduler:
    """Base of the schedules: subclasses write `get_lr`, the rates of the groups at epoch
    `last_epoch`.

    Most schedules compute the next rate from the current one, so that several can act on one
    optimizer. `last_epoch` says where to resume; -1 starts afresh and stores each group's rate as
    "initial_lr". TypeError if `optimizer` is no Optimizer, KeyError when resuming without
    "initial_lr".

    >>> import eagergrad as eg
    >>> optimizer = eg.optim.SGD([eg.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = eg.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> rates = []
    >>> for epoch in range(5):
    ...     rates += scheduler.get_last_lr()
    ...     optimizer.step()
    ...     scheduler.step()
    >>> rates
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        _check_optimizer(optimizer)
        self.optimizer = optimizer
        for index, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _copy(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{index}] when resuming "
                    "a scheduler with last_epoch >= 0; load the optimizer's state dict first"
                )
        self.base_lrs = _values(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        _track_steps(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """Everything of the scheduler but its optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """The rates set by the last step, one a group."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """Compute the rates at `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr()")

    def step(self, epoch: int | None = None) -> None:
        """Advance by one epoch and set the rates."""
        if self._step_count == 1:
            self._warn_about_order()
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _warn_about_order(self) -> None:
        if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
            warnings.warn(
                "`optimizer.step()` was replaced after the learning rate scheduler was made: its "
                "calls cannot be seen. Call `optimizer.step()` before `lr_scheduler.step()`.",
                UserWarning,
                stacklevel=3,
            )
        elif not getattr(self.optimizer, "_opt_called", False):
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first value "
                "of the learning rate schedule is skipped. Call `optimizer.step()` first.",
                UserWarning,
                stacklevel=3,
            )

    def _update_lr(self, epoch: int | None = None) -> None:
        self._get_lr_called_within_step = True
        try:
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                closed_form = getattr(self, "_get_closed_form_lr", self.get_lr)
                values = closed_form()
        finally:
            self._get_lr_called_within_step = False
        self._set_lr(values)

    def _set_lr(self, values: list[Any]) -> None:
        for group, value in zip(self.optimizer.param_groups, values, strict=True):
            _set(group, "lr", value)
        self._last_lr = _values(self.optimizer, "lr")

    # ---- for subclasses ---------------------------------------------------------------------------

    def _warn_if_outside_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )

    def _current(self, factor: float | None = None) -> list[Any]:
        """The rates as they are, or times a factor."""
        if factor is None:
            return _values(self.optimizer, "lr")
        return [group["lr"] * factor for group in self.optimizer.param_groups]


_LRScheduler = LRScheduler  # the name before PyTorch 2.0
