"""The classes of results that have names (`eg.max(x, 0)`), by which pickled ones are found again.

>>> import pickle
>>> import eagergrad as eg
>>> found = eg.max(eg.tensor([[1.0, 3.0]]), 1)
>>> isinstance(found, eg.return_types.max), pickle.loads(pickle.dumps(found)).indices
(True, tensor([1]))
"""

from __future__ import annotations

import importlib
from typing import Any

from eagergrad import _C


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    op = _C.op_table.get(name)
    kind = None if op is None else op.result_type
    if kind is None:
        importlib.import_module(
            "eagergrad.linalg.names"
        )  # leaves the classes of its functions here
        kind = globals().get(name)
    if kind is None:
        raise AttributeError(f"no function called {name!r} returns results with names")
    return kind
