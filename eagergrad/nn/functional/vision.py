"""Resizing, rearranging and sampling images."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import eagergrad as eg
from eagergrad import _C, Tensor
from eagergrad._C import ops as _ops
from eagergrad.tensor.out import asking
from eagergrad.tensor.warn import warn

__all__ = [
    "affine_grid",
    "grid_sample",
    "interpolate",
    "pixel_shuffle",
    "pixel_unshuffle",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(..., C * r * r, H, W) to (..., C, H * r, W * r) (Shi et al., 2016).

    >>> import eagergrad as eg
    >>> pixel_shuffle(eg.arange(4.0).reshape(4, 1, 1), 2).tolist()
    [[[0.0, 1.0], [2.0, 3.0]]]
    """
    return _ops.pixel_shuffle(input, upscale_factor)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(..., C, H * r, W * r) to (..., C * r * r, H, W): the inverse of pixel_shuffle.

    >>> import eagergrad as eg
    >>> pixel_unshuffle(eg.arange(4.0).reshape(1, 2, 2), 2).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    return _ops.pixel_unshuffle(input, downscale_factor)


_DIMS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
_MODES = ("nearest", "nearest-exact", "area", *_DIMS)


def _per_dim(what: str, value: Any, dims: int) -> list[Any]:
    several = not isinstance(value, (int, float)) and (
        isinstance(value, Sequence) or (isinstance(value, Tensor) and value.dim() > 0)
    )
    if several:
        if len(value) != dims:
            raise ValueError(
                f"[interpolate] {what} should be one number or match the {dims} spatial dimensions, got {value}"
            )
        return list(value)
    return [value] * dims


def _check_mode(input: Tensor, mode: str, align_corners: bool | None) -> None:
    if mode not in _MODES:
        raise NotImplementedError(
            f"[interpolate] mode should be one of {', '.join(_MODES)}, got {mode!r}"
        )
    if mode not in _DIMS and align_corners is not None:
        raise ValueError(
            "[interpolate] align_corners goes with the modes linear, bilinear, bicubic and trilinear, "
            f"not with {mode!r}"
        )
    if not 3 <= input.dim() <= 5:
        raise NotImplementedError(
            f"[interpolate] expected (batch, channels, 1 to 3 spatial dimensions), got shape {tuple(input.shape)}"
        )


def _check_dims(input: Tensor, mode: str, antialias: bool) -> None:
    dims = input.dim() - 2
    if antialias and not (mode in ("bilinear", "bicubic") and dims == 2):
        raise ValueError("[interpolate] antialias goes with the modes bilinear and bicubic")
    if mode in _DIMS and _DIMS[mode] != dims:
        raise NotImplementedError(
            f"[interpolate] mode {mode!r} takes a {_DIMS[mode] + 2}-d input, got shape {tuple(input.shape)}"
        )


