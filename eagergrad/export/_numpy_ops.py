"""What ops of the core do, in NumPy: `export_numpy` copies the functions that a model needs into the file that it writes.

A function has the name and the parameters of its op. It may call others of this module, and nothing else but NumPy and the
standard library's math. Elementwise ops of the table need none: their line is their function (see `_numpy_text.py`).
"""

# ruff: noqa: B905 - the text runs with any Python that NumPy runs with

import builtins
import math

import numpy as np

# ---- arguments ----------------------------------------------------------------------------------------------------------


def _tuple(x, n):
    x = (x,) if isinstance(x, int) else tuple(x)
    return x * n if len(x) == 1 else x


def _axes(dim, input):
    # Dimensions 0 and -1 of a number are all that it has.
    if dim is None or dim == () or dim == [] or input.ndim == 0:
        return None
    return dim if isinstance(dim, int) else tuple(dim)


def _sizes(size):
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else tuple(size)


def _float(x):
    return x if x.dtype.kind == "f" else x.astype(np.float32)


# ---- elementwise --------------------------------------------------------------------------------------------------------


def add(input, other, alpha=1):
    return input + (other if alpha == 1 else other * alpha)


def sub(input, other, alpha=1):
    return input - (other if alpha == 1 else other * alpha)


def rsub(input, other, alpha=1):
    return other - (input if alpha == 1 else input * alpha)


def div(input, other, rounding_mode=None):
    if rounding_mode == "floor":
        return np.floor_divide(input, other)
    return (
        np.trunc(np.true_divide(input, other))
        if rounding_mode == "trunc"
        else np.true_divide(input, other)
    )


def floor_divide(input, other):
    return np.floor_divide(input, other)


def remainder(input, other):
    return np.remainder(input, other)


def round(input, decimals=0):
    return np.round(input, decimals)


def pow(input, exponent):
    return np.power(input, exponent)


def logical_not(input):
    return np.logical_not(input)


def bitwise_not(input):
    return np.invert(input)


def prelu(input, weight):
    return np.where(input > 0, input, input * weight)


def clamp(input, min=None, max=None):
    input = input if min is None else np.maximum(input, min)
    return input if max is None else np.minimum(input, max)


def clamp_min(input, min):
    return np.maximum(input, min)


def clamp_max(input, max):
    return np.minimum(input, max)


def lerp(input, end, weight):
    return input + weight * (end - input)


def addcmul(input, tensor1, tensor2, value=1):
    return input + value * tensor1 * tensor2


def addcdiv(input, tensor1, tensor2, value=1):
    return input + value * tensor1 / tensor2


def where(condition, input, other):
    return np.where(condition, input, other)


def masked_fill(input, mask, value):
    return np.where(mask, value, input)


def nan_to_num(input, nan=None, posinf=None, neginf=None):
    return np.nan_to_num(input, nan=nan or 0.0, posinf=posinf, neginf=neginf)


def erf(input):
    # W. J. Cody, Mathematics of Computation 23 (1969), 631-637: rational functions for |x| up to 0.5, to 4 and above.
    x = np.asarray(input, np.float64)
    a = np.abs(x)
    p1 = (
        3209.377589138469472562,
        377.4852376853020208137,
        113.8641541510501556495,
        3.161123743870565596947,
        0.1857777061846031526730,
    )
    q1 = (
        2844.236833439170622273,
        1282.616526077372275645,
        244.0246379344441733056,
        23.60129095234412093499,
        1.0,
    )
    y = np.minimum(a, 0.5)
    small = y * _ratio(y * y, p1, q1)
    p2 = (1230.33935479799725272, 2051.07837782607146532, 1712.04761263407058314, 881.952221241769090411, 298.635138197400131132,
         66.1191906371416294775, 8.88314979438837594118, 0.564188496988670089180, 2.15311535474403846343e-8)  # fmt: skip
    q2 = (1230.33935480374942043, 3439.36767414372163696, 4362.61909014324715820, 3290.79923573345962678, 1621.38957456669018874,
         537.181101862009857509, 117.693950891312499305, 15.7449261107098347253, 1.0)  # fmt: skip
    y = np.clip(a, 0.5, 4)
    middle = 1 - np.exp(-y * y) * _ratio(y, p2, q2)
    p3 = (-6.58749161529837803157e-4, -1.60837851487422766278e-2, -1.25781726111229246204e-1, -3.60344899949804439429e-1,
         -3.05326634961232344035e-1, -1.63153871373020978498e-2)  # fmt: skip
    q3 = (
        2.33520497626869185443e-3,
        6.05183413124413191178e-2,
        5.27905102951428412248e-1,
        1.87295284992346725209,
        2.56852019228982242072,
        1.0,
    )
    y = np.clip(a, 4, 6)
    z = 1 / (y * y)
    large = 1 - np.exp(-y * y) / y * (1 / math.sqrt(math.pi) + z * _ratio(z, p3, q3))
    result = np.where(a < 0.5, small, np.where(a < 4, middle, np.where(a == a, large, a)))
    return (np.sign(x) * result).astype(_float(input).dtype)


