"""Random numbers of a batch: a function of the epoch's seed and the batch's number only.

Note [Seeds of a loader]
A sample that draws random numbers (from `random`, NumPy's global generator or eagergrad's) gets
the same ones however many workers there are, none included, and no two batches share a stream:
before batch k is read, all three generators are seeded with a hash of (base seed, k). In process,
their states are put back afterwards, so that reading data does not disturb the training's numbers.
A generator that worker_init_fn seeds itself is left alone from then on.
The base seed is drawn once an epoch from eagergrad's generator (or the loader's own) and mixed
with the states of the two others, so that seeding any of the three makes an epoch repeatable.
"""

from __future__ import annotations

import functools
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import eagergrad as eg

_MASK = (1 << 64) - 1


def mix(seed: int, number: int) -> int:
    """A 63-bit hash of two integers (the finaliser of splitmix64, Steele et al. 2014)."""
    z = (seed + (number + 1) * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (z ^ (z >> 31)) >> 1


def base_seed(generator: Any) -> int:
    """Draw an epoch's seed. See Note [Seeds of a loader]."""
    drawn = int(eg.randint(0, 2**62, (1,), generator=generator).item())
    state = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    words = zlib.crc32(state["key"].tobytes(), state["pos"])
    _, python_words, _ = random.getstate()
    return mix(drawn, zlib.crc32(repr(python_words[-9:]).encode(), words))


def _numpy_seed(seed: int) -> None:
    np.random.seed([seed & 0xFFFFFFFF, seed >> 32])  # noqa: NPY002


def _numpy_state() -> Any:
    return np.random.get_state(legacy=True)  # noqa: NPY002


_spare = np.random.MT19937(0)


def _numpy_aside() -> Callable[[], None]:
    """Exchange the global bit generator: 0.3 us, where reading and writing its state takes 200.
    A normal number that NumPy holds back as the second of a pair is dropped."""
    own = np.random.get_bit_generator()
    np.random.set_bit_generator(_spare)

    def restore() -> None:
        np.random.seed(0)  # noqa: NPY002
        np.random.set_bit_generator(own)

    return restore


class _Generator:
    """One global generator: how to seed it, read its state, and put it aside for a while."""

    def __init__(
        self, seed: Callable, state: Callable, aside: Callable[[], Callable[[], None]]
    ) -> None:
        self.seed, self.state, self.aside = seed, state, aside


def _kept(state: Callable, put: Callable) -> Callable[[], Callable[[], None]]:
    return lambda: functools.partial(put, state())


_generators = [
    _Generator(random.seed, random.getstate, _kept(random.getstate, random.setstate)),
    _Generator(_numpy_seed, _numpy_state, _numpy_aside),
    _Generator(eg.manual_seed, eg.get_rng_state, _kept(eg.get_rng_state, eg.set_rng_state)),
]


def seed_all(seed: int) -> None:
    """Seed the three global generators."""
    for g in _generators:
        g.seed(seed)


def untouched(before: list[Any]) -> list[_Generator]:
    """The generators whose state still is what `states` returned."""
    return [g for g, old in zip(_generators, before, strict=True) if _same(g.state(), old)]


def states() -> list[Any]:
    """The states of the three generators."""
    return [g.state() for g in _generators]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, eg.Tensor):
        return _same(a.numpy(), b.numpy())
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else a == b


@contextmanager
def batch_seeds(base: int, number: int) -> Iterator[None]:
    """Seed for one batch and put the states back afterwards."""
    restore = [g.aside() for g in _generators]
    seed_all(mix(base, number))
    try:
        yield
    finally:
        for put_back in restore:
            put_back()
