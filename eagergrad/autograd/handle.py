"""Handle of a hook that sits on the tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eagergrad.utils.hooks import RemovableHandle


class TapeHandle(RemovableHandle):
    """``remove()`` takes the hook off; so does leaving it as a context manager."""

    def __init__(self, remove: Callable[[], Any]) -> None:
        super().__init__({})
        self._remove: Callable[[], Any] | None = remove

    def remove(self) -> None:
        """Takes the hook off. A second call does nothing."""
        if self._remove is not None:
            self._remove()
            self._remove = None
