"""Attention whose scores and mask are functions of the position: PyTorch's ``flex_attention``, as recorded ops.

The functions get the index of the sample, of the head, of the query and of the key as int64 tensors that broadcast against
each other to (batch, heads, queries, keys), so what they compute from them elementwise, or look up in tensors, runs once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import eagergrad as eg
from eagergrad.nn.functional import scaled_dot_product_attention

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]

MaskMod = Callable[[Any, Any, Any, Any], Any]


class AuxRequest(NamedTuple):
    """What `flex_attention` is to return beside the values."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """The logarithms of the sums, or the largest, of the scores' exponentials: (batch, heads, queries)."""

    lse: Any = None
    max_scores: Any = None


def noop_mask(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    """The mask that leaves everything."""
    return eg.ones_like(q_idx, dtype=eg.bool)


def and_masks(*mask_mods: MaskMod) -> MaskMod:
    """The mask that leaves what all of these do.

    >>> causal = lambda b, h, q, k: q >= k
    >>> near = lambda b, h, q, k: q - k < 2
    >>> create_mask(and_masks(causal, near), None, None, 3, 3)[0, 0].int().tolist()
    [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    """

    def mask(*indices: Any) -> Any:
        left = eg.ones((), dtype=eg.bool, device=indices[2].device)
        for mod in mask_mods:
            left = left & mod(*indices)
        return left

    return mask


def or_masks(*mask_mods: MaskMod) -> MaskMod:
    """The mask that leaves what one of these does."""

    def mask(*indices: Any) -> Any:
        left = eg.zeros((), dtype=eg.bool, device=indices[2].device)
        for mod in mask_mods:
            left = left | mod(*indices)
        return left

    return mask


def _indices(sizes: tuple[int, ...], device: Any) -> list[Any]:
    made = []
    for d, n in enumerate(sizes):
        shape = [1] * 4
        shape[d] = n
        made.append(eg.arange(n, device=device).reshape(shape))
    return made


def create_mask(
    mod_fn: MaskMod, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None
) -> Any:
    """What a function of the indices leaves, as a bool tensor (B, H, Q_LEN, KV_LEN); None stands for 1."""
    sizes = (B or 1, H or 1, Q_LEN, KV_LEN)
    return eg.as_tensor(mod_fn(*_indices(sizes, device))).expand(sizes)


class BlockMask:
    """A mask as `create_block_mask` makes it: the function, for which sizes, and in which blocks it is counted."""

    def __init__(self, mask: Any, mask_mod: MaskMod, block_size: tuple[int, int]) -> None:
        self._mask = mask
        self.mask_mod = mask_mod
        self.BLOCK_SIZE = block_size

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, queries, keys)."""
        return tuple(self._mask.shape)

    @property
    def seq_lengths(self) -> tuple[int, int]:
        """The numbers of queries and keys."""
        return self.shape[2:]  # type: ignore[return-value]

    def numel(self) -> int:
        """The number of scores that the mask is for."""
        return self._mask.numel()

    def to_dense(self) -> Any:
        """Whether anything is left in a block: int32, (B, H, blocks of queries, blocks of keys)."""
        (rows, columns), (height, width) = self.seq_lengths, self.BLOCK_SIZE
        padded = eg.nn.functional.pad(self._mask, (0, -columns % width, 0, -rows % height))
        blocks = padded.unflatten(-1, (-1, width)).unflatten(-3, (-1, height))
        return blocks.any(-1).any(-2).int()

    def sparsity(self) -> float:
        """How many per cent of the scores lie in blocks of which nothing is left."""
        kept = self.to_dense().sum().item() * self.BLOCK_SIZE[0] * self.BLOCK_SIZE[1]
        return 100 * (1 - kept / self.numel())

    def to(self, device: Any) -> BlockMask:
        """The mask on another device."""
        return BlockMask(self._mask.to(device), self.mask_mod, self.BLOCK_SIZE)

    def __repr__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%)"


def create_block_mask(
    mask_mod: MaskMod,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = 128,
    _compile: bool = False,
) -> BlockMask:
    """The mask that ``mask_mod(b, h, q_idx, kv_idx)`` gives where it is True, for `flex_attention`.

    B and H may be None (1): the mask of all samples, of all heads. `_compile` is PyTorch's; there is nothing to compile.

    >>> create_block_mask(lambda b, h, q, k: q >= k, None, None, 4, 4, BLOCK_SIZE=2).to_dense().tolist()
    [[[[1, 0], [1, 1]]]]
    """
    block = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else tuple(BLOCK_SIZE)
    return BlockMask(create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device), mask_mod, block)  # type: ignore[arg-type]


def flex_attention(
    query: Any,
    key: Any,
    value: Any,
    score_mod: Callable[..., Any] | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: dict[str, Any] | None = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """Attention, (B, Hq, L, E), (B, Hkv, S, E), (B, Hkv, S, V) to (B, Hq, L, V), with scores that a function changes.

    The scores, times `scale` (1/sqrt(E)), become ``score_mod(score, b, h, q_idx, kv_idx)``; what `block_mask` leaves of them
    goes through the softmax. Rows of which nothing is left give 0. With `return_lse` the result is a pair, with the
    logarithms of the sums of exponentials, -inf where nothing is left; with `return_aux` with an `AuxOutput`.
    `kernel_options` are for PyTorch's kernels. Source: Dong et al., 2024.

    Raises:
        ValueError: the tensors have other than 4 dimensions or sizes that do not fit, or the mask is for other lengths.

    >>> import eagergrad as eg
    >>> q, v = eg.zeros(1, 1, 2, 4), eg.tensor([1.0, 3.0]).reshape(1, 1, 2, 1)
    >>> causal = lambda score, b, h, q_idx, kv_idx: eg.where(q_idx >= kv_idx, score, -eg.inf)
    >>> flex_attention(q, q, v, score_mod=causal).flatten()
    tensor([1., 2.])
    """
    _check(query, key, value, block_mask, enable_gqa)
    mask = None if block_mask is None else block_mask._mask
    if score_mod is None and not return_lse and return_aux is None:
        return scaled_dot_product_attention(
            query, key, value, mask, scale=scale, enable_gqa=enable_gqa
        )
    if enable_gqa:
        times = query.shape[1] // key.shape[1]
        key, value = (t.repeat_interleave(times, 1) for t in (key, value))
    low = query.dtype in (eg.float16, eg.bfloat16)
    q, k = (t.float() if low else t for t in (query, key))
    scores = (q @ k.mT) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if score_mod is not None:
        changed = score_mod(scores, *_indices(tuple(scores.shape), scores.device))
        scores = changed.to(scores.dtype).expand(scores.shape)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    lse = scores.logsumexp(-1)
    blind = (lse == -math.inf).unsqueeze(-1)
    weights = (scores - lse.unsqueeze(-1).masked_fill(blind, 0.0)).exp()
    out = weights.to(value.dtype) @ value
    if return_aux is not None:
        most = scores.amax(-1) if return_aux.max_scores else None
        return out, AuxOutput(lse if return_aux.lse else None, most)
    return (out, lse) if return_lse else out


def _check(q: Any, k: Any, v: Any, mask: BlockMask | None, enable_gqa: bool) -> None:
    if not q.dim() == k.dim() == v.dim() == 4:
        raise ValueError("Expected query, key, and value to be 4D tensors")
    shapes = f"query {tuple(q.shape)}, key {tuple(k.shape)}, value {tuple(v.shape)}"
    if q.shape[-1] != k.shape[-1] or k.shape[1:3] != v.shape[1:3] or k.shape[0] != v.shape[0]:
        raise ValueError(f"[flex_attention] sizes do not fit: {shapes}")
    if k.shape[0] not in (1, q.shape[0]):
        raise ValueError(
            f"[flex_attention] expected as many samples of query as of key, got {shapes}"
        )
    heads, kv_heads = q.shape[1], k.shape[1]
    if not enable_gqa and heads != kv_heads:
        raise ValueError(
            f"Expect query and key/value to have the same number of heads but got Hq={heads} and Hkv={kv_heads}. "
            "Try setting enable_gqa=True for GQA."
        )
    if enable_gqa and (kv_heads == 0 or heads % kv_heads):
        raise ValueError(
            f"Expect number of query heads to be a multiple of kv heads for GQA but got Hq={heads} and Hkv={kv_heads}."
        )
    if mask is not None and mask.seq_lengths != (q.shape[2], k.shape[2]):
        raise ValueError(
            f"block_mask was created for block_mask.shape={mask.shape} but got q_len={q.shape[2]} and kv_len={k.shape[2]}."
        )
