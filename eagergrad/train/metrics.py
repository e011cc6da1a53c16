"""Losses and metrics by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import eagergrad as eg

__all__ = ["accuracy", "loss_by_name", "metrics_by_name"]


def accuracy(output: Any, target: Any) -> Any:
    """Return the share of right answers: of the largest class where ``output`` has one dimension
    more than ``target``, of the sign of the log-odds where it has as many.

    >>> import eagergrad as eg
    >>> accuracy(eg.tensor([[2.0, 1.0], [0.0, 3.0]]), eg.tensor([0, 0])).item()
    0.5
    """
    if output.dim() == target.dim() + 1:
        guess = output.argmax(-1)
    else:
        guess = (output > 0).to(target.dtype)
    return (guess == target).to(eg.float32).mean()


def _cross_entropy(output: Any, target: Any) -> Any:
    """Classes last, also for sequences: (..., C) and (...)."""
    if output.dim() == target.dim() + 1:
        return eg.nn.functional.cross_entropy(output.flatten(0, -2), target.flatten())
    return eg.nn.functional.cross_entropy(output, target)


def _same_shape(name: str, loss: Callable) -> Callable:
    def checked(output: Any, target: Any) -> Any:
        if tuple(output.shape) != tuple(target.shape):
            raise ValueError(
                f"[fit] {name} expected output and target of one shape, got "
                f"{tuple(output.shape)} and {tuple(target.shape)}; use squeeze or unsqueeze"
            )
        return loss(output, target.to(output.dtype))

    return checked


def loss_by_name(loss: Any) -> Callable:
    """Return the loss function of a name, or the function itself."""
    if callable(loss):
        return loss
    f = eg.nn.functional
    known = {
        "cross_entropy": _cross_entropy,
        "mse": _same_shape("mse", f.mse_loss),
        "l1": _same_shape("l1", f.l1_loss),
        "bce": _same_shape("bce", f.binary_cross_entropy_with_logits),
    }
    if loss not in known:
        raise ValueError(f"[fit] loss expected a function or one of {sorted(known)}, got {loss!r}")
    return known[loss]


def metrics_by_name(metrics: Any) -> dict[str, Callable]:
    """Return name -> function from names, functions, or a dict of them."""
    if metrics is None:
        return {}
    if isinstance(metrics, dict):
        return dict(metrics)
    if isinstance(metrics, str) or callable(metrics):
        metrics = [metrics]
    out: dict[str, Callable] = {}
    for m in metrics:
        if m == "accuracy":
            out["accuracy"] = accuracy
        elif callable(m):
            out[getattr(m, "__name__", type(m).__name__)] = m
        else:
            raise ValueError(f"[fit] metrics expected functions or 'accuracy', got {m!r}")
    return out
