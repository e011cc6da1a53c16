"""Memory of the CPU's tensors."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from types import TracebackType

from eagergrad import _C

__all__ = ["cleanup", "empty_cache", "reset_peak", "stats"]


def stats() -> dict[str, int]:
    """Bytes in use (``live``), kept for reuse (``cached``), most ever in use (``peak``), and the number of
    ``allocations``.

    >>> import eagergrad as eg
    >>> sorted(eg.memory.stats())
    ['allocations', 'cached', 'live', 'peak']
    """
    return dict(_C.memory_stats())


def empty_cache() -> None:
    """Gives the memory kept for reuse back to the system."""
    _C.empty_cache()


def reset_peak() -> None:
    """Starts measuring ``peak`` anew."""
    _C.reset_peak_memory()


def cleanup() -> int:
    """Frees the tensors that the last uncaught exception keeps alive, and gives unused memory back to the system.

    After an error in a notebook's cell or at the prompt, the traceback that Python keeps in ``sys`` holds all local variables of
    the functions that were left, graphs included. They are cleared, so ``%debug`` finds none afterwards. Variables of the
    notebook itself stay. Memory of the GPU is given back too, where it was used.

    Returns:
        The bytes of CPU tensors that were freed.

    >>> import eagergrad as eg
    >>> eg.cleanup() >= 0
    True
    """
    from eagergrad import cuda

    before = stats()["live"]
    _forget_locals(getattr(sys, "last_traceback", None))  # IPython takes it off the exception
    for error in _last_errors():
        _forget_locals(error.__traceback__)
        error.__traceback__ = None
    for name in ("last_exc", "last_type", "last_value", "last_traceback"):
        if hasattr(sys, name):
            delattr(sys, name)
    gc.collect()
    freed = before - stats()["live"]
    empty_cache()
    cuda.empty_cache()
    return max(freed, 0)


def _forget_locals(traceback: TracebackType | None) -> None:
    while traceback is not None:
        with contextlib.suppress(RuntimeError):  # the frame still runs
            traceback.tb_frame.clear()
            _ = (
                traceback.tb_frame.f_locals
            )  # a copy that was made for a debugger is emptied when it is asked for
        traceback = traceback.tb_next


def _last_errors() -> Iterator[BaseException]:
    """The exception that Python reported last and those it arose from."""
    waiting = [getattr(sys, name, None) for name in ("last_exc", "last_value")]
    seen: set[int] = set()
    while waiting:
        error = waiting.pop()
        if not isinstance(error, BaseException) or id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        waiting += [error.__cause__, error.__context__]
        waiting += getattr(error, "exceptions", ())
