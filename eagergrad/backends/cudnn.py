"""cuDNN's switches. They are kept and handed to cuDNN where a GPU and cuDNN are used."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from eagergrad import cuda

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
    try:
        import cudnn
    except ImportError:
        return None
    return int(cudnn.backend_version())


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
    old = {name: globals()[name] for name in new}
    globals().update(new)
    try:
        yield
    finally:
        globals().update(old)
