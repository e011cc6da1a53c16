"""What runs, how often and how long: ops, gradients, optimizer steps and ranges of one's own.

Times are of the calling thread's clock, from an op's call to its return. On a GPU that is the time of launching it.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from eagergrad import _C

__all__ = [
    "EventList",
    "FunctionEvent",
    "FunctionEventAvg",
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]


class ProfilerActivity(Enum):
    """What to record."""

    CPU = 0
    CUDA = 1


class ProfilerAction(Enum):
    """What to do in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    """Return what can be recorded: what the CPU does."""
    return {ProfilerActivity.CPU}


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0
) -> Callable[[int], ProfilerAction]:
    """Return what to do in each step: after ``skip_first`` steps, cycles of ``wait`` idle, ``warmup`` discarded and
    ``active`` recorded ones, ``repeat`` times (0: for ever).

    >>> [schedule(wait=1, warmup=0, active=2)(i).name for i in range(4)]
    ['NONE', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active < 1:
        raise ValueError("[schedule] expected numbers of at least 0, and active of at least 1")
    cycle = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        step -= skip_first
        if step < 0 or (repeat and step >= repeat * cycle):
            return ProfilerAction.NONE
        at = step % cycle
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if at == cycle - 1 else ProfilerAction.RECORD

    return action


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None) -> Callable:
    """Return an ``on_trace_ready`` that writes each trace to a file of its own in a folder."""

    def handler(prof: Any) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        prof.export_chrome_trace(os.path.join(dir_name, f"{worker}.{time.time_ns()}.pt.trace.json"))

    return handler


class record_function:
    """A range with a name: a context manager, or a decorator. Costs next to nothing while no profile is on.

    >>> with record_function("forward"):
    ...     pass
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name if args is None else f"{name}: {args}"
        self._range: Any = None

    def __enter__(self) -> record_function:
        self._range = _C.profile_open(self.name)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._range is not None:
            _C.profile_close(*self._range)

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def ranged(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name):
                return function(*args, **kwargs)

        return ranged


# ---- events ---------------------------------------------------------------------------------------------------


class FunctionEvent:
    """One call. Times are in microseconds; ``self`` leaves out what ran within it."""

    def __init__(self, raw: tuple, start: int) -> None:
        self.name, begin, end, self.cpu_memory_usage, self.thread, shapes, line = raw
        self.key = self.name
        self.input_shapes = [list(s) for s in shapes]
        self.stack = [line] if line else []
        self.start_us, self.end_us = (begin - start) / 1000, (end - start) / 1000
        self.cpu_time = self.cpu_time_total = self.end_us - self.start_us
        self.self_cpu_time_total = self.cpu_time
        self.self_cpu_memory_usage = self.cpu_memory_usage
        self.cpu_parent: FunctionEvent | None = None
        self.count = 1

    def __repr__(self) -> str:
        return f"<FunctionEvent {self.name} cpu_time={_time(self.cpu_time)}>"


class FunctionEventAvg:
    """The calls of one name together."""

    def __init__(self, events: list[FunctionEvent]) -> None:
        first = events[0]
        self.key, self.input_shapes, self.stack = first.key, first.input_shapes, first.stack
        self.count = sum(e.count for e in events)
        for total in (
            "cpu_time_total",
            "self_cpu_time_total",
            "cpu_memory_usage",
            "self_cpu_memory_usage",
        ):
            setattr(self, total, sum(getattr(e, total) for e in events))

    def __getattr__(self, name: str) -> Any:
        if name == "cpu_time":  # of one call
            return self.cpu_time_total / self.count
        raise AttributeError(f"'FunctionEventAvg' object has no attribute {name!r}")

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={_time(self.self_cpu_time_total)} "
            f"cpu_time={_time(self.cpu_time)}>"
        )


def _time(us: float) -> str:
    for scale, unit in ((1e6, "s"), (1e3, "ms")):
        if us >= scale:
            return f"{us / scale:.3f}{unit}"
    return f"{us:.3f}us"


def _bytes(n: float) -> str:
    for scale, unit in ((2**30, "GB"), (2**20, "MB"), (2**10, "KB")):
        if abs(n) >= scale:
            return f"{n / scale:.2f} {unit}"
    return f"{int(n)} B"


