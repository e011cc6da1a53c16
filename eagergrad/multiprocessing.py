"""Python's multiprocessing, with `spawn` on top."""

from __future__ import annotations

import multiprocessing as _mp
import traceback
from collections.abc import Callable
from multiprocessing import *  # noqa: F403
from multiprocessing import connection as _connection
from typing import Any

__all__ = [
    *_mp.__all__,  # type: ignore[attr-defined]
    "ProcessContext",
    "ProcessExitedException",
    "ProcessRaisedException",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]

_STRATEGIES = ("file_descriptor",)


class ProcessRaisedException(Exception):
    """A process started by `spawn` raised; the message has its traceback."""


class ProcessExitedException(Exception):
    """A process started by `spawn` ended with an exit code or a signal."""


def get_all_sharing_strategies() -> set[str]:
    """Return the ways in which tensors reach other processes."""
    return set(_STRATEGIES)


def get_sharing_strategy() -> str:
    """Return how tensors reach other processes."""
    return _STRATEGIES[0]


def set_sharing_strategy(new_strategy: str) -> None:
    """Choose how tensors reach other processes; there is one way, which leaves no files behind."""
    if new_strategy not in ("file_descriptor", "file_system"):
        raise ValueError(f"[set_sharing_strategy] expected one of {_STRATEGIES}: {new_strategy!r}")


def _run(fn: Callable, number: int, args: tuple, errors: Any) -> None:
    try:
        fn(number, *args)
    except KeyboardInterrupt:
        pass
    except Exception:
        errors.send(traceback.format_exc())
        raise SystemExit(1) from None


class ProcessContext:
    """The processes that `spawn` started."""

    def __init__(self, processes: list, errors: list) -> None:
        self.processes = processes
        self._errors = errors

    def pids(self) -> list[int | None]:
        """Return the processes' ids."""
        return [p.pid for p in self.processes]

    def join(self, timeout: float | None = None) -> bool:
        """Wait until a process ends; True once all have. A failure ends the others and is raised
        here."""
        running = {p.sentinel: i for i, p in enumerate(self.processes) if p.exitcode is None}
        if running:
            _connection.wait(list(running), timeout)
        for i, p in enumerate(self.processes):
            if p.exitcode:
                self._fail(i)
        return all(p.exitcode == 0 for p in self.processes)

    def _fail(self, number: int) -> None:
        for p in self.processes:
            if p.is_alive():
                p.terminate()
            p.join()
        if self._errors[number].poll():
            raise ProcessRaisedException(
                f"process {number} ended with this error:\n{self._errors[number].recv()}"
            )
        raise ProcessExitedException(
            f"process {number} ended with exit code {self.processes[number].exitcode}"
        )


def start_processes(
    fn: Callable,
    args: tuple = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Run ``fn(i, *args)`` in ``nprocs`` processes; see `spawn`."""
    context: Any = _mp.get_context(start_method)
    processes, errors = [], []
    for number in range(nprocs):
        receive, send = context.Pipe(duplex=False)
        p = context.Process(target=_run, args=(fn, number, args, send), daemon=daemon)
        p.start()
        processes.append(p)
        errors.append(receive)
    started = ProcessContext(processes, errors)
    if not join:
        return started
    while not started.join():
        pass
    return None


def spawn(
    fn: Callable,
    args: tuple = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Run ``fn(i, *args)`` in ``nprocs`` new processes and wait for them.

    Raises:
        ProcessRaisedException: one raised; the others are ended.
        ProcessExitedException: one was killed.
    """
    return start_processes(fn, args, nprocs, join, daemon, start_method)
