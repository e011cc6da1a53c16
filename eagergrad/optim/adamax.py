"""Adamax: Adam with the infinity norm."""

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

__all__ = ["Adamax"]


class Adamax(FusedOptimizer):
    """Adamax (Kingma and Ba, 2015, section 7.1): Adam with a decaying maximum in place of the
    second moment.

    State: "step", "exp_avg", "exp_inf". ValueError for options out of range.

    >>> import eagergrad as eg
    >>> x = eg.tensor([3.0], requires_grad=True)
    >>> optimizer = eg.optim.Adamax([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.9
    """

    rule = "Adamax"

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
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
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults, lazy)

    def init_state(self, p: Any, group: Group, state: dict[str, Any]) -> None:
        _fill_missing(state, p, "exp_avg", "exp_inf")
