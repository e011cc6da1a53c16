"""Modules of settings that take any name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

__all__ = ["patch_of"]


def patch_of(module: str) -> Callable[..., AbstractContextManager[None]]:
    """The `patch` of a module: a block, or a decorator, in which settings have other values: keywords, a dict, or a name and its value.

    >>> from eagergrad._dynamo import config
    >>> with config.patch(cache_size_limit=8):
    ...     config.cache_size_limit
    8
    >>> hasattr(config, "cache_size_limit")
    False
    """

    @contextmanager
    def patch(*named: Any, **values: Any) -> Iterator[None]:
        settings = vars(sys.modules[module])
        given = named[0] if named and isinstance(named[0], dict) else dict([named] if named else [])
        before = dict(settings)
        settings.update(given, **values)
        try:
            yield
        finally:
            settings.clear()
            settings.update(before)

    return patch
