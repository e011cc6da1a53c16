"""A warning about programs that keep the graph of every step alive."""

from __future__ import annotations

import gc
import warnings

from eagergrad import _C

__all__ = ["GrowingGraphWarning", "warn_of_growth"]


class GrowingGraphWarning(UserWarning):
    """Graphs that no backward can pass any more stay alive from one optimizer step to the next; given once in a process.

    ``total += loss`` and ``losses.append(loss)`` keep the operations of every step. Keep ``loss.item()`` or
    ``loss.detach()``. Steps of optimizers are watched: where the number of live operations grew over more than a
    hundred steps, those made in the next 64 are followed, and the warning comes if most of these steps left operations that
    a backward has freed or whose saved values were overwritten. A graph that can still be used is never reported.
    """


def warn_of_growth() -> None:
    """Called when the operations of 64 steps have been followed: names the lines that keep them, if any do."""
    gc.collect()  # what only a cycle of references keeps is no leak
    keepers = sorted(_C.graph_keepers(), key=lambda keeper: -keeper[-1])
    if not keepers:
        return
    _C.watch_growth(False)
    lines = [
        f"\n  {tensors} {'tensor' if tensors == 1 else 'tensors'} of shape {list(shape)} ({title}) made at {site}: "
        f"{steps} of the last 64 steps"
        for site, title, shape, tensors, steps in keepers[:3]
        if 4 * steps >= keepers[0][-1]
    ]
    warnings.warn(
        "the graphs of past optimizer steps stay alive, though no backward can pass them any more, and memory grows "
        "with each step. They are kept by"
        + "".join(lines)
        + "\nKeep the number, loss.item(), or the "
        "value, x.detach(), instead of the tensor with its graph.",
        GrowingGraphWarning,
        stacklevel=3,
    )
