"""PyTorch's compiler by the name inside it that programs import. Nothing is compiled here: answers are "no", settings change nothing."""

from __future__ import annotations

from typing import Any

from eagergrad.compiler import OptimizedModule, allow_in_graph, disable, is_compiling, reset

from . import config, eval_frame, utils

__all__ = [
    "OptimizedModule",
    "allow_in_graph",
    "config",
    "disable",
    "eval_frame",
    "graph_break",
    "is_compiling",
    "mark_dynamic",
    "mark_static",
    "maybe_mark_dynamic",
    "reset",
    "utils",
]


def graph_break(*args: Any, **options: Any) -> None:
    """Nothing: there is no graph to break."""


def mark_dynamic(*args: Any, **options: Any) -> None:
    """Nothing: sizes are looked at in every call."""


mark_static = maybe_mark_dynamic = mark_dynamic
