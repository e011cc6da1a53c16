"""The profiler under its older name, with its older arguments."""

from __future__ import annotations

from typing import Any

from eagergrad import profiler
from eagergrad.profiler import EventList, FunctionEvent, FunctionEventAvg, record_function

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "profile", "record_function"]


class profile(profiler.profile):
    """`eagergrad.profiler.profile`, switched on or off by its first argument.

    >>> with profile() as prof:
    ...     with record_function("mine"):
    ...         pass
    >>> [e.name for e in prof.function_events]
    ['mine']
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        use_cuda: bool = False,
        use_cpu: bool = True,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
    ) -> None:
        if use_cuda or not use_cpu:
            raise ValueError(
                "[profile] what the CPU does is recorded: use_cuda=False, use_cpu=True"
            )
        super().__init__(
            record_shapes=record_shapes,
            profile_memory=profile_memory,
            with_stack=with_stack,
            with_flops=with_flops,
            with_modules=with_modules,
        )
        self.enabled = enabled

    def __enter__(self) -> Any:
        return super().__enter__() if self.enabled else self

    def __exit__(self, *exception: object) -> None:
        if self.enabled:
            super().__exit__(*exception)

    def __str__(self) -> str:
        return self.table()
