"""Wrappers that programs for several devices or processes put around their model."""

from typing import TYPE_CHECKING, Any

from .data_parallel import DataParallel, data_parallel
from .scatter_gather import gather, scatter

if TYPE_CHECKING:
    from .distributed import DistributedDataParallel

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel", "gather", "scatter"]


def __getattr__(name: str) -> Any:
    if name in ("DistributedDataParallel", "distributed"):  # few programs have several processes
        from importlib import import_module

        module = import_module(".distributed", __name__)
        return module if name == "distributed" else module.DistributedDataParallel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
