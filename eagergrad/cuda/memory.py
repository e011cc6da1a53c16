"""Memory of the GPUs. Blocks come from CuPy's pool and are kept for reuse until `empty_cache`."""

from __future__ import annotations

from typing import Any

from eagergrad import _C
from eagergrad.cuda import _runtime

__all__ = [
    "empty_cache",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "reset_max_memory_allocated",
    "reset_peak_memory_stats",
]


def _counters(device: Any) -> dict[str, int]:
    if not _runtime.started():
        return dict.fromkeys(("live", "cached", "peak", "allocations"), 0)
    figures = _C.cuda_memory_stats(_runtime.checked_index(device))
    return dict(zip(("live", "cached", "peak", "allocations"), figures, strict=True))


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Return free and total bytes of a GPU; RuntimeError where there is none."""
    number = _runtime.checked_index(device)
    return _runtime.import_cupy().cuda.Device(number).mem_info


def empty_cache() -> None:
    """Give memory that no tensor uses back to CuPy's pool, and that pool's to the system."""
    if _runtime.started():
        _C.cuda_empty_cache()
        _runtime.trim_pool()


def memory_allocated(device: Any = None) -> int:
    """Return the bytes that tensors hold on the GPU."""
    return _counters(device)["live"]


def max_memory_allocated(device: Any = None) -> int:
    """Return the most bytes that tensors held on the GPU."""
    return _counters(device)["peak"]


def memory_reserved(device: Any = None) -> int:
    """Return the bytes that tensors hold on the GPU or that are kept for them."""
    figures = _counters(device)
    return figures["live"] + figures["cached"]


def max_memory_reserved(device: Any = None) -> int:
    """Return the most bytes that were held or kept: no less than `max_memory_allocated`."""
    return max(memory_reserved(device), max_memory_allocated(device))


def memory_stats(device: Any = None) -> dict[str, int]:
    """Return the allocator's counters under PyTorch's names; empty before a GPU is used."""
    if not _runtime.started():
        return {}
    figures = _counters(device)
    return {
        "allocated_bytes.all.current": figures["live"],
        "allocated_bytes.all.peak": figures["peak"],
        "allocation.all.allocated": figures["allocations"],
        "inactive_split_bytes.all.current": figures["cached"],
        "reserved_bytes.all.current": figures["live"] + figures["cached"],
    }


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Return the allocator's state as text: what is held, by which lines (the largest ten), what is kept."""
    if not _runtime.started():
        return "no GPU: no memory allocated"
    figures = _counters(device)
    lines = [
        f"cuda:{_runtime.checked_index(device)}: {figures['live'] >> 20} MiB held by tensors, "
        f"{figures['cached'] >> 20} MiB kept for reuse, {figures['peak'] >> 20} MiB held at most"
    ]
    if not abbreviated:
        lines += [
            f"  {size >> 10} KiB in {count} blocks made at {where}"
            for where, size, count in _C.cuda_live_blocks(_runtime.checked_index(device))[:10]
        ]
    return "\n".join(lines)


def reset_peak_memory_stats(device: Any = None) -> None:
    """Begin to count peak memory anew."""
    if _runtime.started():
        _C.cuda_reset_peak(_runtime.checked_index(device))


reset_max_memory_allocated = reset_peak_memory_stats
