"""Tensors without memory by the name inside PyTorch that libraries import: there are none."""

from . import fake_tensor

__all__ = ["fake_tensor"]
