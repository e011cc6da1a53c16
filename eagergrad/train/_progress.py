"""The line that shows how training goes, at most five times a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_INTERVAL = 0.2


def _text(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def _with_tqdm(
    batches: Iterable, total: int | None, title: str, values: Callable[[], dict]
) -> Iterator[Any]:
    from tqdm import tqdm

    with tqdm(batches, title, total, leave=False, mininterval=_INTERVAL) as bar:
        shown = 0.0
        for batch in bar:
            yield batch
            now = time.monotonic()
            if now - shown >= _INTERVAL:
                shown = now
                bar.set_postfix_str(_text(values()), refresh=False)


def _plain(
    batches: Iterable, total: int | None, title: str, values: Callable[[], dict]
) -> Iterator[Any]:
    shown, width = time.monotonic(), 0
    for number, batch in enumerate(batches, 1):
        yield batch
        now = time.monotonic()
        if now - shown >= _INTERVAL:
            shown = now
            line = f"{title} {number}/{total or '?'} {_text(values())}"
            sys.stderr.write("\r" + line.ljust(width))
            sys.stderr.flush()
            width = len(line)
    if width:
        sys.stderr.write("\r" + " " * width + "\r")


class Progress:
    """``show(batches, ...)`` passes batches on; ``line`` prints an epoch's summary."""

    def __init__(self, enabled: bool, epochs: int) -> None:
        self.enabled = enabled
        self.epochs = epochs
        self._moving = enabled and sys.stderr.isatty()

    def title(self, epoch: int) -> str:
        return f"epoch {epoch + 1}/{self.epochs}"

    def show(
        self, batches: Iterable, total: int | None, epoch: int, values: Callable[[], dict]
    ) -> Iterable:
        if not self._moving:
            return batches
        try:
            import tqdm  # noqa: F401
        except ImportError:
            return _plain(batches, total, self.title(epoch), values)
        return _with_tqdm(batches, total, self.title(epoch), values)

    def line(self, epoch: int, values: dict[str, float], note: str = "") -> None:
        if self.enabled:
            print(f"{self.title(epoch)}: {_text(values)}{note}", file=sys.stderr, flush=True)
