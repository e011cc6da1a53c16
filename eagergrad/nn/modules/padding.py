"""Padding layers."""

from __future__ import annotations

from typing import Any

from eagergrad import Tensor

from .. import functional as F
from ..functional.pooling import _numbers
from .module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """Pads the last `_dims` dimensions; `padding` is one number or (before, after) pairs, last first."""

    __constants__ = ["padding"]
    _dims: int
    _mode: str

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _numbers(padding, 2 * self._dims)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _CircularPadNd(_Pad):
    _mode = "circular"

    def _check_input_dim(self, input: Tensor) -> None:
        n = self._dims
        if input.dim() not in (n + 1, n + 2):
            raise ValueError(f"expected {n + 1}D or {n + 2}D input (got {input.dim()}D input)")

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        return super().forward(input)


class _ConstantPadNd(_Pad):
    __constants__ = ["padding", "value"]

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPadNd):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ReflectionPadNd(_Pad):
    _mode = "reflect"


class _ReplicationPadNd(_Pad):
    _mode = "replicate"


class CircularPad1d(_CircularPadNd):
    """Pads the last dimension of (N, C, L) by wrapping around.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.CircularPad1d(1)(eg.zeros(1, 2, 4)).shape)
    (1, 2, 6)
    """

    _dims = 1


class CircularPad2d(_CircularPadNd):
    """Pads the last two dimensions of (N, C, H, W) by wrapping around.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.CircularPad2d(1)(eg.zeros(1, 2, 4, 5)).shape)
    (1, 2, 6, 7)
    """

    _dims = 2


class CircularPad3d(_CircularPadNd):
    """Pads the last three dimensions of (N, C, D, H, W) by wrapping around.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.CircularPad3d(1)(eg.zeros(1, 2, 4, 5, 6)).shape)
    (1, 2, 6, 7, 8)
    """

    _dims = 3


class ConstantPad1d(_ConstantPadNd):
    """Pads the last dimension of (N, C, L) with a constant.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.ConstantPad1d(1, 7.0)(eg.zeros(1, 2, 4)).shape)
    (1, 2, 6)
    """

    _dims = 1


class ConstantPad2d(_ConstantPadNd):
    """Pads the last two dimensions of (N, C, H, W) with a constant.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.ConstantPad2d(1, 7.0)(eg.zeros(1, 2, 4, 5)).shape)
    (1, 2, 6, 7)
    """

    _dims = 2


class ConstantPad3d(_ConstantPadNd):
    """Pads the last three dimensions of (N, C, D, H, W) with a constant.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.ConstantPad3d(1, 7.0)(eg.zeros(1, 2, 4, 5, 6)).shape)
    (1, 2, 6, 7, 8)
    """

    _dims = 3


class ReflectionPad1d(_ReflectionPadNd):
    """Pads the last dimension of (N, C, L) by mirroring around the edge elements.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.ReflectionPad1d(1)(eg.zeros(1, 2, 4)).shape)
    (1, 2, 6)
    """

    _dims = 1


class ReflectionPad2d(_ReflectionPadNd):
    """Pads the last two dimensions of (N, C, H, W) by mirroring around the edge elements.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.ReflectionPad2d(1)(eg.zeros(1, 2, 4, 5)).shape)
    (1, 2, 6, 7)
    """

    _dims = 2


class ReflectionPad3d(_ReflectionPadNd):
    """Pads the last three dimensions of (N, C, D, H, W) by mirroring around the edge elements.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.ReflectionPad3d(1)(eg.zeros(1, 2, 4, 5, 6)).shape)
    (1, 2, 6, 7, 8)
    """

    _dims = 3


class ReplicationPad1d(_ReplicationPadNd):
    """Pads the last dimension of (N, C, L) by repeating the edge elements.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.ReplicationPad1d(1)(eg.zeros(1, 2, 4)).shape)
    (1, 2, 6)
    """

    _dims = 1


class ReplicationPad2d(_ReplicationPadNd):
    """Pads the last two dimensions of (N, C, H, W) by repeating the edge elements.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.ReplicationPad2d(1)(eg.zeros(1, 2, 4, 5)).shape)
    (1, 2, 6, 7)
    """

    _dims = 2


class ReplicationPad3d(_ReplicationPadNd):
    """Pads the last three dimensions of (N, C, D, H, W) by repeating the edge elements.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.ReplicationPad3d(1)(eg.zeros(1, 2, 4, 5, 6)).shape)
    (1, 2, 6, 7, 8)
    """

    _dims = 3


class ZeroPad1d(_ZeroPad):
    """Pads the last dimension of (N, C, L) with zeros.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.ZeroPad1d(1)(eg.zeros(1, 2, 4)).shape)
    (1, 2, 6)
    """

    _dims = 1


class ZeroPad2d(_ZeroPad):
    """Pads the last two dimensions of (N, C, H, W) with zeros.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.ZeroPad2d(1)(eg.zeros(1, 2, 4, 5)).shape)
    (1, 2, 6, 7)
    """

    _dims = 2


class ZeroPad3d(_ZeroPad):
    """Pads the last three dimensions of (N, C, D, H, W) with zeros.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.ZeroPad3d(1)(eg.zeros(1, 2, 4, 5, 6)).shape)
    (1, 2, 6, 7, 8)
    """

    _dims = 3
