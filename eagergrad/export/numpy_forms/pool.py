"""Pooling, padding, resizing, and blocks of images."""

# ruff: noqa: B905 - the text runs with any Python that NumPy runs with

import builtins

import numpy as np

from eagergrad.export.numpy_forms.arguments import _tuple
from eagergrad.export.numpy_forms.conv import _padded, _windows


def _pool_ends(sizes, kernel, stride, padding, dilation, ceil_mode):
    # How much the end is padded, and by how much of it because of ceil_mode.
    for n, k, s, p, d in zip(sizes, kernel, stride, padding, dilation):
        reach, room = d * (k - 1) + 1, n + 2 * p
        count = (room - reach + (s - 1 if ceil_mode else 0)) // s + 1
        count -= ceil_mode and (count - 1) * s >= n + p
        yield p, p + builtins.max((count - 1) * s + reach - room, 0)


def _pool_windows(x, n, kernel_size, stride, padding, dilation, ceil_mode, value):
    kernel = _tuple(kernel_size, n)
    stride = kernel if stride is None or stride == () else _tuple(stride, n)
    padding, dilation = _tuple(padding, n), _tuple(dilation, n)
    sides = list(_pool_ends(x.shape[-n:], kernel, stride, padding, dilation, ceil_mode))
    return _windows(_padded(x, sides, value), kernel, stride, dilation)


