"""What a loader reads from: map-style and iterable datasets and their combinations."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import eagergrad as eg

if TYPE_CHECKING:
    from eagergrad import Generator, Tensor

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Base of map-style datasets: subclasses write ``__getitem__`` and ``__len__``.

    ``__getitems__(indices)`` may be added; it returns the list of samples of a whole batch.

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 4
    ...
    ...     def __getitem__(self, i):
    ...         return i * i
    >>> Squares()[3]
    9
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__")

    def __add__(self, other: Dataset[T_co]) -> ConcatDataset[T_co]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """Base of datasets that are read in their own order: subclasses write ``__iter__``.

    With several workers every worker iterates its own copy: split the work by
    `get_worker_info` or each sample comes once a worker.
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")

    def __add__(self, other: Dataset[T_co]) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


def _by_rows(x: Any) -> Any:
    """Sparse matrices, SciPy's too, as CSR, whose rows cost what they hold; everything else as it is."""
    from eagergrad.tensor.foreign import is_scipy_sparse

    if is_scipy_sparse(x):
        return eg.sparse.csr(x)
    other = getattr(x, "layout", None) in (eg.sparse_coo, eg.sparse_csc)
    return x.to_sparse_csr() if other and x.dim() == 2 and not x.dense_dim() else x


class TensorDataset(Dataset[tuple]):
    """Tensors of equal length, sample ``i`` being the tuple of their ``i``-th rows.

    Tensors may be sparse, SciPy's matrices too, or a `sparse.SparseFile`: a DataLoader makes CSR minibatches of them.

    Raises:
        AssertionError: the first dimensions differ.

    >>> import eagergrad as eg
    >>> TensorDataset(eg.arange(3), eg.arange(3) * 10)[2]
    (tensor(2), tensor(20))
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Any) -> None:
        tensors = tuple(map(_by_rows, tensors))
        lengths = [len(t) for t in tensors]
        if len(set(lengths)) > 1:
            raise AssertionError(
                f"[TensorDataset] expected tensors of one length, got lengths {lengths}"
            )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class StackDataset(Dataset):
    """Datasets side by side: a sample is the tuple (or, by keyword, the dict) of theirs.

    Raises:
        ValueError: no datasets, both forms at once, or different lengths.
    """

    datasets: tuple | dict

    def __init__(self, *args: Dataset, **kwargs: Dataset) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError(
                "[StackDataset] expected datasets by position or by keyword, "
                f"got {len(args)} by position and {len(kwargs)} by keyword"
            )
        self.datasets = args or kwargs
        lengths = {len(d) for d in self._all()}  # type: ignore[arg-type]
        if len(lengths) > 1:
            raise ValueError(
                f"[StackDataset] expected datasets of one length, got {sorted(lengths)}"
            )
        self._length = lengths.pop()

    def _all(self) -> list[Dataset]:
        return list(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)

    def _pack(self, items: Iterable[Any]) -> Any:
        return (
            dict(zip(self.datasets, items, strict=True))
            if isinstance(self.datasets, dict)
            else tuple(items)
        )

    def __getitem__(self, index: Any) -> Any:
        return self._pack(d[index] for d in self._all())

    def __getitems__(self, indices: list) -> list:
        columns = [_samples(d, indices) for d in self._all()]
        return [self._pack(row) for row in zip(*columns, strict=True)]

    def __len__(self) -> int:
        return self._length


def _samples(dataset: Any, indices: list) -> list:
    """All samples of a batch, by ``__getitems__`` where the dataset has it."""
    many = getattr(dataset, "__getitems__", None)
    if not callable(many):
        return [dataset[i] for i in indices]
    samples = many(indices)
    if len(samples) != len(indices):
        raise ValueError(
            f"[{type(dataset).__name__}.__getitems__] expected {len(indices)} samples, "
            f"got {len(samples)}"
        )
    return samples


class ConcatDataset(Dataset[T_co]):
    """Map-style datasets one after another.

    Raises:
        AssertionError: the list is empty, or holds an iterable dataset.
    """

    datasets: list[Dataset[T_co]]
    cumulative_sizes: list[int]

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("[ConcatDataset] expected at least one dataset, got none")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise AssertionError("[ConcatDataset] expected map-style datasets; use ChainDataset")
        sizes = (len(d) for d in self.datasets)  # type: ignore[arg-type]
        self.cumulative_sizes = list(itertools.accumulate(sizes))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        if index < 0:
            if -index > len(self):
                raise ValueError(f"[ConcatDataset] index {index} is out of {len(self)} samples")
            index += len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - start]


class ChainDataset(IterableDataset):
    """Iterable datasets one after another."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.datasets = datasets

    def _each(self) -> Iterator[Any]:
        for d in self.datasets:
            if not isinstance(d, IterableDataset):
                raise AssertionError(
                    f"[ChainDataset] expected IterableDatasets, got {type(d).__name__}"
                )
            yield d

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(self._each())

    def __len__(self) -> int:
        return sum(len(d) for d in self._each())


class Subset(Dataset[T_co]):
    """The samples of a dataset at the given indices."""

    dataset: Dataset[T_co]
    indices: Sequence[int]

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[T_co]:
        return _samples(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


def _lengths_of_fractions(total: int, fractions: Sequence[float]) -> list[int]:
    for i, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(f"[random_split] fraction {i} is {fraction}, expected 0 to 1")
    lengths = [math.floor(total * fraction) for fraction in fractions]
    for i in range(total - sum(lengths)):
        lengths[i % len(lengths)] += 1
    return lengths


def random_split(
    dataset: Dataset[T_co],
    lengths: Sequence[int | float],
    generator: Generator | None = None,
) -> list[Subset[T_co]]:
    """Split a dataset at random into subsets of the given lengths, or fractions that sum to 1.

    What rounding leaves over goes to the first subsets, one sample each.

    Raises:
        ValueError: the lengths do not sum to the dataset's, or a fraction is outside 0 to 1.

    >>> import eagergrad as eg
    >>> [len(part) for part in random_split(range(10), [0.75, 0.25])]
    [8, 2]
    """
    total = len(dataset)  # type: ignore[arg-type]
    sum_given = sum(lengths)
    sizes = list(lengths)
    if math.isclose(sum_given, 1) and sum_given <= 1:
        sizes = list(_lengths_of_fractions(total, lengths))
    if sum(sizes) != total:
        raise ValueError(
            f"[random_split] expected lengths that sum to {total}, or fractions to 1, "
            f"got {list(lengths)} with sum {sum_given}"
        )
    order = eg.randperm(int(total), generator=generator).tolist()
    ends = itertools.accumulate(int(n) for n in sizes)
    return [Subset(dataset, order[end - int(n) : end]) for n, end in zip(sizes, ends, strict=True)]
