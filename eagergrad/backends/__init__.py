"""The libraries below: which are there, and the switches that programs set on them."""

from __future__ import annotations

from eagergrad.backends import cpu, cuda, cudnn, mkl, mkldnn, mps, openmp

__all__ = ["cpu", "cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
