"""Adadelta."""

from __future__ import annotations

from typing import Any

from .optimizer import FusedOptimizer, Group, ParamsT, _check, _check_lr, _fill_missing

__all__ = ["Adadelta"]


class Adadelta(FusedOptimizer):
    """Adadelta (Zeiler, 2012).

    State: "step", "square_avg", "acc_delta".
    ValueError for options out of range.

    >>> import eagergrad as eg
    >>> x = eg.tensor([3.0], requires_grad=True)
    >>> optimizer = eg.optim.Adadelta([x], lr=1.0)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.9968
    """

    rule = "Adadelta"

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
        lazy: bool = False,
    ) -> None:
        _check_lr(lr)
        _check(0.0 <= rho <= 1.0, "rho value", rho)
        _check(eps >= 0.0, "epsilon value", eps)
        _check(weight_decay >= 0.0, "weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "capturable": capturable,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults, lazy)

    def init_state(self, p: Any, group: Group, state: dict[str, Any]) -> None:
        _fill_missing(state, p, "square_avg", "acc_delta")
