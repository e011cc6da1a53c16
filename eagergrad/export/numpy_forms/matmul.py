"""Products, and attention."""

import math

import numpy as np

from eagergrad.export.numpy_forms.reduce import _vector_norm, softmax


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
