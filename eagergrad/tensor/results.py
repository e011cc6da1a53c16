"""The named tuples that functions in Python return, printed one result a line as those of the core are."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from eagergrad import return_types


def result_type(name: str, *fields: str) -> Any:
    """A class of named tuples, which `eagergrad.return_types` holds.

    >>> pair = result_type("pair", "first", "second")
    >>> print(pair(1, 2))
    eagergrad.return_types.pair(
    first=1,
    second=2)
    """
    kind = type(
        name,
        (namedtuple(name, fields),),  # type: ignore[misc]
        {"__module__": return_types.__name__, "__slots__": (), "__repr__": _repr},
    )
    setattr(return_types, name, kind)
    return kind


def _repr(self: Any) -> str:
    results = ",\n".join(f"{k}={v!r}" for k, v in zip(self._fields, self, strict=True))
    return f"eagergrad.return_types.{type(self).__name__}(\n{results})"
