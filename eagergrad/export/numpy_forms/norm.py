"""Normalisation."""

import numpy as np


def _normalized(x, axes, eps):
    x = x - np.mean(x, axes, keepdims=True)
    return x / np.sqrt(np.mean(x * x, axes, keepdims=True) + eps)


def _scaled(x, weight, bias):
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def batch_norm(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    shape = (1, -1) + (1,) * (input.ndim - 2)
    if training or running_mean is None:
        y = _normalized(input, (0, *range(2, input.ndim)), eps)
    else:
        y = (input - running_mean.reshape(shape)) / np.sqrt(running_var + eps).reshape(shape)
    return _scaled(y, *(None if p is None else p.reshape(shape) for p in (weight, bias)))


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _scaled(_normalized(input, tuple(range(-len(normalized_shape), 0)), eps), weight, bias)


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    groups = input.reshape(input.shape[0], num_groups, -1)
    shape = (1, -1) + (1,) * (input.ndim - 2)
    y = _normalized(groups, 2, eps).reshape(input.shape)
    return _scaled(y, *(None if p is None else p.reshape(shape) for p in (weight, bias)))


def rms_norm(input, normalized_shape, weight=None, eps=None):
    axes = tuple(range(-len(normalized_shape), 0))
    eps = np.finfo(input.dtype).eps if eps is None else eps
    return _scaled(input / np.sqrt(np.mean(input * input, axes, keepdims=True) + eps), weight, None)
