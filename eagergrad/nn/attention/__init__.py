"""Names by which programs choose among PyTorch's attention kernels. On a GPU cuDNN's is one here; eagergrad's own stands for all others."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator, Sequence

from eagergrad.backends.cuda import _only

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(enum.IntEnum):
    """PyTorch's kernels of `scaled_dot_product_attention`."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


_NAMES = {
    SDPBackend.CUDNN_ATTENTION: "cudnn",
    SDPBackend.FLASH_ATTENTION: "flash",
    SDPBackend.EFFICIENT_ATTENTION: "mem_efficient",
    SDPBackend.MATH: "math",
    SDPBackend.OVERRIDEABLE: "overrideable",
}


@contextlib.contextmanager
def sdpa_kernel(
    backends: SDPBackend | Sequence[SDPBackend], set_priority: bool = False
) -> Iterator[None]:
    """A region in which attention is computed by one of `backends`, with `set_priority` by the first of them that can.

    On a GPU cuDNN computes it where CUDNN_ATTENTION is among them; where it alone is and cannot do it, there is a warning and
    eagergrad's own kernel does. On the CPU there is one kernel. AssertionError for anything but SDPBackends.

    >>> with sdpa_kernel(SDPBackend.MATH):
    ...     pass
    """
    chosen = [backends] if isinstance(backends, SDPBackend) else list(backends)
    for backend in chosen:
        if not isinstance(backend, SDPBackend):
            raise AssertionError(f"[sdpa_kernel] expected SDPBackends, got {backend!r}")
    kinds = [_NAMES[backend] for backend in chosen if backend in _NAMES]
    rest = [kind for kind in _NAMES.values() if kind not in kinds]
    with _only(kinds, [*kinds, *rest] if set_priority else None):
        yield