@asking
def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resizes (N, C, spatial...) to `size` or by `scale_factor`.

    Modes: nearest, nearest-exact, area, linear (3-d), bilinear and bicubic (4-d), trilinear (5-d).
    `align_corners` keeps the corner pixels' centres in place; `recompute_scale_factor` takes the
    factor from the rounded size; `antialias` widens the filter when shrinking.

    >>> import eagergrad as eg
    >>> interpolate(eg.tensor([[[0.0, 2.0]]]), scale_factor=2).tolist()
    [[[0.0, 0.0, 2.0, 2.0]]]
    >>> interpolate(eg.tensor([[[0.0, 2.0]]]), 3, mode="linear", align_corners=True).tolist()
    [[[0.0, 1.0, 2.0]]]
    """
    _check_mode(input, mode, align_corners)
    dims = input.dim() - 2
    if size is not None and scale_factor is not None:
        raise ValueError("[interpolate] only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("[interpolate] either size or scale_factor should be defined")
    if recompute_scale_factor and size is not None:
        raise ValueError(
            "[interpolate] recompute_scale_factor is not meaningful with an explicit size"
        )
    spatial = input.shape[2:]
    factors: list[float] = []
    if size is not None:
        sizes = [operator.index(n) for n in _per_dim("size", size, dims)]
    else:
        given = [float(f) for f in _per_dim("scale_factor", scale_factor, dims)]
        sizes = [math.floor(float(n * f)) for n, f in zip(spatial, given, strict=True)]
        if not recompute_scale_factor:
            factors = given
    _check_dims(input, mode, antialias)
    if mode == "area":
        return _ops.adaptive_avg_pool(input, sizes)
    kind = mode if mode in ("nearest", "nearest-exact", "bicubic") else "linear"
    return _ops.upsample(input, sizes, factors, kind, bool(align_corners), antialias)


@asking
def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """The old name of interpolate."""
    warn("nn.functional.upsample is deprecated, use nn.functional.interpolate")
    return interpolate(input, size, scale_factor, mode, align_corners)


@asking
def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """interpolate with mode='nearest'."""
    warn("nn.functional.upsample_nearest is deprecated, use nn.functional.interpolate")
    return interpolate(input, size, scale_factor, mode="nearest")


@asking
def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """interpolate with mode='bilinear' and aligned corners."""
    warn("nn.functional.upsample_bilinear is deprecated, use nn.functional.interpolate")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


def _warn_corners(name: str) -> None:
    warn(f"{name}: align_corners defaults to False; say which is meant")


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Input (N, C, H, W) at the positions grid (N, Ho, Wo, 2), x before y, in [-1, 1]; also 5-d.

    Modes bilinear, nearest, bicubic (4-d); padding modes zeros, border, reflection.

    >>> import eagergrad as eg
    >>> grid_sample(eg.arange(4.0).reshape(1, 1, 2, 2), eg.zeros(1, 1, 1, 2), align_corners=False).item()
    1.5
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            f"[grid_sample] mode should be 'bilinear', 'nearest' or 'bicubic', got {mode!r}"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            f"[grid_sample] padding_mode should be 'zeros', 'border' or 'reflection', got {padding_mode!r}"
        )
    if align_corners is None:
        _warn_corners("grid_sample")
    return _ops.grid_sampler(input, grid, mode, padding_mode, bool(align_corners))


def _axis(n: int, like: Tensor, align_corners: bool) -> Tensor:
    """Normalised positions of n pixels."""
    if n <= 1:
        return eg.zeros((n,), dtype=like.dtype, device=like.device)
    line = eg.linspace(-1, 1, n, dtype=like.dtype, device=like.device)
    return line if align_corners else line * (n - 1) / n


@asking
def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Sampling positions of affine maps theta (N, 2, 3) for size (N, C, H, W), or (N, 3, 4) and 5 sizes.

    >>> import eagergrad as eg
    >>> theta = eg.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> affine_grid(theta, (1, 1, 1, 2), align_corners=True).tolist()
    [[[[-1.0, 0.0], [1.0, 0.0]]]]
    """
    if not theta.is_floating_point():
        raise ValueError(f"[affine_grid] theta should be floating point, got {theta.dtype}")
    sizes = [int(n) for n in size]
    dims = len(sizes) - 2
    if dims not in (2, 3):
        raise NotImplementedError(f"[affine_grid] size should have 4 or 5 elements, got {sizes}")
    if tuple(theta.shape[1:]) != (dims, dims + 1) or theta.dim() != 3:
        raise ValueError(
            f"[affine_grid] for size {sizes} theta should be (N, {dims}, {dims + 1}), got {tuple(theta.shape)}"
        )
    if min(sizes) <= 0:
        raise ValueError(f"[affine_grid] sizes should be positive, got {sizes}")
    if theta.shape[0] != sizes[0]:
        raise RuntimeError(
            f"[affine_grid] size {sizes} asks for {sizes[0]} maps, theta has {theta.shape[0]}"
        )
    if align_corners is None:
        _warn_corners("affine_grid")
    spatial = sizes[2:]
    columns = []
    for d in reversed(range(dims)):
        shape = [1] * dims
        shape[d] = spatial[d]
        columns.append(
            _axis(spatial[d], theta, bool(align_corners)).reshape(shape).expand(*spatial)
        )
    columns.append(theta.new_ones(spatial))
    base = eg.stack(columns).reshape(1, dims + 1, -1)
    grid = eg.matmul(theta, base).transpose(1, 2).contiguous()
    return _C.named(grid.reshape(theta.shape[0], *spatial, dims), "AffineGridGeneratorBackward0")
