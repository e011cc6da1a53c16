"""The process that reads batches for a loader."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import eagergrad as eg
from eagergrad.utils.data._utils import seeding
from eagergrad.utils.data._utils.fetch import make_fetcher
from eagergrad.utils.data._utils.transport import Sender

__all__ = ["WorkerInfo", "get_worker_info"]

_PARENT_CHECK = 2.0  # seconds between looks whether the loader's process still lives
INTERRUPTED = 130  # a worker's exit code after Ctrl-C


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker knows of itself: its number, their count, its seed and its dataset's copy."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Return the `WorkerInfo` of this worker process, None in the main process."""
    return _info


class _Verbatim(str):
    """A message that KeyError, which prints its argument's repr, shows line by line."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class RemoteError:
    """A worker's exception on its way to the loader, with the traceback as text."""

    def __init__(self, error: BaseException, where: str) -> None:
        self.kind: type = type(error)
        self.text = f"{self.kind.__name__} raised in {where}. Its traceback there:\n" + "".join(
            traceback.format_exception(error)
        )
        try:
            pickle.dumps(self.kind)
        except Exception:
            self.kind = RuntimeError

    def raise_here(self) -> None:
        """Raise the same kind of exception, the worker's traceback in its message."""
        try:
            error = self.kind(_Verbatim(self.text))
        except Exception:
            error = RuntimeError(self.text)
        raise error


@dataclass
class WorkerConfig:
    """All that a worker is started with."""

    dataset: Any
    batched: bool
    collate_fn: Callable
    drop_last: bool
    init_fn: Callable[[int], None] | None
    id: int
    num_workers: int
    seed: int
    loader_pid: int


@dataclass(frozen=True)
class Task:
    """One batch to read; a new ``epoch`` restarts an iterable dataset."""

    epoch: int
    number: int
    slot: int
    index: Any
    seed: int


class _Worker:
    def __init__(self, config: WorkerConfig, connection: Connection) -> None:
        self.config = config
        self.connection = connection
        self.sender = Sender(connection, config.loader_pid)
        self.where = f"DataLoader worker {config.id} (pid {os.getpid()})"
        self.epoch = -1
        self.fetch: Any = None
        self.seeded: list = []
        self.failure: RemoteError | None = None

    def prepare(self) -> None:
        global _info
        eg.set_num_threads(1)
        eg.set_default_device("cpu")  # a fork leaves the GPU behind
        c = self.config
        _info = WorkerInfo(c.id, c.num_workers, c.seed, c.dataset)
        seeding.seed_all(c.seed)
        before = seeding.states()
        if c.init_fn is not None:
            try:
                c.init_fn(c.id)
            except Exception as error:
                self.failure = RemoteError(error, self.where)
        self.seeded = seeding.untouched(before)

    def next_task(self) -> Task | None:
        while not self.connection.poll(_PARENT_CHECK):
            if os.getppid() != self.config.loader_pid:
                return None
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return None

    def read(self, task: Task) -> tuple[str, Any]:
        if self.failure is not None:
            return "error", self.failure
        try:
            if task.epoch != self.epoch:
                self.epoch = task.epoch
                c = self.config
                self.fetch = make_fetcher(c.dataset, c.batched, c.collate_fn, c.drop_last)
            if not self.fetch.deterministic:
                for g in self.seeded:
                    g.seed(seeding.mix(task.seed, task.number))
            return "batch", self.fetch(task.index)
        except StopIteration as end:
            if hasattr(self.fetch, "_iterator"):
                return "end", None
            return "error", RemoteError(end, self.where)
        except Exception as error:
            return "error", RemoteError(error, self.where)

    def run(self) -> None:
        self.prepare()
        while (task := self.next_task()) is not None:
            kind, result = self.read(task)
            self.send(task, kind, result)
            del result  # its memory is free while the worker waits

    def send(self, task: Task, kind: str, result: Any) -> None:
        try:
            self.sender.send((task.epoch, task.number, kind), task.slot, result)
        except (BrokenPipeError, ConnectionResetError):
            raise SystemExit(0) from None
        except Exception as error:  # a batch that cannot be pickled
            failure = RemoteError(error, self.where)
            self.sender.send((task.epoch, task.number, "error"), task.slot, failure)


def worker_main(config: WorkerConfig, connection: Connection) -> None:
    """Entry point of a worker process."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):  # the loader held it back until here
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _Worker(config, connection).run()
