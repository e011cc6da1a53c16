"""The sample table: one row per op, gathered from the families' files."""

from __future__ import annotations

import importlib

from table import Row

FAMILIES = ("elementwise", "reduce", "shape", "index", "matmul", "nn", "random")
ROWS: list[Row] = [
    row for family in FAMILIES for row in importlib.import_module(f"samples_{family}").ROWS
]


def covered_names() -> set[str]:
    """Every op name that a row speaks for, in the spellings of functions and methods."""
    names: set[str] = set()
    for row in ROWS:
        for name in (row.name, row.method or row.name, *row.aliases):
            names |= {name, name.rsplit(".", 1)[-1]}
    return names
