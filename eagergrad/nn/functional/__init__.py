"""Layers as functions, with PyTorch's names, arguments and defaults."""

from .activation import *
from .attention import *
from .channelshuffle import *
from .conv import *
from .distance import *
from .dropout import *
from .experts import *
from .fold import *
from .linear import *
from .loss import *
from .norm import *
from .padding import *
from .pooling import *
from .sparse import *
from .vision import *


def __getattr__(name: str) -> object:
    if name in ("_single", "_pair", "_triple"):  # layers written elsewhere take them from here
        from ..modules import utils

        return getattr(utils, name)
    if name == "_Reduction":
        from eagergrad.nn import _reduction

        return _reduction
    if name == "grad":
        from eagergrad.nn import grad

        return grad
    if name.endswith("torch_function") or name.startswith("has_torch_function"):
        from eagergrad import overrides

        return getattr(overrides, name)
    raise AttributeError(f"module 'eagergrad.nn.functional' has no attribute {name!r}")
