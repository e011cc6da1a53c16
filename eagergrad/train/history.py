"""What a training run measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["History"]


class History:
    """The measured values of each epoch, by name.

    >>> h = History()
    >>> h.add({"loss": 2.0, "val_loss": 3.0})
    >>> h.add({"loss": 1.0, "val_loss": 2.0})
    >>> h["loss"], len(h), h.best("val_loss")
    ([2.0, 1.0], 2, 1)
    >>> h
    History of 2 epochs: loss 2 -> 1, val_loss 3 -> 2
    """

    def __init__(self, values: dict[str, list[float]] | None = None) -> None:
        self.history: dict[str, list[float]] = {k: list(v) for k, v in (values or {}).items()}
        self.interrupted = False
        self.stopped_early = False

    def add(self, values: dict[str, float]) -> None:
        """Append one epoch."""
        for name, value in values.items():
            self.history.setdefault(name, []).append(float(value))

    def best(self, name: str) -> int:
        """Return the epoch, counted from 0, with the smallest value."""
        values = self.history[name]
        return min(range(len(values)), key=values.__getitem__)

    def __getitem__(self, name: str) -> list[float]:
        return self.history[name]

    def __contains__(self, name: object) -> bool:
        return name in self.history

    def __iter__(self) -> Iterator[str]:
        return iter(self.history)

    def keys(self) -> Any:
        """The names of what was measured."""
        return self.history.keys()

    def __len__(self) -> int:
        return max((len(v) for v in self.history.values()), default=0)

    def __repr__(self) -> str:
        parts = [f"{name} {v[0]:.4g} -> {v[-1]:.4g}" for name, v in self.history.items() if v]
        note = ", interrupted" if self.interrupted else ""
        note += ", stopped early" if self.stopped_early else ""
        plural = "" if len(self) == 1 else "s"
        return f"History of {len(self)} epoch{plural}{note}: " + ", ".join(parts)

    def plot(self, path: Any = None) -> Any:
        """Draw a panel for each quantity, with its validation curve; save it where a path is
        given. Return the matplotlib figure.

        Raises:
            ImportError: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError("History.plot needs matplotlib: pip install eagergrad[viz]") from None
        names = [n for n in self.history if not n.startswith("val_")]
        figure = Figure(figsize=(4 * max(1, len(names)), 3), layout="constrained")
        for i, name in enumerate(names):
            axes = figure.add_subplot(1, len(names), i + 1)
            for label in (name, "val_" + name):
                if label in self.history:
                    values = self.history[label]
                    axes.plot(range(1, len(values) + 1), values, marker=".", label=label)
            axes.set_xlabel("epoch")
            axes.set_title(name)
            if "val_" + name in self.history:
                axes.legend()
        if path is not None:
            figure.savefig(path)
        return figure
