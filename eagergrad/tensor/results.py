"""The named tuples that functions in Python return, printed one result a line as those of the core are."""

from __future__ import annotations

from collections import namedtuple
from typing import Any


def result_type(name: str, *fields: str) -> Any:
    """A class of named tuples.

    >>> pair = result_type("pair", "first", "second")
    >>> print(pair(1, 2))
    eagergrad.return_types.pair(
    first=1,
    second=2)
    """
    return type(
        name,
        (namedtuple(name, fields),),  # type: ignore[misc]
        {"__module__": "eagergrad.return_types", "__slots__": (), "__repr__": _repr},
    )


def _repr(self: Any) -> str:
    results = ",\n".join(f"{k}={v!r}" for k, v in zip(self._fields, self, strict=True))
    return f"eagergrad.return_types.{type(self).__name__}(\n{results})"
