"""Windows of signal processing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

__all__ = ["bartlett_window", "blackman_window", "hamming_window", "hann_window", "kaiser_window"]


def _window(
    terms: Callable[[Any], Any], length: int, periodic: bool, options: dict[str, Any]
) -> Any:
    import eagergrad as eg

    if length < 0:
        raise RuntimeError(f"[window] the length must not be negative, got {length}")
    dtype = options.pop("dtype", None) or eg.get_default_dtype()
    if not dtype.is_floating_point:
        raise RuntimeError(f"[window] expected a floating point dtype, got {dtype}")
    wanted = options.pop("requires_grad", False)
    options.pop("layout", None)
    options.pop("pin_memory", None)
    device = options.pop("device", None)
    if options:
        raise TypeError(f"unexpected keyword argument {next(iter(options))!r}")
    if length <= 1:
        return eg.ones(length, dtype=dtype, device=device, requires_grad=wanted)
    last = length if periodic else length - 1
    place = eg.arange(length, dtype=eg.float64, device=device) / last
    return terms(place).to(dtype).requires_grad_(wanted)


def _cosines(place: Any, *weights: float) -> Any:
    return sum(w * (2 * math.pi * k * place).cos() for k, w in enumerate(weights))


def hann_window(window_length: int, periodic: bool = True, **options: Any) -> Any:
    """The Hann window, of the given length."""
    return _window(lambda p: _cosines(p, 0.5, -0.5), window_length, periodic, options)


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    **options: Any,
) -> Any:
    """The Hamming window, of the given length."""
    return _window(lambda p: _cosines(p, alpha, -beta), window_length, periodic, options)


def blackman_window(window_length: int, periodic: bool = True, **options: Any) -> Any:
    """The Blackman window, of the given length."""
    return _window(lambda p: _cosines(p, 0.42, -0.5, 0.08), window_length, periodic, options)


def bartlett_window(window_length: int, periodic: bool = True, **options: Any) -> Any:
    """The triangular Bartlett window, of the given length."""
    return _window(lambda p: 1 - (2 * p - 1).abs(), window_length, periodic, options)


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, **options: Any
) -> Any:
    """The Kaiser window, of the given length."""

    def bessel(place: Any) -> Any:
        inside = (1 - (2 * place - 1).square()).clamp(min=0).sqrt()
        return (beta * inside).i0() / (0 * inside + beta).i0()

    return _window(bessel, window_length, periodic, options)
