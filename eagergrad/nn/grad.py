"""Gradients of convolutions alone: with respect to the input, of a given size, or to the weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import eagergrad as eg
from eagergrad._C import op_table

__all__ = [
    "conv1d_input",
    "conv1d_weight",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_input",
    "conv3d_weight",
]


def _of_input(conv: Callable[..., Any]) -> Callable[..., Any]:
    def gradient(
        input_size: Any,
        weight: Any,
        grad_output: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        with eg.enable_grad():
            x = grad_output.new_zeros(tuple(input_size)).requires_grad_()
            y = conv(x, weight.detach(), None, stride, padding, dilation, groups)
        return eg.autograd.grad(y, x, grad_output)[0]

    gradient.__name__ = gradient.__qualname__ = f"{conv.__name__}_input"
    gradient.__doc__ = f"The gradient of ``{conv.__name__}`` with respect to an input of this size."
    return gradient


def _of_weight(conv: Callable[..., Any]) -> Callable[..., Any]:
    def gradient(
        input: Any,
        weight_size: Any,
        grad_output: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        with eg.enable_grad():
            w = grad_output.new_zeros(tuple(weight_size)).requires_grad_()
            y = conv(input.detach(), w, None, stride, padding, dilation, groups)
        return eg.autograd.grad(y, w, grad_output)[0]

    gradient.__name__ = gradient.__qualname__ = f"{conv.__name__}_weight"
    gradient.__doc__ = f"The gradient of ``{conv.__name__}`` with respect to a weight of this size."
    return gradient


conv1d_input, conv1d_weight = _of_input(op_table["conv1d"]), _of_weight(op_table["conv1d"])
conv2d_input, conv2d_weight = _of_input(op_table["conv2d"]), _of_weight(op_table["conv2d"])
conv3d_input, conv3d_weight = _of_input(op_table["conv3d"]), _of_weight(op_table["conv3d"])
