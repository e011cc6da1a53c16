"""PyTorch's name for the module in which all of ``distributed`` is."""

from __future__ import annotations

from . import _messages, _tensors, _world
from ._group import ProcessGroup, Work
from ._mailbox import DistBackendError, DistError
from ._messages import *
from ._tensors import *
from ._world import *
from .rendezvous import rendezvous
from .store import (
    DistNetworkError,
    DistStoreError,
    FileStore,
    HashStore,
    PrefixStore,
    Store,
    TCPStore,
)

__all__ = [
    *("DistBackendError", "DistError", "DistNetworkError", "DistStoreError", "FileStore"),
    *("HashStore", "PrefixStore", "ProcessGroup", "Store", "TCPStore", "Work", "rendezvous"),
    *_messages.__all__,
    *_tensors.__all__,
    *_world.__all__,
]
