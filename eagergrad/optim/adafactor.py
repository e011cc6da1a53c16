"""Adafactor."""

from __future__ import annotations

from typing import Any

import eagergrad as eg

from .optimizer import Closure, Optimizer, ParamsT, _evaluate, _scalar, _scalars_to_tensors

__all__ = ["Adafactor"]


class Adafactor(Optimizer):
    """Adafactor (Shazeer and Stern, 2018): second moments of matrices kept as a row and a column.

    State: "step" and "row_var", "col_var", or "variance" for vectors. ValueError for options out of
    range.

    >>> import eagergrad as eg
    >>> x = eg.ones(2, 3, requires_grad=True)
    >>> optimizer = eg.optim.Adafactor([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x[0, 0].item(), 4)
    0.9
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, eg.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for valid, message in (
            (lr >= 0.0, f"Learning rate should be >= 0 but is: {lr}"),
            (beta2_decay <= 0.0, f"beta2_decay should be <= 0 but is: {beta2_decay}"),
            (eps[0] is None or eps[0] >= 0.0, f"epsilon1 should be >= 0 but is: {eps[0]}"),
            (eps[1] >= 0.0, f"epsilon2 should be >= 0 but is: {eps[1]}"),
            (d >= 1.0, f"Clipping threshold d should be >= 1 but is: {d}"),
            (weight_decay >= 0.0, f"weight_decay should be >= 0 but is: {weight_decay}"),
        ):
            if not valid:
                raise ValueError(message)
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("foreach", None)
            for p in group["params"]:
                _scalars_to_tensors(self.state.get(p))

    def step(self, closure: Closure | None = None) -> Any:
        """Update all parameters that have a gradient."""
        loss = _evaluate(closure)
        if eg.cuda.is_current_stream_capturing():
            raise RuntimeError(
                "[Adafactor] a step depends on its number, which a captured graph would repeat: call step() outside the graph"
            )
        with eg.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._update(p, group)
        return loss

    def _init_state(self, p: Any, state: dict[str, Any]) -> None:
        state["step"] = _scalar()
        if p.dim() > 1:
            state["row_var"] = p.grad.new_zeros((*p.shape[:-1], 1))
            state["col_var"] = p.grad.new_zeros((*p.shape[:-2], 1, p.shape[-1]))
        else:
            state["variance"] = eg.zeros_like(p.grad)

    def _update(self, p: Any, group: dict[str, Any]) -> None:
        if p.grad.is_sparse:
            raise RuntimeError("Adafactor does not support sparse gradients")
        state = self.state[p]
        if not state:
            self._init_state(p, state)
        grad = -p.grad if group["maximize"] else p.grad
        lr, (eps1, eps2) = float(group["lr"]), group["eps"]
        if eps1 is None:
            eps1 = eg.finfo(p.dtype).eps
        state["step"] += 1
        t = state["step"].item()
        weight = t ** group["beta2_decay"]
        size = _at_least(_rms(p), eps2) * min(lr, t**-0.5)
        if group["weight_decay"] != 0:
            p.mul_(1 - lr * group["weight_decay"])
        if p.dim() > 1:
            row, col = state["row_var"], state["col_var"]
            squares = grad * grad
            row.lerp_(squares.mean(dim=-1, keepdim=True), weight)
            col.lerp_(squares.mean(dim=-2, keepdim=True), weight)
            variance = (row @ col).div_(row.mean(dim=-2, keepdim=True).clamp_(min=eps1))
        else:
            variance = state["variance"].lerp_(grad * grad, weight).clone()
        update = variance.clamp_(min=eps1 * eps1).rsqrt_().mul_(grad)
        step = size / _at_least(_rms(update) / group["d"], 1.0)
        if isinstance(step, float):
            p.add_(update, alpha=-step)
        else:
            p.sub_(update.mul_(step))


def _rms(x: Any) -> Any:
    """A number, or of a tensor on a GPU, which nobody waits for, a tensor."""
    if x.is_cuda:
        return (x * x).mean(dtype=None if x.dtype == eg.float64 else eg.float32).sqrt()
    return (x * x).mean().item() ** 0.5


def _at_least(x: Any, least: float) -> Any:
    return max(x, least) if isinstance(x, float) else x.clamp_(min=least)
