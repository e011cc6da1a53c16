"""Building a module whose parameters will be overwritten anyway."""

from __future__ import annotations

import inspect
from typing import Any

from ..modules.module import Module

__all__ = ["skip_init"]


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """`module_cls(*args, **kwargs)` whose initial values must not be relied upon.

    RuntimeError for a class that is not a Module or takes no `device`.

    >>> import eagergrad as eg
    >>> skip_init(eg.nn.Linear, 2, 1)
    Linear(in_features=2, out_features=1, bias=True)
    """
    if not (inspect.isclass(module_cls) and issubclass(module_cls, Module)):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    return module_cls(*args, **kwargs)
