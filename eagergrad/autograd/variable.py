"""The module in which PyTorch's Variable, today the Tensor, once lived."""

from . import Variable

__all__ = ["Variable"]
