"""Looking for NaN and infinity where they are made: NumPy's `seterr` and `errstate` for tensors."""

from __future__ import annotations

from typing import Any

from eagergrad import _C
from eagergrad.autograd.grad_mode import _Mode

__all__ = ["errstate", "geterr", "seterr"]

_RESPONSES = ("ignore", "warn", "raise")


def geterr() -> dict[str, str]:
    """Return what happens when an op makes NaN or infinity.

    >>> geterr()
    {'nan': 'ignore', 'inf': 'ignore'}
    """
    nan, inf = _C.get_watch()
    return {"nan": _RESPONSES[nan], "inf": _RESPONSES[inf]}


def seterr(
    all: str | None = None, *, nan: str | None = None, inf: str | None = None
) -> dict[str, str]:
    """Say what happens, in every thread, when a value of a result is NaN or infinite; return what was said before.

    The results of ops, gradients in `backward()` and the parameters after an optimizer's step are looked at. The report names the
    op, the line of the program, how many values are bad and where the first is, and the inputs with their ranges; "made" says
    that no input held such a value, "passed on" that one did. Results of ops that create tensors, views and what is read by
    an index are not looked at. Each response is "ignore" (default: nothing is looked at, and nothing costs), "warn" or "raise".

    Args:
        all: the response for both.
        nan: for values that are not a number.
        inf: for infinities of either sign. Masks of attention hold some on purpose.

    Raises:
        ValueError: a response is not one of the three.
        FloatingPointError: from then on, where the response is "raise".

    >>> import eagergrad as eg
    >>> before = seterr(nan="raise")
    >>> eg.tensor([1.0, -1.0]).log()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    FloatingPointError: [log] made nan: 1 of 2 values of float32[2], the first at [1]; of float32[2] from -1 to 1; at ...
    >>> seterr(**before)
    {'nan': 'raise', 'inf': 'ignore'}
    """
    before = geterr()
    wanted = {
        "nan": nan or all or before["nan"],
        "inf": inf or all or before["inf"],
    }
    for name, response in wanted.items():
        if response not in _RESPONSES:
            raise ValueError(
                f"[seterr] {name} must be 'ignore', 'warn' or 'raise', got {response!r}"
            )
    responses = tuple(_RESPONSES.index(wanted[name]) for name in ("nan", "inf"))
    _C.set_watch(*responses)
    _watch_optimizers(any(responses))
    return before


_steps: list[Any] = []  # the hook after steps of optimizers, while it is there


def _watch_optimizers(on: bool) -> None:
    from eagergrad.optim.optimizer import register_optimizer_step_post_hook

    if on and not _steps:
        _steps.append(register_optimizer_step_post_hook(_after_step))
    elif not on and _steps:
        _steps.pop().remove()


def _after_step(optimizer: Any, args: Any, kwargs: Any) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    _C.watch_values(f"{type(optimizer).__name__}.step", parameters)


class errstate(_Mode):
    """A block, or a function that it decorates, with its own `seterr`.

    >>> import eagergrad as eg
    >>> with errstate(inf="raise"):
    ...     eg.tensor([1.0]) / 0  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    FloatingPointError: [div] made inf: 1 of 1 values of float32[1], the first at [0]; of float32[1] from 1 to 1; at ...
    >>> geterr()
    {'nan': 'ignore', 'inf': 'ignore'}
    """

    def __init__(self, all: str | None = None, **responses: Any) -> None:
        self.responses = {"all": all, **responses}

    def clone(self) -> errstate:
        return errstate(**self.responses)

    def __enter__(self) -> None:
        self.before = seterr(**self.responses)

    def __exit__(self, *exception: object) -> None:
        seterr(**self.before)
