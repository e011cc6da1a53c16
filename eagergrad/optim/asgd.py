"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from .optimizer import FusedOptimizer, Group, ParamsT, _check, _check_lr, _fill_missing, _scalar

__all__ = ["ASGD"]


class ASGD(FusedOptimizer):
    """Averaged SGD (Polyak and Juditsky, 1992): from step `t0` on, "ax" in the state is the mean of
    the iterates.

    `lambd` is a decay, `alpha` the power of the rate's decline. State: "step", "eta", "mu", "ax".
    ValueError for options out of range.

    >>> import eagergrad as eg
    >>> x = eg.tensor([3.0], requires_grad=True)
    >>> optimizer = eg.optim.ASGD([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.4
    """

    rule = "ASGD"

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        lazy: bool = False,
    ) -> None:
        _check_lr(lr)
        _check(weight_decay >= 0.0, "weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults, lazy)

    def init_state(self, p: Any, group: Group, state: dict[str, Any]) -> None:
        _fill_missing(state, p)
        if "eta" not in state:
            state["eta"] = _scalar(group["lr"])
        if "mu" not in state:
            state["mu"] = _scalar(1.0)
        _fill_missing(state, p, "ax")
