"""cuDNN's switches, for convolutions on a GPU. It is used where its library (the package nvidia-cudnn-cu12 or -cu13) is
installed; else, and for what it cannot do, eagergrad's own kernels are. Only algorithms that give the same bits each time are
taken, whatever `deterministic` says."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from eagergrad import _C, cuda

enabled = True
benchmark = False
benchmark_limit: int | None = 10
deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """Return whether cuDNN can be used."""
    return version() is not None


def version() -> int | None:
    """Return cuDNN's version, None where it is not there."""
    if not cuda.is_available():
        return None
    from eagergrad.cuda import _runtime

    _runtime.find_cudnn()
    return _C.cudnn_version() or None


@contextlib.contextmanager
def flags(
    enabled: bool = False,
    benchmark: bool = False,
    benchmark_limit: int | None = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
) -> Iterator[None]:
    """Set the switches within a block."""
    new = dict(locals())
    module = sys.modules[__name__]
    old = {name: getattr(module, name) for name in new}
    try:
        for name, value in new.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in old.items():
            setattr(module, name, value)


class _Switches(ModuleType):
    """The module itself: what is assigned to a switch reaches the kernels at once."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in ("enabled", "allow_tf32", "benchmark"):
            _C.cudnn_set(bool(self.enabled), bool(self.allow_tf32), bool(self.benchmark))


sys.modules[__name__].__class__ = _Switches
