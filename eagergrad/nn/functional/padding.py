"""Padding."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from eagergrad import Tensor
from eagergrad._C import ops as _ops
from eagergrad.tensor.autocast import full_precision_on_cpu

__all__ = ["pad"]

_MODES = ("reflect", "replicate", "circular")


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Pads dimensions from the last one backwards by (before, after) pairs; negative numbers crop.

    `mode` is 'constant' (any number of dimensions, filled with `value`), 'reflect', 'replicate' or
    'circular' (the last one to three dimensions of an input with one or two more).

    >>> import eagergrad as eg
    >>> pad(eg.ones(2), (1, 0)).tolist()
    [0.0, 1.0, 1.0]
    >>> pad(eg.arange(3.0).reshape(1, 3), (2, 1), mode="reflect").tolist()
    [[2.0, 1.0, 0.0, 1.0, 2.0, 1.0]]
    """
    pad = [operator.index(n) for n in pad]
    if mode == "constant":
        return _ops.constant_pad_nd(input, pad, 0 if value is None else value)
    if mode not in _MODES:
        raise NotImplementedError(
            f"[pad] unrecognised padding mode {mode!r}; take constant, {', '.join(_MODES)}"
        )
    if value is not None and value != 0:
        raise RuntimeError(f"[pad] mode {mode!r} takes no value, got {value}")
    if len(pad) % 2 or not 2 <= len(pad) <= 6 or input.dim() - len(pad) // 2 not in (1, 2):
        raise NotImplementedError(
            f"[pad] mode {mode!r} pads the last 1 dimension of a 2-d or 3-d input, the last 2 of 3-d or 4-d, "
            f"the last 3 of 4-d or 5-d; got {len(pad)} padding numbers for shape {tuple(input.shape)}"
        )
    if mode == "circular":
        return _ops.pad_mode(input, pad, mode)
    return _mirrored(input, pad, mode)


@full_precision_on_cpu
def _mirrored(input: Tensor, pad: list[int], mode: str) -> Tensor:
    return _ops.pad_mode(input, pad, mode)
