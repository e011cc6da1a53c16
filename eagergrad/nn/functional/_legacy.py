"""The arguments that losses took before `reduction`."""

from __future__ import annotations

from eagergrad.tensor.warn import warn

__all__ = ["legacy_reduction"]


def legacy_reduction(
    size_average: bool | None, reduce: bool | None, reduction: str = "mean"
) -> str:
    """The `reduction` that old `size_average` and `reduce` stand for, with a warning; `reduction` without them.

    >>> legacy_reduction(None, None, "sum")
    'sum'
    """
    if size_average is None and reduce is None:
        return reduction
    average = True if size_average is None else size_average
    chosen = "none" if reduce is False else "mean" if average else "sum"
    warn(
        f"size_average and reduce args will be deprecated, please use reduction='{chosen}' instead."
    )
    return chosen
