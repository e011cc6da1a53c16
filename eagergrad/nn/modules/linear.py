"""Linear and bilinear maps."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad import Tensor

from .. import functional as F
from .. import init
from ..parameter import Parameter, UninitializedParameter
from .lazy import LazyModuleMixin
from .module import Module

__all__ = ["Bilinear", "Identity", "LazyLinear", "Linear", "NonDynamicallyQuantizableLinear"]


class Identity(Module):
    """Returns its input; takes and ignores any constructor arguments.

    >>> import eagergrad as eg
    >>> eg.nn.Identity()(eg.ones(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Linear(Module):
    """y = x W^T + b over the last dimension: (..., in_features) to (..., out_features).

    Weight (out, in) and bias start uniform in +-1/sqrt(in_features).

    >>> import eagergrad as eg
    >>> layer = eg.nn.Linear(3, 2)
    >>> tuple(layer(eg.zeros(5, 3)).shape)
    (5, 2)
    """

    __constants__ = ["in_features", "out_features"]
    in_features: int
    out_features: int
    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        made = {"device": device, "dtype": dtype}
        self.weight = Parameter(eg.empty((out_features, in_features), **made))
        if bias:
            self.bias = Parameter(eg.empty(out_features, **made))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        # a = sqrt(5) makes the bound 1/sqrt(fan_in)
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            init._uniform_fan_(self.bias, self.in_features)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class NonDynamicallyQuantizableLinear(Linear):
    """A Linear by the name that attention layers use for their output projection."""


class Bilinear(Module):
    """y_k = x1 A_k x2 + b_k: (..., in1), (..., in2) to (..., out).

    >>> import eagergrad as eg
    >>> layer = eg.nn.Bilinear(3, 4, 2)
    >>> tuple(layer(eg.zeros(5, 3), eg.zeros(5, 4)).shape)
    (5, 2)
    """

    __constants__ = ["in1_features", "in2_features", "out_features"]
    bias: Tensor | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        made = {"device": device, "dtype": dtype}
        self.weight = Parameter(eg.empty((out_features, in1_features, in2_features), **made))
        if bias:
            self.bias = Parameter(eg.empty(out_features, **made))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init._uniform_fan_(self.weight, self.in1_features)
        if self.bias is not None:
            init._uniform_fan_(self.bias, self.in1_features)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class LazyLinear(LazyModuleMixin, Linear):
    """A Linear that learns in_features from its first input.

    >>> import eagergrad as eg
    >>> layer = eg.nn.LazyLinear(2)
    >>> _ = layer(eg.zeros(5, 3))
    >>> tuple(layer.weight.shape), type(layer).__name__
    ((2, 3), 'Linear')
    """

    cls_to_become = Linear

    def __init__(
        self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(0, 0, False)
        made = {"device": device, "dtype": dtype}
        self.weight = UninitializedParameter(**made)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(**made)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, once their shapes are known."""
        if self.in_features != 0 and not self.has_uninitialized_params():
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:  # type: ignore[override]
        """Take in_features from the last dimension of `input`."""
        if not self.has_uninitialized_params():
            self.in_features = self.weight.shape[-1]
            return
        with eg.no_grad():
            self.in_features = input.shape[-1]
            self.weight.materialize((self.out_features, self.in_features))  # type: ignore[attr-defined]
            if self.bias is not None:
                self.bias.materialize((self.out_features,))  # type: ignore[attr-defined]
            self.reset_parameters()
