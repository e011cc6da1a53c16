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


class set_grad_enabled(_Mode):
    """Sets recording at once; as a context manager, until the end of the block."""

    def __init__(self, mode: bool) -> None:
        self.before = _C.is_grad_enabled()
        self.mode = mode
        _C.set_grad_enabled(mode)

    def clone(self) -> set_grad_enabled:
        return set_grad_enabled(self.mode)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        _C.set_grad_enabled(self.before)
        return super().__call__(function)

    def __enter__(self) -> None:
        _C.set_grad_enabled(self.mode)

    def __exit__(self, *exception: object) -> None:
        _C.set_grad_enabled(self.before)


class inference_mode(_Mode):
    """no_grad whose tensors can never be recorded later."""

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
        if self.mode:
            _C.set_grad_enabled(False)
        _C.set_inference_mode(self.mode)

    def __exit__(self, *exception: object) -> None:
        grad, inference = self.before
        _C.set_grad_enabled(grad)
        _C.set_inference_mode(inference)
