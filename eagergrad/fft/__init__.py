"""What torch.fft has for real numbers: the order and the values of frequencies. Transforms need complex
numbers: their names are there for libraries that import them, and refuse to be called."""

from __future__ import annotations

from typing import Any

import eagergrad as eg

__all__ = ["fftfreq", "fftshift", "ifftshift", "rfftfreq"]


def _shift(input: Any, dim: Any, half: Any) -> Any:
    dims = range(input.dim()) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    return input.roll([half(input.shape[d]) for d in dims], list(dims)) if dims else input.clone()


def fftshift(input: Any, dim: Any = None) -> Any:
    """The zero frequency moved to the middle of dims (all by default).

    >>> import eagergrad as eg
    >>> eg.fft.fftshift(eg.fft.fftfreq(4)).tolist()
    [-0.5, -0.25, 0.0, 0.25]
    """
    return _shift(input, dim, lambda n: n // 2)


def ifftshift(input: Any, dim: Any = None) -> Any:
    """The inverse of fftshift."""
    return _shift(input, dim, lambda n: (n + 1) // 2)


def fftfreq(n: int, d: float = 1.0, **options: Any) -> Any:
    """The frequencies of n samples d apart, in the order of a transform: 0 first, then positive, then negative ones."""
    options.setdefault("dtype", eg.get_default_dtype())
    whole = eg.arange(n, **options)
    return eg.where(whole < (n + 1) // 2, whole, whole - n) / (n * d)


def rfftfreq(n: int, d: float = 1.0, **options: Any) -> Any:
    """The frequencies that a transform of n real samples d apart gives."""
    options.setdefault("dtype", eg.get_default_dtype())
    return eg.arange(n // 2 + 1, **options) / (n * d)


_TRANSFORMS = frozenset(
    "fft ifft fft2 ifft2 fftn ifftn rfft irfft rfft2 irfft2 rfftn irfftn hfft ihfft hfft2 ihfft2 hfftn ihfftn".split()
)


def __getattr__(name: str) -> Any:
    """Of a transform a function that says what is missing: libraries import names that their programs seldom call."""
    if name not in _TRANSFORMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"[fft.{name}] eagergrad has no complex numbers, which transforms are made of; use numpy.fft.{name} on x.numpy()"
        )

    refuse.__name__ = name
    return refuse
