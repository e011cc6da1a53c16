"""Switches of matrix products and attention on a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from eagergrad import cuda as _cuda
from eagergrad.tensor.functions import get_float32_matmul_precision, set_float32_matmul_precision


class _Matmul:
    """Precision that a GPU may use in matrix products."""

    def __init__(self) -> None:
        self.allow_fp16_reduced_precision_reduction = True
        self.allow_bf16_reduced_precision_reduction = True

    @property
    def allow_tf32(self) -> bool:
        """Whether float32 products may round their operands to TensorFloat-32."""
        return get_float32_matmul_precision() != "highest"

    @allow_tf32.setter
    def allow_tf32(self, allowed: bool) -> None:
        set_float32_matmul_precision("high" if allowed else "highest")


matmul = _Matmul()
_kinds = {"flash": True, "mem_efficient": True, "math": True}


def is_built() -> bool:
    """Return whether GPU support is installed."""
    return _cuda.is_available()


def flash_sdp_enabled() -> bool:
    """Return whether attention may be computed in tiles."""
    return _kinds["flash"]


def enable_flash_sdp(enabled: bool) -> None:
    """Allow attention in tiles on a GPU."""
    _kinds["flash"] = enabled


def mem_efficient_sdp_enabled() -> bool:
    """Return whether attention may be computed with little memory."""
    return _kinds["mem_efficient"]


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Allow attention with little memory on a GPU."""
    _kinds["mem_efficient"] = enabled


def math_sdp_enabled() -> bool:
    """Return whether attention may be computed as written down."""
    return _kinds["math"]


def enable_math_sdp(enabled: bool) -> None:
    """Allow attention as written down on a GPU."""
    _kinds["math"] = enabled


@contextlib.contextmanager
def sdp_kernel(
    enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True
) -> Iterator[None]:
    """Set how attention may be computed on a GPU within a block."""
    old = dict(_kinds)
    _kinds.update(flash=enable_flash, math=enable_math, mem_efficient=enable_mem_efficient)
    try:
        yield
    finally:
        _kinds.update(old)
