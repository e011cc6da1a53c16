"""PyTorch's generator of code by the name inside it that programs import: its settings, which change nothing."""

from . import config

__all__ = ["config"]
