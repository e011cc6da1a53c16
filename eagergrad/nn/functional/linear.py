"""Linear and bilinear maps."""

from __future__ import annotations

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops
from eagergrad.tensor.autocast import widest_on_cuda

__all__ = ["bilinear", "linear"]

linear = _ops.linear


@widest_on_cuda
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_k = x1 A_k x2 + b_k for (..., in1), (..., in2), weight (out, in1, in2).

    Raises RuntimeError where the leading or the feature sizes differ.

    >>> import eagergrad as eg
    >>> bilinear(eg.ones(1, 2), eg.ones(1, 3), eg.ones(4, 2, 3)).tolist()
    [[6.0, 6.0, 6.0, 6.0]]
    """
    if input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(
            f"[bilinear] expected equal leading sizes, came {tuple(input1.shape)} and {tuple(input2.shape)}"
        )
    if (input1.shape[-1], input2.shape[-1]) != tuple(weight.shape[1:]):
        raise RuntimeError(
            f"[bilinear] weight {tuple(weight.shape)} does not fit the features of "
            f"{tuple(input1.shape)} and {tuple(input2.shape)}"
        )
    out, in1, in2 = weight.shape
    a, b = input1.reshape(-1, in1), input2.reshape(-1, in2)
    left = eg.matmul(a, weight.permute(1, 0, 2).reshape(in1, out * in2)).reshape(-1, out, in2)
    y = eg.matmul(left, b.unsqueeze(2)).squeeze(2).reshape(*input1.shape[:-1], out)
    return y if bias is None else y + bias
