"""Rows of nn.functional: convolution, pooling, norms, embedding, attention, losses, padding."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from table import FLOATS, WIDE_FLOATS, A, C, D, E, Row, V

SEE_TORCH = {"reference": "compared with torch where it is installed"}


def fn(name: str, ref: Any, *calls: Any, **kw: Any) -> Row:
    kw.setdefault("dtypes", WIDE_FLOATS)
    kw.setdefault("method", None)
    kw.setdefault("tol", 10)
    if ref is None:
        kw["skips"] = {**SEE_TORCH, **kw.get("skips", {})}
    return Row(f"nn.functional.{name}", ref, list(calls), **kw)


# -- convolution -----------------------------------------------------------------------------------


def _tuple(v: Any, n: int) -> tuple[int, ...]:
    return (v,) * n if isinstance(v, int) else tuple(v)


def _conv(x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
          groups: int = 1) -> Any:  # fmt: skip
    n = w.ndim - 2
    single = x.ndim == n + 1
    x = x[None] if single else x
    stride, dilation, kernel = _tuple(stride, n), _tuple(dilation, n), w.shape[2:]
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        pads = [(t // 2, t - t // 2) for t in total]
    else:
        pads = [(p, p) for p in _tuple(0 if padding == "valid" else padding, n)]
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    sizes = [
        (x.shape[2 + i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(n)
    ]
    per_in, per_out = w.shape[1], w.shape[0] // groups
    y = np.zeros((x.shape[0], w.shape[0], *sizes))
    for g in range(groups):
        xs, ws = x[:, g * per_in : (g + 1) * per_in], w[g * per_out : (g + 1) * per_out]
        for at in itertools.product(*map(range, kernel)):
            window = xs[(slice(None), slice(None), *(
                slice(a * d, a * d + s * (m - 1) + 1, s)
                for a, d, s, m in zip(at, dilation, stride, sizes, strict=True)
            ))]  # fmt: skip
            part = np.tensordot(window, ws[(slice(None), slice(None), *at)], ([1], [1]))
            y[:, g * per_out : (g + 1) * per_out] += np.moveaxis(part, -1, 1)
    y = y if b is None else y + b.reshape(-1, *(1,) * n)
    return y[0] if single else y


CHANNELS = E(RuntimeError, A(1, 2, 5), A(3, 4, 2))
CONV = [
    fn("conv1d", _conv, C(A(2, 3, 7), A(4, 3, 3), A(4)), C(A(1, 4, 8), A(4, 2, 3), None, 2, 1, 1, 2),
       C(A(3, 7), A(2, 3, 2)), C(A(1, 2, 9), A(2, 2, 3), dilation=2, padding="same"),
       C(A(1, 2, 6), A(2, 2, 3), padding="valid"), names=("input", "weight", "bias"),
       errors=[CHANNELS, E(RuntimeError, A(1, 2, 3), A(1, 2, 5)), E(RuntimeError, A(2), A(1, 2, 1)),
       E(RuntimeError, A(1, 2, 5), A(3, 2, 2), A(4)), E((RuntimeError, ValueError), A(1, 2, 5),
       A(3, 2, 2), stride=0), E((RuntimeError, ValueError), A(1, 2, 5), A(3, 2, 2), padding=-1)]),
    fn("conv2d", _conv, C(A(2, 3, 5, 6), A(4, 3, 3, 2), A(4)),
       C(A(1, 2, 5, 5), A(3, 2, 3, 3), A(3), stride=2, padding=1),
       C(A(1, 4, 5, 5), A(4, 1, 3, 3), groups=4, padding=1),
       C(A(1, 2, 6, 5), A(2, 2, 2, 3), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
       C(A(2, 5, 5), A(3, 2, 1, 1)), C(A(1, 2, 4, 4), A(2, 2, 3, 3), padding="same"),
       names=("input", "weight", "bias"),
       errors=[E(RuntimeError, A(1, 3, 4, 4), A(2, 2, 3, 3)),
       E(RuntimeError, A(1, 2, 2, 2), A(2, 2, 3, 3))]),
    fn("conv3d", _conv, C(A(1, 2, 4, 4, 3), A(3, 2, 2, 2, 2), A(3)),
       C(A(1, 2, 3, 3, 3), A(2, 1, 3, 2, 2), padding=1, groups=2, stride=2)),
    fn("conv_transpose1d", None, C(A(2, 3, 4), A(3, 2, 3), A(2)), C(A(1, 4, 4), A(4, 2, 3), None, 2,
       1, 1, 2), C(A(1, 2, 4), A(2, 2, 3), stride=2, dilation=2)),
    fn("conv_transpose2d", None, C(A(1, 3, 3, 4), A(3, 2, 3, 2), A(2)),
       C(A(1, 2, 3, 3), A(2, 2, 3, 3), stride=2, padding=1, output_padding=1),
       errors=[E(RuntimeError, A(1, 3, 4, 4), A(2, 2, 3, 3))]),
    fn("conv_transpose3d", None, C(A(1, 2, 2, 2, 2), A(2, 2, 2, 2, 2), A(2), stride=2)),
    fn("unfold", None, C(A(2, 3, 4, 5), 2), C(A(1, 2, 5, 5), (2, 3), dilation=1, padding=1, stride=2)),
    fn("fold", None, C(A(1, 8, 9), (4, 4), 2), C(A(1, 4, 4), (4, 4), 2, stride=2)),
]  # fmt: skip

# -- pooling ---------------------------------------------------------------------------------------

POOL = [
    fn("max_pool1d", None, C(A(2, 3, 7), 2), C(A(1, 2, 7), 3, 2, 1), C(A(2, 7), 2, ceil_mode=True),
       errors=[E(RuntimeError, A(1, 2, 3), 5), E(RuntimeError, A(1, 2, 6), 2, padding=2)]),
    fn("max_pool2d", lambda x, k: x.reshape(*x.shape[:2], x.shape[2] // k, k, x.shape[3] // k, k)
       .max((3, 5)), C(A(2, 3, 4, 6), 2), names=("input", "kernel_size")),
    fn("max_pool2d", None, C(A(1, 2, 5, 5), 3, stride=2, padding=1), C(A(2, 5, 5), (2, 3)),
       C(A(1, 1, 6, 6), 2, 2, dilation=2), C(A(1, 2, 5, 5), 2, return_indices=True),
       C(A(1, 2, 5, 5), 2, ceil_mode=True)),
    fn("max_pool3d", None, C(A(1, 2, 4, 4, 4), 2), C(A(1, 1, 3, 4, 4), 2, stride=1)),
    fn("avg_pool1d", None, C(A(2, 3, 7), 2), C(A(1, 2, 7), 3, 2, 1, count_include_pad=False)),
    fn("avg_pool2d", lambda x, k: x.reshape(*x.shape[:2], x.shape[2] // k, k, x.shape[3] // k, k)
       .mean((3, 5)), C(A(2, 3, 4, 6), 2)),
    fn("avg_pool2d", None, C(A(1, 2, 5, 5), 3, stride=2, padding=1), C(A(1, 2, 5, 5), 2,
       ceil_mode=True), C(A(1, 2, 5, 5), 2, divisor_override=3)),
    fn("avg_pool3d", None, C(A(1, 2, 4, 4, 4), 2)),
    fn("adaptive_avg_pool1d", None, C(A(2, 3, 7), 3)),
    fn("adaptive_avg_pool2d", None, C(A(2, 3, 5, 7), (2, 3)), C(A(1, 2, 4, 4), 1),
       C(A(1, 2, 4, 5), (None, 2))),
    fn("adaptive_avg_pool3d", None, C(A(1, 2, 3, 4, 5), 2)),
    fn("adaptive_max_pool1d", None, C(A(2, 3, 7), 3)),
    fn("adaptive_max_pool2d", None, C(A(2, 3, 5, 7), (2, 3))),
    fn("adaptive_max_pool3d", None, C(A(1, 2, 3, 4, 5), 2)),
    fn("lp_pool1d", None, C(A(1, 2, 6), 2.0, 2), domain=(0.2, 2)),
    fn("lp_pool2d", None, C(A(1, 2, 4, 4), 2.0, 2), domain=(0.2, 2)),
    fn("max_unpool1d", None, C(A(1, 1, 2), V([[[1, 3]]], "int64"), 2)),
    fn("max_unpool2d", None, C(A(1, 1, 1, 2), V([[[[5, 2]]]], "int64"), 2)),
    fn("pixel_shuffle", None, C(A(1, 8, 2, 3), 2), errors=[E(RuntimeError, A(1, 3, 2, 2), 2)]),
    fn("pixel_unshuffle", None, C(A(1, 2, 4, 6), 2)),
    fn("channel_shuffle", None, C(A(1, 4, 2, 2), 2)),
    fn("interpolate", None, C(A(1, 2, 3), scale_factor=2.0), C(A(1, 2, 3, 3), size=(5, 4)),
       *(C(A(1, 1, 3, 4), size=(5, 6), mode=m, align_corners=a)
         for m in ("bilinear", "bicubic") for a in (True, False)),
       C(A(1, 2, 4), size=6, mode="linear"), C(A(1, 1, 2, 3, 3), scale_factor=2.0, mode="trilinear"),
       C(A(1, 2, 4, 4), size=2, mode="area"), C(A(1, 2, 4, 4), size=3, mode="nearest-exact"),
       errors=[E((ValueError, RuntimeError), A(1, 2, 3))], tol=100),
    fn("grid_sample", None, C(A(1, 2, 4, 4), A(1, 3, 3, 2, low=-0.9, high=0.9), align_corners=False),
       C(A(1, 2, 4, 4), A(1, 3, 3, 2, low=-1.4, high=1.4), padding_mode="border",
       align_corners=True), C(A(1, 1, 4, 4), A(1, 2, 2, 2), mode="nearest", align_corners=False,
       padding_mode="reflection"), tol=100, order=1),
    fn("affine_grid", None, C(A(1, 2, 3), (1, 1, 3, 4), align_corners=False),
       C(A(1, 2, 3), (1, 1, 3, 4), align_corners=True), skips={"layout": ""}),
]  # fmt: skip

# -- norms -----------------------------------------------------------------------------------------


def _standard(x: Any, axes: Any, eps: float) -> Any:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def _layer_norm(x: Any, shape: Any, weight: Any = 1, bias: Any = 0, eps: float = 1e-5) -> Any:
    return _standard(x, tuple(range(x.ndim - len(shape), x.ndim)), eps) * weight + bias


def _group_norm(
    x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    y = _standard(x.reshape(x.shape[0], groups, -1), (2,), eps).reshape(x.shape)
    shape = (-1,) + (1,) * (x.ndim - 2)
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def _batch_norm(x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None,
                training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Any:  # fmt: skip
    shape = (1, -1) + (1,) * (x.ndim - 2)
    axes = (0, *range(2, x.ndim))
    m, v = (x.mean(axes), x.var(axes)) if training else (mean, var)
    y = (x - m.reshape(shape)) / np.sqrt(v.reshape(shape) + eps)
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def _rms(x: Any, shape: Any, weight: Any = 1, eps: Any = None) -> Any:
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    return x / np.sqrt((x * x).mean(axes, keepdims=True) + (eps or 0)) * weight


RUNNING = (A(3, grad=False), A(3, low=0.5, high=2, grad=False))
NORM = [
    fn("layer_norm", _layer_norm, C(A(2, 3, 4), (4,)), C(A(2, 3, 4), (3, 4), A(3, 4), A(3, 4)),
       C(A(2, 4), (4,), A(4), A(4), 1e-3), names=("input", "normalized_shape"),
       errors=[E(RuntimeError, A(2, 4), (3,)), E(RuntimeError, A(2, 4), (4,), A(3))]),
    fn("group_norm", _group_norm, C(A(2, 4, 3), 2), C(A(2, 4, 3, 2), 4, A(4), A(4)), C(A(2, 4), 1),
       errors=[E((RuntimeError, ValueError), A(2, 4, 3), 3)]),
    fn("instance_norm", lambda x, **k: _standard(x, tuple(range(2, x.ndim)), 1e-5),
       C(A(2, 3, 4)), C(A(2, 3, 3, 2))),
    fn("batch_norm", _batch_norm, C(A(4, 3), *RUNNING), C(A(2, 3, 4), *RUNNING, A(3), A(3)),
       C(A(4, 3), None, None, A(3), A(3), True), C(A(2, 3, 2, 2), None, None, training=True),
       errors=[E((ValueError, RuntimeError), A(1, 3), None, None, training=True),
       E(RuntimeError, A(2, 4), *RUNNING)], skips={"layout": "float statistics are updated"}),
    fn("rms_norm", _rms, C(A(2, 4), (4,), eps=1e-6), C(A(2, 3, 4), (3, 4), A(3, 4), 1e-5)),
    fn("local_response_norm", None, C(A(2, 5, 3), 3), C(A(1, 4, 2, 2), 2, alpha=0.1, k=2.0)),
    fn("normalize", lambda x, p=2.0, dim=1, eps=1e-12: x / np.maximum((np.abs(x) ** p).sum(dim,
       keepdims=True) ** (1 / p), eps), C(A(2, 3)), C(A(2, 3), dim=0), C(A(4), dim=0),
       C(A(2, 3), 1.0, 1)),
]  # fmt: skip

# -- embedding, attention, similarity --------------------------------------------------------------


def _attention(q: Any, k: Any, v: Any, attn_mask: Any = None, dropout_p: float = 0.0,
               is_causal: bool = False, scale: Any = None) -> Any:  # fmt: skip
    s = q @ np.swapaxes(k, -1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        s = np.where(np.tril(np.ones(s.shape[-2:], bool)), s, -np.inf)
    if attn_mask is not None:
        s = np.where(attn_mask, s, -np.inf) if attn_mask.dtype == bool else s + attn_mask
    p = np.exp(s - s.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True) @ v


def _cosine(a: Any, b: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    norm = np.maximum(np.sqrt((a * a).sum(dim)), eps) * np.maximum(np.sqrt((b * b).sum(dim)), eps)
    return (a * b).sum(dim) / norm


QKV = (A(2, 2, 4, 3), A(2, 2, 5, 3), A(2, 2, 5, 3))
MASK = V([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 1, 0], [1, 1, 0, 0, 0]], "bool")
LOOKUP = [
    fn("embedding", lambda i, w, padding_idx=None: w[i], C(V([[0, 2], [3, 0]], "int64"), A(4, 3)),
       C(V([1, 1, 1], "int64"), A(4, 3)), C(V(2, "int64"), A(4, 3)), C(V([1, 0], "int32"), A(2, 3)),
       names=("input", "weight"), dtypes=FLOATS,
       errors=[E(IndexError, V([4], "int64"), A(4, 3)), E(IndexError, V([-1], "int64"), A(4, 3)),
       E(RuntimeError, D("float32", 2), A(4, 3)), E((RuntimeError), V([0], "int64"), A(3))]),
    fn("embedding", None, C(V([0, 2, 2], "int64"), A(4, 3), padding_idx=2),
       C(V([0, 2, 2], "int64"), A(4, 3), scale_grad_by_freq=True), order=1,
       skips={"gradient": "the gradient of the padding row is zero by definition"}),
    fn("embedding_bag", None, C(V([[0, 2], [3, 0]], "int64"), A(4, 3)),
       C(V([0, 2, 3, 0], "int64"), A(4, 3), V([0, 3], "int64"), mode="sum"),
       C(V([[0, 2], [3, 1]], "int64"), A(4, 3), mode="max"),
       C(V([[0, 2], [3, 1]], "int64"), A(4, 3), mode="sum", per_sample_weights=A(2, 2)), order=1),
    fn("scaled_dot_product_attention", _attention, C(*QKV), C(*QKV, attn_mask=MASK),
       C(*QKV, attn_mask=A(4, 5)), C(A(2, 4, 3), A(2, 4, 3), A(2, 4, 2), is_causal=True),
       C(*QKV, scale=0.3), dtypes=WIDE_FLOATS, names=("query", "key", "value"),
       torch_bugs=("gradient",), errors=[E(RuntimeError, A(2, 4, 3), A(2, 5, 2), A(2, 5, 3))]),
    fn("cosine_similarity", _cosine, C(A(2, 3), A(2, 3)), C(A(3), A(3), 0), C(A(2, 3), A(1, 3),
       dim=-1)),
    fn("pairwise_distance", lambda a, b, p=2.0, eps=1e-6, keepdim=False: (np.abs(a - b + eps) ** p)
       .sum(-1, keepdims=keepdim) ** (1 / p), C(A(2, 3), A(2, 3)), C(A(2, 3), A(2, 3), p=1.0),
       C(A(2, 3), A(2, 3), keepdim=True), tol=50),
    fn("pdist", None, C(A(3, 2)), order=1),
]  # fmt: skip

# -- losses ----------------------------------------------------------------------------------------


def _reduced(f: Any) -> Any:
    def ref(x: Any, y: Any, *args: Any, reduction: str = "mean", **kw: Any) -> Any:
        loss = f(x, y, *args, **kw)
        return {"mean": np.mean, "sum": np.sum, "none": lambda v: v}[reduction](loss)

    return ref


def _log_softmax(x: Any, axis: int) -> Any:
    z = x - x.max(axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis, keepdims=True))


def _nll(logp: Any, target: Any, weight: Any = None, ignore_index: int = -100,
         reduction: str = "mean") -> Any:  # fmt: skip
    axis = 0 if logp.ndim == 1 else 1
    keep = target != ignore_index
    safe = np.where(keep, target, 0)
    picked = -np.take_along_axis(logp, np.expand_dims(safe, axis), axis).squeeze(axis)
    w = (np.ones(logp.shape[axis]) if weight is None else weight)[safe] * keep
    loss = picked * w
    return {"none": loss, "sum": loss.sum(), "mean": loss.sum() / w.sum()}[reduction]


def _cross_entropy(x: Any, target: Any, weight: Any = None, ignore_index: int = -100,
                   reduction: str = "mean", label_smoothing: float = 0.0) -> Any:  # fmt: skip
    axis = 0 if x.ndim == 1 else 1
    logp = _log_softmax(x, axis)
    if target.dtype.kind == "f":
        loss = -(logp * target).sum(axis)
        return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]
    hard = _nll(logp, target, weight, ignore_index, reduction)
    if not label_smoothing:
        return hard
    smooth = -logp.mean(axis)
    smooth = {"none": smooth, "sum": smooth.sum(), "mean": smooth.mean()}[reduction]
    return (1 - label_smoothing) * hard + label_smoothing * smooth


def _huber(x: Any, y: Any, delta: float = 1.0) -> Any:
    d = np.abs(x - y)
    return np.where(d < delta, 0.5 * d * d, delta * (d - 0.5 * delta))


def _smooth_l1(x: Any, y: Any, beta: float = 1.0) -> Any:
    return _huber(x, y, beta) / beta


def _bce_logits(x: Any, y: Any, weight: Any = 1, pos_weight: Any = 1) -> Any:
    log_p, log_q = -np.logaddexp(0, -x), -np.logaddexp(0, x)
    return -weight * (pos_weight * y * log_p + (1 - y) * log_q)


TARGET = V([2, 0, 1], "int64")
IMAGE_TARGET = V([[[1, 0], [2, -100]]], "int64")
REDUCTIONS = [{"reduction": r} for r in ("mean", "sum", "none")]
P = A(2, 3, low=0.1, high=0.9)


def pair(name: str, f: Any, *calls: Any, **kw: Any) -> Row:
    kw.setdefault("names", ("input", "target"))
    base = [C(A(2, 3), A(2, 3), **r) for r in REDUCTIONS]
    return fn(name, _reduced(f), *(base if not kw.pop("own", False) else []), *calls, **kw)


LOSS = [
    pair("mse_loss", lambda x, y: (x - y) ** 2, C(A(), A()), dtypes=FLOATS,
         errors=[E(RuntimeError, A(2, 3), A(4)), E((ValueError, RuntimeError), A(2), A(2),
         reduction="average")]),
    pair("l1_loss", lambda x, y: np.abs(x - y), dtypes=FLOATS),
    pair("smooth_l1_loss", _smooth_l1, C(A(2, 3), A(2, 3), beta=0.3)),
    pair("huber_loss", _huber, C(A(2, 3), A(2, 3), delta=0.3)),
    pair("binary_cross_entropy", lambda x, y, weight=1: -weight * (y * np.log(x) + (1 - y)
         * np.log(1 - x)), *(C(P, P, **r) for r in REDUCTIONS), C(P, P, A(3, grad=False)), own=True,
         errors=[E((ValueError, RuntimeError), P, A(4, low=0, high=1)),
         E(RuntimeError, V([1.5], "float32"), V([1.0], "float32"))]),
    pair("binary_cross_entropy_with_logits", _bce_logits, *(C(A(2, 3), P, **r) for r in REDUCTIONS),
         C(A(2, 3), P, pos_weight=A(3, low=0.5, high=2, grad=False)), own=True,
         errors=[E(ValueError, A(2, 3), A(4))]),
    pair("kl_div", lambda x, y, log_target=False: np.exp(y) * (y - x) if log_target
         else y * (np.log(y) - x), C(A(2, 3), P), C(A(2, 3), A(2, 3), log_target=True), own=True),
    pair("soft_margin_loss", lambda x, y: np.log1p(np.exp(-y * x)), C(A(2, 3), V([[1, -1, 1],
         [-1, 1, 1]])), own=True),
    fn("nll_loss", _nll, *(C(A(3, 4), TARGET, **r) for r in REDUCTIONS), C(A(3, 4), TARGET,
       A(4, low=0.5, high=2, grad=False)), C(A(3, 4), TARGET, ignore_index=0), C(A(4), V(2, "int64")),
       C(A(1, 3, 2, 2), IMAGE_TARGET), names=("input", "target"),
       errors=[E(IndexError, A(3, 4), V([0, 4, 1], "int64")), E((ValueError, RuntimeError), A(3, 4),
       V([0, 1], "int64")), E(RuntimeError, A(3, 4), D("float32", 3))]),
    fn("cross_entropy", _cross_entropy, *(C(A(3, 4), TARGET, **r) for r in REDUCTIONS),
       C(A(3, 4), TARGET, A(4, low=0.5, high=2, grad=False)), C(A(3, 4), TARGET, ignore_index=0),
       C(A(4), V(2, "int64")), C(A(1, 3, 2, 2), IMAGE_TARGET), C(A(3, 4), TARGET,
       label_smoothing=0.2), C(A(3, 4), A(3, 4, low=0.1, high=0.9)), C(A(3, 4), TARGET, None,
       reduction="none"), names=("input", "target"),
       errors=[E(IndexError, A(3, 4), V([0, 4, 1], "int64")), E((ValueError, RuntimeError), A(3, 4),
       V([0, 1], "int64")), E((TypeError, RuntimeError), A(3, 4), V([0, 1, 2]))]),
    fn("margin_ranking_loss", None, C(A(3), A(3), V([1, -1, 1])),
       C(*(V(v, "int64") for v in ([3, 1], [2, 2], [1, -1])))),
    fn("hinge_embedding_loss", None, C(A(3), V([1, -1, 1]))),
    fn("cosine_embedding_loss", None, C(A(3, 4), A(3, 4), V([1, -1, 1]), margin=0.1)),
    fn("triplet_margin_loss", None, C(A(3, 4), A(3, 4), A(3, 4)), C(A(3, 4), A(3, 4), A(3, 4),
       margin=3.0, swap=True), tol=50),
    fn("multi_margin_loss", None, C(A(3, 4), TARGET), order=1),
    fn("multilabel_margin_loss", None, C(A(2, 4), V([[3, 0, -1, 1], [1, -1, 0, 2]], "int64")), order=1),
    fn("multilabel_soft_margin_loss", None, C(A(2, 3), V([[1, 0, 1], [0, 0, 1]]))),
    fn("poisson_nll_loss", None, C(A(2, 3), A(2, 3, low=0.1, high=3)),
       C(A(2, 3, low=0.1, high=2), A(2, 3, low=0.1, high=3, grad=False), log_input=False, full=True)),
    fn("gaussian_nll_loss", None, C(A(2, 3), A(2, 3), A(2, 3, low=0.5, high=2))),
    fn("ctc_loss", None, C(A(5, 2, 4), V([[1, 2], [3, 3]], "int64"), V([5, 4], "int64"),
       V([2, 1], "int64")), order=0, skips={"layout": "it wants log-probabilities: gradients in tests of nn"}),
]  # fmt: skip

# -- padding, dropout ------------------------------------------------------------------------------


def _pad(x: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    widths = [(0, 0)] * (x.ndim - len(pad) // 2)
    widths += [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    if mode == "constant":
        return np.pad(x, widths, constant_values=value or 0)
    return np.pad(x, widths, {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode])


OTHER = [
    fn("pad", _pad, C(A(2, 3), (1, 2)), C(A(2, 3), (1, 0, 2, 1), value=1.5), C(A(1, 2, 4), (1, 2),
       mode="reflect"), C(A(1, 2, 4), (1, 2), mode="replicate"), C(A(1, 2, 4), (1, 2),
       mode="circular"), C(A(1, 2, 4, 4), (1, 2, 0, 1), mode="reflect"), names=("input", "pad"),
       dtypes=FLOATS, errors=[E(RuntimeError, A(3), (1, 1, 1, 1)), E(RuntimeError, A(3), (1,)),
       E(RuntimeError, A(1, 2, 3), (3, 0), mode="reflect")]),
    fn("pad", lambda x, p: x[..., -p[0] : p[1] or None], C(A(2, 5), (-1, -2)), dtypes=("float64",)),
    fn("dropout", lambda x, p=0.5, training=True: x * (0 if training and p == 1 else 1),
       C(A(2, 3), 0.0), C(A(2, 3), 1.0), C(A(2, 3), 0.5, False), C(A(2, 3), training=False),
       errors=[E(ValueError, A(2), -0.1), E(ValueError, A(2), 1.1)]),
    fn("alpha_dropout", lambda x, p=0.5, training=False: x, C(A(2, 3), 0.5, False)),
    fn("feature_alpha_dropout", lambda x, p=0.5, training=False: x, C(A(2, 3, 4), 0.5, False)),
    *(fn(f"dropout{n}d", lambda x, p=0.5, training=True: x, C(A(2, 3, *(2,) * n), 0.5, False))
      for n in (1, 2, 3)),
]  # fmt: skip

# -- recurrent cells -------------------------------------------------------------------------------


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _rnn_cell(f: Any) -> Any:
    return lambda x, h, wi, wh, bi=0, bh=0: f(x @ wi.T + bi + h @ wh.T + bh)


def _lstm_cell(x: Any, state: Any, wi: Any, wh: Any, bi: Any = 0, bh: Any = 0) -> Any:
    h, c = state
    i, f, g, o = np.split(x @ wi.T + bi + h @ wh.T + bh, 4, -1)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def _gru_cell(x: Any, h: Any, wi: Any, wh: Any, bi: Any = 0, bh: Any = 0) -> Any:
    (ir, iz, new), (hr, hz, hn) = (np.split(v, 3, -1) for v in (x @ wi.T + bi, h @ wh.T + bh))
    z = _sigmoid(iz + hz)
    return (1 - z) * np.tanh(new + _sigmoid(ir + hr) * hn) + z * h


def _cell(name: str, ref: Any, gates: int, pair: bool = False) -> Row:
    state: Any = (A(2, 4), A(2, 4)) if pair else A(2, 4)
    weights = (A(gates * 4, 3), A(gates * 4, 4))
    biases = (A(gates * 4), A(gates * 4))
    return Row(name, ref, [C(A(2, 3), state, *weights, *biases), C(A(2, 3), state, *weights)],
               dtypes=WIDE_FLOATS, method=None, rtype=None, tol=10,
               errors=[E(RuntimeError, A(2, 5), state, *weights, *biases)])  # fmt: skip


CELLS = [
    _cell("rnn_tanh_cell", _rnn_cell(np.tanh), 1),
    _cell("rnn_relu_cell", _rnn_cell(lambda v: np.maximum(v, 0)), 1),
    _cell("gru_cell", _gru_cell, 3),
    _cell("lstm_cell", _lstm_cell, 4, True),
]

ROWS = [*CELLS, *CONV, *POOL, *NORM, *LOOKUP, *LOSS, *OTHER]
