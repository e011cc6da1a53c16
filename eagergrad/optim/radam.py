"""RAdam: Adam with a rectified adaptive rate."""

from __future__ import annotations

from typing import Any

from .optimizer import (
    FusedOptimizer,
    Group,
    ParamsT,
    _check,
    _check_betas,
    _check_lr,
    _fill_missing,
)

__all__ = ["RAdam"]


class RAdam(FusedOptimizer):
    """RAdam (Liu et al., 2020): no adaptive rate until its variance is small enough to trust.

    State: "step", "exp_avg", "exp_avg_sq".
    ValueError for options out of range.

    >>> import eagergrad as eg
    >>> x = eg.tensor([3.0], requires_grad=True)
    >>> optimizer = eg.optim.RAdam([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.4
    """

    rule = "RAdam"
    late_options = {**FusedOptimizer.late_options, "decoupled_weight_decay": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        lazy: bool = False,
    ) -> None:
        _check_lr(lr)
        _check(eps >= 0.0, "epsilon value", eps)
        _check_betas(betas)
        _check(weight_decay >= 0.0, "weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults, lazy)

    def init_state(self, p: Any, group: Group, state: dict[str, Any]) -> None:
        _fill_missing(state, p, "exp_avg", "exp_avg_sq")
