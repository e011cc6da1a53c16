"""GPUs: which there are, their memory, streams and events. Importing this imports no CuPy; the first tensor on a
GPU does.

Without a GPU the questions have the answers of a machine that has none: nothing is available, nothing is allocated,
there is nothing to wait for.
"""

from __future__ import annotations

import importlib
from typing import Any

from eagergrad import _C
from eagergrad.cuda import _runtime
from eagergrad.cuda.memory import (
    empty_cache,
    get_per_process_memory_fraction,
    max_memory_allocated,
    max_memory_cached,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_cached,
    memory_reserved,
    memory_stats,
    memory_summary,
    reset_max_memory_allocated,
    reset_max_memory_cached,
    reset_peak_memory_stats,
    set_per_process_memory_fraction,
)
from eagergrad.cuda.streams import (
    Event,
    ExternalStream,
    Stream,
    StreamContext,
    current_stream,
    default_stream,
    set_stream,
    stream,
)
from eagergrad.tensor.device import OutOfMemoryError

__all__ = [
    "Event",
    "ExternalStream",
    "OutOfMemoryError",
    "Stream",
    "StreamContext",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "device_of",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_per_process_memory_fraction",
    "get_rng_state",
    "get_rng_state_all",
    "init",
    "initial_seed",
    "ipc_collect",
    "is_available",
    "is_bf16_supported",
    "is_current_stream_capturing",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
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
    "seed",
    "seed_all",
    "set_device",
    "set_per_process_memory_fraction",
    "set_rng_state",
    "set_rng_state_all",
    "set_stream",
    "stream",
    "synchronize",
    "warmup",
]

_TYPES = ("Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short", "BFloat16")


def is_available() -> bool:
    """Return whether a GPU can be used: CuPy is installed and the driver finds a card.

    >>> import eagergrad as eg
    >>> device = "cuda" if eg.cuda.is_available() else "cpu"
    """
    return not _runtime.unavailable()


def is_initialized() -> bool:
    """Return whether a GPU is in use."""
    return _runtime.started()


def is_current_stream_capturing() -> bool:
    """Return whether work is recorded to a `CUDAGraph` instead of done."""
    return _C.cuda_capturing()


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Return whether the GPU computes with bfloat16: every GPU does, from compute capability 8.0 on in hardware."""
    if not is_available():
        return False
    return including_emulation or get_device_capability()[0] >= 8


def device_count() -> int:
    """Return the number of GPUs that can be used."""
    return _runtime.device_count()


def init() -> None:
    """Start using the GPU; RuntimeError where there is none."""
    _runtime.start()


def current_device() -> int:
    """Return the number of the GPU that "cuda" means; RuntimeError where there is none."""
    _runtime.start()
    return _C.cuda_current()


def set_device(device: Any) -> None:
    """Choose the GPU that "cuda" means: a number or a device; a negative number changes nothing.

    RuntimeError where there is no such GPU.
    """
    number = _runtime.index_of(device)
    if number >= 0:
        _runtime.set_current(number)


def get_device_name(device: Any = None) -> str:
    """Return a GPU's name; RuntimeError where there is none."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Return a GPU's compute capability as (major, minor); RuntimeError where there is none."""
    properties = get_device_properties(device)
    return properties.major, properties.minor


class DeviceProperties:
    """What a GPU is: ``name``, ``major``, ``minor``, ``total_memory`` (bytes), ``multi_processor_count``."""

    def __init__(self, name: str, major: int, minor: int, memory: int, processors: int) -> None:
        self.name, self.major, self.minor = name, major, minor
        self.total_memory, self.multi_processor_count = memory, processors

    def __repr__(self) -> str:
        return (
            f"DeviceProperties(name={self.name!r}, major={self.major}, minor={self.minor}, "
            f"total_memory={self.total_memory >> 20}MB, "
            f"multi_processor_count={self.multi_processor_count})"
        )


def get_device_properties(device: Any = None) -> DeviceProperties:
    """Return what a GPU is; RuntimeError where there is none."""
    number = _runtime.checked_index(device)
    p = _runtime.import_cupy().cuda.runtime.getDeviceProperties(number)
    return DeviceProperties(
        p["name"].decode(), p["major"], p["minor"], p["totalGlobalMem"], p["multiProcessorCount"]
    )


def synchronize(device: Any = None) -> None:
    """Wait until the GPU has done all its work; without one there is nothing to wait for."""
    if is_initialized():
        _C.cuda_synchronize(_runtime.checked_index(device))


def ipc_collect() -> None:
    """Free GPU memory that ended processes shared: none is ever shared, so there is nothing to do."""


# -- random numbers: one generator serves all devices, so that a seed gives the same numbers on each -------------------


def manual_seed(seed: int) -> None:
    """Seed the generator, as `eagergrad.manual_seed` does, once a GPU is in use.

    A program that seeds both draws the same numbers as one that calls `eagergrad.manual_seed` alone. Before the GPU
    is used, or without one, nothing happens.
    """
    seed = int(seed)
    if is_initialized():
        _C.default_generator.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seed for all GPUs: see `manual_seed`."""
    manual_seed(seed)


