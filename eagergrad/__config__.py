"""How this build computes."""

from __future__ import annotations

import eagergrad as eg
from eagergrad import _C

__all__ = ["parallel_info", "show"]


def show() -> str:
    """Return the version, the instruction-set level and the threads as text."""
    return f"eagergrad {eg.__version__}, CPU kernels: {_C.isa_level()}, {parallel_info()}"


def parallel_info() -> str:
    """Return the number of threads as text."""
    return f"threads: {eg.get_num_threads()}"
