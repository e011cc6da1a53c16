"""What this build is: PyTorch's ``version`` names."""

from eagergrad._version import __version__

__all__ = ["__version__", "cuda", "debug", "hip"]

debug = False
cuda: str | None = None  # CUDA comes with CuPy, not with this build
hip: str | None = None
