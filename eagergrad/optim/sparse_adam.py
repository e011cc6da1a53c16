"""Adam for gradients that touch few rows."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg

from .optimizer import Closure, Optimizer, ParamsT, _check, _check_betas, _check_lr, _evaluate

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    """Adam whose moments and parameters move only where a sparse gradient has entries.

    Parameters are dense, gradients sparse: those of Embedding(sparse=True), which are stored with
    their rows of zeros here. RuntimeError for other gradients. State: "step" (an int), "exp_avg",
    "exp_avg_sq".

    >>> import eagergrad as eg
    >>> table = eg.nn.Embedding(5, 2, sparse=True)
    >>> optimizer = eg.optim.SparseAdam(table.parameters(), lr=0.1)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        _check_lr(lr)
        _check(lr > 0.0, "learning rate", lr)
        _check(eps > 0.0, "epsilon value", eps)
        _check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        sparse = [
            [g, k]
            for g, group in enumerate(self.param_groups)
            for k, p in enumerate(group["params"])
            if p.is_sparse
        ]
        if sparse:
            raise ValueError(
                f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors"
            )

    def step(self, closure: Closure | None = None) -> Any:
        """Update the entries of all parameters that have a sparse gradient."""
        loss = None if closure is None else _evaluate(closure)
        with eg.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._update(p, group)
        return loss

    def _update(self, p: Any, group: dict[str, Any]) -> None:
        where, g = _entries(p)
        state = self.state[p]
        if not state:
            state["step"] = 0
            state["exp_avg"], state["exp_avg_sq"] = eg.zeros_like(p), eg.zeros_like(p)
        state["step"] += 1
        if g.numel() == 0:
            return
        if group.get("maximize", False):
            g = -g
        beta1, beta2 = (float(beta) for beta in group["betas"])
        t = state["step"]
        m = state["exp_avg"][where].lerp(g, 1 - beta1)
        v = state["exp_avg_sq"][where].lerp(g * g, 1 - beta2)
        state["exp_avg"][where] = m
        state["exp_avg_sq"][where] = v
        step_size = float(group["lr"]) * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        p[where] -= step_size * m / (v.sqrt() + group["eps"])


def _entries(p: Any) -> tuple[tuple[Any, ...], Any]:
    """Where the gradient of `p` has entries, as an index, and these."""
    grad = p.grad
    if grad.is_sparse:
        grad = grad.coalesce()  # the update is not linear: each entry once
        return tuple(grad.indices().unbind(0)), grad.values()
    if not getattr(p, "_row_sparse_grad", False):
        raise RuntimeError(
            "SparseAdam does not support dense gradients, please consider Adam instead"
        )
    rows = (grad.flatten(1) != 0).any(dim=1).nonzero().flatten()
    return (rows,), grad[rows]
