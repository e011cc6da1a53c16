"""Adagrad."""

from __future__ import annotations

from typing import Any

import eagergrad as eg

from .optimizer import (
    FusedOptimizer,
    Group,
    ParamsT,
    _check,
    _check_fused,
    _check_lr,
    _scalar,
)

__all__ = ["Adagrad"]


class Adagrad(FusedOptimizer):
    """Adagrad (Duchi, Hazan and Singer, 2011).

    The rate of step t is lr / (1 + (t - 1) * lr_decay). State, made at construction: "step", "sum".
    ValueError for options out of range.

    >>> import eagergrad as eg
    >>> x = eg.tensor([3.0], requires_grad=True)
    >>> optimizer = eg.optim.Adagrad([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.9
    """

    rule = "Adagrad"
    late_options = {"foreach": None, "maximize": False, "differentiable": False, "fused": None}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        lazy: bool = False,
    ) -> None:
        _check_lr(lr)
        _check(lr_decay >= 0.0, "lr_decay value", lr_decay)
        _check(weight_decay >= 0.0, "weight_decay value", weight_decay)
        _check(
            initial_accumulator_value >= 0.0,
            "initial_accumulator_value value",
            initial_accumulator_value,
        )
        _check(eps >= 0.0, "epsilon value", eps)
        _check_fused(fused, differentiable, foreach)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults, lazy)
        for group in self.param_groups:
            for p in group["params"]:
                self.init_state(p, group, self.state[p])

    def init_state(self, p: Any, group: Group, state: dict[str, Any]) -> None:
        if "step" not in state:
            state["step"] = _scalar()
        if "sum" not in state:
            state["sum"] = eg.full_like(p, group["initial_accumulator_value"])

    def share_memory(self) -> None:
        """Move the accumulators to memory that other processes see."""
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["sum"].share_memory_()
