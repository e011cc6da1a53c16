"""Where a tensor's memory is."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from eagergrad import _C


class OutOfMemoryError(RuntimeError, MemoryError):
    """Too little memory is left, on a GPU or on the host. A RuntimeError, as PyTorch's, and a MemoryError, as Python's."""


_known: dict[str, device] = {}  # by the names that always give the same object


class device:
    """``device("cpu")``, ``device("cuda")``, ``device("cuda", 1)``, ``device("cuda:1")``, ``device(1)``.

    Also a context manager and a decorator: factories inside make tensors there.

    >>> import eagergrad as eg
    >>> eg.device("cuda:1").index
    1
    """

    __module__ = "eagergrad"  # where programs find it, and what `type(x)` prints
    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __new__(cls, type: Any = None, index: int | None = None) -> device:
        """The CPU is one object, which ops know at sight."""
        known = _known.get(type) if index is None and isinstance(type, str) else None
        return known or super().__new__(cls)

    def __init__(self, type: Any = None, index: int | None = None) -> None:
        if isinstance(type, device):
            type, index = type.type, type.index
        elif isinstance(type, int) and not isinstance(type, bool):
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TypeError(f"device takes a string, an integer or a device, got {type!r}")
        name, colon, number = type.partition(":")
        if colon:
            if index is not None:
                raise RuntimeError(f"the device index is given twice: {type!r} and {index}")
            if not number.isdigit():
                raise RuntimeError(f"Invalid device string: {type!r}")
            index = int(number)
        if name not in ("cpu", "cuda"):
            raise RuntimeError(
                f"Expected one of cpu, cuda device type at start of device string: {name}"
            )
        if index is not None and index < 0:
            raise RuntimeError(f"a device index must not be negative, got {index}")
        self.type, self.index = name, index

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (str(self),)

    def __enter__(self) -> device:
        _of_thread.before.append(get_default_device())
        set_default_device(self)
        return self

    def __exit__(self, *exception: object) -> None:
        set_default_device(_of_thread.before.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """As a decorator: the function runs inside a block of this device."""

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return inside


CPU = _known["cpu"] = device("cpu")


class _OfThread(threading.local):
    """Each thread has a default device of its own, the CPU at first, and those of the blocks that it is in."""

    def __init__(self) -> None:
        self.default = CPU
        self.before: list[device] = []


_of_thread = _OfThread()


def check_device(d: device) -> None:
    """Raises with the reason if nothing can be placed on d; starts the GPU at its first use."""
    if d.type == "cpu":
        return
    from eagergrad.cuda import _runtime

    _runtime.checked_index(d)


def get_default_device() -> device:
    """Device of the tensors that factories make in this thread."""
    return _of_thread.default


def set_default_device(device: Any) -> None:
    """Sets the device of the tensors that factories make in this thread (None: the CPU)."""
    d = CPU if device is None else type(CPU)(device)
    check_device(d)
    number = 0
    if d.type == "cuda":
        number = _C.cuda_current() if d.index is None else d.index
    _C.set_active_device(d.type, number)
    _of_thread.default = d
