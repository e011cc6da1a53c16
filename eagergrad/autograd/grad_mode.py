"""Switches of recording: context managers and decorators, per thread."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from eagergrad import _C


class _Mode:
    """A context manager that also decorates functions, generators and classes' methods."""

    def clone(self) -> _Mode:
        return type(self)()

    def __enter__(self) -> None:
        raise NotImplementedError

    def __exit__(self, *exception: object) -> None:
        raise NotImplementedError

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function):
            return self._decorate_generator(function)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return wrapper

    def _decorate_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            try:
                with self.clone():
                    item = next(generator)
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        with self.clone():
                            generator.close()
                        raise
                    except BaseException as e:
                        with self.clone():
                            item = generator.throw(e)
                    else:
                        with self.clone():
                            item = generator.send(sent)
            except StopIteration as e:
                return e.value

        return wrapper


class no_grad(_Mode):
    """Nothing inside is recorded.

    >>> import eagergrad as eg
    >>> w = eg.ones(2, requires_grad=True)
    >>> with eg.no_grad():
    ...     y = w * 2
    >>> y.requires_grad
    False
    """

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        made = super().__new__(cls)
        return made if function is None else made(function)

    def __enter__(self) -> None:
        self.before = _C.is_grad_enabled()
        _C.set_grad_enabled(False)

    def __exit__(self, *exception: object) -> None:
        _C.set_grad_enabled(self.before)


class enable_grad(no_grad):
    """Operations inside are recorded, also within no_grad."""

    def __enter__(self) -> None:
        self.before = _C.is_grad_enabled()
        _C.set_grad_enabled(True)


class _Switch(_Mode):
    """A mode that is set at once; as a context manager or decorator, until the end of the block."""

    is_on: Callable[[], bool]
    switch: Callable[[bool], None]

    def __init__(self, mode: bool) -> None:
        self.before = self.is_on()
        self.mode = mode
        self.switch(mode)

    def clone(self) -> _Switch:
        return type(self)(self.mode)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self.switch(self.before)
        return super().__call__(function)

    def __enter__(self) -> None:
        self.switch(self.mode)

    def __exit__(self, *exception: object) -> None:
        self.switch(self.before)


class set_grad_enabled(_Switch):
    """Sets recording at once; as a context manager, until the end of the block."""

    is_on = staticmethod(_C.is_grad_enabled)
    switch = staticmethod(_C.set_grad_enabled)


class strict_broadcast(_Switch):
    """Refuses operations that stretch both of two tensors of different numbers of dimensions, as (n, 1) with (n,) to (n, n).

    That is rarely meant: predictions of shape (n, 1) minus targets of shape (n,) are a square of differences. Elementwise
    operations, ``where`` and masks that the program itself calls (not those inside of layers and distributions) raise
    RuntimeError with the shapes, the line and the reshape that would fit. One tensor may be stretched to the other, as biases
    and numbers are, and tensors of as many dimensions stretch each other as always. Losses that take a target for each
    value refuse every other shape of it.

    Set at once for this thread; as a context manager or decorator, until the end of the block.

    >>> import eagergrad as eg
    >>> with eg.strict_broadcast():
    ...     eg.ones(3, 1) - eg.ones(3)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    RuntimeError: [sub] strict_broadcast: shapes [3, 1] and [3] would both be stretched, to [3, 3], at ...
    >>> (eg.ones(3, 1) - eg.ones(3)).shape
    eagergrad.Size([3, 3])
    """

    is_on = staticmethod(_C.is_broadcast_strict)
    switch = staticmethod(_C.set_strict_broadcast)

    def __init__(self, mode: bool = True) -> None:
        if not isinstance(mode, bool):
            raise TypeError(
                f"[strict_broadcast] expected True or False, got {type(mode).__name__}; a function is decorated with "
                "@strict_broadcast()"
            )
        super().__init__(mode)


class inference_mode(_Mode):
    """no_grad whose tensors can never be recorded later. ``inference_mode(False)`` inside of it records again.

    >>> import eagergrad as eg
    >>> with eg.inference_mode():
    ...     x = eg.ones(2)
    >>> x.is_inference()
    True
    """

    def __new__(cls, mode: Any = True) -> Any:
        made = super().__new__(cls)
        if callable(mode) and not isinstance(mode, bool):
            made.mode = True
            return made(mode)
        return made

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def clone(self) -> inference_mode:
        return inference_mode(self.mode)

    def __enter__(self) -> None:
        self.before = (_C.is_grad_enabled(), _C.is_inference_mode_enabled())
        _C.set_inference_mode(self.mode)
        _C.set_grad_enabled(not self.mode)

    def __exit__(self, *exception: object) -> None:
        grad, inference = self.before
        _C.set_inference_mode(inference)
        _C.set_grad_enabled(grad)
