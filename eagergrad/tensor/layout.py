"""How elements lie in memory: names that are strings to the core."""

from __future__ import annotations

__all__ = [
    "channels_last",
    "channels_last_3d",
    "contiguous_format",
    "layout",
    "memory_format",
    "preserve_format",
    "sparse_coo",
    "sparse_csc",
    "sparse_csr",
    "strided",
]


class memory_format(str):
    """The order of a tensor's dimensions in memory: what ``x.contiguous(memory_format=...)`` takes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"eagergrad.{str.__str__(self)}"

    __str__ = __repr__


class layout(str):
    """Dense, or how a sparse tensor stores its entries: ``x.layout``."""

    __module__ = "eagergrad"  # where programs find it, and what `type(x)` prints
    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
strided = layout("eagergrad.strided")
sparse_coo = layout("eagergrad.sparse_coo")
sparse_csr = layout("eagergrad.sparse_csr")
sparse_csc = layout("eagergrad.sparse_csc")
