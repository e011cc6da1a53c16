"""Where programs look for the type of compiled modules."""

from eagergrad.compiler import OptimizedModule

__all__ = ["OptimizedModule"]
