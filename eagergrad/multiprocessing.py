"""Python's multiprocessing, with `spawn` on top."""

from __future__ import annotations

import multiprocessing as _mp
import signal
import time
import traceback
from collections.abc import Callable
from multiprocessing import *  # noqa: F403
from multiprocessing import connection as _connection
from typing import Any

__all__ = [
    *_mp.__all__,  # type: ignore[attr-defined]
    "ProcessContext",
    "ProcessException",
    "ProcessExitedException",
    "ProcessRaisedException",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]

_STRATEGIES = ("file_descriptor",)


class ProcessException(Exception):
    """A process started by `spawn` failed: number `error_index`, of id `pid`."""

    def __init__(self, msg: str, error_index: int, pid: int) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid

    def __reduce__(self) -> Any:
        return type(self), (self.msg, self.error_index, self.pid)


class ProcessRaisedException(ProcessException):
    """A process started by `spawn` raised; the message has its traceback."""

    def __init__(self, msg: str, error_index: int, error_pid: int) -> None:
        super().__init__(msg, error_index, error_pid)


class ProcessExitedException(ProcessException):
    """A process started by `spawn` ended with an exit code or a signal."""

    def __init__(
        self,
        msg: str,
        error_index: int,
        error_pid: int,
        exit_code: int,
        signal_name: str | None = None,
    ) -> None:
        super().__init__(msg, error_index, error_pid)
        self.exit_code, self.signal_name = exit_code, signal_name

    def __reduce__(self) -> Any:
        where = (self.msg, self.error_index, self.pid)
        return type(self), (*where, self.exit_code, self.signal_name)


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
    except SystemExit:
        raise
    except KeyboardInterrupt:
        pass
    except BaseException:
        errors.send((time.monotonic(), traceback.format_exc()))
        raise SystemExit(1) from None


class ProcessContext:
    """The processes that `spawn` started."""

    def __init__(self, processes: list, errors: list) -> None:
        self.processes = processes
        self._errors = errors

    def pids(self) -> list[int | None]:
        """Return the processes' ids."""
        return [p.pid for p in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait until a process ends; True once all have. A failure ends the others, which have the grace period (2 s) to
        end by themselves, and is raised here: of several the first."""
        running = [p.sentinel for p in self.processes if p.exitcode is None]
        if running and not any(p.exitcode for p in self.processes):
            _connection.wait(running, timeout)
        failed = [i for i, p in enumerate(self.processes) if p.exitcode]
        if failed:
            self._end(2.0 if grace_period is None else grace_period)
            self._fail(failed)
        return all(p.exitcode == 0 for p in self.processes)

    def _end(self, grace: float) -> None:
        for p in self.processes:
            if p.is_alive():
                p.terminate()
        limit = time.monotonic() + grace
        for p in self.processes:
            p.join(max(0.0, limit - time.monotonic()))
            if p.is_alive():
                p.kill()
            p.join()

    def _error(self, number: int) -> tuple[float, str] | None:
        try:
            return self._errors[number].recv() if self._errors[number].poll() else None
        except EOFError:
            return None

    def _fail(self, failed: list[int]) -> None:
        raised = {i: error for i in range(len(self.processes)) if (error := self._error(i))}
        silent = [i for i in failed if i not in raised]
        if not silent:
            # What others raise because they miss the first comes later, though they may end sooner.
            first = min(raised, key=lambda i: raised[i][0])
            text = (
                f"\n\n-- Process {first} terminated with the following error:\n{raised[first][1]}"
            )
            raise ProcessRaisedException(text, first, self.processes[first].pid)
        first = silent[0]
        code, pid = self.processes[first].exitcode, self.processes[first].pid
        name = signal.Signals(-code).name if code < 0 else None
        how = f"signal {name}" if name else f"exit code {code}"
        raise ProcessExitedException(
            f"process {first} terminated with {how}", first, pid, code, name
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
