"""Lion."""

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

__all__ = ["Lion"]


class Lion(FusedOptimizer):
    """Lion (Chen et al., 2023): the sign of an interpolated momentum, with decoupled weight decay.

    State: "exp_avg".
    ValueError for options out of range.

    >>> import eagergrad as eg
    >>> x = eg.tensor([3.0], requires_grad=True)
    >>> optimizer = eg.optim.Lion([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.9
    """

    rule = "Lion"
    late_options = {"foreach": None, "maximize": False, "differentiable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        lazy: bool = False,
    ) -> None:
        _check_lr(lr)
        _check_betas(betas)
        _check(weight_decay >= 0.0, "weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults, lazy)

    def init_state(self, p: Any, group: Group, state: dict[str, Any]) -> None:
        _fill_missing(state, p, "exp_avg", step=False)
