"""Several processes as one program, with PyTorch's names; see docs/distributed.md."""

from __future__ import annotations

from . import distributed_c10d
from .distributed_c10d import *
from .distributed_c10d import __all__
