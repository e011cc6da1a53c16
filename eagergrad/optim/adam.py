"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

import eagergrad as eg

from .optimizer import (
    FusedOptimizer,
    Group,
    ParamsT,
    _check,
    _check_betas,
    _check_fused,
    _check_lr,
    _fill_missing,
)

__all__ = ["Adam", "AdamW"]


class Adam(FusedOptimizer):
    """Adam (Kingma and Ba, 2015), or its AMSGrad variant (Reddi et al., 2018).

    With `decoupled_weight_decay` the decay shrinks the parameters instead of joining the gradient:
    AdamW. State: "step", "exp_avg", "exp_avg_sq" and, with `amsgrad`, "max_exp_avg_sq". ValueError
    for options out of range.

    >>> import eagergrad as eg
    >>> x = eg.tensor([3.0], requires_grad=True)
    >>> optimizer = eg.optim.Adam([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.9
    """

    rule = "Adam"
    late_options = {
        **FusedOptimizer.late_options,
        "amsgrad": False,
        "decoupled_weight_decay": False,
        "fused": None,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
        lazy: bool = False,
    ) -> None:
        _check_lr(lr, foreach, capturable)
        _check(eps >= 0.0, "epsilon value", eps)
        _check_betas(betas)
        _check(weight_decay >= 0.0, "weight_decay value", weight_decay)
        _check_tensor_betas(betas, foreach, capturable)
        _check_fused(fused, differentiable, foreach)
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, lazy)

    def init_state(self, p: Any, group: Group, state: dict[str, Any]) -> None:
        _fill_missing(state, p, "exp_avg", "exp_avg_sq")
        if group["amsgrad"]:
            _fill_missing(state, p, "max_exp_avg_sq")


def _check_tensor_betas(betas: Any, foreach: bool | None, capturable: bool) -> None:
    tensors = [isinstance(beta, eg.Tensor) for beta in betas]
    if any(tensors) and not all(tensors):
        raise ValueError("betas must be either both floats or both Tensors")
    for k, beta in enumerate(betas):
        if tensors[k] and foreach and not capturable:
            raise ValueError(
                f"betas[{k}] as a Tensor is not supported for capturable=False and foreach=True"
            )
        if tensors[k] and beta.numel() != 1:
            raise ValueError(f"Tensor betas[{k}] must be 1-element")


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    State as Adam's. ValueError for options out of range.

    >>> import eagergrad as eg
    >>> x = eg.tensor([3.0], requires_grad=True)
    >>> optimizer = eg.optim.AdamW([x], lr=0.1, weight_decay=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.87
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        lazy: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
            lazy=lazy,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
