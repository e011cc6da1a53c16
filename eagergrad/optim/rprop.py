"""Resilient propagation."""

from __future__ import annotations

from typing import Any

import eagergrad as eg

from .optimizer import FusedOptimizer, Group, ParamsT, _check_lr, _fill_missing

__all__ = ["Rprop"]


class Rprop(FusedOptimizer):
    """Rprop (Riedmiller and Braun, 1993): only the sign of a gradient counts, for whole batches.

    `etas` are the factors that shrink and grow a step, `step_sizes` its bounds. State: "step",
    "prev", "step_size". ValueError for options out of range.

    >>> import eagergrad as eg
    >>> x = eg.tensor([3.0], requires_grad=True)
    >>> optimizer = eg.optim.Rprop([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.9
    """

    rule = "Rprop"

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        lazy: bool = False,
    ) -> None:
        _check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults, lazy)

    def init_state(self, p: Any, group: Group, state: dict[str, Any]) -> None:
        _fill_missing(state, p, "prev")
        if "step_size" not in state:
            state["step_size"] = eg.full_like(p, float(group["lr"]))
