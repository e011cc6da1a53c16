"""This machine's processor."""

from __future__ import annotations

from eagergrad import _C

__all__ = ["get_cpu_capability"]

_NAMES = {3: "AVX2", 4: "AVX512"}  # of the x86-64 levels that kernels are compiled for


def get_cpu_capability() -> str:
    """The instructions that the kernels use, by PyTorch's names: "AVX512", "AVX2" or "DEFAULT".

    >>> get_cpu_capability() in ("AVX512", "AVX2", "DEFAULT")
    True
    """
    return _NAMES.get(_C.isa_level(), "DEFAULT")
