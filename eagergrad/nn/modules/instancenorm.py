"""Instance normalisation."""

from __future__ import annotations

import warnings
from typing import Any

from eagergrad import Tensor

from .. import functional as F
from .batchnorm import _LazyNorm, _NormBase

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


class _InstanceNorm(_NormBase):
    _dims = 0  # of an input without the batch dimension

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (self._dims, self._dims + 1):
            raise ValueError(
                f"expected {self._dims}D or {self._dims + 1}D input (got {input.dim()}D input)"
            )

    def _check_channels(self, input: Tensor) -> None:
        channels = input.shape[input.dim() - self._dims]
        if channels == self.num_features:
            return
        if self.affine:
            raise ValueError(
                f"expected input's size at dim={input.dim() - self._dims} to match num_features "
                f"({self.num_features}), but got: {channels}."
            )
        warnings.warn(
            f"input's size at dim={input.dim() - self._dims} does not match num_features; you can "
            "silence this warning by not passing in num_features, which is not used because "
            "affine=False",
            stacklevel=3,
        )

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        self._check_channels(input)
        batched = input if input.dim() > self._dims else input.unsqueeze(0)
        out = F.instance_norm(
            batched,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return out if batched is input else out.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of (N, C, L) or (C, L); see `F.instance_norm`.

    >>> import eagergrad as eg
    >>> eg.nn.InstanceNorm1d(1, eps=0)(eg.tensor([[[1.0, 3.0]]])).tolist()
    [[[-1.0, 1.0]]]
    """

    _dims = 2


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of (N, C, H, W) or (C, H, W); see `F.instance_norm`."""

    _dims = 3


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of (N, C, D, H, W) or (C, D, H, W); see `F.instance_norm`."""

    _dims = 4


class _LazyInstanceNorm(_LazyNorm, _InstanceNorm):
    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(eps, momentum, affine, track_running_stats, device, dtype, bias=bias)


class LazyInstanceNorm1d(_LazyInstanceNorm):
    """`InstanceNorm1d` that takes num_features from its first input."""

    cls_to_become = InstanceNorm1d
    _dims = 2


class LazyInstanceNorm2d(_LazyInstanceNorm):
    """`InstanceNorm2d` that takes num_features from its first input."""

    cls_to_become = InstanceNorm2d
    _dims = 3


class LazyInstanceNorm3d(_LazyInstanceNorm):
    """`InstanceNorm3d` that takes num_features from its first input."""

    cls_to_become = InstanceNorm3d
    _dims = 4