def _max_pool(x, n, kernel_size, stride, padding, dilation, ceil_mode):
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    windows = _pool_windows(x, n, kernel_size, stride, padding, dilation, ceil_mode, lowest)
    return np.max(windows, tuple(range(-n, 0)))


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    return _max_pool(input, 1, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    return _max_pool(input, 2, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    return _max_pool(input, 3, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool1d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    return _max_pool(input, 1, kernel_size, stride, padding, dilation, ceil_mode), None


def max_pool2d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    return _max_pool(input, 2, kernel_size, stride, padding, dilation, ceil_mode), None


def max_pool3d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    return _max_pool(input, 3, kernel_size, stride, padding, dilation, ceil_mode), None


def _avg_pool(x, n, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor):
    axes, ones = tuple(range(-n, 0)), np.ones(x.shape[-n:], x.dtype)
    if count_include_pad:
        ones = np.pad(ones, [(p, p) for p in _tuple(padding, n)], constant_values=1)
        count = _pool_windows(ones, n, kernel_size, stride or kernel_size, 0, 1, ceil_mode, 0)
    else:
        count = _pool_windows(ones, n, kernel_size, stride, padding, 1, ceil_mode, 0)
    total = np.sum(_pool_windows(x, n, kernel_size, stride, padding, 1, ceil_mode, 0), axes)
    if divisor is not None:
        return total / divisor
    count = np.sum(count, axes)[tuple(slice(0, m) for m in total.shape[-n:])]
    return total / count


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    return _avg_pool(input, 1, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    return _avg_pool(
        input, 2, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    return _avg_pool(
        input, 3, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _adaptive(x, output_size, reduce):
    for axis, n in zip(range(-len(output_size), 0), output_size):
        size, moved = x.shape[axis], np.moveaxis(x, axis, 0)
        parts = [reduce(moved[i * size // n : -(-(i + 1) * size // n)], 0) for i in range(n)]
        x = np.moveaxis(np.stack(parts), 0, axis)
    return x


def adaptive_avg_pool(input, output_size):
    return _adaptive(input, output_size, np.mean)


def adaptive_max_pool(input, output_size):
    return _adaptive(input, output_size, np.max), None


def adaptive_max_pool1d(input, output_size):
    return _adaptive(input, _tuple(output_size, 1), np.max)


def constant_pad_nd(input, pad, value=0):
    return _pad(input, pad, "constant", value)


def pad_mode(input, pad, mode):
    return _pad(
        input, pad, {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode], 0
    )


def _pad(x, pad, mode, value):
    sides = list(zip(pad[::2], pad[1::2]))[::-1]
    lead = x.ndim - len(sides)
    crop = (
        slice(-builtins.min(a, 0), n + builtins.min(b, 0))
        for (a, b), n in zip(sides, x.shape[lead:])
    )
    x = x[(slice(None),) * lead + tuple(crop)]
    widths = [(0, 0)] * lead + [(builtins.max(a, 0), builtins.max(b, 0)) for a, b in sides]
    return (
        np.pad(x, widths, mode, constant_values=value)
        if mode == "constant"
        else np.pad(x, widths, mode)
    )


def upsample(input, size, factors, mode, align_corners=False, antialias=False):
    for i, out in enumerate(size):
        x = np.moveaxis(input, 2 + i, -1)
        n, factor = x.shape[-1], factors[i] if i < len(factors) else 0
        scale = (
            (n - 1) / builtins.max(out - 1, 1)
            if align_corners
            else 1 / factor
            if factor
            else n / out
        )
        if mode.startswith("nearest"):
            places = np.floor(
                (np.arange(out) + (0.5 if mode == "nearest-exact" else 0)) * np.float32(scale)
            ).astype(int)
            x = x[..., np.minimum(places, n - 1)]
        elif n != out:
            at = np.arange(out) * scale if align_corners else (np.arange(out) + 0.5) * scale - 0.5
            taps, weight = (range(-1, 3), _cubic) if mode == "bicubic" else (range(2), _linear)
            at = at if mode == "bicubic" else np.maximum(at, 0)
            base = np.floor(at).astype(int)
            x = builtins.sum(
                x[..., np.clip(base + k, 0, n - 1)] * weight(np.abs(at - base - k)).astype(x.dtype)
                for k in taps
            )
        input = np.moveaxis(x, -1, 2 + i)
    return input


def _linear(t):
    return 1 - t


def _cubic(t):
    a = -0.75  # Keys 1981, with the slope of PyTorch and OpenCV
    return np.where(
        t <= 1, ((a + 2) * t - (a + 3)) * t * t + 1, ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    )


def pixel_shuffle(input, upscale_factor):
    r = upscale_factor
    *lead, c, h, w = input.shape
    k = len(lead)
    x = input.reshape(*lead, c // r**2, r, r, h, w)
    return x.transpose(*range(k), k, k + 3, k + 1, k + 4, k + 2).reshape(
        *lead, c // r**2, h * r, w * r
    )


def pixel_unshuffle(input, downscale_factor):
    r = downscale_factor
    *lead, c, h, w = input.shape
    k = len(lead)
    x = input.reshape(*lead, c, h // r, r, w // r, r)
    return x.transpose(*range(k), k, k + 2, k + 4, k + 1, k + 3).reshape(
        *lead, c * r**2, h // r, w // r
    )


def channel_shuffle(input, groups):
    parts = input.reshape(input.shape[0], groups, -1, *input.shape[2:])
    return parts.swapaxes(1, 2).reshape(input.shape)


def im2col(input, kernel_size, dilation=1, padding=0, stride=1):
    x = input if input.ndim == 4 else input[None]
    padding = [(p, p) for p in _tuple(padding, 2)]
    windows = _windows(
        _padded(x, padding), _tuple(kernel_size, 2), _tuple(stride, 2), _tuple(dilation, 2)
    )
    n, c, h, w, kh, kw = windows.shape
    y = windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * kh * kw, h * w)
    return y if x is input else y[0]


def col2im(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    x = input if input.ndim == 3 else input[None]
    size, kernel = _tuple(output_size, 2), _tuple(kernel_size, 2)
    dilation, padding, stride = _tuple(dilation, 2), _tuple(padding, 2), _tuple(stride, 2)
    count = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, d, p, s in zip(size, kernel, dilation, padding, stride)
    ]
    blocks = x.reshape(x.shape[0], -1, *kernel, *count)
    y = np.zeros((*blocks.shape[:2], *(n + 2 * p for n, p in zip(size, padding))), x.dtype)
    for tap in np.ndindex(*kernel):
        places = (
            slice(t * d, t * d + (c - 1) * s + 1, s)
            for t, d, c, s in zip(tap, dilation, count, stride)
        )
        y[(slice(None), slice(None), *places)] += blocks[(slice(None), slice(None), *tap)]
    y = y[(..., *(slice(p, p + n) for n, p in zip(size, padding)))]
    return y if x is input else y[0]
