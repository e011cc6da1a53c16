"""Types that scripted code annotates with."""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple, TypeVar, Union  # noqa: UP035

T = TypeVar("T")
# A number, or a list of as many: BroadcastingList2[int].
BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = Union[T, List[T]]  # noqa: UP006, UP007

__all__ = [
    "Any",
    "BroadcastingList1",
    "BroadcastingList2",
    "BroadcastingList3",
    "Dict",
    "List",
    "NamedTuple",
    "Optional",
    "Tuple",
    "Union",
]
