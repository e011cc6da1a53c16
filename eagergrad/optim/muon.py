"""Muon."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg

from .optimizer import Closure, Optimizer, ParamsT, _evaluate

__all__ = ["Muon"]


class Muon(Optimizer):
    """Muon (Jordan et al., 2024): momentum made orthogonal by Newton-Schulz iterations, for the
    matrices of hidden layers.

    `adjust_lr_fn`: "original" (or None) scales the rate by sqrt(max(1, rows / columns)),
    "match_rms_adamw" by 0.2 sqrt(max(rows, columns)) (Liu et al., 2025). State: "momentum_buffer".
    ValueError for parameters that are no matrices.

    >>> import eagergrad as eg
    >>> w = eg.eye(2, requires_grad=True)
    >>> optimizer = eg.optim.Muon([w], lr=0.1, weight_decay=0.0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> bool(w[0, 0] < 1.0)
    True
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if isinstance(lr, eg.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not momentum >= 0.0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with size: "
                        f"{tuple(p.shape)}"
                    )

    def step(self, closure: Closure | None = None) -> Any:
        """Update all parameters that have a gradient."""
        loss = _evaluate(closure)
        with eg.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._update(p, group)
        return loss

    def _update(self, p: Any, group: dict[str, Any]) -> None:
        grad, momentum = p.grad, group["momentum"]
        if grad.is_sparse:
            raise RuntimeError("Muon does not support sparse gradients")
        state = self.state[p]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = eg.zeros_like(grad)
        buffer = state["momentum_buffer"].lerp_(grad, 1 - momentum)
        update = grad.lerp(buffer, momentum) if group["nesterov"] else buffer
        update = _orthogonalize(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        lr = float(group["lr"])
        p.mul_(1 - lr * group["weight_decay"])
        p.sub_(update.to(p.dtype) * (lr * _rate_factor(group["adjust_lr_fn"], *p.shape)))


def _orthogonalize(x: Any, coefficients: tuple[float, float, float], steps: int, eps: float) -> Any:
    """The quintic Newton-Schulz iteration in bfloat16: singular values end near 1, not at it."""
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    tall = x.size(0) > x.size(1)
    y = _rounded(x.t() if tall else x)
    y = _rounded(y / _rounded(y.norm()).clamp(min=eps))
    for _ in range(steps):
        gram = _rounded(y @ y.t())
        gram = _rounded(b * gram + c * (gram @ gram))
        y = _rounded(a * y + gram @ y)
    return y.t() if tall else y


def _rounded(x: Any) -> Any:
    """Numbers that bfloat16 can hold, as float32: products of those are exact, sums need not be
    bfloat16.
    """
    return x.to(eg.bfloat16).to(eg.float32)


def _rate_factor(adjust: str | None, rows: int, columns: int) -> float:
    if adjust == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))
