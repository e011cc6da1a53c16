"""Sliding blocks of images as columns, and back."""

from __future__ import annotations

from typing import Any

from eagergrad import Tensor
from eagergrad._C import ops as _ops
from eagergrad.tensor.out import asking

__all__ = ["fold", "unfold"]


@asking
def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Blocks of (N, C, H, W) as the columns of (N, C * block size, number of blocks).

    >>> import eagergrad as eg
    >>> unfold(eg.arange(4.0).reshape(1, 1, 2, 2), (1, 2)).tolist()
    [[[0.0, 2.0], [1.0, 3.0]]]
    """
    return _ops.im2col(input, kernel_size, dilation, padding, stride)


@asking
def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Sums columns (N, C * block size, number of blocks) into images (N, C, *output_size).

    >>> import eagergrad as eg
    >>> fold(eg.ones(1, 2, 2), (2, 2), (1, 2)).tolist()
    [[[[1.0, 1.0], [1.0, 1.0]]]]
    """
    return _ops.col2im(input, output_size, kernel_size, dilation, padding, stride)
