"""Tensors: their Python face, creation, dtypes and devices, printing."""
