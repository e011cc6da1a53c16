"""RMSprop."""

from __future__ import annotations

from typing import Any

from .optimizer import FusedOptimizer, Group, ParamsT, _check, _check_lr, _fill_missing

__all__ = ["RMSprop"]


class RMSprop(FusedOptimizer):
    """RMSprop (Hinton, 2012, lecture 6e); with `centered` the variance replaces the mean square
    (Graves, 2013).

    State: "step", "square_avg", with momentum "momentum_buffer", with `centered` "grad_avg".
    ValueError for options out of range.

    >>> import eagergrad as eg
    >>> x = eg.tensor([3.0], requires_grad=True)
    >>> optimizer = eg.optim.RMSprop([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.0
    """

    rule = "RMSprop"
    late_options = {**FusedOptimizer.late_options, "momentum": 0, "centered": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        lazy: bool = False,
    ) -> None:
        _check_lr(lr)
        _check(eps >= 0.0, "epsilon value", eps)
        _check(momentum >= 0.0, "momentum value", momentum)
        _check(weight_decay >= 0.0, "weight_decay value", weight_decay)
        _check(alpha >= 0.0, "alpha value", alpha)
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults, lazy)

    def init_state(self, p: Any, group: Group, state: dict[str, Any]) -> None:
        _fill_missing(state, p, "square_avg")
        if group["momentum"] > 0:
            _fill_missing(state, p, "momentum_buffer")
        if group["centered"]:
            _fill_missing(state, p, "grad_avg")
