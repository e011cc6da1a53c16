"""The part of a dataset that one process of several reads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import eagergrad as eg
from eagergrad.utils.data.sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Every ``num_replicas``-th index from ``rank`` on, so that processes share a dataset.

    All ranks shuffle alike, by ``seed + epoch``: call `set_epoch` before each epoch. The order is
    padded with its own beginning to a multiple of the number of ranks, or cut with ``drop_last``.

    Raises:
        ValueError: rank is not in 0 to num_replicas - 1.

    >>> list(DistributedSampler(range(5), num_replicas=2, rank=1, shuffle=False))
    [1, 3, 0]
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        num_replicas = eg.distributed.get_world_size() if num_replicas is None else num_replicas
        rank = eg.distributed.get_rank() if rank is None else rank
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"[DistributedSampler] rank expected 0 to {num_replicas - 1}, got {rank}"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.seed = seed
        n = len(dataset)
        cut = drop_last and n % num_replicas
        self.num_samples = n // num_replicas if cut else math.ceil(n / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        order = list(range(n))
        if self.shuffle:
            g = eg.Generator()
            g.manual_seed(self.seed + self.epoch)
            order = eg.randperm(n, generator=g).tolist()
        if order and len(order) < self.total_size:
            order *= math.ceil(self.total_size / len(order))
        return iter(order[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which with the seed decides the order."""
        self.epoch = epoch
