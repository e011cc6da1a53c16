"""What layers ask PyTorch's exporter: nothing is exported here."""

from __future__ import annotations

__all__ = ["is_in_onnx_export"]


def is_in_onnx_export() -> bool:
    """Is the model being exported? Never: eagergrad writes no ONNX files.

    >>> is_in_onnx_export()
    False
    """
    return False
