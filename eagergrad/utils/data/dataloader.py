"""DataLoader: batches of a dataset, read here or by worker processes."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import connection as mp_connection
from typing import Any, Generic, TypeVar

import eagergrad as eg
from eagergrad.utils.data._utils import seeding
from eagergrad.utils.data._utils.collate import default_collate, default_convert
from eagergrad.utils.data._utils.fetch import make_fetcher
from eagergrad.utils.data._utils.transport import Receiver
from eagergrad.utils.data._utils.worker import (
    INTERRUPTED,
    Task,
    WorkerConfig,
    get_worker_info,
    worker_main,
)
from eagergrad.utils.data.dataset import Dataset, IterableDataset
from eagergrad.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
)

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

T_co = TypeVar("T_co", covariant=True)
_GRACE = 2.0  # seconds that workers get to finish by themselves


class _Endless(Sampler):
    """Stands for the order of an iterable dataset, which has its own."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader(Generic[T_co]):
    """Iterate over a dataset in batches.

    Args:
        dataset: map-style (``__getitem__`` and ``__len__``) or an `IterableDataset`.
        batch_size: samples a batch; None turns batching off.
        shuffle: a new random order every epoch.
        sampler, batch_sampler: the order of indices, or of lists of them, instead of shuffle.
        num_workers: processes that read ahead; 0 reads in this process.
        collate_fn: list of samples to batch; `default_collate` by default.
        pin_memory: copy batches to page-locked memory; without a GPU there is nothing to pin for.
        drop_last: drop a last, smaller batch.
        timeout: seconds to wait for a batch of a worker; 0 waits for ever.
        worker_init_fn: called in each worker with its number.
        multiprocessing_context: ``"fork"``, ``"spawn"``, ``"forkserver"`` or a context.
        generator: draws the order and the seeds.
        prefetch_factor: batches that each worker holds ready (2).
        persistent_workers: keep the processes between epochs.
        in_order: batches in the sampler's order, or as soon as they are there.

    Random numbers that ``__getitem__`` draws from `random`, NumPy or eagergrad depend on the
    epoch's seed and the batch's number only: the same for any number of workers, none included.

    Raises:
        ValueError: options that exclude each other.
        RuntimeError: a worker was killed, or did not answer in time. An exception in a worker
            arrives as its own kind with the worker's traceback in the message.

    >>> import eagergrad as eg
    >>> from eagergrad.utils.data import TensorDataset
    >>> [x.tolist() for (x,) in DataLoader(TensorDataset(eg.arange(5)), batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    dataset: Dataset[T_co]

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler | Iterable | None = None,
        batch_sampler: Sampler | Iterable | None = None,
        num_workers: int = 0,
        collate_fn: Callable | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        self._iterable = isinstance(dataset, IterableDataset)
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self._check_order(batch_size, shuffle, sampler, batch_sampler, drop_last)
        if batch_sampler is not None:
            batch_size = None
        if sampler is None:
            sampler = self._default_sampler(dataset, bool(shuffle), generator)
        if batch_sampler is None and batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.generator = generator
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self.multiprocessing_context = multiprocessing_context
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate
        self.collate_fn = collate_fn
        self._workers: _WorkerIterator | None = None
        self._sealed = True

    def _check_order(
        self, batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: bool
    ) -> None:
        if self._iterable:
            for name, value in [("sampler", sampler), ("batch_sampler", batch_sampler)]:
                if value is not None:
                    raise ValueError(f"[DataLoader] an IterableDataset takes no {name}")
            if shuffle:
                raise ValueError("[DataLoader] an IterableDataset cannot be shuffled by the loader")
        if sampler is not None and shuffle:
            raise ValueError("[DataLoader] sampler and shuffle exclude each other")
        if batch_sampler is not None and (
            batch_size != 1 or shuffle or sampler is not None or drop_last
        ):
            raise ValueError(
                "[DataLoader] batch_sampler excludes batch_size, shuffle, sampler and drop_last"
            )
        if batch_size is None and drop_last:
            raise ValueError("[DataLoader] drop_last needs a batch_size")

    def _default_sampler(self, dataset: Any, shuffle: bool, generator: Any) -> Sampler:
        if self._iterable:
            return _Endless()
        if not shuffle:
            return SequentialSampler(dataset)
        if len(dataset) == 0:
            raise ValueError("[DataLoader] cannot shuffle a dataset without samples: its len is 0")
        return RandomSampler(dataset, generator=generator)

    def __setattr__(self, name: str, value: Any) -> None:
        fixed = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset")
        if name in (*fixed, "persistent_workers") and self.__dict__.get("_sealed"):
            raise ValueError(f"[DataLoader] {name} cannot be changed once the loader is made")
        super().__setattr__(name, value)

    @property
    def multiprocessing_context(self) -> Any:
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        if context is not None and not self.num_workers:
            raise ValueError("[DataLoader] multiprocessing_context needs num_workers > 0")
        if isinstance(context, str):
            known = multiprocessing.get_all_start_methods()
            if context not in known:
                raise ValueError(
                    f"[DataLoader] multiprocessing_context expected one of {known}, got {context!r}"
                )
            context = multiprocessing.get_context(context)
        elif context is not None and not hasattr(context, "Process"):
            raise TypeError(
                f"[DataLoader] multiprocessing_context expected a context, got {context!r}"
            )
        self._context = context

    @property
    def _batched(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.batch_sampler if self._batched else self.sampler

    def _indices(self) -> Iterator:
        if self._iterable and self._batched:  # only the number of samples matters
            return itertools.repeat(range(self.batch_size))  # type: ignore[arg-type]
        return iter(self._index_sampler)

    def __iter__(self) -> Iterator:
        if self.num_workers == 0:
            return _Batches(_counted(_in_process(self), self), self)
        if not self.persistent_workers:
            return _counted(_WorkerIterator(self), self)
        if self._workers is None or self._workers.closed:
            self._workers = _WorkerIterator(self)
        else:
            self._workers.restart()
        return _counted(self._workers, self)

    def __len__(self) -> int:
        if not self._iterable:
            return len(self._index_sampler)
        n = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return n
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def check_worker_number_rationality(self) -> None:
        """Warn where there are more workers than processor cores."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        if cores and self.num_workers > cores:
            warnings.warn(f"{self.num_workers} workers share {cores} processor cores", stacklevel=2)


