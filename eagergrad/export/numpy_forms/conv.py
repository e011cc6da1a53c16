"""Convolution."""

# ruff: noqa: B905 - the text runs with any Python that NumPy runs with

import builtins

import numpy as np

from eagergrad.export.numpy_forms.arguments import _tuple


def _windows(x, kernel, stride, dilation):
    # (N, C, *out, *kernel): views of what each place of the kernel meets.
    n = len(kernel)
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation))
    view = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(range(-n, 0)))
    lead = (slice(None),) * (x.ndim - n)
    return view[
        (*lead, *(slice(None, None, s) for s in stride), *(slice(None, None, d) for d in dilation))
    ]


def _padded(x, padding, value=0):
    # padding: (before, after) of each of the last dimensions.
    if not np.any(padding):
        return x
    return np.pad(
        x, [(0, 0)] * (x.ndim - len(padding)) + [tuple(p) for p in padding], constant_values=value
    )


def _conv(input, weight, bias, stride, padding, dilation, groups):
    n = weight.ndim - 2
    x = input if input.ndim == n + 2 else input[None]
    kernel, stride, dilation = weight.shape[2:], _tuple(stride, n), _tuple(dilation, n)
    if padding == "same":
        whole = [d * (k - 1) for k, d in zip(kernel, dilation)]
        sides = [(w // 2, w - w // 2) for w in whole]
    else:
        sides = [(p, p) for p in ((0,) * n if padding == "valid" else _tuple(padding, n))]
    windows = _windows(_padded(x, sides), kernel, stride, dilation)
    outputs, inputs = weight.shape[:2]
    taps = tuple(range(2 + n, 2 + 2 * n))
    if inputs == 1 and groups == x.shape[1]:
        # Each channel by itself: a sum over the places of the kernel.
        windows = np.repeat(windows, outputs // groups, 1) if outputs != groups else windows
        y = np.zeros(windows.shape[: 2 + n], input.dtype)
        for tap in np.ndindex(*kernel):
            y += windows[(..., *tap)] * weight[(slice(None), 0, *tap)].reshape(-1, *(1,) * n)
    else:
        parts = [
            np.moveaxis(np.tensordot(w, k, ((1, *taps), (1, *range(2, 2 + n)))), -1, 1)
            for w, k in zip(np.split(windows, groups, 1), np.split(weight, groups))
        ]
        y = parts[0] if groups == 1 else np.concatenate(parts, 1)
    y = y if bias is None else y + bias.reshape(-1, *(1,) * n)
    return y if x is input else y[0]


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return _conv(input, weight, bias, stride, padding, dilation, groups)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return _conv(input, weight, bias, stride, padding, dilation, groups)


def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return _conv(input, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation):
    n = weight.ndim - 2
    x = input if input.ndim == n + 2 else input[None]
    stride, padding, output_padding, dilation = (
        _tuple(v, n) for v in (stride, padding, output_padding, dilation)
    )
    kernel, outputs = weight.shape[2:], weight.shape[1] * groups
    sizes = [
        (i - 1) * s + d * (k - 1) + 1 for i, s, d, k in zip(x.shape[2:], stride, dilation, kernel)
    ]
    y = np.zeros(
        (
            x.shape[0],
            outputs,
            *(size + builtins.max(o - p, 0) for size, o, p in zip(sizes, output_padding, padding)),
        ),
        x.dtype,
    )
    for tap in np.ndindex(*kernel):
        parts = [
            np.moveaxis(np.tensordot(a, w[(..., *tap)], (1, 0)), -1, 1)
            for a, w in zip(np.split(x, groups, 1), np.split(weight, groups))
        ]
        places = (
            slice(t * d, t * d + (i - 1) * s + 1, s)
            for t, d, i, s in zip(tap, dilation, x.shape[2:], stride)
        )
        y[(slice(None), slice(None), *places)] += (
            parts[0] if groups == 1 else np.concatenate(parts, 1)
        )
    y = y[(..., *(slice(p, size - p + o) for p, size, o in zip(padding, sizes, output_padding)))]
    y = y if bias is None else y + bias.reshape(-1, *(1,) * n)
    return y if x is input else y[0]


def conv_transpose1d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    return _conv_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    return _conv_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    return _conv_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation)
