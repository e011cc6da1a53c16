"""All layers, one file a kind."""

from . import (
    activation,
    adaptive,
    channelshuffle,
    container,
    conv,
    distance,
    dropout,
    flatten,
    fold,
    lazy,
    linear,
    loss,
    module,
    padding,
    pooling,
    sparse,
    upsampling,
    vision,
)
from .activation import *
from .adaptive import *
from .channelshuffle import *
from .container import *
from .conv import *
from .distance import *
from .dropout import *
from .flatten import *
from .fold import *
from .lazy import *
from .linear import *
from .loss import *
from .module import *
from .padding import *
from .pooling import *
from .sparse import *
from .upsampling import *
from .vision import *

__all__ = [
    *activation.__all__,
    *adaptive.__all__,
    *channelshuffle.__all__,
    *container.__all__,
    *conv.__all__,
    *distance.__all__,
    *dropout.__all__,
    *flatten.__all__,
    *fold.__all__,
    *lazy.__all__,
    *linear.__all__,
    *loss.__all__,
    *module.__all__,
    *padding.__all__,
    *pooling.__all__,
    *sparse.__all__,
    *upsampling.__all__,
    *vision.__all__,
]