def _check_workers(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent: bool
) -> None:
    if num_workers < 0:
        raise ValueError(f"[DataLoader] num_workers expected 0 or more, got {num_workers}")
    if timeout < 0:
        raise ValueError(f"[DataLoader] timeout expected 0 or more seconds, got {timeout}")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError("[DataLoader] prefetch_factor needs num_workers > 0")
    if prefetch_factor is not None and prefetch_factor <= 0:
        raise ValueError(f"[DataLoader] prefetch_factor expected > 0, got {prefetch_factor}")
    if persistent and num_workers == 0:
        raise ValueError("[DataLoader] persistent_workers needs num_workers > 0")


def _pinned(batch: Any) -> Any:
    if isinstance(batch, eg.Tensor):
        return batch.pin_memory()
    if isinstance(batch, dict):
        return {k: _pinned(v) for k, v in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_pinned(v) for v in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(_pinned(v) for v in batch)
    return batch.pin_memory() if hasattr(batch, "pin_memory") else batch


class _Batches(itertools.chain):
    """An iterator that knows its loader's length; its `next` stays that of C."""

    _loader: DataLoader

    def __new__(cls, batches: Iterator, loader: DataLoader) -> _Batches:
        self = super().__new__(cls, batches)
        self._loader = loader
        return self

    def __len__(self) -> int:
        return len(self._loader)


def _counted(batches: Iterator, loader: DataLoader) -> Iterator:
    """The loader's iterator: pins, and warns when an iterable dataset is longer than its len."""
    if loader.pin_memory and eg.cuda.is_available():
        batches = map(_pinned, batches)
    if not loader._iterable or not hasattr(loader.dataset, "__len__"):
        return batches
    try:
        expected = len(loader)
    except TypeError:  # of a chain of datasets, some of which have no length
        return batches
    return _warn_past(batches, expected, loader)


def _warn_past(batches: Iterator, expected: int, loader: DataLoader) -> Iterator:
    for number, batch in enumerate(batches, 1):
        if number == expected + 1:
            warnings.warn(
                f"[DataLoader] {type(loader.dataset).__name__} says it has {expected} batches and "
                "gives more; with several workers, split the work by get_worker_info()",
                stacklevel=3,
            )
        yield batch


# ---- in this process ----------------------------------------------------------------------------


def _in_process(loader: DataLoader) -> Iterator:
    """Batches read here. The order is fixed when the iterator is made, as the seed is."""
    seed = seeding.base_seed(loader.generator)
    fetch = make_fetcher(loader.dataset, loader._batched, loader.collate_fn, loader.drop_last)
    if not loader._iterable and fetch.deterministic:
        order = _whole_order(loader) if fetch.takes_tensors else None
        if order is not None:
            return map(fetch, order)
        return map(fetch, loader._indices())
    return _read(loader, fetch, seed)


def _whole_order(loader: DataLoader) -> Iterator | None:
    """An epoch's indices as slices of one tensor, where only our own samplers have a say."""
    batches, sampler = loader.batch_sampler, loader.sampler
    if type(batches) is not BatchSampler or batches.sampler is not sampler:
        return None
    if type(sampler) not in (SequentialSampler, RandomSampler):
        return None
    order = eg.from_numpy(sampler._order())  # type: ignore[union-attr]
    size = batches.batch_size
    return (order[i * size : (i + 1) * size] for i in range(len(batches)))


def _read(loader: DataLoader, fetch: Any, seed: int) -> Iterator:
    for number, index in enumerate(loader._indices()):
        try:
            if fetch.deterministic:
                batch = fetch(index)
            else:
                with seeding.batch_seeds(seed, number):
                    batch = fetch(index)
        except StopIteration:
            return
        yield batch


# ---- worker processes ---------------------------------------------------------------------------


def _default_context() -> Any:
    """The start method that the program chose; else fork on Linux, where a dataset then need not be
    picklable, and the system's own elsewhere."""
    chosen = multiprocessing.get_start_method(allow_none=True)
    if chosen is None and sys.platform == "linux":
        chosen = "fork"
    return multiprocessing.get_context(chosen)


@contextlib.contextmanager
def _interrupt_held() -> Iterator[None]:
    """Keeps Ctrl-C waiting in this thread and in processes started meanwhile, which let it in themselves."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Process:
    """A worker as the loader sees it."""

    def __init__(self, loader: DataLoader, number: int, seed: int) -> None:
        context = loader.multiprocessing_context or _default_context()
        ends: tuple[Any, Any] = context.Pipe(duplex=True)
        self.connection, theirs = ends
        config = WorkerConfig(
            loader.dataset,
            loader._batched,
            loader.collate_fn,
            loader.drop_last,
            loader.worker_init_fn,
            number,
            loader.num_workers,
            seed + number,
            os.getpid(),
        )
        self.process = context.Process(target=worker_main, args=(config, theirs), daemon=True)
        with warnings.catch_warnings():
            # Python warns of forking beside threads; the core's own are ready for it.
            warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)
            with _interrupt_held():  # until the worker can answer it
                self.process.start()
        theirs.close()
        self.number = number
        self.receiver = Receiver(self.connection)
        self.free_slots = list(range(loader.prefetch_factor or 2))
        self.ended = False  # an iterable dataset gave all it has

    def death(self) -> Exception | KeyboardInterrupt:
        self.process.join(1)
        code = self.process.exitcode
        if code == INTERRUPTED:
            return KeyboardInterrupt()
        how = f"exit code {code}"
        hint = ""
        if code is not None and code < 0:
            how = f"signal {signal.Signals(-code).name}"
            if -code == getattr(signal, "SIGKILL", 9):
                hint = "; where nobody killed it, the system may have run out of memory"
        return RuntimeError(
            f"[DataLoader] worker {self.number} (pid {self.process.pid}) exited unexpectedly "
            f"with {how}{hint}"
        )


class _WorkerIterator:
    """One epoch (or, with persistent workers, one after another) read by processes."""

    def __init__(self, loader: DataLoader) -> None:
        self.closed = True
        self._loader = loader
        self._epoch = -1
        self._processes: list[_Process] = []
        self._pid = os.getpid()
        first_seed = seeding.base_seed(loader.generator)
        try:
            self.closed = False
            for number in range(loader.num_workers):
                self._processes.append(_Process(loader, number, first_seed))
            self._begin(first_seed)
        except BaseException:
            self.close(now=True)
            raise

    def __len__(self) -> int:
        return len(self._loader)

    def restart(self) -> None:
        """Begin the next epoch on the same processes; batches of the last one are dropped."""
        self._begin(seeding.base_seed(self._loader.generator))

    def _begin(self, seed: int) -> None:
        self._epoch += 1
        self._seed = seed
        self._indices = self._loader._indices()
        self._exhausted = False
        self._sent = 0
        self._next = 0
        self._owner: dict[int, _Process] = {}  # batches on their way
        self._ready: dict[int, tuple[str, Any]] = {}
        self._turn = 0
        for p in self._processes:
            p.ended = False
        for _ in range(self._loader.num_workers * (self._loader.prefetch_factor or 2)):
            self._dispatch()

    def __iter__(self) -> Iterator:
        return self

    def _take_turn(self) -> _Process | None:
        n = len(self._processes)
        for step in range(n):
            p = self._processes[(self._turn + step) % n]
            if not p.ended and p.free_slots:
                self._turn = (self._turn + step + 1) % n
                return p
        return None

    def _dispatch(self) -> None:
        if self._exhausted or (p := self._take_turn()) is None:
            return
        try:
            index = next(self._indices)
        except StopIteration:
            self._exhausted = True
            return
        task = Task(self._epoch, self._sent, p.free_slots.pop(), index, self._seed)
        self._owner[self._sent] = p
        self._sent += 1
        try:
            p.connection.send(task)
        except (BrokenPipeError, ConnectionResetError):
            pass  # a worker that died is reported when its batch is waited for

    def __next__(self) -> Any:
        if self.closed:
            raise StopIteration
        kind, result = self._await()
        if kind == "error":
            result.raise_here()
        return result

    def _await(self) -> tuple[str, Any]:
        while True:
            number = self._available()
            if number is None:
                if not self._owner and (self._exhausted or all(p.ended for p in self._processes)):
                    self._finish()
                    raise StopIteration
                self._receive_guarded()
                self._fill()
                continue
            kind, result = self._ready.pop(number)
            self._next += 1
            self._fill()
            if kind != "end":
                return kind, result

    def _fill(self) -> None:
        """Keep every worker supplied, but not more batches ahead than the slots allow."""
        ahead = self._loader.num_workers * (self._loader.prefetch_factor or 2)
        while not self._exhausted and len(self._owner) + len(self._ready) < ahead:
            before = self._sent
            self._dispatch()
            if self._sent == before:
                return

    def _available(self) -> int | None:
        if not self._loader.in_order:
            return next(iter(self._ready), None)
        return self._next if self._next in self._ready else None

    def _finish(self) -> None:
        if not self._loader.persistent_workers:
            self.close()

    def _receive_guarded(self) -> None:
        try:
            self._receive()
        except BaseException:
            self.close(now=True)
            raise

    def _receive(self) -> None:
        """Take in what has come; wait for it if nothing has."""
        connections = {p.connection: p for p in self._processes}
        sentinels = {p.process.sentinel: p for p in self._processes}
        came = mp_connection.wait([*connections, *sentinels], self._loader.timeout or None)
        if not came:
            raise RuntimeError(
                f"[DataLoader] no batch from the workers within {self._loader.timeout} seconds"
            )
        for source in came:
            if source in connections:
                self._take(connections[source])
        for source in came:
            if source in sentinels and not sentinels[source].connection.poll(0):
                raise sentinels[source].death()

    def _take(self, p: _Process) -> None:
        try:
            (epoch, number, kind), slot, result = p.receiver.receive()
        except (EOFError, ConnectionResetError):
            raise p.death() from None
        p.free_slots.append(slot)
        if epoch != self._epoch:
            return
        del self._owner[number]
        p.ended = p.ended or kind == "end"
        self._ready[number] = (kind, result)

    def close(self, now: bool = False) -> None:
        """End the workers: they are asked, and after a moment (or ``now``) terminated."""
        if self.closed or os.getpid() != self._pid:
            return
        self.closed = True
        for p in self._processes:
            if now:
                p.process.terminate()
            else:
                try:
                    p.connection.send(None)
                except (OSError, ValueError):
                    pass
        deadline = time.monotonic() + _GRACE
        for p in self._processes:
            p.process.join(max(0.0, deadline - time.monotonic()))
            if p.process.is_alive():
                p.process.terminate()
                p.process.join(1)
            if p.process.is_alive():
                p.process.kill()
            p.connection.close()

    def __del__(self) -> None:
        self.close()
