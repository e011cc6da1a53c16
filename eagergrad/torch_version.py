"""Versions as PyTorch's module of this name compares them."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import Any

__all__ = ["TorchVersion"]


class TorchVersion(str):
    """A version that is ordered by the numbers of its release, against strings and tuples of numbers.

    >>> version = TorchVersion("2.13.0+eagergrad.0.1.0")
    >>> version >= "2.4", version < (2, 13), version.split("+")[0]
    (True, False, '2.13.0')
    """

    def _release(self) -> tuple[int, ...]:
        found = re.match(r"\d+(\.\d+)*", self)
        return tuple(int(n) for n in found[0].split(".")) if found else ()

    def _order(self, other: Any) -> int:
        """Below, at or above 0 as this release comes before, is or comes after the other."""
        theirs = TorchVersion(other)._release() if isinstance(other, str) else tuple(other)
        pairs = zip_longest(self._release(), theirs, fillvalue=0)
        return next((1 if a > b else -1 for a, b in pairs if a != b), 0)

    def __lt__(self, other: Any) -> bool:
        return self._order(other) < 0

    def __le__(self, other: Any) -> bool:
        return self._order(other) <= 0

    def __gt__(self, other: Any) -> bool:
        return self._order(other) > 0

    def __ge__(self, other: Any) -> bool:
        return self._order(other) >= 0
