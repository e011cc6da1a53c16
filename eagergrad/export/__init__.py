"""Trained nets for places where no framework fits: `export_numpy` writes a module that needs NumPy alone."""

from eagergrad.export._export import export_numpy
from eagergrad.export._trace import ExportError

__all__ = ["ExportError", "export_numpy"]