def _ratio(x, p, q):
    return np.polyval(p[::-1], x) / np.polyval(q[::-1], x)


def erfc(input):
    return np.vectorize(math.erfc, otypes=[_float(input).dtype])(input)


def normal_cdf(input):
    return 0.5 * (1 + erf(input * math.sqrt(0.5)))


def xlogy(input, other):
    return np.where((input == 0) & (other == other), 0, input * np.log(other))


def xlog1py(input, other):
    return np.where((input == 0) & (other == other), 0, input * np.log1p(other))


def sign(input):
    return np.where(input > 0, 1, np.where(input < 0, -1, 0)).astype(input.dtype)


def i0(input):
    return np.i0(input)


def float_power(input, exponent):
    return np.float_power(input, exponent)


def ldexp(input, other):
    return input * np.exp2(_float(other))


def bitwise_left_shift(input, other):
    return np.left_shift(input, other)


def bitwise_right_shift(input, other):
    return np.right_shift(input, other)


def positive(input):
    return input


def isreal(input):
    return np.isreal(input)


def isin(elements, test_elements, assume_unique=False, invert=False):
    return np.isin(elements, test_elements, invert=invert)


def isposinf(input):
    return np.isposinf(input)


def isneginf(input):
    return np.isneginf(input)


def lgamma(input):
    return np.vectorize(math.lgamma, otypes=[_float(input).dtype])(input)


# ---- shapes -------------------------------------------------------------------------------------------------------------


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


# ---- choosing elements --------------------------------------------------------------------------------------------------


def embedding(indices, weight, padding_idx=-1, scale_grad_by_freq=False, sparse=False):
    return weight[indices]


def embedding_bag(
    indices,
    bag,
    bags,
    weight,
    mode,
    per_sample_weights=None,
    scale_grad_by_freq=False,
    sparse=False,
):
    rows = weight[indices]
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    y = np.full((bags, weight.shape[1]), -np.inf if mode == "max" else 0, weight.dtype)
    (np.maximum if mode == "max" else np.add).at(y, bag, rows)
    count = np.bincount(bag, minlength=bags).reshape(-1, 1)
    return np.where(count, y if mode != "mean" else y / np.maximum(count, 1).astype(y.dtype), 0)


def index_select(input, dim, index):
    return np.take(input, index, dim)


def gather(input, dim, index, sparse_grad=False):
    shape = tuple(
        slice(0, n) if d != dim % input.ndim else slice(None) for d, n in enumerate(index.shape)
    )
    return np.take_along_axis(input[shape], index, dim)


def take_along_dim(input, indices, dim=None):
    return np.take_along_axis(input, indices, dim)


def take(input, index):
    return np.take(input, index)


def scatter(input, dim, index, src, reduce=None):
    y = np.array(input)
    places = list(np.indices(index.shape, sparse=True))
    places[dim] = index
    values = src if np.ndim(src) == 0 else src[tuple(slice(0, n) for n in index.shape)]
    if reduce is None:
        y[tuple(places)] = values
    else:
        (np.add if reduce == "add" else np.multiply).at(y, tuple(places), values)
    return y


def scatter_add(input, dim, index, src):
    return scatter(input, dim, index, src, "add")


def index_add(input, dim, index, source, alpha=1):
    y = np.array(input)
    np.add.at(
        np.moveaxis(y, dim, 0), index, np.moveaxis(source * alpha if alpha != 1 else source, dim, 0)
    )
    return y


def index_copy(input, dim, index, source):
    y = np.array(input)
    np.moveaxis(y, dim, 0)[index] = np.moveaxis(source, dim, 0)
    return y


