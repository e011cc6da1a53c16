"""Losses. Those of one pass over the data are single core ops; the rest is composed here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import eagergrad as eg
from eagergrad import _C, Tensor
from eagergrad._C import ops as _ops
from eagergrad.tensor.autocast import full_precision
from eagergrad.tensor.out import asking
from eagergrad.tensor.warn import warn

from ._legacy import legacy_reduction
from .distance import pairwise_distance

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cross_entropy",
    "ctc_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "linear_cross_entropy",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _floats(name: str, *tensors: Tensor) -> None:
    for t in tensors:
        if not t.is_floating_point():
            raise NotImplementedError(f"[{name}] expected floating point values, got {t.dtype}")


def _check_reduction(reduction: str) -> None:
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")


def _reduced(values: Tensor, reduction: str) -> Tensor:
    _check_reduction(reduction)
    if reduction == "mean":
        return values.mean()
    return values.sum() if reduction == "sum" else values


# ---- classification ----------------------------------------------------------------------------------------------


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-input[target], the negative log likelihood: (N, C, ...) log probabilities, (N, ...) int64 classes.

    The mean is weighted by the classes' `weight`; targets equal to `ignore_index` count for nothing.

    >>> import eagergrad as eg
    >>> float(nll_loss(eg.tensor([[-1.0, -2.0]]), eg.tensor([1])))
    2.0
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    return _ops.nll_loss(input, target, weight, ignore_index, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Softmax cross entropy: (N, C, ...) logits against (N, ...) int64 classes or (N, C, ...) probabilities.

    >>> import eagergrad as eg
    >>> round(float(cross_entropy(eg.zeros(1, 4), eg.tensor([2]))), 4)
    1.3863
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    return _ops.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


@asking
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """`cross_entropy(linear(input, linear_weight, linear_bias), target)`; `options` about chunks change no result.

    A weight of shape (C, d1, ..., features) gives logits (N, C, d1, ...).
    """
    if linear_weight.dim() < 2:
        raise RuntimeError(
            f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}"
        )
    classes, *inner, features = linear_weight.shape
    if inner and input.dim() != 2:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires "
            f"batched input, (N, {features}), got input with shape {tuple(input.shape)}"
        )
    flat_bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = _ops.linear(input, linear_weight.reshape(-1, features), flat_bias)
    if inner:
        logits = logits.reshape(*logits.shape[:-1], classes, *inner)
    ignored = -100 if ignore_index is None else ignore_index
    return _ops.cross_entropy(logits, target, weight, ignored, reduction, label_smoothing)


@asking
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(t log x + (1-t) log(1-x)) for probabilities x; logarithms are cut at -100.

    ValueError where the shapes differ.

    >>> import eagergrad as eg
    >>> round(float(binary_cross_entropy(eg.tensor([0.5]), eg.tensor([1.0]))), 4)
    0.6931
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"[binary_cross_entropy] Using a target size ({target.shape}) that is different to the "
            f"input size ({input.shape}) is deprecated. Please ensure they have the same size."
        )
    if target.dtype != input.dtype:
        raise RuntimeError(
            f"[binary_cross_entropy] found a target of {target.dtype} but expected {input.dtype}"
        )
    if weight is not None:
        weight = weight.expand(target.shape)
    return _ops.binary_cross_entropy(input, target, weight, reduction)


@asking
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy(sigmoid(input), target)` without overflow; `pos_weight` weighs the positive class.

    ValueError where the shapes differ.

    >>> import eagergrad as eg
    >>> round(float(binary_cross_entropy_with_logits(eg.zeros(1), eg.ones(1))), 4)
    0.6931
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"[binary_cross_entropy_with_logits] Target size ({target.shape}) must be the same as "
            f"input size ({input.shape})"
        )
    _floats("binary_cross_entropy_with_logits", target)
    return _ops.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)


@asking
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification (Graves et al., 2006) over (T, N, C) or (T, C) log probabilities.

    `targets` is (N, S) or all targets one after another; lengths are tensors or tuples. The mean divides each
    loss by its target length.
    """
    return _ops.ctc_loss(
        log_probs,
        targets,
        _lengths("input_lengths", input_lengths, targets),
        _lengths("target_lengths", target_lengths, targets),
        blank,
        reduction,
        zero_infinity,
    )


def _lengths(name: str, lengths: Tensor | Sequence[int], targets: Tensor) -> Tensor:
    if isinstance(lengths, Tensor):
        return lengths
    if not isinstance(lengths, Sequence):
        raise TypeError(
            f"ctc_loss(): argument '{name}' must be Tensor or tuple of ints, not {type(lengths).__name__}"
        )
    return eg.tensor(lengths, dtype=eg.int64, device=targets.device)


def _check_margin_loss(name: str, input: Tensor, reduction: str) -> None:
    _check_reduction(reduction)
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"[{name}] not implemented for {input.dtype}")


