"""The table of forms, and arguments as ops take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FORMS: dict[str, Callable[..., Any]] = {}


def form(names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        FORMS.update(dict.fromkeys(names.split(), function))
        return function

    return register


def _list(x: Any, n: int) -> list[int]:
    items = [x] if isinstance(x, int) else list(x)
    return items * n if len(items) == 1 else items


def _axes(dim: Any, rank: int) -> list[int]:
    if dim is None or dim == () or not rank:
        return list(range(rank))
    return [d % rank for d in ([dim] if isinstance(dim, int) else dim)]


def _sizes(size: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(size[0]) if len(size) == 1 and isinstance(size[0], tuple) else size
