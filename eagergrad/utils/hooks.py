"""Handles that remove what a registration added."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import MutableMapping
from typing import Any

__all__ = ["RemovableHandle"]

_ids = itertools.count()


class RemovableHandle:
    """What a hook registration returns: `handle.remove()`, or leaving a `with` block, takes the hook away again.

    `hooks` holds the hook under `handle.id`; entries of `extra_dicts` under the same id go with it.

    >>> hooks = {}
    >>> handle = RemovableHandle(hooks)
    >>> hooks[handle.id] = print
    >>> handle.remove()
    >>> hooks
    {}
    """

    def __init__(self, hooks: MutableMapping[int, Any], *, extra_dicts: Any = ()) -> None:
        self.id = next(_ids)
        if not isinstance(extra_dicts, (list, tuple)):
            extra_dicts = (extra_dicts,)
        self._dicts = tuple(_weak(d) for d in (hooks, *extra_dicts))

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        for ref in self._dicts:
            hooks = ref()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()

    # A handle that travels through pickle has lost its dictionaries: it keeps its id and removes nothing.
    def __getstate__(self) -> dict[str, Any]:
        return {"id": self.id, "_dicts": ()}


def _weak(hooks: Any) -> Any:
    try:
        return weakref.ref(hooks)
    except TypeError:  # a plain dict takes no weak reference
        return lambda: hooks
