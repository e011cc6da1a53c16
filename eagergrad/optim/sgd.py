"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from .optimizer import (
    FusedOptimizer,
    Group,
    ParamsT,
    _check,
    _check_fused,
    _check_lr,
    _fill_missing,
)

__all__ = ["SGD"]


class SGD(FusedOptimizer):
    """Stochastic gradient descent, with momentum as in Sutskever et al. (ICML 2013).

    With momentum the buffer is b <- momentum * b + (1 - dampening) * g, starting at the first g,
    and the update is p <- p - lr * b, or p - lr * (g + momentum * b) with `nesterov`.
    `weight_decay` adds weight_decay * p to g. State: "momentum_buffer". ValueError for negative
    options.

    >>> import eagergrad as eg
    >>> x = eg.tensor([3.0], requires_grad=True)
    >>> optimizer = eg.optim.SGD([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.4
    """

    rule = "SGD"
    late_options = {
        "nesterov": False,
        "maximize": False,
        "foreach": None,
        "differentiable": False,
        "fused": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
        lazy: bool = False,
    ) -> None:
        _check_lr(lr)
        _check(momentum >= 0.0, "momentum value", momentum)
        _check(weight_decay >= 0.0, "weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        _check_fused(fused, differentiable, foreach)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults, lazy)

    def init_state(self, p: Any, group: Group, state: dict[str, Any]) -> None:
        if group["momentum"] != 0:
            _fill_missing(state, p, "momentum_buffer", step=False)
