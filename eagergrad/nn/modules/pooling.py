"""Pooling layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eagergrad import Tensor

from .. import functional as F
from ..functional.pooling import _numbers
from .module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _Pool(Module):
    """Over windows; a subclass names its function and the attributes that its repr shows."""

    _dims: int
    _pool: Callable[..., Any]
    _shown: tuple[str, ...] = ("kernel_size", "stride", "padding")

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)}" for name in self._shown)


class _MaxPoolNd(_Pool):
    __constants__ = [
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "return_indices",
        "ceil_mode",
    ]
    _shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        return self._pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class _MaxUnpoolNd(_Pool):
    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        n = self._dims
        self.kernel_size = _numbers(kernel_size, n)
        self.stride = _numbers(stride if stride is not None else kernel_size, n)
        self.padding = _numbers(padding, n)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return self._pool(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class _AvgPoolNd(_Pool):
    __constants__ = [
        "kernel_size",
        "stride",
        "padding",
        "ceil_mode",
        "count_include_pad",
        "divisor_override",
    ]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return self._pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class _LPPoolNd(_Pool):
    __constants__ = ["norm_type", "kernel_size", "stride", "ceil_mode"]
    _shown = ("norm_type", "kernel_size", "stride", "ceil_mode")

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        norm_type = float(self.norm_type)
        return self._pool(input, norm_type, self.kernel_size, self.stride, self.ceil_mode)


class _AdaptiveAvgPoolNd(_Pool):
    __constants__ = ["output_size"]
    _shown = ("output_size",)

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return self._pool(input, self.output_size)


class _AdaptiveMaxPoolNd(_Pool):
    __constants__ = ["output_size", "return_indices"]
    _shown = ("output_size",)

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return self._pool(input, self.output_size, self.return_indices)


class _FractionalMaxPoolNd(_Pool):
    __constants__ = ["kernel_size", "return_indices", "output_size", "output_ratio"]
    _shown = ()

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        n = self._dims
        self.kernel_size = _numbers(kernel_size, n)
        self.return_indices = return_indices
        self.output_size = _numbers(output_size, n) if output_size is not None else None
        self.output_ratio = _numbers(output_ratio, n) if output_ratio is not None else None
        if (output_size is None) == (output_ratio is None):
            raise ValueError(
                f"{type(self).__name__} requires exactly one of output_size and output_ratio, "
                f"got {output_size} and {output_ratio}"
            )
        if self.output_ratio and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Tensor) -> Any:
        return self._pool(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class MaxPool1d(_MaxPoolNd):
    """Greatest value of each window of (N, C, L); `return_indices` also gives the positions.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.MaxPool1d(2)(eg.rand(1, 2, 8)).shape)
    (1, 2, 4)
    """

    _pool = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPoolNd):
    """Greatest value of each window of (N, C, H, W); `return_indices` also gives the positions.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.MaxPool2d(2)(eg.rand(1, 2, 8, 8)).shape)
    (1, 2, 4, 4)
    """

    _pool = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPoolNd):
    """Greatest value of each window of (N, C, D, H, W); `return_indices` also gives the positions.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.MaxPool3d(2)(eg.rand(1, 2, 8, 8, 8)).shape)
    (1, 2, 4, 4, 4)
    """

    _pool = staticmethod(F.max_pool3d)


class MaxUnpool1d(_MaxUnpoolNd):
    """Puts the maxima of MaxPool1d back at their positions, zero elsewhere.

    >>> import eagergrad as eg
    >>> pooled, at = eg.nn.MaxPool1d(2, return_indices=True)(eg.rand(1, 2, 8))
    >>> tuple(eg.nn.MaxUnpool1d(2)(pooled, at).shape)
    (1, 2, 8)
    """

    _dims = 1
    _pool = staticmethod(F.max_unpool1d)


class MaxUnpool2d(_MaxUnpoolNd):
    """Puts the maxima of MaxPool2d back at their positions, zero elsewhere.

    >>> import eagergrad as eg
    >>> pooled, at = eg.nn.MaxPool2d(2, return_indices=True)(eg.rand(1, 2, 8, 8))
    >>> tuple(eg.nn.MaxUnpool2d(2)(pooled, at).shape)
    (1, 2, 8, 8)
    """

    _dims = 2
    _pool = staticmethod(F.max_unpool2d)


class MaxUnpool3d(_MaxUnpoolNd):
    """Puts the maxima of MaxPool3d back at their positions, zero elsewhere.

    >>> import eagergrad as eg
    >>> pooled, at = eg.nn.MaxPool3d(2, return_indices=True)(eg.rand(1, 2, 8, 8, 8))
    >>> tuple(eg.nn.MaxUnpool3d(2)(pooled, at).shape)
    (1, 2, 8, 8, 8)
    """

    _dims = 3
    _pool = staticmethod(F.max_unpool3d)


class AvgPool1d(_Pool):
    """Mean of each window of (N, C, L).

    >>> import eagergrad as eg
    >>> eg.nn.AvgPool1d(2)(eg.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
    [[2.0, 1.0]]
    """

    __constants__ = ["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"]
    _pool = staticmethod(F.avg_pool1d)

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = _numbers(kernel_size, 1)
        self.stride = _numbers(stride if stride is not None else kernel_size, 1)
        self.padding = _numbers(padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return self._pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )


class AvgPool2d(_AvgPoolNd):
    """Mean of each window of (N, C, H, W); `divisor_override` replaces the window's size.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.AvgPool2d(2)(eg.rand(1, 2, 8, 8)).shape)
    (1, 2, 4, 4)
    """

    _pool = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPoolNd):
    """Mean of each window of (N, C, D, H, W); `divisor_override` replaces the window's size.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.AvgPool3d(2)(eg.rand(1, 2, 8, 8, 8)).shape)
    (1, 2, 4, 4, 4)
    """

    _pool = staticmethod(F.avg_pool3d)


class LPPool1d(_LPPoolNd):
    """(sum of x ** norm_type over each window) ** (1 / norm_type) of (N, C, L).

    >>> import eagergrad as eg
    >>> tuple(eg.nn.LPPool1d(2, 2)(eg.rand(1, 2, 8)).shape)
    (1, 2, 4)
    """

    _pool = staticmethod(F.lp_pool1d)


class LPPool2d(_LPPoolNd):
    """(sum of x ** norm_type over each window) ** (1 / norm_type) of (N, C, H, W).

    >>> import eagergrad as eg
    >>> tuple(eg.nn.LPPool2d(2, 2)(eg.rand(1, 2, 8, 8)).shape)
    (1, 2, 4, 4)
    """

    _pool = staticmethod(F.lp_pool2d)


class LPPool3d(_LPPoolNd):
    """(sum of x ** norm_type over each window) ** (1 / norm_type) of (N, C, D, H, W).

    >>> import eagergrad as eg
    >>> tuple(eg.nn.LPPool3d(2, 2)(eg.rand(1, 2, 8, 8, 8)).shape)
    (1, 2, 4, 4, 4)
    """

    _pool = staticmethod(F.lp_pool3d)


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """Means of `output_size` windows that cover (N, C, L); None keeps a size.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.AdaptiveAvgPool1d(3)(eg.rand(1, 2, 8)).shape)
    (1, 2, 3)
    """

    _pool = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """Means of `output_size` windows that cover (N, C, H, W); None keeps a size.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.AdaptiveAvgPool2d(3)(eg.rand(1, 2, 8, 8)).shape)
    (1, 2, 3, 3)
    """

    _pool = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """Means of `output_size` windows that cover (N, C, D, H, W); None keeps a size.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.AdaptiveAvgPool3d(3)(eg.rand(1, 2, 8, 8, 8)).shape)
    (1, 2, 3, 3, 3)
    """

    _pool = staticmethod(F.adaptive_avg_pool3d)


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """Maxima of `output_size` windows that cover (N, C, L); None keeps a size.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.AdaptiveMaxPool1d(3)(eg.rand(1, 2, 8)).shape)
    (1, 2, 3)
    """

    _pool = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """Maxima of `output_size` windows that cover (N, C, H, W); None keeps a size.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.AdaptiveMaxPool2d(3)(eg.rand(1, 2, 8, 8)).shape)
    (1, 2, 3, 3)
    """

    _pool = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """Maxima of `output_size` windows that cover (N, C, D, H, W); None keeps a size.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.AdaptiveMaxPool3d(3)(eg.rand(1, 2, 8, 8, 8)).shape)
    (1, 2, 3, 3, 3)
    """

    _pool = staticmethod(F.adaptive_max_pool3d)


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """Maxima of windows of (N, C, H, W) at pseudo-random steps (Graham, 2014).

    >>> import eagergrad as eg
    >>> tuple(eg.nn.FractionalMaxPool2d(2, output_size=5)(eg.rand(1, 2, 8, 8)).shape)
    (1, 2, 5, 5)
    """

    _dims = 2
    _pool = staticmethod(F.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """Maxima of windows of (N, C, D, H, W) at pseudo-random steps (Graham, 2014).

    >>> import eagergrad as eg
    >>> tuple(eg.nn.FractionalMaxPool3d(2, output_size=5)(eg.rand(1, 2, 8, 8, 8)).shape)
    (1, 2, 5, 5, 5)
    """

    _dims = 3
    _pool = staticmethod(F.fractional_max_pool3d)
