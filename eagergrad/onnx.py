"""Models as ONNX files, under PyTorch's names; needs the package onnx: ``pip install 'eagergrad[onnx]'``."""

from __future__ import annotations

from eagergrad.export import ExportError as OnnxExporterError
from eagergrad.export._onnx import export

__all__ = ["OnnxExporterError", "export", "is_in_onnx_export"]


def is_in_onnx_export() -> bool:
    """Whether an exporter runs that wants layers to compute otherwise: none does, what is exported is what runs.

    >>> is_in_onnx_export()
    False
    """
    return False
