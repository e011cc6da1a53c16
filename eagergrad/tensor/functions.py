"""Functions of the package that are plain Python: questions about tensors, old names, small compositions."""

from __future__ import annotations

import os
from typing import Any

from eagergrad import _C
from eagergrad.tensor.dtype import dtype
from eagergrad.tensor.tensor import Tensor, _as_dtype

__all__ = [
    "Assert",
    "are_deterministic_algorithms_enabled",
    "compile",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_rng_state",
    "initial_seed",
    "is_complex",
    "is_floating_point",
    "is_nonzero",
    "is_storage",
    "is_tensor",
    "manual_seed",
    "numel",
    "seed",
    "set_default_tensor_type",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_num_interop_threads",
    "set_rng_state",
    "typename",
    "use_deterministic_algorithms",
]


def is_tensor(obj: Any) -> bool:
    """Whether obj is a Tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj: Any) -> bool:
    """False: storages are not objects of their own here."""
    return False


def is_floating_point(input: Tensor) -> bool:
    """Whether the elements are floating point numbers."""
    return input.dtype.is_floating_point


def is_complex(input: Tensor) -> bool:
    """False: all dtypes are real."""
    return False


def is_nonzero(input: Tensor) -> bool:
    """Truth of a one-element tensor."""
    if input.numel() != 1:
        raise RuntimeError(
            "Boolean value of Tensor with more than one value is ambiguous"
            if input.numel()
            else "Boolean value of Tensor with no values is ambiguous"
        )
    return bool(input)


def numel(input: Tensor) -> int:
    """Number of elements."""
    return input.numel()


def typename(obj: Any) -> str:
    """Name of a tensor's type, or of any object's class with its module."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if isinstance(obj, type) else type(obj)
    return (
        f"{kind.__module__}.{kind.__qualname__}"
        if kind.__module__ != "builtins"
        else kind.__qualname__
    )


def manual_seed(seed: int) -> Any:
    """Starts the default stream of random numbers of a seed; returns its generator."""
    return _C.default_generator.manual_seed(int(seed))


def seed() -> int:
    """Starts the default stream from the system's randomness; returns the seed."""
    value = int.from_bytes(os.urandom(7), "little")
    _C.default_generator.manual_seed(value)
    return value


def initial_seed() -> int:
    """The seed of the default stream."""
    return _C.default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """State of the default stream as a tensor of bytes."""
    return _C.default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Puts the default stream back to a state of get_rng_state()."""
    _C.default_generator.set_state(new_state)


def set_default_tensor_type(t: Any) -> None:
    """The old spelling of set_default_dtype."""
    _C.set_default_dtype(_as_dtype(t) if not isinstance(t, dtype) else t)


def Assert(condition: Any, message: str) -> None:
    """Raises AssertionError with the message unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def compile(model: Any = None, **options: Any) -> Any:
    """The model itself: eager code is already what runs. Also a decorator with or without arguments."""
    return (lambda function: function) if model is None else model


_deterministic = False


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Noted; results are the same bits in every run either way."""
    global _deterministic
    _deterministic = bool(mode)


def are_deterministic_algorithms_enabled() -> bool:
    """What use_deterministic_algorithms was told."""
    return _deterministic


_precision = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """Products on the CPU are always computed in full float32; the setting concerns GPUs."""
    global _precision
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"expected 'highest', 'high' or 'medium', got {precision!r}")
    _precision = precision


def get_float32_matmul_precision() -> str:
    """What set_float32_matmul_precision was told."""
    return _precision


def set_num_interop_threads(n: int) -> None:
    """Accepted: operations run one after the other, each on the threads of set_num_threads."""
    if n <= 0:
        raise RuntimeError("set_num_interop_threads expects a positive integer")


def get_num_interop_threads() -> int:
    """1: operations run one after the other."""
    return 1


def set_flush_denormal(mode: bool) -> bool:
    """False: subnormal numbers are always kept."""
    return False
