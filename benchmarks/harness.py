"""Rows, and how one is timed.

A row is written once, over the framework it is given: `make(F)` prepares data with `F`, which is the module
`eagergrad` or `torch`, and returns the function to time. The two functions of a row run alternately in one
process and the best of their times counts, so that a busy machine disturbs both alike.
"""

from __future__ import annotations

import gc
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Function = Callable[[], Any]
Make = Callable[[Any], Function]


@dataclass(frozen=True)
class Row:
    """`at_least` and `aim` are speeds relative to PyTorch; `against` makes PyTorch's side when it differs.

    `small` marks a row whose cost is overhead rather than arithmetic: so many calls have their instructions counted.
    """

    name: str
    make: Make
    at_least: float
    aim: float | None = None
    against: Make | None = None
    small: int = 0

    def function(self, framework: Any) -> Function:
        make = self.against if self.against and framework.__name__ == "torch" else self.make
        framework.manual_seed(0)
        return make(framework)


ROWS: list[Row] = []


def row(
    name: str,
    at_least: float,
    aim: float | None = None,
    *,
    against: Make | None = None,
    small: int = 0,
) -> Callable[[Make], Make]:
    """Decorator: add a row to the table."""

    def add(make: Make) -> Make:
        ROWS.append(Row(name, make, at_least, aim, against, small))
        return make

    return add


def _time(function: Function, count: int, wait: Callable[[], Any] | None = None) -> float:
    repeats = range(count)
    start = time.perf_counter()
    for _ in repeats:
        function()
    if wait:
        wait()
    return (time.perf_counter() - start) / count


def alternate(
    functions: list[Function], seconds: float, waits: list[Callable[[], Any] | None] | None = None
) -> list[float]:
    """Best time of a call of each function, over about `seconds` for each. `waits`: what tells that a function's
    device has done its work."""
    sample = min(0.02, seconds / 20)
    waits = waits or [None] * len(functions)
    counts = []
    for function, wait in zip(functions, waits, strict=True):
        function()  # warm up: pools, caches, lazily built state
        once = min(_time(function, 1, wait) for _ in range(2))
        counts.append(max(1, int(sample / once)))
    best = [float("inf")] * len(functions)
    spent, rounds = 0.0, 0
    gc.collect()
    gc.disable()
    try:
        while rounds < 5 or spent < seconds * len(functions):
            for i, function in enumerate(functions):
                # The threads of the other library spin for some 15 ms before they sleep (GNU OpenMP's do), on a
                # processor that this one's threads would need.
                time.sleep(0.03)
                function()
                took = _time(function, counts[i], waits[i])
                best[i] = min(best[i], took)
                spent += took * counts[i]
            rounds += 1
            if rounds >= 3 and spent > 4 * seconds * len(functions):
                break
    finally:
        gc.enable()
    return best


def _memory_status(field: str) -> int:
    match = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(match[1]) * 1024 if match else 0


def peak_memory(function_of: Callable[[], Function]) -> int:
    """Bytes by which preparing and calling a function twice raises this process's resident memory at most."""
    if not os.path.exists("/proc/self/clear_refs"):
        unit = 1 if sys.platform == "darwin" else 1024
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        function = function_of()
        for _ in range(2):
            function()
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
    before = _memory_status("VmRSS")
    function = function_of()
    for _ in range(2):
        function()
    return max(0, _memory_status("VmHWM") - before)


def run_child(*arguments: str) -> str:
    """Standard output of `python -m benchmarks ...` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks", *arguments]
    root = Path(__file__).resolve().parents[1]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def import_seconds(module: str, rounds: int) -> float:
    """Best time that a fresh interpreter takes to import a module, its own start not counted."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    path = os.pathsep.join(p or "." for p in sys.path)
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", code]
    runs = (subprocess.check_output(command, env=environment, text=True) for _ in range(rounds))
    return min(map(float, runs))