@full_precision
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """sum_j max(0, margin - x[y] + x[j])^p / C over the wrong classes j; (N, C) or (C,), p is 1 or 2."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    p = int(p) if p in (1, 2) else p  # 2.0 is meant as 2
    return _ops.multi_margin_loss(input, target, p, margin, weight, reduction)


@full_precision
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """sum_ij max(0, 1 - (x[y_j] - x[i])) / C; each row of `target` lists its classes up to the first -1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_margin_loss("multilabel_margin_loss", input, reduction)
    if input.dim() and input.shape[-1] == 0:
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(input.shape)}"
        )
    if input.shape != target.shape or input.dim() > 2:
        raise RuntimeError(
            f"[multilabel_margin_loss] inconsistent target size: {tuple(target.shape)} for input of "
            f"size: {tuple(input.shape)}"
        )
    single = input.dim() < 2
    x = input.reshape(1, -1) if single else input
    y = target.reshape(x.shape)
    listed = (y >= 0).to(eg.int64).cumprod(1)
    if y.device.type == "cpu" and y.numel():  # the rest of the rows is not listed
        longest = int(listed.sum(1).max().item())
        y, listed = y[:, :longest], listed[:, :longest]
    index = y.clamp_min(0) * listed
    hits = eg.zeros(x.shape, dtype=eg.int64, device=x.device).scatter_add_(1, index, listed)
    others = (hits == 0).to(x.dtype)
    margins = (1 - x.gather(1, index).unsqueeze(2) + x.unsqueeze(1)).clamp_min(0)
    counted = listed.to(x.dtype).unsqueeze(2) * others.unsqueeze(1)
    loss = (margins * counted).sum((1, 2)) / x.shape[1]
    losses = loss.reshape(()) if single else loss
    return _C.named(_reduced(losses, reduction), "MultilabelMarginLossBackward0")


@asking
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over classes of the binary cross entropy of (N, C) logits against 0/1 targets."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    loss = -(target * _ops.log_sigmoid(input) + (1 - target) * _ops.log_sigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return _reduced(loss.sum(input.dim() - 1) / input.shape[-1], reduction)


# ---- regression --------------------------------------------------------------------------------------------------


def _same_shape(name: str, input: Tensor, target: Tensor) -> None:
    if target.shape != input.shape:
        _strict_shape(name, input, target)
        warn(
            f"[{name}] Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size."
        )


def _strict_shape(name: str, input: Tensor, target: Tensor) -> None:
    """RuntimeError under `strict_broadcast` unless both have the same shape."""
    if target.shape != input.shape and _C.is_broadcast_strict():
        raise RuntimeError(
            f"[{name}] strict_broadcast: expected a target of shape {list(input.shape)}, that of the input, "
            f"got {list(target.shape)}"
        )


def _weighted(loss: Tensor, weight: Tensor, reduction: str) -> Tensor:
    """Elementwise weights; the mean divides by their sum."""
    if weight.shape != loss.shape:
        raise ValueError("Weights and input must have the same size.")
    if reduction == "mean":
        return (loss * weight).sum() / weight.sum()
    return _reduced(loss * weight, reduction)


@asking
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(x - t)^2; warns where the shapes differ and broadcasts.

    >>> import eagergrad as eg
    >>> float(mse_loss(eg.zeros(2), eg.tensor([1.0, 3.0])))
    5.0
    """
    _same_shape("mse_loss", input, target)
    reduction = legacy_reduction(size_average, reduce, reduction)
    if weight is not None:
        return _weighted(_ops.mse_loss(input, target, "none"), weight, reduction)
    return _ops.mse_loss(input, target, reduction)


@asking
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|x - t|; warns where the shapes differ and broadcasts."""
    _same_shape("l1_loss", input, target)
    reduction = legacy_reduction(size_average, reduce, reduction)
    if weight is not None:
        return _weighted(_ops.l1_loss(input, target, "none"), weight, reduction)
    return _ops.l1_loss(input, target, reduction)


@asking
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d^2 / (2 beta) below beta, d - beta / 2 above, of d = |x - t| (Girshick, 2015); beta 0 is `l1_loss`."""
    _same_shape("smooth_l1_loss", input, target)
    reduction = legacy_reduction(size_average, reduce, reduction)
    if beta == 0.0:
        return _ops.l1_loss(input, target, reduction)
    return _ops.smooth_l1_loss(input, target, reduction, beta)


@asking
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """d^2 / 2 below delta, delta (d - delta / 2) above, of d = |x - t| (Huber, 1964)."""
    _same_shape("huber_loss", input, target)
    if weight is None:
        return _ops.huber_loss(input, target, reduction, delta)
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    return _reduced(_ops.huber_loss(input, target, "none", delta) * weight, reduction)


@full_precision
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """exp(x) - t x (or x - t log(x + eps) without `log_input`); `full` adds Stirling's log t! where t > 1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _strict_shape("poisson_nll_loss", input, target)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return _reduced(loss, reduction)


