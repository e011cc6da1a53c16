"""Random numbers of a batch: a function of the epoch's seed and the batch's number only.

Note [Seeds of a loader]
A sample that draws random numbers (from `random`, NumPy's global generator or eagergrad's) gets
the same ones however many workers there are, none included, and no two batches share a stream:
before batch k is read, all three generators are seeded with a hash of (base seed, k). In process,
their states are put back afterwards, so that reading data does not disturb the training's numbers.
Where nothing but lists, arrays, tensors and the default collation is there to run, nothing draws.
A generator that worker_init_fn seeds itself is left alone from then on.
The base seed is drawn once an epoch from eagergrad's generator (or the loader's own) and mixed
with the states of the two others, so that seeding any of the three makes an epoch repeatable.
"""

from __future__ import annotations

import ctypes
import functools
import random
import sys
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


# random and NumPy's global generator are both a Mersenne Twister: 624 words and a place among them. Their states are read and written
# as memory where they are found there, in less than a microsecond; through their functions it takes 100 a batch.
_WORDS = 624
_seeder = np.random.RandomState(np.random.MT19937(0))
_spare = np.random.MT19937(0)  # NumPy's global generator while a batch is read


def _memory(address: int) -> np.ndarray:
    """The words of a Mersenne Twister and its place, in the order of memory."""
    return np.ctypeslib.as_array((ctypes.c_uint32 * (_WORDS + 1)).from_address(address))


def _memory_of_random() -> np.ndarray | None:
    """Where `random` keeps its place and its words; None where they are not where CPython has them."""
    own = getattr(random, "_inst", None)
    if sys.implementation.name != "cpython" or type(own) is not random.Random:
        return None
    if type(own).__basicsize__ < object.__basicsize__ + 4 * (_WORDS + 1):
        return None
    memory = _memory(id(own) + object.__basicsize__)
    *words, place = random.getstate()[1]
    return memory if memory.tolist() == [place, *words] else None


_seeded = _memory(_seeder._bit_generator.ctypes.state_address)
_spare_memory = _memory(_spare.ctypes.state_address)
_random_memory = _memory_of_random()


def _words(seed: int) -> np.ndarray:
    """The words that a 63-bit seed stands for."""
    _seeder.seed(seed & 0xFFFFFFFF)
    return _seeded[:_WORDS] ^ np.uint32(seed >> 32)


def _random_seed(seed: int) -> None:
    words = _words(seed)
    if _random_memory is None:
        random.setstate((3, (*words.tolist(), _WORDS), None))
        return
    _random_memory[0] = _WORDS
    _random_memory[1:] = words
    random._inst.gauss_next = None  # type: ignore[attr-defined]


def _random_aside() -> Callable[[], None]:
    if _random_memory is None:
        return functools.partial(random.setstate, random.getstate())
    own, held = random._inst, _random_memory.copy()  # type: ignore[attr-defined]
    gauss = own.gauss_next

    def restore() -> None:
        _random_memory[:] = held
        own.gauss_next = gauss

    return restore


def _numpy_seed(seed: int) -> None:
    words = _words(mix(seed, 0))  # not those of `random`
    np.random.set_bit_generator(_spare)
    _spare_memory[:_WORDS] = words
    _spare_memory[_WORDS] = _WORDS


def _numpy_state() -> Any:
    return np.random.get_state(legacy=True)  # noqa: NPY002


def _numpy_aside() -> Callable[[], None]:
    """A normal number that NumPy holds back as the second of a pair is dropped."""
    own, held = np.random.get_bit_generator(), _spare_memory.copy()

    def restore() -> None:
        _spare_memory[:] = held
        np.random.set_bit_generator(own)

    return restore


class _Generator:
    """One global generator: how to seed it, read its state, and put it aside for a while."""

    def __init__(
        self, seed: Callable, state: Callable, aside: Callable[[], Callable[[], None]]
    ) -> None:
        self.seed, self.state, self.aside = seed, state, aside


def _own_aside() -> Callable[[], None]:
    return functools.partial(eg.set_rng_state, eg.get_rng_state())


_generators = [
    _Generator(_random_seed, random.getstate, _random_aside),
    _Generator(_numpy_seed, _numpy_state, _numpy_aside),
    _Generator(eg.manual_seed, eg.get_rng_state, _own_aside),
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
