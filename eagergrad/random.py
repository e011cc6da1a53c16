"""The global stream of random numbers: seeds and states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from eagergrad import (
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)

__all__ = [
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]


@contextmanager
def fork_rng(
    devices: Iterable[int] | None = None, enabled: bool = True, device_type: str = "cuda"
) -> Iterator[None]:
    """Put the random state back at the end of the block. ``devices`` names GPUs whose states are
    kept as well; without a GPU there are none.

    >>> import eagergrad as eg
    >>> with fork_rng():
    ...     a = eg.rand(1)
    >>> bool(a == eg.rand(1))
    True
    """
    state = get_rng_state() if enabled else None
    try:
        yield
    finally:
        if state is not None:
            set_rng_state(state)
