"""Normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops
from eagergrad.tensor.out import asking

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]


def _shape(name: str, normalized_shape: Sequence[int]) -> tuple[int, ...]:
    # The layers give tuples: asking for a Sequence takes longer than a small norm.
    if type(normalized_shape) is tuple:
        return normalized_shape
    if not isinstance(normalized_shape, Sequence):
        raise TypeError(
            f"[{name}] expected normalized_shape to be a list or tuple of ints, such as (n,), came "
            f"{type(normalized_shape).__name__}"
        )
    return tuple(normalized_shape)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Mean 0 and variance 1 over the last dimensions, `normalized_shape`, then `* weight + bias` of that shape.

    RuntimeError if the shapes do not fit. Source: Ba et al., 2016.

    >>> import eagergrad as eg
    >>> layer_norm(eg.tensor([[1.0, 3.0]]), (2,), eps=0).tolist()
    [[-1.0, 1.0]]
    """
    return _ops.layer_norm(input, _shape("layer_norm", normalized_shape), weight, bias, eps)


@asking
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divide by the root mean square of the last dimensions, `normalized_shape`, then `* weight`.

    `eps` defaults to the dtype's machine epsilon. Source: Zhang and Sennrich, 2019.

    >>> import eagergrad as eg
    >>> rms_norm(eg.tensor([[3.0, 3.0]]), (2,), eps=0).tolist()
    [[1.0, 1.0]]
    """
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"[rms_norm] not implemented for {input.dtype}")
    if eps is None:
        eps = eg.finfo(input.dtype).eps
    return _ops.rms_norm(input, _shape("rms_norm", normalized_shape), weight, eps)


@asking
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Mean 0 and variance 1 over each of `num_groups` groups of channels of (N, C, ...); weight and bias (C,).

    RuntimeError unless num_groups divides C. Source: Wu and He, 2018.

    >>> import eagergrad as eg
    >>> group_norm(eg.tensor([[1.0, 3.0, 5.0, 5.0]]), 2, eps=0.25).tolist()
    [[-0.8944271802902222, 0.8944271802902222, 0.0, 0.0]]
    """
    if input.dim() < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.dim()}"
        )
    _more_than_one(
        (input.shape[0] * input.shape[1] // max(num_groups, 1), num_groups, *input.shape[2:])
    )
    return _ops.group_norm(input, num_groups, weight, bias, eps)


def _more_than_one(size: Sequence[int]) -> None:
    """One value has no variance: refuse to train on it."""
    count = size[0]
    for n in size[2:]:
        count *= n
    if count == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {tuple(size)}"
        )


@asking
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Mean 0 and variance 1 of each channel of (N, C, ...), then `* weight + bias`, both (C,).

    In `training` over the batch, updating the running statistics in place; else by the running statistics.
    ValueError for a single value a channel in training, eps < 0, and eps = 0 in training. Source: Ioffe and Szegedy, 2015.

    >>> import eagergrad as eg
    >>> batch_norm(eg.tensor([[1.0], [3.0]]), None, None, training=True, eps=1e-12).tolist()
    [[-1.0], [1.0]]
    """
    if eps < 0 or (training and eps == 0):
        raise ValueError(f"[batch_norm] eps must be positive in training and >= 0, but got {eps}")
    if training:
        _more_than_one(input.shape)
    return _ops.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


@asking
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Mean 0 and variance 1 of each channel of each sample of (N, C, ...); running statistics as in batch_norm.

    ValueError for a single value a channel. Source: Ulyanov et al., 2016.

    >>> import eagergrad as eg
    >>> instance_norm(eg.tensor([[[1.0, 3.0]]]), eps=0).tolist()
    [[[-1.0, 1.0]]]
    """
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "Expected running_mean and running_var to be defined when use_input_stats is false"
            )
        rows = input.contiguous()  # the result is row-major, as PyTorch's
        return _ops.batch_norm(rows, running_mean, running_var, weight, bias, False, momentum, eps)
    spatial = 1
    for n in input.shape[2:]:
        spatial *= n
    if spatial == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {tuple(input.shape)}"
        )
    if running_mean is not None or running_var is not None:
        _update_running(input, running_mean, running_var, momentum, spatial)
    return _ops.group_norm(input.contiguous(), input.shape[1], weight, bias, eps)


def _update_running(
    input: Tensor, mean: Tensor | None, var: Tensor | None, momentum: float, count: int
) -> None:
    """Move the running statistics towards the average over the batch of each sample's statistics."""
    with eg.no_grad():
        rows = input.detach().reshape(*input.shape[:2], count)
        if mean is not None:
            mean.mul_(1 - momentum).add_(rows.mean((0, 2)).to(mean.dtype), alpha=momentum)
        if var is not None:
            var.mul_(1 - momentum).add_(rows.var(2).mean(0).to(var.dtype), alpha=momentum)


@asking
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide (N, C, ...) by `(k + alpha * mean of squares over `size` neighbouring channels) ** beta`.

    Source: Krizhevsky et al., 2012.

    >>> import eagergrad as eg
    >>> local_response_norm(eg.ones(1, 1, 1), 1, alpha=3.0, beta=0.5).tolist()
    [[[0.5]]]
    """
    if input.dim() < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality input (got {input.dim()} dimensions)"
        )
    if size <= 0:
        raise RuntimeError(f"[local_response_norm] expected size to be greater than 0, got {size}")
    if input.numel() == 0:
        return input
    squares = input * input
    # The window of channel c is [c - size // 2, c + (size - 1) // 2]; channels outside count as 0.
    before, after = size // 2, (size - 1) // 2
    edge = squares.new_zeros((squares.shape[0], 1, *squares.shape[2:]))
    shape = (-1, before, *[-1] * (input.dim() - 2)), (-1, after, *[-1] * (input.dim() - 2))
    padded = eg.cat([edge.expand(shape[0]), squares, edge.expand(shape[1])], 1)
    total = padded.narrow(1, 0, input.shape[1])
    for i in range(1, size):
        total = total + padded.narrow(1, i, input.shape[1])
    return input / (total * (alpha / size) + k).pow(beta)


@asking
def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """Divide by the p-norm along `dim`, or by `eps` where that is larger.

    >>> import eagergrad as eg
    >>> normalize(eg.tensor([[3.0, 4.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    norm = input.norm(p, dim, keepdim=True).clamp_min(eps)
    if out is None:
        return input / norm
    return eg.div(input, norm, out=out)
