"""Mixing channel groups."""

from __future__ import annotations

from eagergrad import Tensor
from eagergrad._C import ops as _ops

__all__ = ["channel_shuffle", "native_channel_shuffle"]


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels g k of (N, C, ...) in the order k g (Zhang et al., 2017); RuntimeError unless `groups` divides C.

    >>> import eagergrad as eg
    >>> channel_shuffle(eg.arange(4.0).reshape(1, 4, 1), 2).flatten().tolist()
    [0.0, 2.0, 1.0, 3.0]
    """
    return _ops.channel_shuffle(input, groups)


native_channel_shuffle = channel_shuffle
