"""Convolutions."""

from __future__ import annotations

from eagergrad import Tensor
from eagergrad._C import ops as _ops
from eagergrad.tensor.out import asking

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_tbc",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]

conv1d = _ops.conv1d
conv2d = _ops.conv2d
conv3d = _ops.conv3d
conv_transpose1d = _ops.conv_transpose1d
conv_transpose2d = _ops.conv_transpose2d
conv_transpose3d = _ops.conv_transpose3d


@asking
def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """conv1d in the order time, batch, channel: input (T, B, Cin), weight (K, Cin, Cout), bias (Cout).

    >>> import eagergrad as eg
    >>> conv_tbc(eg.ones(4, 1, 2), eg.ones(3, 2, 1), eg.zeros(1)).flatten().tolist()
    [6.0, 6.0]
    """
    if input.dim() != 3 or weight.dim() != 3:
        raise RuntimeError(
            "[conv_tbc] expected a 3-d input and weight, "
            f"got shapes {tuple(input.shape)} and {tuple(weight.shape)}"
        )
    y = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, 1, pad)
    return y.permute(2, 0, 1)
