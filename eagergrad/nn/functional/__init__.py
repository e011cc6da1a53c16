"""Layers as functions, with PyTorch's names, arguments and defaults."""

from .activation import *
from .channelshuffle import *
from .distance import *
from .dropout import *
from .linear import *
from .loss import *
from .sparse import *
