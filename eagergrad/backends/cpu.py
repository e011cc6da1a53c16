"""This machine's processor."""

from __future__ import annotations

import eagergrad as eg


def get_cpu_capability() -> str:
    """Return the instruction-set level that the kernels use."""
    return eg.get_isa() if hasattr(eg, "get_isa") else "default"
