"""Convolution layers."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad import Tensor

from .. import functional as F
from .. import init
from ..functional.pooling import _numbers
from ..parameter import Parameter, UninitializedParameter
from .lazy import LazyModuleMixin
from .module import Module

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What all convolution layers share: sizes, weight and bias, initialisation, repr."""

    __constants__ = [
        "stride",
        "padding",
        "dilation",
        "groups",
        "padding_mode",
        "output_padding",
        "in_channels",
        "out_channels",
        "kernel_size",
    ]
    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        stride: tuple[int, ...],
        padding: Any,
        dilation: tuple[int, ...],
        transposed: bool,
        output_padding: tuple[int, ...],
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _check(in_channels, out_channels, groups, stride, padding, padding_mode)
        for name, numbers in (("stride", stride), ("padding", padding), ("dilation", dilation)):
            if not isinstance(numbers, str) and len(numbers) not in (1, len(kernel_size)):
                raise RuntimeError(
                    f"expected {name} to be a single integer value or a list of {len(kernel_size)} values to match "
                    f"the kernel {kernel_size}, but got {name}={numbers}"
                )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.transposed = transposed
        self.output_padding = output_padding
        self.groups = groups
        self.padding_mode = padding_mode
        self._reversed_padding_repeated_twice = _pad_list(padding, kernel_size, dilation)
        made = {"device": device, "dtype": dtype}
        self.weight = Parameter(eg.empty(self._weight_shape(), **made))
        if bias:
            self.bias = Parameter(eg.empty(out_channels, **made))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _weight_shape(self) -> tuple[int, ...]:
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        return (first, second // self.groups, *self.kernel_size)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, uniform in +-1/sqrt(fan_in)."""
        if self.weight.numel() > 0:
            # a = sqrt(5) makes the bound 1/sqrt(fan_in)
            init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def _padded(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input and the padding that is left to the convolution."""
        if self.padding_mode == "zeros":
            return input, self.padding
        pad = self._reversed_padding_repeated_twice
        return F.pad(input, pad, mode=self.padding_mode), (0,) * len(self.kernel_size)

    def extra_repr(self) -> str:
        n = len(self.kernel_size)
        s = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        if self.padding != (0,) * n:
            s += f", padding={self.padding}"
        if self.dilation != (1,) * n:
            s += f", dilation={self.dilation}"
        if self.output_padding != (0,) * n:
            s += f", output_padding={self.output_padding}"
        if self.groups != 1:
            s += f", groups={self.groups}"
        if self.bias is None:
            s += ", bias=False"
        if self.padding_mode != "zeros":
            s += f", padding_mode={self.padding_mode}"
        return s

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if not hasattr(self, "padding_mode"):
            self.padding_mode = "zeros"


def _check(
    in_channels: int,
    out_channels: int,
    groups: int,
    stride: tuple[int, ...],
    padding: Any,
    padding_mode: str,
) -> None:
    if groups <= 0:
        raise ValueError("groups must be a positive integer")
    if in_channels % groups != 0:
        raise ValueError("in_channels must be divisible by groups")
    if out_channels % groups != 0:
        raise ValueError("out_channels must be divisible by groups")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(
                f"Invalid padding string {padding!r}, should be one of 'valid', 'same'"
            )
        if padding == "same" and any(s != 1 for s in stride):
            raise ValueError("padding='same' is not supported for strided convolutions")
    if padding_mode not in _PADDING_MODES:
        raise ValueError(
            f"padding_mode must be one of {', '.join(_PADDING_MODES)}, but got padding_mode={padding_mode!r}"
        )


def _pad_list(padding: Any, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> list[int]:
    """The padding in F.pad's order: (before, after) of the last dimension first."""
    if not isinstance(padding, str):
        return [n for n in reversed(padding) for _ in range(2)]
    pairs = []
    for i, k in enumerate(kernel):
        total = dilation[i % len(dilation)] * (k - 1) if padding == "same" else 0
        pairs.append((total // 2, total - total // 2))
    return [n for pair in reversed(pairs) for n in pair]


class _Conv(_ConvNd):
    """An ordinary convolution of `_dims` spatial dimensions."""

    _dims: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        n = self._dims
        super().__init__(
            in_channels,
            out_channels,
            _numbers(kernel_size, n),
            _numbers(stride, n),
            padding if isinstance(padding, str) else _numbers(padding, n),
            _numbers(dilation, n),
            False,
            (0,) * n,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        input, padding = self._padded(input)
        conv = (F.conv1d, F.conv2d, F.conv3d)[self._dims - 1]
        return conv(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)


class Conv1d(_Conv):
    """Convolution of (N, in_channels, L) or (in_channels, L) with `out_channels` learned kernels.

    >>> import eagergrad as eg
    >>> layer = eg.nn.Conv1d(2, 4, 3, padding=1)
    >>> tuple(layer(eg.zeros(5, 2, 8)).shape)
    (5, 4, 8)
    """

    _dims = 1


class Conv2d(_Conv):
    """Convolution of (N, in_channels, H, W) or (in_channels, H, W) with learned kernels.

    `padding` is a number, a pair, 'same' or 'valid'; `padding_mode` zeros, reflect, replicate or
    circular.

    >>> import eagergrad as eg
    >>> layer = eg.nn.Conv2d(3, 6, kernel_size=5, padding=2)
    >>> layer
    Conv2d(3, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))
    >>> tuple(layer(eg.zeros(1, 3, 8, 8)).shape)
    (1, 6, 8, 8)
    """

    _dims = 2


class Conv3d(_Conv):
    """Convolution of (N, in_channels, D, H, W) or without N with `out_channels` learned kernels.

    >>> import eagergrad as eg
    >>> layer = eg.nn.Conv3d(1, 2, 3)
    >>> tuple(layer(eg.zeros(1, 1, 4, 4, 4)).shape)
    (1, 2, 2, 2, 2)
    """

    _dims = 3


class _ConvTranspose(_ConvNd):
    """A transposed convolution of `_dims` spatial dimensions."""

    _dims: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        n = self._dims
        super().__init__(
            in_channels,
            out_channels,
            _numbers(kernel_size, n),
            _numbers(stride, n),
            _numbers(padding, n),
            _numbers(dilation, n),
            True,
            _numbers(output_padding, n),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _output_padding(self, input: Tensor, output_size: Any) -> Any:
        """The output padding that gives `output_size`; ValueError if none does."""
        if output_size is None:
            return self.output_padding
        n = self._dims
        size = [int(s) for s in output_size]
        if len(size) == n + 2 or (len(size) == n + 1 and input.dim() == n + 1):
            size = size[-n:]
        if len(size) != n:
            raise ValueError(
                f"{type(self).__name__}: for {input.dim()}-d input, output_size must have {n} or "
                f"{input.dim()} elements (got {len(size)})"
            )
        least = [
            (i - 1) * s - 2 * p + d * (k - 1) + 1
            for i, s, p, d, k in zip(
                tuple(input.shape)[-n:],
                self.stride,
                self.padding,
                self.dilation,
                self.kernel_size,
                strict=True,
            )
        ]
        most = [m + s - 1 for m, s in zip(least, self.stride, strict=True)]
        if any(not a <= s <= b for a, s, b in zip(least, size, most, strict=True)):
            raise ValueError(
                f"requested an output size of {size}, but valid sizes range from {least} to {most} "
                f"(for an input of {list(input.shape)[-n:]})"
            )
        return [s - a for s, a in zip(size, least, strict=True)]

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        conv = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self._dims - 1]
        extra = self._output_padding(input, output_size)
        return conv(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )


class ConvTranspose1d(_ConvTranspose):
    """The transpose of Conv1d: (N, in_channels, L) to a longer (N, out_channels, L').

    >>> import eagergrad as eg
    >>> layer = eg.nn.ConvTranspose1d(2, 4, 3, stride=2)
    >>> tuple(layer(eg.zeros(5, 2, 8)).shape)
    (5, 4, 17)
    """

    _dims = 1


class ConvTranspose2d(_ConvTranspose):
    """The transpose of Conv2d; `output_size` in the call picks among the sizes that a stride allows.

    >>> import eagergrad as eg
    >>> layer = eg.nn.ConvTranspose2d(2, 1, 3, stride=2, padding=1)
    >>> tuple(layer(eg.zeros(1, 2, 4, 4), output_size=(8, 8)).shape)
    (1, 1, 8, 8)
    """

    _dims = 2


class ConvTranspose3d(_ConvTranspose):
    """The transpose of Conv3d.

    >>> import eagergrad as eg
    >>> layer = eg.nn.ConvTranspose3d(1, 2, 2, stride=2)
    >>> tuple(layer(eg.zeros(1, 1, 2, 2, 2)).shape)
    (1, 2, 4, 4, 4)
    """

    _dims = 3


class _LazyConvMixin(LazyModuleMixin):
    """Learns in_channels from the first input."""

    _dims: int
    weight: Any
    bias: Any

    def _make_lazy(self, out_channels: int, bias: bool, device: Any, dtype: Any) -> None:
        made = {"device": device, "dtype": dtype}
        self.weight = UninitializedParameter(**made)
        self.out_channels = out_channels
        if bias:
            self.bias = UninitializedParameter(**made)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, once their shapes are known."""
        if self.in_channels != 0 and not self.has_uninitialized_params():  # type: ignore[has-type]
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Materialise weight and bias for this input's channels."""
        if not self.has_uninitialized_params():
            return
        n = self._dims
        if input.dim() not in (n + 1, n + 2):
            raise RuntimeError(
                f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {type(self).__name__}, "
                f"but got input of size: {list(input.shape)}"
            )
        self.in_channels = int(input.shape[-n - 1])
        if self.in_channels % self.groups != 0:  # type: ignore[attr-defined]
            raise ValueError("in_channels must be divisible by groups")
        self.weight.materialize(self._weight_shape())  # type: ignore[attr-defined]
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))  # type: ignore[attr-defined]
        self.reset_parameters()


class _LazyConv(_LazyConvMixin, _Conv):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        # bias comes afterwards: its size is known, but it is drawn with the weight
        super().__init__(0, 0, kernel_size, stride, padding, dilation, groups, False, padding_mode)
        self._make_lazy(out_channels, bias, device, dtype)


class _LazyConvTranspose(_LazyConvMixin, _ConvTranspose):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            0,
            0,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            False,
            dilation,
            padding_mode,
        )
        self._make_lazy(out_channels, bias, device, dtype)


class LazyConv1d(_LazyConv):
    """A Conv1d that learns in_channels from its first input.

    >>> import eagergrad as eg
    >>> layer = eg.nn.LazyConv1d(4, 3)
    >>> _ = layer(eg.zeros(1, 2, 8))
    >>> layer
    Conv1d(2, 4, kernel_size=(3,), stride=(1,))
    """

    cls_to_become = Conv1d
    _dims = 1


class LazyConv2d(_LazyConv):
    """A Conv2d that learns in_channels from its first input."""

    cls_to_become = Conv2d
    _dims = 2


class LazyConv3d(_LazyConv):
    """A Conv3d that learns in_channels from its first input."""

    cls_to_become = Conv3d
    _dims = 3


class LazyConvTranspose1d(_LazyConvTranspose):
    """A ConvTranspose1d that learns in_channels from its first input."""

    cls_to_become = ConvTranspose1d
    _dims = 1


class LazyConvTranspose2d(_LazyConvTranspose):
    """A ConvTranspose2d that learns in_channels from its first input."""

    cls_to_become = ConvTranspose2d
    _dims = 2


class LazyConvTranspose3d(_LazyConvTranspose):
    """A ConvTranspose3d that learns in_channels from its first input."""

    cls_to_become = ConvTranspose3d
    _dims = 3
