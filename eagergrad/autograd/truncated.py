"""Backpropagation through time in pieces."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any

from eagergrad import _C

__all__ = ["tbptt"]


class tbptt:
    """Backpropagation through time, truncated: gradients flow back through at most ``steps`` steps of a loop.

    The block holds the loop over a sequence. ``state = piece(state)`` begins a step; before each ``steps``-th one after the
    first, the losses given to ``piece.add`` are passed back, and the state (a tensor, or tensors in nested tuples, lists and
    dicts) is cut off from its past. The end of the block passes back the rest. So ``.grad`` gathers what one backward over
    the sum of the losses gives where the states are detached at these steps, and memory holds the operations of one piece.
    ``then()`` is called whenever losses were passed back: an optimizer's step, say. ``piece.total`` is the sum of all losses,
    detached.

    A state that comes from an earlier block is detached by the program, ``state = eg.detach(state)``; the first step leaves
    it as it is, since it may be learned. Source: Williams and Peng, 1990.

    Raises TypeError for ``steps`` that are no whole number, or losses that are no tensors of one element, ValueError for
    ``steps`` < 1, RuntimeError for a step or a loss outside of the block.

    >>> import eagergrad as eg
    >>> w, state = eg.tensor(2.0, requires_grad=True), eg.tensor(1.0)
    >>> with eg.tbptt(2) as piece:
    ...     for _ in range(4):
    ...         state = w * piece(state)  # 2, 4 | 8, 16
    ...         piece.add(state)
    >>> w.grad, piece.total  # 1 + 2w, then 4 + 4 * 2w
    (tensor(25.), tensor(30.))
    """

    def __init__(self, steps: int, then: Callable[[], Any] | None = None) -> None:
        try:
            self.steps = index(steps)
        except TypeError:
            raise TypeError(
                f"[tbptt] expected a whole number of steps, got {type(steps).__name__}"
            ) from None
        if self.steps < 1:
            raise ValueError(f"[tbptt] expected at least one step, got {steps}")
        self.then = then
        self.total: Any = 0.0
        self._inside = False

    def __enter__(self) -> tbptt:
        self._inside = True
        self._begun = 0
        self._loss: Any = None
        return self

    def __exit__(self, kind: Any, *exception: object) -> None:
        self._inside = False
        if kind is None:
            self._pass_back()
        self._loss = None

    def __call__(self, state: Any) -> Any:
        """Begins a step; gives the state, cut off where a new piece begins."""
        from eagergrad import detach

        self._check_inside()
        cut = self._begun > 0 and self._begun % self.steps == 0
        if cut:
            self._pass_back()
        self._begun += 1
        return detach(state) if cut else state

    def add(self, loss: Any) -> None:
        """Takes the loss of a step, a tensor of one element, to pass it back at the end of the piece."""
        self._check_inside()
        if not isinstance(loss, _C.TensorBase) or loss.numel() != 1:
            came = tuple(loss.shape) if isinstance(loss, _C.TensorBase) else type(loss).__name__
            raise TypeError(f"[tbptt] expected a loss, a tensor of one element, got {came}")
        self._loss = loss if self._loss is None else self._loss + loss
        self.total = loss.detach() + self.total

    def _check_inside(self) -> None:
        if not self._inside:
            raise RuntimeError(
                "[tbptt] steps and losses belong into its block: with eg.tbptt(k) as piece: ..."
            )

    def _pass_back(self) -> None:
        loss, self._loss = self._loss, None
        if loss is not None:
            loss.backward()
            if self.then is not None:
                self.then()
