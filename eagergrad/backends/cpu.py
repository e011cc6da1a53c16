"""This machine's processor."""

from __future__ import annotations

from eagergrad import _C


def get_cpu_capability() -> str:
    """Return the instruction-set level that the kernels use."""
    return str(_C.isa_level())
