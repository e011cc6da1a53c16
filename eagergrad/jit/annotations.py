"""Types that scripted code annotates with."""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union  # noqa: UP035

# An int, or a list of as many.
BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = Union[int, List[int]]  # noqa: UP006, UP007

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
