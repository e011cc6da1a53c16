"""GPUs: what programs ask before they use one. Without a GPU the answers are those of a machine
that has none: nothing is available, nothing is allocated, there is nothing to wait for."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

__all__ = [
    "current_device",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "init",
    "ipc_collect",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "reset_peak_memory_stats",
    "seed",
    "seed_all",
    "set_device",
    "stream",
    "synchronize",
]

_TYPES = ("Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short", "BFloat16")


def _no_gpu(what: str) -> RuntimeError:
    return RuntimeError(
        f"[cuda.{what}] there is no GPU here; check cuda.is_available(), and for a GPU install "
        "eagergrad[cuda12] or eagergrad[cuda13]"
    )


def is_available() -> bool:
    """Return whether a GPU can be used."""
    return False


def is_initialized() -> bool:
    """Return whether a GPU is in use."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Return whether the GPU computes with bfloat16."""
    return False


def device_count() -> int:
    """Return the number of GPUs."""
    return 0


def init() -> None:
    """Start using the GPU; RuntimeError where there is none."""
    raise _no_gpu("init")


def current_device() -> int:
    """Return the number of the current GPU; RuntimeError where there is none."""
    raise _no_gpu("current_device")


def set_device(device: Any) -> None:
    """Choose the current GPU; RuntimeError where there is none."""
    raise _no_gpu("set_device")


def get_device_name(device: Any = None) -> str:
    """Return a GPU's name; RuntimeError where there is none."""
    raise _no_gpu("get_device_name")


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Return a GPU's compute capability; RuntimeError where there is none."""
    raise _no_gpu("get_device_capability")


def get_device_properties(device: Any = None) -> Any:
    """Return what a GPU can do; RuntimeError where there is none."""
    raise _no_gpu("get_device_properties")


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Return free and total bytes of a GPU; RuntimeError where there is none."""
    raise _no_gpu("mem_get_info")


def synchronize(device: Any = None) -> None:
    """Wait for the GPU's work; without one there is nothing to wait for."""


def empty_cache() -> None:
    """Give back cached GPU memory; without a GPU there is none."""


def ipc_collect() -> None:
    """Free GPU memory that ended processes shared; without a GPU there is none."""


def manual_seed(seed: int) -> None:
    """Seed the current GPU's generator. Without a GPU nothing draws from it."""
    int(seed)


def manual_seed_all(seed: int) -> None:
    """Seed all GPUs' generators. Without a GPU nothing draws from them."""
    int(seed)


def seed() -> None:
    """Seed the current GPU's generator at random."""


def seed_all() -> None:
    """Seed all GPUs' generators at random."""


def memory_allocated(device: Any = None) -> int:
    """Return the bytes that tensors hold on the GPU."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """Return the most bytes that tensors held on the GPU."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """Return the bytes that the GPU's allocator holds."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """Return the most bytes that the GPU's allocator held."""
    return 0


def memory_stats(device: Any = None) -> dict[str, int]:
    """Return the allocator's counters; empty without a GPU."""
    return {}


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Return the allocator's state as text."""
    return "no GPU: no memory allocated"


def reset_peak_memory_stats(device: Any = None) -> None:
    """Begin to count peak memory anew; without a GPU it is and stays 0."""


@contextlib.contextmanager
def stream(stream: Any) -> Iterator[None]:
    """Use a stream within a block; only None, which changes nothing, without a GPU."""
    if stream is not None:
        raise _no_gpu("stream")
    yield


class device:
    """Use a GPU within a ``with`` block; None or a negative number changes nothing."""

    def __init__(self, device: Any) -> None:
        if device is not None and not (isinstance(device, int) and device < 0):
            raise _no_gpu("device")

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: Any) -> None:
        return None


class Stream:
    """A queue of GPU work; RuntimeError where there is no GPU."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise _no_gpu("Stream")


class Event:
    """A mark in a queue of GPU work; RuntimeError where there is no GPU."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise _no_gpu("Event")


def _refuse(cls: type, *args: Any, **kwargs: Any) -> Any:
    raise TypeError(f"[cuda.{cls.__name__}] there is no GPU here; check cuda.is_available()")


def __getattr__(name: str) -> Any:
    """The part `amp`, and the old tensor types, which can be named, compared and passed on, not
    made."""
    if name == "amp":
        return importlib.import_module("eagergrad.cuda.amp")
    if name.endswith("Tensor") and name[: -len("Tensor")] in _TYPES:
        globals()[name] = type(name, (), {"__new__": _refuse, "__module__": __name__})
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


from . import amp as amp  # noqa: E402 (it asks this module whether there is a GPU)
