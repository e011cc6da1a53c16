"""Averages of weights along training (SWA, Izmailov et al., 2018, and exponential moving averages)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

import eagergrad as eg
from eagergrad.nn.modules.module import Module

from ._lr_base import LRScheduler, _for_each_group
from .optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def get_ema_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], Any]:
    """Return the function (average, current, n) -> decay * average + (1 - decay) * current."""
    _check_decay(decay)

    def ema_update(ema_param: Any, current_param: Any, num_averaged: Any) -> Any:
        with eg.no_grad():
            return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Callable[[Any, Any, Any], Any]:
    """Return the function (average, current, n) -> average + (current - average) / (n + 1)."""

    def swa_update(averaged_param: Any, current_param: Any, num_averaged: Any) -> Any:
        with eg.no_grad():
            return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], None]:
    """Return a function that moves each of a list of averages towards the current values by 1 -
    decay, in place.
    """
    _check_decay(decay)

    def ema_update(ema_params: Sequence[Any], current_params: Sequence[Any], _: Any) -> None:
        _move_towards(ema_params, current_params, 1 - decay)

    return ema_update


def get_swa_multi_avg_fn() -> Callable[[Any, Any, Any], None]:
    """Return a function that makes each of a list of averages the mean over one more value, in
    place.
    """

    def swa_update(averages: Sequence[Any], current: Sequence[Any], num_averaged: Any) -> None:
        _move_towards(averages, current, 1.0 / (float(num_averaged) + 1))

    return swa_update


def _move_towards(averages: Sequence[Any], current: Sequence[Any], weight: float) -> None:
    with eg.no_grad():
        for average, value in zip(averages, current, strict=True):
            if average.is_floating_point():
                average.lerp_(value, weight)
            else:
                average.copy_(average * (1 - weight) + value * weight)


class AveragedModel(Module):
    """A copy of a model that holds the average of its parameters, of its buffers too with
    `use_buffers`.

    `avg_fn(average, current, n)` returns a new average, `multi_avg_fn(averages, currents, n)`
    updates lists in place; the default is the plain mean. Calling it runs the copy.

    >>> import eagergrad as eg
    >>> model = eg.nn.Linear(1, 1)
    >>> average = eg.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 2.0, 3.0):
    ...     _ = eg.nn.init.constant_(model.weight, value)
    ...     average.update_parameters(model)
    >>> average.module.weight.item()
    2.0
    """

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[[Any, Any, Any], Any] | None = None,
        multi_avg_fn: Callable[[Any, Any, Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", eg.tensor(0, dtype=eg.int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the averaged copy."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the current parameters of `model` into the average."""
        averages = [t.detach() for t in _tensors(self.module, self.use_buffers)]
        current = [t.detach() for t in _tensors(model, self.use_buffers)]
        current = [t.to(average.device) for t, average in zip(current, averages, strict=True)]
        if self.n_averaged.item() == 0:
            for average, value in zip(averages, current, strict=True):
                average.copy_(value)
        elif self.avg_fn is not None:
            for average, value in zip(averages, current, strict=True):
                n = self.n_averaged.to(average.device)
                average.copy_(self.avg_fn(average, value, n))
        else:
            update = self.multi_avg_fn or get_swa_multi_avg_fn()
            for start, end in _runs_of_one_dtype(averages):
                update(averages[start:end], current[start:end], self.n_averaged)
        if not self.use_buffers:
            for average, value in zip(self.module.buffers(), model.buffers(), strict=True):
                average.detach().copy_(value.detach().to(average.device))
        self.n_averaged += 1


def _tensors(model: Module, use_buffers: bool) -> Iterable[Any]:
    if use_buffers:
        return itertools.chain(model.parameters(), model.buffers())
    return model.parameters()


def _runs_of_one_dtype(tensors: Sequence[Any]) -> Iterable[tuple[int, int]]:
    start = 0
    for end in range(1, len(tensors) + 1):
        if end == len(tensors) or tensors[end].dtype != tensors[start].dtype:
            yield start, end
            start = end


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of all batch norms of `model` anew, as the mean over `loader`.

    Batches are inputs, or lists or tuples that start with them.
    """
    from eagergrad.nn.modules.batchnorm import _BatchNorm

    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    was_training = model.training
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    with eg.no_grad():
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """lr from its value to `swa_lr` in `anneal_epochs` epochs, by half a cosine or "linear", and
    constant after.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        for rate, group in zip(
            _for_each_group("swa_lr", optimizer, swa_lr), optimizer.param_groups, strict=True
        ):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _weight(self, step: int) -> float:
        t = max(0, min(1, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[Any]:
        """Compute the rates of this step from those of the last one."""
        self._warn_if_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._weight(step - 1), self._weight(step)
        rates = []
        for group in self.optimizer.param_groups:
            lr, end = group["lr"], group["swa_lr"]
            start = end if before == 1 else (lr - before * end) / (1 - before)
            rates.append(end * now + start * (1 - now))
        return rates