def seed() -> None:
    """Seed the generator at random once a GPU is in use."""
    if is_initialized():
        _C.default_generator.seed()


def seed_all() -> None:
    """Seed for all GPUs at random: see `seed`."""
    seed()


def initial_seed() -> int:
    """Return the seed that the generator started from."""
    return _C.default_generator.initial_seed()


def get_rng_state(device: Any = None) -> Any:
    """Return the generator's state."""
    return _C.default_generator.get_state()


def get_rng_state_all() -> list[Any]:
    """`get_rng_state` of every device; an empty list where there is none."""
    return [get_rng_state(i) for i in range(device_count())]


def set_rng_state_all(new_states: Any) -> None:
    """Continue from the states of `get_rng_state_all`."""
    for i, state in enumerate(new_states):
        set_rng_state(state, i)


def set_rng_state(new_state: Any, device: Any = None) -> None:
    """Continue from a state of `get_rng_state`."""
    _C.default_generator.set_state(new_state)


# -- the current device ---------------------------------------------------------------------------------------------------


class device:
    """Use a GPU within a ``with`` block; None or a negative number changes nothing."""

    def __init__(self, device: Any) -> None:
        self.number = -1 if device is None else _runtime.index_of(device)
        if self.number >= 0:
            _runtime.checked_index(self.number)

    def __enter__(self) -> None:
        if self.number >= 0:
            self.before = _C.cuda_current()
            _runtime.set_current(self.number)

    def __exit__(self, *exc: Any) -> None:
        if self.number >= 0:
            _runtime.set_current(self.before)


class device_of(device):
    """Use the GPU of a tensor within a ``with`` block; a tensor on the CPU changes nothing."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.get_device() if obj.is_cuda else None)


def warmup(dtypes: Any = None) -> int:
    """Compile the elementwise kernels of contiguous tensors for the given dtypes (default: float32) ahead of their
    first use; returns how many. They are kept on disk, so that later programs start without compiling.

    RuntimeError where there is no GPU.
    """
    import eagergrad as eg

    return _runtime.warmup([eg.float32] if dtypes is None else list(dtypes))


def _refuse(cls: type, *args: Any, **kwargs: Any) -> Any:
    raise TypeError(
        f"[cuda.{cls.__name__}] there is no GPU here: {_runtime.unavailable()}; "
        "check cuda.is_available()"
    )


def _typed_tensor(name: str) -> type:
    """cuda.FloatTensor and its like: callables that isinstance() understands."""
    import eagergrad as eg

    host = getattr(eg, name)

    class Meta(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, host) and instance.is_cuda

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            return host(*args, **kwargs).cuda() if is_available() else _refuse(cls)

    return Meta(name, (), {"__module__": __name__, "_dtype": host._dtype})


def __getattr__(name: str) -> Any:
    """The parts `amp`, `nvtx` and `random`, graphs, the old tensor types, and a flag that libraries read."""
    if name == "_initialized":
        return is_initialized()
    if name in ("amp", "nvtx", "random"):
        return importlib.import_module(f"eagergrad.cuda.{name}")
    if name in ("CUDAGraph", "graph"):
        return getattr(importlib.import_module("eagergrad.cuda.graphs"), name)
    if name.endswith("Tensor") and name[: -len("Tensor")] in _TYPES:
        globals()[name] = _typed_tensor(name)
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


from . import amp as amp  # noqa: E402 (it asks this module whether there is a GPU)
