"""Memory of the GPUs. Blocks come from CuPy's pool and are kept for reuse until `empty_cache`."""

from __future__ import annotations

from typing import Any

from eagergrad import _C
from eagergrad.cuda import _runtime

__all__ = [
    "empty_cache",
    "get_per_process_memory_fraction",
    "max_memory_allocated",
    "max_memory_cached",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_cached",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "reset_max_memory_allocated",
    "reset_max_memory_cached",
    "reset_peak_memory_stats",
    "set_per_process_memory_fraction",
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


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats
memory_cached, max_memory_cached = memory_reserved, max_memory_reserved  # PyTorch's old names


def _cupy_pool(device: Any) -> tuple[Any, Any]:
    """CuPy's pool, and the block in which it means one GPU."""
    number = _runtime.checked_index(device)
    cupy = _runtime.import_cupy()
    return cupy.get_default_memory_pool(), cupy.cuda.Device(number)


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Limit what this process takes of a GPU's memory; beyond it OutOfMemoryError is raised.

    Raises:
        ValueError: the fraction is not between 0 and 1.
        RuntimeError: there is no such GPU.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"expected a fraction from 0 to 1, got {fraction}")
    pool, block = _cupy_pool(device)
    with block:
        pool.set_limit(fraction=fraction) if fraction < 1 else pool.set_limit(size=0)


def get_per_process_memory_fraction(device: Any = None) -> float:
    """Return the fraction of a GPU's memory that this process may take; RuntimeError where there is no such GPU."""
    pool, block = _cupy_pool(device)
    with block:
        return pool.get_limit() / block.mem_info[1] if pool.get_limit() else 1.0
