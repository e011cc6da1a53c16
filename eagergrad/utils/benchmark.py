"""Timing a statement: enough runs for a median, threads set for the time of it."""

from __future__ import annotations

import statistics
import timeit
from typing import Any

import eagergrad as eg

__all__ = ["Measurement", "Timer"]

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


class Measurement:
    """Times of blocks of runs, in seconds a run."""

    def __init__(
        self, number_per_run: int, raw_times: list[float], title: str, threads: int
    ) -> None:
        self.number_per_run = number_per_run
        self.raw_times = raw_times
        self.title = title
        self.num_threads = threads

    @property
    def times(self) -> list[float]:
        """Seconds a run, one for each block."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def mean(self) -> float:
        """The mean over the blocks."""
        return statistics.fmean(self.times)

    @property
    def median(self) -> float:
        """The median over the blocks."""
        return statistics.median(self.times)

    @property
    def iqr(self) -> float:
        """The distance of the quartiles; 0 of a single block."""
        if len(self.times) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.times, n=4, method="inclusive")
        return high - low

    def __repr__(self) -> str:
        scale, unit = next((u for u in _UNITS if self.median >= u[0]), _UNITS[-1])
        what = "Median" if len(self.times) > 1 else "Time"
        lines = [
            f"<{type(self).__module__}.Measurement>",
            self.title,
            f"  {what}: {self.median / scale:.2f} {unit}",
        ]
        if len(self.times) > 1:
            lines.append(f"  IQR:    {self.iqr / scale:.2f} {unit}")
        runs = f"{len(self.times)} x {self.number_per_run} runs"
        return "\n".join([*lines, f"  {runs}, {self.num_threads} thread(s)"])


class Timer:
    """Times ``stmt`` after ``setup``, in the names of ``globals``, on ``num_threads`` threads.

    >>> bool(Timer("x + x", globals={"x": eg.ones(2)}).timeit(10).mean > 0)
    True
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Any = timeit.default_timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
    ) -> None:
        if global_setup:
            raise ValueError("[Timer] global_setup is for statements in C++; use setup")
        names = {"eagergrad": eg, "torch": eg, **(globals or {})}
        self._timer = timeit.Timer(stmt, setup, timer, names)
        self._threads = num_threads
        heading = label or stmt.strip().split("\n")[0]
        self._title = ": ".join(str(p) for p in (heading, sub_label, description, env) if p)

    def _run(self, number: int) -> float:
        before = eg.get_num_threads()
        eg.set_num_threads(self._threads)
        try:
            return self._timer.timeit(number)
        finally:
            eg.set_num_threads(before)

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """Run ``number`` times, after a hundredth of that for warming up."""
        self._run(max(number // 100, 2))
        return Measurement(number, [self._run(number)], self._title, self._threads)

    def blocked_autorange(self, callback: Any = None, min_run_time: float = 0.2) -> Measurement:
        """Run in blocks, each long against the clock's own cost, for at least ``min_run_time`` seconds."""
        number = 1
        while (spent := self._run(number)) < min(0.001, min_run_time) and number < 10**9:
            number *= 10
        times, total = [spent], spent
        while total < min_run_time:
            times.append(self._run(number))
            total += times[-1]
            if callback is not None:
                callback(number, times[-1])
        return Measurement(number, times, self._title, self._threads)
