"""Views, and what joins and parts arrays."""

# ruff: noqa: B905 - the text runs with any Python that NumPy runs with

import builtins
import math

import numpy as np

from eagergrad.export.numpy_forms.arguments import _sizes, _tuple


def view(input, *size):
    return input.reshape(_sizes(size))


def reshape(input, *shape):
    return input.reshape(_sizes(shape))


def view_as(input, other):
    return input.reshape(other.shape)


def reshape_as(input, other):
    return input.reshape(other.shape)


def flatten(input, start_dim=0, end_dim=-1):
    if input.ndim == 0:
        return input.reshape(1)
    first, last = start_dim % input.ndim, end_dim % input.ndim
    return input.reshape(
        *input.shape[:first], math.prod(input.shape[first : last + 1]), *input.shape[last + 1 :]
    )


def unflatten(input, dim, sizes):
    dim %= input.ndim
    return input.reshape(*input.shape[:dim], *sizes, *input.shape[dim + 1 :])


def ravel(input):
    return input.reshape(-1)


def permute(input, *dims):
    return input.transpose(_sizes(dims))


def transpose(input, dim0, dim1):
    return input.swapaxes(dim0, dim1) if input.ndim else input


def swapaxes(input, axis0, axis1):
    return transpose(input, axis0, axis1)


def swapdims(input, dim0, dim1):
    return transpose(input, dim0, dim1)


def t(input):
    return input.T


def _reversed_dims(input):
    return input.T


def movedim(input, source, destination):
    return np.moveaxis(input, source, destination)


def moveaxis(input, source, destination):
    return np.moveaxis(input, source, destination)


def squeeze(input, dim=None):
    if dim is None:
        return input.squeeze()
    return input.squeeze(tuple(d for d in _tuple(dim, 1) if input.ndim and input.shape[d] == 1))


def unsqueeze(input, dim):
    return np.expand_dims(input, dim)


def expand(input, *size):
    size = _sizes(size)
    own = (1,) * (len(size) - input.ndim) + input.shape
    return np.broadcast_to(input, tuple(n if m == -1 else m for n, m in zip(own, size)))


def expand_as(input, other):
    return np.broadcast_to(input, other.shape)


def broadcast_to(input, size):
    return expand(input, size)


def repeat(input, *repeats):
    return np.tile(input, _sizes(repeats))


def tile(input, *dims):
    return np.tile(input, _sizes(dims))


def repeat_interleave(input, repeats, dim=None, output_size=None):
    return np.repeat(input, repeats, dim)


def cat(tensors, dim=0):
    kept = [x for x in tensors if x.shape != (0,)] or tensors
    return np.concatenate(kept, dim)


def stack(tensors, dim=0):
    return np.stack(tensors, dim)


def hstack(tensors):
    return np.hstack(tensors)


def vstack(tensors):
    return np.vstack(tensors)


def split(input, split_size_or_sections, dim=0):
    n = input.shape[dim]
    if isinstance(split_size_or_sections, int):
        return tuple(np.split(input, range(split_size_or_sections, n, split_size_or_sections), dim))
    return tuple(np.split(input, np.cumsum(split_size_or_sections)[:-1], dim))


def split_with_sizes(input, split_sizes, dim=0):
    return split(input, split_sizes, dim)


def chunk(input, chunks, dim=0):
    return split(input, builtins.max(-(-input.shape[dim] // chunks), 1), dim)


def tensor_split(input, sections, dim=0):
    return tuple(np.array_split(input, sections, dim))


def unbind(input, dim=0):
    return tuple(np.moveaxis(input, dim, 0))


def select(input, dim, index):
    return np.moveaxis(input, dim, 0)[index]


def narrow(input, dim, start, length):
    start = int(start) % (input.shape[dim] + 1)
    return np.moveaxis(np.moveaxis(input, dim, 0)[start : start + length], 0, dim)


def unfold(input, dimension, size, step):
    windows = np.lib.stride_tricks.sliding_window_view(input, size, dimension)
    return np.moveaxis(np.moveaxis(windows, dimension, 0)[::step], 0, dimension % input.ndim)


def flip(input, *dims):
    return np.flip(input, _sizes(dims))


def roll(input, shifts, dims=None):
    if dims is None:
        return np.roll(input, shifts)
    return np.roll(input, shifts, dims)


def rot90(input, k=1, dims=(0, 1)):
    return np.rot90(input, k, dims)


def tril(input, diagonal=0):
    return np.tril(input, diagonal)


def triu(input, diagonal=0):
    return np.triu(input, diagonal)


def diagonal(input, offset=0, dim1=0, dim2=1):
    return input.diagonal(offset, dim1, dim2)


def meshgrid(*tensors, indexing="ij"):
    tensors = tensors[0] if len(tensors) == 1 and not hasattr(tensors[0], "shape") else tensors
    return tuple(np.meshgrid(*tensors, indexing=indexing or "ij"))


def clone(input, memory_format=None):
    return np.array(input)


def contiguous(input, memory_format=None):
    return np.ascontiguousarray(input).reshape(input.shape)


def to(input, *args, **kwargs):
    return input.copy()


def _cast(input, dtype):
    return input.astype(dtype)


def zeros_like(input, dtype=None, device=None):
    return np.zeros_like(input, dtype, subok=False)


def ones_like(input, dtype=None, device=None):
    return np.ones_like(input, dtype)


def full_like(input, fill_value, dtype=None, device=None):
    return np.full_like(input, fill_value, dtype)


def fliplr(input):
    return np.fliplr(input)


def flipud(input):
    return np.flipud(input)


def adjoint(input):
    return input.swapaxes(-1, -2)


def atleast_1d(*tensors):
    return _each(np.atleast_1d, tensors)


def atleast_2d(*tensors):
    return _each(np.atleast_2d, tensors)


def atleast_3d(*tensors):
    return _each(np.atleast_3d, tensors)


def _each(function, tensors):
    if len(tensors) == 1 and hasattr(tensors[0], "shape"):
        return function(tensors[0])
    return tuple(map(function, tensors[0] if len(tensors) == 1 else tensors))


def dstack(tensors):
    return np.dstack(tensors)


def column_stack(tensors):
    return np.column_stack(tensors)


def hsplit(input, sections):
    return tuple(np.hsplit(input, sections))


def vsplit(input, sections):
    return tuple(np.vsplit(input, sections))


def dsplit(input, sections):
    return tuple(np.dsplit(input, sections))


def broadcast_tensors(*tensors):
    return tuple(np.broadcast_arrays(*(tensors if hasattr(tensors[0], "shape") else tensors[0])))


def diag(input, diagonal=0):
    return np.diag(input, diagonal)


def diagflat(input, offset=0):
    return np.diagflat(input, offset)


def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    k, below, right = np.arange(input.shape[-1]), builtins.max(-offset, 0), builtins.max(offset, 0)
    n = input.shape[-1] + below + right
    y = np.zeros((*input.shape[:-1], n, n), input.dtype)
    y[..., k + below, k + right] = input
    return np.moveaxis(y, (-2, -1), (dim1, dim2))
