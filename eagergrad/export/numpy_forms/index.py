"""Choosing, placing and ordering elements."""

# ruff: noqa: B905 - the text runs with any Python that NumPy runs with

import numpy as np


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
