"""All layers, one file a kind."""

from . import (
    activation,
    adaptive,
    channelshuffle,
    container,
    distance,
    dropout,
    flatten,
    lazy,
    linear,
    loss,
    module,
    sparse,
)
from .activation import *
from .adaptive import *
from .channelshuffle import *
from .container import *
from .distance import *
from .dropout import *
from .flatten import *
from .lazy import *
from .linear import *
from .loss import *
from .module import *
from .sparse import *

__all__ = [
    *activation.__all__,
    *adaptive.__all__,
    *channelshuffle.__all__,
    *container.__all__,
    *distance.__all__,
    *dropout.__all__,
    *flatten.__all__,
    *lazy.__all__,
    *linear.__all__,
    *loss.__all__,
    *module.__all__,
    *sparse.__all__,
]