def index_fill(input, dim, index, value):
    y = np.array(input)
    np.moveaxis(y, dim, 0)[index] = value
    return y


def index_put(input, indices, values, accumulate=False):
    y = np.array(input)
    indices = tuple(slice(None) if i is None else i for i in indices)
    if accumulate:
        np.add.at(y, indices, values)
    else:
        y[indices] = values
    return y


def select_scatter(input, src, dim, index):
    y = np.array(input)
    np.moveaxis(y, dim, 0)[index] = src
    return y


def slice_scatter(input, src, dim=0, start=None, end=None, step=1):
    y = np.array(input)
    np.moveaxis(y, dim, 0)[start:end:step] = np.moveaxis(src, dim, 0)
    return y


def one_hot(input, num_classes=-1):
    return (
        input[..., None] == np.arange(num_classes if num_classes > 0 else input.max() + 1)
    ).astype(np.int64)


def sort(input, dim=-1, descending=False, stable=False):
    places = argsort(input, dim, descending)
    return np.take_along_axis(input, places, dim), places


def argsort(input, dim=-1, descending=False, stable=False):
    if not descending:
        return np.argsort(input, dim, kind="stable")
    # Equal elements keep their order.
    last = input.shape[dim] - 1
    return np.flip(last - np.argsort(np.flip(input, dim), dim, kind="stable"), dim)


def topk(input, k, dim=-1, largest=True, sorted=True):
    places = np.take(argsort(input, dim, largest), np.arange(k), dim)
    return np.take_along_axis(input, places, dim), places


def searchsorted(sorted_sequence, input, out_int32=False, right=False, side=None, sorter=None):
    side = side or ("right" if right else "left")
    if sorted_sequence.ndim == 1:
        return np.searchsorted(sorted_sequence, input, side)
    rows = zip(
        sorted_sequence.reshape(-1, sorted_sequence.shape[-1]), input.reshape(-1, input.shape[-1])
    )
    return np.stack([np.searchsorted(s, x, side) for s, x in rows]).reshape(input.shape)


def bucketize(input, boundaries, out_int32=False, right=False):
    return np.searchsorted(boundaries, input, "right" if right else "left")


# ---- reductions ---------------------------------------------------------------------------------------------------------


def sum(input, dim=None, keepdim=False, dtype=None):
    return np.sum(input, _axes(dim, input), dtype, keepdims=keepdim)


def mean(input, dim=None, keepdim=False, dtype=None):
    return np.mean(input, _axes(dim, input), dtype, keepdims=keepdim)


def prod(input, dim=None, keepdim=False, dtype=None):
    return np.prod(input, dim, dtype, keepdims=keepdim)


def all(input, dim=None, keepdim=False):
    return np.all(input, _axes(dim, input), keepdims=keepdim)


def any(input, dim=None, keepdim=False):
    return np.any(input, _axes(dim, input), keepdims=keepdim)


def amax(input, dim=(), keepdim=False):
    return np.max(input, _axes(dim, input), keepdims=keepdim)


def amin(input, dim=(), keepdim=False):
    return np.min(input, _axes(dim, input), keepdims=keepdim)


def argmax(input, dim=None, keepdim=False):
    return np.argmax(input, dim, keepdims=keepdim)


def argmin(input, dim=None, keepdim=False):
    return np.argmin(input, dim, keepdims=keepdim)


def max(input, dim=None, keepdim=False, other=None):
    other = dim if isinstance(dim, np.ndarray) else other
    if other is not None:
        return np.maximum(input, other)
    return (
        np.max(input)
        if dim is None
        else (np.max(input, dim, keepdims=keepdim), np.argmax(input, dim, keepdims=keepdim))
    )


def min(input, dim=None, keepdim=False, other=None):
    other = dim if isinstance(dim, np.ndarray) else other
    if other is not None:
        return np.minimum(input, other)
    return (
        np.min(input)
        if dim is None
        else (np.min(input, dim, keepdims=keepdim), np.argmin(input, dim, keepdims=keepdim))
    )


def var(input, dim=None, unbiased=None, keepdim=False, correction=None):
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    unbiased = True if unbiased is None else unbiased
    return np.var(
        input,
        _axes(dim, input),
        ddof=int(unbiased) if correction is None else correction,
        keepdims=keepdim,
    )


