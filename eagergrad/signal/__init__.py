"""Signal processing: the windows."""

from eagergrad.signal import windows

__all__ = ["windows"]
