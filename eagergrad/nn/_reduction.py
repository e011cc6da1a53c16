"""What loss classes written elsewhere, on PyTorch's pattern, ask about a `reduction`."""

from __future__ import annotations

import warnings

from eagergrad.nn.functional._legacy import legacy_reduction

__all__ = ["get_enum", "legacy_get_enum", "legacy_get_string"]

_NUMBERS = {"none": 0, "mean": 1, "sum": 2}


def get_enum(reduction: str) -> int:
    """PyTorch's number of a reduction. Raises ValueError for a name that is none.

    >>> [get_enum(name) for name in ("none", "mean", "sum")]
    [0, 1, 2]
    """
    if reduction not in _NUMBERS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return _NUMBERS[reduction]


def legacy_get_string(
    size_average: bool | None, reduce: bool | None, emit_warning: bool = True
) -> str:
    """The reduction that old `size_average` and `reduce` stand for, both True unless told.

    >>> legacy_get_string(False, None, emit_warning=False)
    'sum'
    """
    with warnings.catch_warnings():
        if not emit_warning:
            warnings.simplefilter("ignore")
        return legacy_reduction(True if size_average is None else size_average, reduce)


def legacy_get_enum(
    size_average: bool | None, reduce: bool | None, emit_warning: bool = True
) -> int:
    """`get_enum` of `legacy_get_string`."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning))
