"""Memory of the CPU's tensors."""

from __future__ import annotations

from eagergrad import _C

__all__ = ["empty_cache", "reset_peak", "stats"]


def stats() -> dict[str, int]:
    """Bytes in use (``live``), kept for reuse (``cached``), most ever in use (``peak``), and the number of
    ``allocations``.

    >>> import eagergrad as eg
    >>> sorted(eg.memory.stats())
    ['allocations', 'cached', 'live', 'peak']
    """
    return dict(_C.memory_stats())


def empty_cache() -> None:
    """Gives the memory kept for reuse back to the system."""
    _C.empty_cache()


def reset_peak() -> None:
    """Starts measuring ``peak`` anew."""
    _C.reset_peak_memory()
