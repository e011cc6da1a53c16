"""Reading one batch from a dataset."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import eagergrad as eg
from eagergrad.utils.data._utils.collate import default_collate, default_convert
from eagergrad.utils.data.dataset import (
    ConcatDataset,
    IterableDataset,
    Subset,
    TensorDataset,
    _samples,
)

Fetch = Callable[[Any], Any]


def whole_batch_reader(dataset: Any, collate_fn: Callable) -> Fetch | None:
    """For tensors under the default collation: a function that takes a whole batch by one index
    operation a tensor, with the result that collating the rows one by one would have."""
    return _rows(dataset) if collate_fn is default_collate else None


def _takes_index_tensor(x: Any) -> bool:
    """Dense and sparse tensors (whose __class__ is Tensor), and sparse matrices on disk."""
    return x.__class__ is eg.Tensor or getattr(type(x), "takes_index_tensor", False)


def _rows(dataset: Any) -> Fetch | None:
    kind = type(dataset)
    if kind is eg.Tensor and dataset.dim():
        return lambda index: dataset[index]
    if kind is np.ndarray and dataset.ndim and dataset.dtype.kind in "biuf":
        return lambda index: eg.as_tensor(dataset[index.numpy()])
    if isinstance(dataset, TensorDataset):
        plain = kind.__getitem__ is TensorDataset.__getitem__ and not hasattr(kind, "__getitems__")
        if not plain or not all(map(_takes_index_tensor, dataset.tensors)):
            return None
        return lambda index: [t[index] for t in dataset.tensors]
    if kind is Subset:
        inner = _rows(dataset.dataset)
        if inner is not None and len(dataset.indices):
            chosen = np.asarray(dataset.indices)
            return lambda index: inner(eg.from_numpy(chosen[index.numpy()]))
    return None


def _is_plain(dataset: Any) -> bool:
    """Whether reading a sample runs no code of the user's."""
    kind = type(dataset)
    if kind is Subset:
        return type(dataset.indices) in _CONTAINERS and _is_plain(dataset.dataset)
    if kind is ConcatDataset:
        return all(map(_is_plain, dataset.datasets))
    return kind in _CONTAINERS or _rows(dataset) is not None


_CONTAINERS = (list, tuple, range, dict, np.ndarray)


class MapFetcher:
    """Samples by index, collated; one sample, converted, where ``batched`` is False."""

    def __init__(self, dataset: Any, batched: bool, collate_fn: Callable) -> None:
        self._dataset = dataset
        self._batched = batched
        self._collate = collate_fn
        self._whole = whole_batch_reader(dataset, collate_fn) if batched else None
        ours = collate_fn in (default_collate, default_convert)
        # True where no user's code runs, so that nothing draws random numbers.
        self.deterministic = ours and _is_plain(dataset)

    @property
    def takes_tensors(self) -> bool:
        """Whether a batch's indices may come as one tensor."""
        return self._whole is not None

    def __call__(self, index: Any) -> Any:
        if self._whole is not None:
            return self._whole(eg.as_tensor(index, dtype=eg.int64, device="cpu"))
        if self._batched:
            return self._collate(_samples(self._dataset, list(index)))
        return self._collate(self._dataset[index])


class IterableFetcher:
    """The next samples of an iterable dataset; StopIteration at its end."""

    deterministic = True  # the stream keeps its own random state
    takes_tensors = False

    def __init__(self, dataset: Any, batched: bool, collate_fn: Callable, drop_last: bool) -> None:
        self._iterator: Iterator = iter(dataset)
        self._batched = batched
        self._collate = collate_fn
        self._drop_last = drop_last

    def __call__(self, index: Any) -> Any:
        if not self._batched:
            return self._collate(next(self._iterator))
        samples = list(itertools.islice(self._iterator, len(index)))
        if not samples or (self._drop_last and len(samples) < len(index)):
            raise StopIteration
        return self._collate(samples)


def make_fetcher(dataset: Any, batched: bool, collate_fn: Callable, drop_last: bool) -> Any:
    if isinstance(dataset, IterableDataset):
        return IterableFetcher(dataset, batched, collate_fn, drop_last)
    return MapFetcher(dataset, batched, collate_fn)
