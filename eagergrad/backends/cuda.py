"""Switches of matrix products and attention on a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from eagergrad import _C
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

# PyTorch's kinds of attention kernels, in the order of preference. cuDNN's is one here, and eagergrad's own stands for all others.
_KINDS = ("cudnn", "flash", "mem_efficient", "math", "overrideable")
_allowed = set(_KINDS)
_preferred: tuple[str, ...] = _KINDS


def _allow(kinds: Iterable[str], preferred: Iterable[str] | None = None) -> None:
    """Say which kinds may compute attention, and which first."""
    global _allowed, _preferred
    _allowed = set(kinds)
    _preferred = _preferred if preferred is None else tuple(preferred)
    first = next((kind for kind in _preferred if kind in _allowed), "")
    _C.cudnn_set_attention(first == "cudnn", _allowed == {"cudnn"})


def _switch(kind: str, enabled: bool) -> None:
    _allow(_allowed | {kind} if enabled else _allowed - {kind})


def is_built() -> bool:
    """Return whether GPU support is installed."""
    return _cuda.is_available()


def flash_sdp_enabled() -> bool:
    """Return whether attention may be computed in tiles."""
    return "flash" in _allowed


def enable_flash_sdp(enabled: bool) -> None:
    """Allow attention in tiles on a GPU."""
    _switch("flash", enabled)


def mem_efficient_sdp_enabled() -> bool:
    """Return whether attention may be computed with little memory."""
    return "mem_efficient" in _allowed


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Allow attention with little memory on a GPU."""
    _switch("mem_efficient", enabled)


def math_sdp_enabled() -> bool:
    """Return whether attention may be computed as written down."""
    return "math" in _allowed


def enable_math_sdp(enabled: bool) -> None:
    """Allow attention as written down on a GPU."""
    _switch("math", enabled)


def cudnn_sdp_enabled() -> bool:
    """Return whether cuDNN may compute attention."""
    return "cudnn" in _allowed


def enable_cudnn_sdp(enabled: bool) -> None:
    """Allow attention of float16 and bfloat16 by cuDNN, where the package nvidia-cudnn-frontend is installed.

    >>> enable_cudnn_sdp(False)
    >>> cudnn_sdp_enabled()
    False
    >>> enable_cudnn_sdp(True)
    """
    _switch("cudnn", enabled)


@contextlib.contextmanager
def _only(kinds: Iterable[str], preferred: Iterable[str] | None = None) -> Iterator[None]:
    """Allow these kinds alone within a block."""
    before = _allowed, _preferred
    _allow(kinds, preferred)
    try:
        yield
    finally:
        _allow(*before)


def sdp_kernel(
    enable_flash: bool = True,
    enable_math: bool = True,
    enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> contextlib.AbstractContextManager[None]:
    """Set how attention may be computed on a GPU within a block."""
    allowed = {
        "flash": enable_flash,
        "math": enable_math,
        "mem_efficient": enable_mem_efficient,
        "cudnn": enable_cudnn,
    }
    return _only(kind for kind, enabled in allowed.items() if enabled)
