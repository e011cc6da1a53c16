"""PixelShuffle and PixelUnshuffle, under the path that PyTorch has them at."""

from .vision import PixelShuffle, PixelUnshuffle

__all__ = ["PixelShuffle", "PixelUnshuffle"]
