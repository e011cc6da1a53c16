"""What libraries of optimizers import from this place of PyTorch."""

from __future__ import annotations

from typing import Any


def _group_tensors_by_device_and_dtype(
    tensorlistlist: Any, with_indices: bool = False
) -> dict[tuple[Any, Any], tuple[list[list[Any]], list[int]]]:
    """Lists of equal lengths, taken apart by device and dtype of the first list's tensors; with their positions.

    >>> import eagergrad as eg
    >>> a, b = eg.ones(1), eg.ones(1, dtype=eg.float64)
    >>> groups = _group_tensors_by_device_and_dtype([[a, b, a]], with_indices=True)
    >>> [positions for _, positions in groups.values()]
    [[0, 2], [1]]
    """
    groups: dict[tuple[Any, Any], tuple[list[list[Any]], list[int]]] = {}
    for i, row in enumerate(
        zip(*(each or [None] * len(tensorlistlist[0]) for each in tensorlistlist), strict=True)
    ):
        lists, positions = groups.setdefault((row[0].device, row[0].dtype), ([[] for _ in row], []))
        for found, item in zip(lists, row, strict=True):
            found.append(item)
        if with_indices:
            positions.append(i)
    return groups
