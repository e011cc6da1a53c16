"""Batches cut up for several devices, and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import eagergrad as eg
from eagergrad import Tensor

__all__ = ["gather", "scatter", "scatter_kwargs"]


def scatter(inputs: Any, target_gpus: Sequence[Any], dim: int = 0) -> Any:
    """For each device a copy of nested tuples, lists and dicts with its part of each tensor, cut along `dim`.

    Other values are handed to all devices. Small batches give fewer parts than there are devices.

    >>> import eagergrad as eg
    >>> scatter({"x": eg.arange(4), "scale": 2}, ["cpu", "cpu"])
    [{'x': tensor([0, 1]), 'scale': 2}, {'x': tensor([2, 3]), 'scale': 2}]
    """

    if isinstance(inputs, Tensor):
        parts = inputs.chunk(len(target_gpus), dim)
        return tuple(p.to(eg.device(d)) for p, d in zip(parts, target_gpus, strict=False))
    if isinstance(inputs, tuple | list | dict) and inputs:
        items = inputs.items() if isinstance(inputs, dict) else inputs
        rows = zip(*(scatter(item, target_gpus, dim) for item in items), strict=False)
        return [_like(inputs, row) for row in rows]
    return [inputs for _ in target_gpus]


def scatter_kwargs(
    inputs: Any, kwargs: dict[str, Any] | None, target_gpus: Sequence[Any], dim: int = 0
) -> tuple[tuple[Any, ...], tuple[dict[str, Any], ...]]:
    """`scatter` of positional and named arguments: as many of both."""
    args = scatter(inputs, target_gpus, dim) if inputs else []
    named = scatter(kwargs, target_gpus, dim) if kwargs else []
    pairs = list(zip_longest(args, named))
    return tuple(a or () for a, _ in pairs), tuple(k or {} for _, k in pairs)


def gather(outputs: Any, target_device: Any, dim: int = 0) -> Any:
    """The parts of several devices as one: tensors joined along `dim` on `target_device`, numbers of one element stacked.

    >>> import eagergrad as eg
    >>> gather([(eg.ones(2), None), (eg.zeros(1), None)], "cpu")
    (tensor([1., 1., 0.]), None)
    """
    first = outputs[0]
    if isinstance(first, Tensor):
        parts = [(t if t.dim() else t.unsqueeze(0)).to(eg.device(target_device)) for t in outputs]
        return eg.cat(parts, dim)
    if first is None:
        return None
    if isinstance(first, dict):
        if any(len(first) != len(each) for each in outputs):
            raise ValueError("[gather] expected dicts with the same keys")
        return type(first)(
            (k, gather([each[k] for each in outputs], target_device, dim)) for k in first
        )
    return _like(first, [gather(part, target_device, dim) for part in zip(*outputs, strict=True)])


def _like(container: Any, items: Any) -> Any:
    return type(container)(*items) if hasattr(container, "_fields") else type(container)(items)
