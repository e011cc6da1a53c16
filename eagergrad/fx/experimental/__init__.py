"""Names of PyTorch's tracing that libraries import."""

from . import proxy_tensor

__all__ = ["proxy_tensor"]
