"""Calling a module with other parameters than its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from eagergrad import Tensor

from ..modules.module import Module

__all__ = ["functional_call"]


def functional_call(
    module: Module,
    parameters_and_buffers: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """`module(*args, **kwargs)` with the named parameters and buffers replaced for this call; gradients reach them.

    Shared parameters are replaced under all their names (`tie_weights`); with `strict` the names must match
    exactly (RuntimeError).

    >>> import eagergrad as eg
    >>> layer = eg.nn.Linear(2, 1)
    >>> w = {"weight": eg.ones(1, 2), "bias": eg.zeros(1)}
    >>> functional_call(layer, w, eg.tensor([3.0, 4.0])).tolist()
    [7.0]
    """
    given = _merged(parameters_and_buffers)
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with _replaced(module, given, tie_weights, strict):
        return module(*args, **(kwargs or {}))


def _merged(given: Any) -> dict[str, Tensor]:
    if isinstance(given, Mapping):
        return dict(given)
    if not isinstance(given, Sequence) or not all(isinstance(d, Mapping) for d in given):
        raise ValueError("Expected all elements of parameters_and_buffers to be dictionaries")
    merged: dict[str, Tensor] = {}
    for part in given:
        twice = merged.keys() & part.keys()
        if twice:
            raise ValueError(
                f"{sorted(twice)} appeared in multiple dictionaries; behavior of functional call is ambiguous"
            )
        merged.update(part)
    return merged


def _places(module: Module) -> dict[str, tuple[dict[str, Any], str]]:
    """Each path of a parameter or buffer, with the dict and key that hold it; shared ones under all paths."""
    places = {}
    for path, mod in module.named_modules(remove_duplicate=False):
        for held in (mod._parameters, mod._buffers):
            for name, value in held.items():
                if value is not None:
                    places[f"{path}.{name}" if path else name] = (held, name)
    return places


@contextmanager
def _replaced(
    module: Module, given: dict[str, Tensor], tie_weights: bool, strict: bool
) -> Iterator[None]:
    places = _places(module)
    if tie_weights:
        given = _with_ties(places, given)
    if strict:
        missing, unexpected = places.keys() - given.keys(), given.keys() - places.keys()
        if missing or unexpected:
            raise RuntimeError(
                f"[functional_call] Missing key(s): {sorted(missing)}. Unexpected key(s): {sorted(unexpected)}."
            )
    old: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for path, value in given.items():
            if path in places:
                held, name = places[path]
                old.append((held, name, held[name]))
                held[name] = value
        yield
    finally:
        for held, name, value in reversed(old):
            held[name] = value


def _with_ties(
    places: dict[str, tuple[dict[str, Any], str]], given: dict[str, Tensor]
) -> dict[str, Tensor]:
    """`given` with every path that shares a tensor with a given path; ValueError where two values disagree."""
    groups: dict[int, list[str]] = {}
    for path, (held, name) in places.items():
        groups.setdefault(id(held[name]), []).append(path)
    out = dict(given)
    for paths in groups.values():
        values = [given[p] for p in paths if p in given]
        if len(paths) == 1 or not values:
            continue
        if any(v is not values[0] for v in values):
            raise ValueError(
                f"[functional_call] {paths} share one tensor but were given different values"
            )
        out.update((p, values[0]) for p in paths)
    return out
