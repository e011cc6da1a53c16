"""Attention: scaled dot products, and the many-headed layer as a function."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops
from eagergrad.tensor.out import asking

from .activation import softmax
from .dropout import dropout
from .linear import linear

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query key^T * scale + attn_mask) value: (..., L, E), (..., S, E), (..., S, V) to (..., L, V).

    `attn_mask` broadcasts to (..., L, S): bool (True takes part) or added to the scores; `is_causal`: row i sees
    columns 0 ... i, of those that the mask leaves. `scale` defaults to 1/sqrt(E). `enable_gqa`: fewer heads of key and value, each for several
    of query. A row that sees nothing gives 0. The scores are never all in memory, save with dropout. RuntimeError
    where shapes or dtypes do not fit. Source: Vaswani et al., 2017.

    >>> import eagergrad as eg
    >>> q, k, v = eg.zeros(1, 2), eg.zeros(3, 2), eg.tensor([[1.0], [2.0], [6.0]])
    >>> scaled_dot_product_attention(q, k, v).tolist()
    [[3.0]]
    """
    if not 0.0 <= dropout_p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {dropout_p}")
    if is_causal and attn_mask is not None and query.dim() > 1 < key.dim():
        attn_mask, is_causal = _masked_causal(attn_mask, query.shape[-2], key.shape[-2]), False
    if dropout_p > 0.0:
        return _with_dropout(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    return _ops.scaled_dot_product_attention(
        query, key, value, attn_mask, is_causal, scale, enable_gqa
    )


def _masked_causal(mask: Tensor, queries: int, keys: int) -> Tensor:
    """What a mask and causal order leave together."""
    seen = eg.ones(queries, keys, dtype=eg.bool, device=mask.device).tril()
    return mask & seen if mask.dtype == eg.bool else mask.masked_fill(~seen, -math.inf)


def _with_dropout(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    p: float,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> Tensor:
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = (t.repeat_interleave(times, -3) for t in (key, value))
    factor = 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else scale
    scores = (query * factor) @ key.transpose(-2, -1)
    if is_causal:
        mask = eg.ones(*scores.shape[-2:], dtype=eg.bool, device=scores.device).tril()
    if mask is None or key.shape[-2] == 0:
        weights = softmax(scores, -1)
    else:
        weights = _masked_softmax(scores, mask)
    return dropout(weights, p) @ value


def _masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over what the mask leaves; 0 where it leaves nothing."""
    if mask.dtype == eg.bool:
        scores = scores.masked_fill(mask.logical_not(), -math.inf)
    else:
        scores = scores + mask
    blind = scores.detach().amax(-1, keepdim=True) == -math.inf
    return softmax(scores.masked_fill(blind, 0.0), -1).masked_fill(blind, 0.0)


class _Projection(NamedTuple):
    """The weights that make query, key and value: one packed matrix (3E, E), or three."""

    packed: Tensor | None
    separate: tuple[Tensor, Tensor, Tensor] | None
    bias: Tensor | None

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.packed is not None and query is key and key is value:
            q, k, v = linear(query, self.packed, self.bias).chunk(3, -1)
            return q, k, v
        size = query.shape[-1]
        if self.packed is not None and key is value:
            w_q, w_kv = self.packed.split([size, 2 * size])
            b_q, b_kv = (None, None) if self.bias is None else self.bias.split([size, 2 * size])
            k, v = linear(key, w_kv, b_kv).chunk(2, -1)
            return linear(query, w_q, b_q), k, v
        weights = self.separate if self.packed is None else self.packed.chunk(3)
        biases = (None, None, None) if self.bias is None else self.bias.chunk(3)
        inputs = (query, key, value)
        q, k, v = (linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True))  # type: ignore[arg-type]
        return q, k, v


def _additive(mask: Tensor | None, name: str, like: Tensor) -> Tensor | None:
    """A mask of which True means "leave out", as numbers to add to the scores."""
    if mask is None:
        return None
    if mask.dtype != eg.bool and not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if mask.dtype != eg.bool:
        return mask.to(like.dtype)
    zeros = eg.zeros(mask.shape, dtype=like.dtype, device=like.device)
    return zeros.masked_fill_(mask, -math.inf)


def _check_sizes(query: Tensor, key: Tensor, value: Tensor, embed_dim: int, heads: int) -> None:
    if query.shape[-1] != embed_dim:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim}, but got {query.shape[-1]}"
        )
    if embed_dim % heads:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {heads}")
    if key.shape[:2] != value.shape[:2]:
        raise AssertionError(
            f"key's sequence and batch dims {tuple(key.shape[:2])} do not match value's "
            f"{tuple(value.shape[:2])}"
        )


def _check_dims(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    padding: Tensor | None,
    mask: Tensor | None,
    heads: int,
) -> bool:
    """Whether the inputs are batched. AssertionError for anything that does not go together."""
    dims = query.dim()
    if dims not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {dims}-D query tensor"
        )
    if key.dim() != dims or value.dim() != dims:
        raise AssertionError(
            f"For a {dims}-D query, expected key and value to be {dims}-D but found {key.dim()}-D and "
            f"{value.dim()}-D tensors respectively"
        )
    if padding is not None and padding.dim() != dims - 1:
        raise AssertionError(
            f"For a {dims}-D query, expected key_padding_mask to be None or {dims - 1}-D but found "
            f"{padding.dim()}-D tensor instead"
        )
    if mask is not None and mask.dim() not in (2, 3):
        raise AssertionError(
            f"For a {dims}-D query, expected attn_mask to be None, 2-D or 3-D but found "
            f"{mask.dim()}-D tensor instead"
        )
    if dims == 2 and mask is not None and mask.dim() == 3:
        expected = (heads, query.shape[0], key.shape[0])
        if tuple(mask.shape) != expected:
            raise AssertionError(
                f"Expected attn_mask shape to be {expected} but got {tuple(mask.shape)}"
            )
    return dims == 3


class _Heads(NamedTuple):
    """Sizes of one call, and the layout of its tensors: (L, N, E), or (N, L, E) with batch_first."""

    batch: int
    queries: int
    heads: int
    head_dim: int
    batch_first: bool

    def split(self, x: Tensor) -> Tensor:
        """(N, heads, length, head_dim), a view."""
        x = x.reshape(*x.shape[:2], self.heads, self.head_dim)
        return x.permute(0, 2, 1, 3) if self.batch_first else x.permute(1, 2, 0, 3)

    def join(self, x: Tensor) -> Tensor:
        """The inverse of split."""
        x = x.permute(0, 2, 1, 3) if self.batch_first else x.permute(2, 0, 1, 3)
        return x.reshape(*x.shape[:2], self.heads * self.head_dim)

    def static(self, x: Tensor, name: str) -> Tensor:
        if x.shape[0] != self.batch * self.heads or x.shape[2] != self.head_dim:
            raise AssertionError(
                f"expecting {name} of shape ({self.batch * self.heads}, S, {self.head_dim}), "
                f"but got {tuple(x.shape)}"
            )
        return x.reshape(self.batch, self.heads, *x.shape[1:])


def _scores_mask(h: _Heads, mask: Tensor | None, keys: int) -> Tensor | None:
    """(L, S) or (N * heads, L, S) to what broadcasts to (N, heads, L, S)."""
    if mask is None:
        return None
    expected = (h.queries, keys)
    if mask.dim() == 3:
        expected = (h.batch * h.heads, h.queries, keys)  # type: ignore[assignment]
    if tuple(mask.shape) != expected:
        raise RuntimeError(
            f"The shape of the {mask.dim()}D attn_mask is {tuple(mask.shape)}, but should be {expected}."
        )
    return mask if mask.dim() == 2 else mask.reshape(h.batch, h.heads, h.queries, keys)


def _one_more_key(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else eg.cat([mask, mask.new_zeros((*mask.shape[:-1], 1))], -1)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, p: float, is_causal: bool, weights: bool
) -> tuple[Tensor, Tensor | None]:
    if not weights:
        return scaled_dot_product_attention(q, k, v, mask, p, is_causal), None
    scores = (q * math.sqrt(1.0 / q.shape[-1])) @ k.transpose(-2, -1)
    probabilities = softmax(scores if mask is None else scores + mask, -1)
    if p > 0.0:
        probabilities = dropout(probabilities, p)
    return probabilities @ v, probabilities


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    num_heads: int,
    project: _Projection,
    extra: tuple[Tensor, Tensor] | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj: tuple[Tensor, Tensor | None],
    key_padding_mask: Tensor | None,
    need_weights: bool,
    attn_mask: Tensor | None,
    static: tuple[Tensor | None, Tensor | None],
    average: bool,
    is_causal: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor | None]:
    """The layer on batched inputs."""
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module "
            "method `generate_square_subsequent_mask` to create this mask."
        )
    only_causal = is_causal and key_padding_mask is None and not need_weights
    mask = None if only_causal else _additive(attn_mask, "attn_mask", query)
    padding = _additive(key_padding_mask, "key_padding_mask", query)
    first, second = query.shape[:2]
    batch, queries = (first, second) if batch_first else (second, first)
    h = _Heads(batch, queries, num_heads, query.shape[-1] // num_heads, batch_first)
    q, k, v = project(query, key, value)
    if extra is not None:
        if static != (None, None):
            raise AssertionError("bias cannot be added to static key or value.")
        time = 1 if batch_first else 0
        shape = (batch, 1, query.shape[-1]) if batch_first else (1, batch, query.shape[-1])
        k, v = (eg.cat([x, b.expand(shape)], time) for x, b in zip((k, v), extra, strict=True))
        mask, padding = _one_more_key(mask), _one_more_key(padding)
    q = h.split(q)
    k = h.split(k) if static[0] is None else h.static(static[0], "static_k")
    v = h.split(v) if static[1] is None else h.static(static[1], "static_v")
    if add_zero_attn:
        k, v = (eg.cat([x, x.new_zeros((*x.shape[:2], 1, h.head_dim))], 2) for x in (k, v))
        mask, padding = _one_more_key(mask), _one_more_key(padding)
    mask = _scores_mask(h, mask, k.shape[2])
    if padding is not None:
        if tuple(padding.shape) != (batch, k.shape[2]):
            raise AssertionError(
                f"expecting key_padding_mask shape of {(batch, k.shape[2])}, but got {tuple(padding.shape)}"
            )
        padding = padding.reshape(batch, 1, 1, k.shape[2])
        mask = padding if mask is None else mask + padding
    out, weights = _attend(q, k, v, mask, dropout_p, only_causal, need_weights)
    if weights is not None and average:
        weights = weights.mean(1)
    return linear(h.join(out), *out_proj), weights


@asking
def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    *,
    _batch_first: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of many heads with its projections, on (L, N, E) or (L, E): (output, weights).

    Masks are bool (True leaves out) or added to the scores: `key_padding_mask` (N, S), `attn_mask` (L, S) or
    (N * heads, L, S). Weights (N, L, S), or (N, heads, L, S) without `average_attn_weights`; None without
    `need_weights`, which is much faster. AssertionError and RuntimeError for shapes that do not fit.
    Source: Vaswani et al., 2017.
    """
    batched = _check_dims(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        same_kv, same_q = key is value, query is key
        query = query.unsqueeze(0 if _batch_first else 1)
        key = query if same_q else key.unsqueeze(0 if _batch_first else 1)
        value = key if same_kv else value.unsqueeze(0 if _batch_first else 1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    _check_sizes(query, key, value, embed_dim_to_check, num_heads)
    separate = None
    if use_separate_proj_weight:
        if q_proj_weight is None or k_proj_weight is None or v_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is True but a projection weight is None")
        separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    elif in_proj_weight is None:
        raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
    packed = None if use_separate_proj_weight else in_proj_weight
    output, weights = _attention(
        query,
        key,
        value,
        num_heads,
        _Projection(packed, separate, in_proj_bias),
        None if bias_k is None or bias_v is None else (bias_k, bias_v),
        add_zero_attn,
        dropout_p if training else 0.0,
        (out_proj_weight, out_proj_bias),
        key_padding_mask,
        need_weights,
        attn_mask,
        (static_k, static_v),
        average_attn_weights,
        is_causal,
        _batch_first,
    )
    if batched:
        return output, weights
    squeezed: Any = None if weights is None else weights.squeeze(0)
    return output.squeeze(0 if _batch_first else 1), squeezed