def std(input, dim=None, unbiased=None, keepdim=False, correction=None):
    return np.sqrt(var(input, dim, unbiased, keepdim, correction))


def var_mean(input, dim=None, unbiased=None, keepdim=False, correction=None):
    axes = None if isinstance(dim, bool) else dim
    return var(input, dim, unbiased, keepdim, correction), mean(input, axes, keepdim)


def std_mean(input, dim=None, unbiased=None, keepdim=False, correction=None):
    axes = None if isinstance(dim, bool) else dim
    return std(input, dim, unbiased, keepdim, correction), mean(input, axes, keepdim)


def _vector_norm(input, p, dim=None, keepdim=False):
    a, axes = np.abs(input), _axes(dim, input)
    if math.isinf(p):
        return (np.max if p > 0 else np.min)(a, axes, keepdims=keepdim)
    if p == 0:
        return np.sum(a != 0, axes, keepdims=keepdim)
    return np.sum(a**p, axes, keepdims=keepdim) ** (1 / p)


def nansum(input, dim=None, keepdim=False, dtype=None):
    return np.nansum(input, _axes(dim, input), dtype, keepdims=keepdim)


def nanmean(input, dim=None, keepdim=False, dtype=None):
    return np.nanmean(input, _axes(dim, input), dtype, keepdims=keepdim)


def count_nonzero(input, dim=None):
    return np.asarray(np.count_nonzero(input, _axes(dim, input)))


def aminmax(input, dim=None, keepdim=False):
    return np.min(input, dim, keepdims=keepdim), np.max(input, dim, keepdims=keepdim)


def diff(input, n=1, dim=-1, prepend=None, append=None):
    parts = [x for x in (prepend, input, append) if x is not None]
    return np.diff(np.concatenate(parts, dim), n, dim)


def cumsum(input, dim, dtype=None):
    return np.cumsum(input, dim, dtype)


def cumprod(input, dim, dtype=None):
    return np.cumprod(input, dim, dtype)


def logsumexp(input, dim, keepdim=False):
    axes = _axes(dim, input)
    top = np.max(input, axes, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    y = np.log(np.sum(np.exp(input - top), axes, keepdims=True)) + top
    return y if keepdim else y.squeeze(axes)


def softmax(input, dim, dtype=None):
    e = np.exp(input - np.max(input, dim, keepdims=True))
    return e / np.sum(e, dim, keepdims=True)


def log_softmax(input, dim, dtype=None):
    shifted = input - np.max(input, dim, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), dim, keepdims=True))


# ---- products -----------------------------------------------------------------------------------------------------------


def linear(input, weight, bias=None):
    y = input @ weight.T
    return y if bias is None else y + bias


def matmul(input, other):
    return np.matmul(input, other)


def mm(input, mat2):
    return input @ mat2


def bmm(input, mat2):
    return input @ mat2


def mv(input, vec):
    return input @ vec


def dot(input, tensor):
    return input @ tensor


def outer(input, vec2):
    return np.outer(input, vec2)


def addmm(input, mat1, mat2, beta=1, alpha=1):
    y = mat1 @ mat2
    return (input if beta == 1 else beta * input) + (y if alpha == 1 else alpha * y)


def addmv(input, mat, vec, beta=1, alpha=1):
    return addmm(input, mat, vec, beta, alpha)


def addbmm(input, batch1, batch2, beta=1, alpha=1):
    y = np.sum(batch1 @ batch2, 0)
    return (input if beta == 1 else beta * input) + (y if alpha == 1 else alpha * y)


def addr(input, vec1, vec2, beta=1, alpha=1):
    return addmm(input, vec1[:, None], vec2[None], beta, alpha)


def kron(input, other):
    return np.kron(input, other)


def trace(input):
    return np.trace(input)


def _tensordot(input, other, dims_a, dims_b):
    return np.tensordot(input, other, (tuple(dims_a), tuple(dims_b)))


def _dist(input, other, p):
    return _vector_norm(input - other, p)


def _distances(input, other, p, pairs):
    if not pairs:
        return _vector_norm(input[..., :, None, :] - other[..., None, :, :], p, -1)
    a, b = np.triu_indices(len(input), 1)
    return _vector_norm(input[a] - input[b], p, -1)