@asking
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(log var + (x - t)^2 / var) / 2 with var at least eps; `full` adds log(2 pi) / 2.

    `var` has the shape of `input`, lacks its last dimension, or has a 1 there. ValueError for another shape or
    a negative variance. Source: Nix and Weigend, 1994.
    """
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * eg.ones_like(input, requires_grad=False)
    else:
        _ops._require(
            (var.detach() < 0).logical_not(),
            "gaussian_nll_loss",
            "var has negative entry/entries",
            True,
        )
    if var.shape != input.shape:
        if tuple(input.shape[:-1]) == tuple(var.shape):
            var = var.unsqueeze(-1)
        elif not _fits_with_one(var, input):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    if not var.dtype.is_floating_point:
        raise RuntimeError(
            f"result type Float can't be cast to the desired output type {var.dtype} of var"
        )
    # cut below eps without cutting the gradient, as the reference does
    var = var + (var.detach().clamp_min(eps) - var.detach())
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduced(loss, reduction)


def _fits_with_one(var: Tensor, input: Tensor) -> bool:
    """Whether `var` has the sizes of `input` with ones in some places."""
    return var.dim() == input.dim() and all(
        a in (1, b) for a, b in zip(var.shape, input.shape, strict=True)
    )


@asking
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """t (log t - x) for log probabilities x; "batchmean" divides the sum by the first size, as the mathematics has it.

    >>> import eagergrad as eg
    >>> p = eg.tensor([[0.5, 0.5]])
    >>> float(kl_div(p.log(), p, reduction="batchmean"))
    0.0
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce)
    elif reduction == "mean":
        warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size; "
            "'batchmean' divides only by the batch size, and is the KL divergence."
        )
    _floats("kl_div", input, target)
    _strict_shape("kl_div", input, target)
    if reduction == "batchmean":
        total = _ops.kl_div(input, target, "sum", log_target)
        return total / input.shape[0] if input.dim() else total
    return _ops.kl_div(input, target, reduction, log_target)


# ---- margins and embeddings --------------------------------------------------------------------------------------


@full_precision
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-t x)) for t = 1 or -1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _strict_shape("soft_margin_loss", input, target)
    return _reduced(-_ops.log_sigmoid(target * input), reduction)


@full_precision
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """x where t is 1, max(0, margin - x) where t is -1.

    >>> import eagergrad as eg
    >>> float(hinge_embedding_loss(eg.tensor([0.5, 0.5]), eg.tensor([1, -1])))
    0.5
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    _strict_shape("hinge_embedding_loss", input, target)
    apart = (margin - input).clamp_min(0).masked_fill(target == 1, 0)
    close = input.masked_fill(target == -1, 0)
    return _reduced(apart + close, reduction)


@full_precision
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -t (x1 - x2) + margin): t is 1 where x1 should rank higher, -1 where x2 should."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    if not input1.dim() == input2.dim() == target.dim():
        raise RuntimeError(
            "[margin_ranking_loss] All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape}"
        )
    return _reduced((-target * (input1 - input2) + float(margin)).clamp_min(0), reduction)


@full_precision
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(x1, x2) where t is 1, max(0, cos(x1, x2) - margin) where t is -1; (N, D) or (D,)."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    if target.dim() not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if target.dim() + 1 != input1.dim() or input1.dim() != input2.dim():
        raise RuntimeError(
            f"[cosine_embedding_loss] {target.dim()}D target tensor expects {target.dim() + 1}D input "
            f"tensors, but found inputs with sizes {tuple(input1.shape)} and {tuple(input2.shape)}."
        )
    tiny = 1e-12
    dot = (input1 * input2).sum(-1)
    lengths = (((input1 * input1).sum(-1) + tiny) * ((input2 * input2).sum(-1) + tiny)).sqrt()
    cos = dot / lengths
    alike = (1 - cos).masked_fill(target != 1, 0)
    unlike = (cos - margin).clamp_min(0).masked_fill(target != -1, 0)
    return _reduced(alike + unlike, reduction)


@full_precision
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, |a - p|_p - |a - n|_p + margin); `swap` takes the nearer of a and p to n (Balntas et al., 2016)."""
    reduction = legacy_reduction(size_average, reduce, reduction)

    def distance(x1: Tensor, x2: Tensor) -> Tensor:
        return pairwise_distance(x1, x2, p, eps)

    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=distance,
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


@asking
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """The triplet loss with any distance; `pairwise_distance` unless given."""
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "[triplet_margin_loss] The anchor, positive, and negative tensors are expected to have the "
            f"same number of dimensions, but got: anchor {anchor.dim()}D, positive {positive.dim()}D, "
            f"and negative {negative.dim()}D inputs"
        )
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = eg.minimum(far, distance(positive, negative))
    return _reduced((margin + near - far).clamp_min(0), reduction)