class EventList(list):
    """Events, or their averages, as `profile.events` and `profile.key_averages` return them."""

    memory = False

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all events, each counted once."""
        return sum(e.self_cpu_time_total for e in self)

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0
    ) -> EventList:
        """Return the events grouped by name, and by shapes or the line that called where wanted."""
        groups: dict[Any, list] = {}
        for e in self:
            key = (
                e.key,
                str(e.input_shapes) if group_by_input_shape else "",
                str(e.stack[:group_by_stack_n]),
            )
            groups.setdefault(key, []).append(e)
        averages = EventList(FunctionEventAvg(g) for g in groups.values())
        averages.memory = self.memory
        for a in averages:
            a.input_shapes = a.input_shapes if group_by_input_shape else []
            a.stack = a.stack[:group_by_stack_n]
        return averages

    def total_average(self) -> Any:
        """Return all events as one average."""
        total = FunctionEventAvg(list(self))
        total.key = "Total"
        return total

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
    ) -> str:
        """Return the events as a table; ``sort_by`` is the name of one of their numbers, largest first.

        Raises:
            AttributeError: the events have no such number.
        """
        rows = [e for e in self if not (top_level_events_only and getattr(e, "cpu_parent", None))]
        if sort_by is not None:
            rows.sort(key=lambda e: getattr(e, sort_by), reverse=True)
        whole = sum(e.self_cpu_time_total for e in rows) or 1.0
        columns: list[tuple[str, Callable[[Any], str]]] = [
            ("Name", lambda e: _cut(e.key, max_name_column_width)),
            ("Self CPU %", lambda e: f"{100 * e.self_cpu_time_total / whole:.2f}%"),
            ("Self CPU", lambda e: _time(e.self_cpu_time_total)),
            ("CPU total %", lambda e: f"{100 * e.cpu_time_total / whole:.2f}%"),
            ("CPU total", lambda e: _time(e.cpu_time_total)),
            ("CPU time avg", lambda e: _time(e.cpu_time)),
        ]
        if self.memory:
            columns += [
                ("CPU Mem", lambda e: _bytes(e.cpu_memory_usage)),
                ("Self CPU Mem", lambda e: _bytes(e.self_cpu_memory_usage)),
            ]
        columns.append(("# of Calls", lambda e: str(e.count)))
        if any(e.input_shapes for e in rows):
            columns.append(
                ("Input Shapes", lambda e: _cut(str(e.input_shapes), max_shapes_column_width))
            )
        if any(e.stack for e in rows):
            columns.append(
                ("Source Location", lambda e: _cut("".join(e.stack), max_src_column_width))
            )
        text = _layout(columns, rows[:row_limit] if row_limit >= 0 else rows)
        total = f"Self CPU time total: {_time(sum(e.self_cpu_time_total for e in rows))}\n"
        return (f"{header}\n" if header else "") + text + total

    def export_chrome_trace(self, path: str) -> None:
        """Write the events for chrome://tracing and perfetto.dev."""
        events = [
            {
                "name": e.name,
                "ph": "X",
                "ts": e.start_us,
                "dur": e.cpu_time,
                "pid": os.getpid(),
                "tid": e.thread,
                "args": {"shapes": e.input_shapes, "line": "".join(e.stack)},
            }
            for e in self
        ]
        with open(path, "w") as f:
            json.dump({"traceEvents": events}, f)

    def __str__(self) -> str:
        return self.table()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _layout(columns: list, rows: list) -> str:
    cells = [[title for title, _ in columns], *([show(e) for _, show in columns] for e in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    line = "  ".join("-" * w for w in widths)
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    return "\n".join([line, lines[0], line, *lines[1:], line]) + "\n"


def _nest(events: list[FunctionEvent]) -> None:
    """Takes what ran within an event out of its own time; events come in the order in which they began."""
    open_events: dict[Any, list[FunctionEvent]] = {}
    for e in events:
        stack = open_events.setdefault(e.thread, [])
        while stack and stack[-1].end_us <= e.start_us:
            stack.pop()
        if stack:
            e.cpu_parent = stack[-1]
            e.cpu_parent.self_cpu_time_total -= e.cpu_time
            e.cpu_parent.self_cpu_memory_usage -= e.cpu_memory_usage
        stack.append(e)


class _StepRanges:
    """A range around every optimizer's step, by the hooks that optimizers have."""

    def __init__(self) -> None:
        from eagergrad.optim import optimizer

        self._open: list[record_function] = []
        self._handles = [
            optimizer.register_optimizer_step_pre_hook(self._before),
            optimizer.register_optimizer_step_post_hook(self._after),
        ]

    def _before(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        name = type(optimizer).__name__
        self._open.append(record_function(f"Optimizer.step#{name}.step").__enter__())

    def _after(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self._open:
            self._open.pop().__exit__()

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()


# ---- the profile ----------------------------------------------------------------------------------------------


class profile:
    """Records what runs between ``start`` and ``stop``, or in a ``with`` block; one profile at a time.

    ``record_shapes`` keeps the shapes of the tensors that come in, ``profile_memory`` the bytes that a call leaves
    allocated, ``with_stack`` the line of the program that called. With a ``schedule``, call ``step`` after each step;
    ``on_trace_ready(profile)`` is called whenever a cycle has been recorded.

    Raises:
        ValueError: an activity or option that is not measured is asked for.

    >>> import eagergrad as eg
    >>> with profile() as prof:
    ...     y = eg.ones(2, 2) @ eg.ones(2, 2)
    >>> [(e.key, e.count) for e in prof.key_averages()]
    [('ones', 2), ('matmul', 1)]
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[Any], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
    ) -> None:
        for name, wanted in (("with_flops", with_flops), ("with_modules", with_modules)):
            if wanted:
                raise ValueError(f"[profile] {name} is not measured")
        chosen = supported_activities() if activities is None else set(activities)
        if ProfilerActivity.CPU not in chosen:
            raise ValueError("[profile] activities expected ProfilerActivity.CPU among them")
        self.schedule = schedule
        self.on_trace_ready = on_trace_ready
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.with_stack = with_stack
        self.step_num = 0
        self._events = EventList()
        self._step: record_function | None = None
        self._steps: _StepRanges | None = None

    def _action(self) -> ProfilerAction:
        return self.schedule(self.step_num) if self.schedule else ProfilerAction.RECORD

    def start(self) -> None:
        """Begin.

        Raises:
            RuntimeError: another profile is on.
        """
        if _C.profile_on():
            raise RuntimeError("[profile] another profile is on")
        self._begin_step()

    def _begin_step(self) -> None:
        recording = self._action() in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        if recording and not _C.profile_on():
            self._steps = _StepRanges()
            _C.profile_start(self.record_shapes, self.with_stack)
        if recording and self.schedule is not None:
            self._step = record_function(f"ProfilerStep#{self.step_num}")
            self._step.__enter__()

    def _end_step(self, save: bool) -> None:
        if self._step is not None:
            self._step.__exit__()
            self._step = None
        if save and _C.profile_on():
            self._collect()
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)

    def _collect(self) -> None:
        if self._steps is not None:
            self._steps.remove()
        raw = [r for r in _C.profile_stop() if r[2] >= 0]
        start = min((r[1] for r in raw), default=0)
        self._events = EventList(FunctionEvent(r, start) for r in raw)
        self._events.memory = self.profile_memory
        _nest(self._events)

    def stop(self) -> None:
        """End."""
        self._end_step(save=True)

    def step(self) -> None:
        """Tell that a step ended and the next begins."""
        save = self._action() is ProfilerAction.RECORD_AND_SAVE
        self.step_num += 1
        self._end_step(save)
        self._begin_step()

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def events(self) -> EventList:
        """Return every call that was recorded."""
        return self._events

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0
    ) -> EventList:
        """Return the calls grouped by name; see `EventList.key_averages`."""
        return self._events.key_averages(group_by_input_shape, group_by_stack_n)

    def export_chrome_trace(self, path: str) -> None:
        """Write the calls for chrome://tracing and perfetto.dev."""
        self._events.export_chrome_trace(path)

    # The older profile, of autograd.profiler, is asked itself.

    def table(self, sort_by: str | None = None, row_limit: int = 100, **options: Any) -> str:
        """Return every call as a row of a table."""
        return self._events.table(sort_by, row_limit, **options)

    def total_average(self) -> Any:
        """Return all calls as one average."""
        return self._events.total_average()

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all calls, each counted once."""
        return self._events.self_cpu_time_total

    @property
    def function_events(self) -> EventList:
        """Every call that was recorded."""
        return self._events