def _renorm(input, p, dim, maxnorm):
    axes = tuple(d for d in range(input.ndim) if d != dim % input.ndim)
    norm = _vector_norm(input, p, axes, True)
    return np.where(norm > maxnorm, input * (maxnorm / (norm + 1e-7)), input)


def inner(input, other):
    return np.inner(input, other)


def vdot(input, other):
    return np.vdot(input, other)


def _cross(input, other, dim=None):
    return np.cross(input, other, axis=input.shape.index(3) if dim is None else dim)


def linalg_inv_ex(A):
    return np.linalg.inv(A), None


def linalg_solve_ex(A, B):
    return np.linalg.solve(A, B), None


def linalg_cholesky_ex(A, upper=False):
    factor = np.linalg.cholesky(A)
    return factor.swapaxes(-1, -2) if upper else factor, None


def baddbmm(input, batch1, batch2, beta=1, alpha=1):
    return addmm(input, batch1, batch2, beta, alpha)


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, is_causal=False, scale=None, enable_gqa=False
):
    if enable_gqa and query.shape[-3] != key.shape[-3]:
        times = query.shape[-3] // key.shape[-3]
        key, value = np.repeat(key, times, -3), np.repeat(value, times, -3)
    scores = (
        query @ key.swapaxes(-1, -2) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    )
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=np.bool_), scores, -np.inf)
    if attn_mask is not None:
        scores = (
            np.where(attn_mask, scores, -np.inf) if attn_mask.dtype == bool else scores + attn_mask
        )
    return np.nan_to_num(softmax(scores, -1)) @ value


# ---- normalisation ------------------------------------------------------------------------------------------------------


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


# ---- convolution --------------------------------------------------------------------------------------------------------


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


# ---- pooling, padding, resizing -----------------------------------------------------------------------------------------


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


# ---- recurrent nets -----------------------------------------------------------------------------------------------------


def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    h, c = hx
    i, f, g, o = np.split(linear(input, w_ih, b_ih) + linear(h, w_hh, b_hh), 4, -1)
    c = _logistic(f) * c + _logistic(i) * np.tanh(g)
    return _logistic(o) * np.tanh(c), c


def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    r, z, n = np.split(linear(input, w_ih, b_ih), 3, -1)
    hr, hz, hn = np.split(linear(hx, w_hh, b_hh), 3, -1)
    z = _logistic(z + hz)
    return (1 - z) * np.tanh(n + _logistic(r + hr) * hn) + z * hx


def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    return np.tanh(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh))


def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    return np.maximum(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh), 0)


def _logistic(x):
    return 1 / (1 + np.exp(-x))


def _rnn_layer(input, state, weights, batch_sizes, mode, has_bias, bidirectional):
    directions, biases = 2 if bidirectional else 1, 2 if has_bias else 0
    each = len(weights) // directions
    outputs, last = [], []
    for d in range(directions):
        w = weights[d * each : (d + 1) * each]
        b = w[2 : 2 + biases] if has_bias else (None, None)
        projection = w[2 + biases] if each > 2 + biases else None
        h = tuple(s[d] for s in state)
        y = np.empty((*input.shape[:2], h[0].shape[-1]), input.dtype)
        for t in reversed(range(len(input))) if d else range(len(input)):
            if mode == "LSTM":
                h = lstm_cell(input[t], h, w[0], w[1], *b)
                h = h if projection is None else (h[0] @ projection.T, h[1])
            elif mode == "GRU":
                h = (gru_cell(input[t], h[0], w[0], w[1], *b),)
            else:
                h = (
                    (rnn_relu_cell if mode == "RNN_RELU" else rnn_tanh_cell)(
                        input[t], h[0], w[0], w[1], *b
                    ),
                )
            y[t] = h[0]
        outputs.append(y)
        last.append(h)
    return (np.concatenate(outputs, -1), *(np.stack(s) for s in zip(*last)))


# ---- what is made or written in place -----------------------------------------------------------------------------------


def new_zeros(*size, dtype=None, **options):
    return np.zeros(_sizes(size), dtype)


def new_ones(*size, dtype=None, **options):
    return np.ones(_sizes(size), dtype)


def new_full(size, fill_value, dtype=None, **options):
    return np.full(size, fill_value, dtype)


def zero(input):
    return 0


def fill(input, value):
    return value


def copy(input, src, non_blocking=False):
    return src
