"""Values that come later, with PyTorch's names."""

from __future__ import annotations

import concurrent.futures as _futures
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

__all__ = ["Future", "collect_all", "wait_all"]

T = TypeVar("T")


class Future(Generic[T]):
    """A value that somebody will set.

    >>> f = Future()
    >>> g = f.then(lambda done: done.value() + 1)
    >>> f.set_result(1); g.wait()
    2
    """

    def __init__(self, *, devices: Any = None) -> None:
        self._future: _futures.Future = _futures.Future()

    def done(self) -> bool:
        """Return whether there is a value or an error."""
        return self._future.done()

    def wait(self) -> T:
        """Wait for the value and return it, or raise its error."""
        return self._future.result()

    def value(self) -> T:
        """Return the value, which must be there."""
        if not self.done():
            raise RuntimeError("[Future] expected a future that is done; wait for it")
        return self._future.result()

    def set_result(self, result: T) -> None:
        """Set the value; once."""
        if self.done():
            raise RuntimeError("[Future] expected a future that is not done")
        self._future.set_result(result)

    def set_exception(self, result: BaseException) -> None:
        """Set an error."""
        self._future.set_exception(result)

    def then(self, callback: Callable[[Future[T]], Any]) -> Future[Any]:
        """Return a future of what ``callback(self)`` will give."""
        after: Future[Any] = Future()
        self._future.add_done_callback(lambda _: after._set_from(lambda: callback(self)))
        return after

    def add_done_callback(self, callback: Callable[[Future[T]], Any]) -> None:
        """Call ``callback(self)`` when it is done."""
        self._future.add_done_callback(lambda _: callback(self))

    def _set_from(self, f: Callable[[], T]) -> None:
        try:
            self.set_result(f())
        except BaseException as e:
            self.set_exception(e)


def collect_all(futures: Sequence[Future]) -> Future[list[Future]]:
    """Return a future of all of them, done when all are.

    >>> f = Future(); both = collect_all([f, f])
    >>> f.set_result(1); [x.value() for x in both.wait()]
    [1, 1]
    """
    from threading import Lock

    all_done: Future[list[Future]] = Future()
    left, lock = [len(futures)], Lock()

    def one_done(_: Any) -> None:
        with lock:
            left[0] -= 1
            if left[0]:
                return
        all_done.set_result(list(futures))

    for future in futures:
        future.add_done_callback(one_done)
    if not futures:
        all_done.set_result([])
    return all_done


def wait_all(futures: Sequence[Future]) -> list[Any]:
    """Wait for all and return their values."""
    return [future.wait() for future in futures]
