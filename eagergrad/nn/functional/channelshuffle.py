"""Mixing channel groups."""

from __future__ import annotations

from eagergrad import _C, Tensor

__all__ = ["channel_shuffle", "native_channel_shuffle"]


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels g k of (N, C, ...) in the order k g (Zhang et al., 2017); RuntimeError unless `groups` divides C.

    >>> import eagergrad as eg
    >>> channel_shuffle(eg.arange(4.0).reshape(1, 4, 1), 2).flatten().tolist()
    [0.0, 2.0, 1.0, 3.0]
    """
    if input.dim() < 3:
        raise RuntimeError(
            f"[channel_shuffle] expected input with > 2 dims, came {tuple(input.shape)}"
        )
    if groups <= 0:
        raise RuntimeError(f"[channel_shuffle] number of groups must be positive, came {groups}")
    n, channels, *rest = input.shape
    if channels % groups:
        raise RuntimeError(
            f"[channel_shuffle] number of channels must be divisible by groups, came {channels} and {groups}"
        )
    split = input.reshape(n, groups, channels // groups, *rest)
    y = split.transpose(1, 2).reshape(n, channels, *rest)
    return _C.named(y, "ChannelShuffleBackward0")


native_channel_shuffle = channel_shuffle
