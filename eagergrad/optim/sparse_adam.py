"""Adam for gradients that touch few rows."""

from __future__ import annotations

from typing import Any

from .optimizer import (
    Closure,
    FusedOptimizer,
    Group,
    ParamsT,
    StateDict,
    _check,
    _check_betas,
    _check_lr,
    _evaluate,
    _fill_missing,
)

__all__ = ["SparseAdam"]


class SparseAdam(FusedOptimizer):
    """Adam whose moments and parameters move only in the rows of a row-sparse gradient.

    Parameters are dense, gradients those of Embedding(sparse=True) and the like. Nothing decays in other rows; for
    moments that do, at the same cost, see `Adam(lazy=True)`. State: "step", "exp_avg", "exp_avg_sq". RuntimeError for
    dense gradients.

    >>> import eagergrad as eg
    >>> table = eg.nn.Embedding(5, 2, sparse=True)
    >>> optimizer = eg.optim.SparseAdam(table.parameters(), lr=0.1)
    >>> before = table.weight.detach().clone()
    >>> table(eg.tensor([3])).sum().backward()
    >>> optimizer.step()
    >>> (before != table.weight).any(dim=1).tolist()
    [False, False, False, True, False]
    """

    rule = "SparseAdam"
    late_options = {"maximize": False}

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
        """Update the rows of all parameters that have a row-sparse gradient."""
        loss = _evaluate(closure)
        grads = [p.grad for group in self.param_groups for p in group["params"]]
        if any(g is not None and not g.is_sparse for g in grads):
            raise RuntimeError(
                "SparseAdam does not support dense gradients, please consider Adam instead"
            )
        super().step()
        return loss

    def state_dict(self) -> StateDict:
        """As of any optimizer; the steps are plain ints, as in PyTorch's."""
        result = super().state_dict()
        states = result["state"]
        for key, state in states.items():
            if isinstance(state, dict) and "step" in state:
                states[key] = {**state, "step": int(state["step"])}
        return result

    def init_state(self, p: Any, group: Group, state: dict[str, Any]) -> None:
        _fill_missing(state, p, "exp_avg", "exp_avg_sq")
