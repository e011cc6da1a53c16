"""Windows under the names of torch.signal.windows: M points, symmetric unless ``sym`` is False.

>>> import eagergrad as eg
>>> eg.signal.windows.hann(3).tolist()
[0.0, 1.0, 0.0]
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import eagergrad as eg

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def _window(values: Callable[..., Any]) -> Callable[..., Any]:
    """A window of ``values(M, sym, *parameters)``, computed in float64, with the arguments that all windows share."""

    @functools.wraps(values)
    def window(
        M: int,
        *args: Any,
        sym: bool = True,
        dtype: Any = None,
        layout: Any = eg.strided,
        device: Any = None,
        requires_grad: bool = False,
        **parameters: Any,
    ) -> Any:
        dtype = eg.get_default_dtype() if dtype is None else dtype
        name = values.__name__
        if M < 0:
            raise ValueError(f"{name} requires non-negative window length, got M={M}")
        if layout != eg.strided:
            raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
        if dtype not in (eg.float32, eg.float64):
            raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
        made = values(M, sym, *args, **parameters)
        return made.to(dtype=dtype, device=device).requires_grad_(requires_grad)

    return window


def _line(first: float, step: float, M: int) -> Any:
    return first + step * eg.arange(M, dtype=eg.float64)


def _whole(M: int, sym: bool) -> float:
    """Steps of one period."""
    return max(M - 1 if sym else M, 1)


def _cosines(M: int, sym: bool, weights: Iterable[float]) -> Any:
    if M <= 1:
        return eg.ones(M, dtype=eg.float64)
    k = _line(0, 2 * math.pi / _whole(M, sym), M)
    return sum((-1) ** i * w * (i * k).cos() for i, w in enumerate(weights))


def _centre(M: int, sym: bool) -> float:
    return (M if not sym and M > 1 else M - 1) / 2


@_window
def exponential(M: int, sym: bool, center: float | None = None, tau: float = 1.0) -> Any:
    """exp(-|n - center| / tau)."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    middle = _centre(M, sym) if center is None else center
    return (-_line(-middle / tau, 1 / tau, M).abs()).exp()


@_window
def cosine(M: int, sym: bool) -> Any:
    """Half a wave of the sine."""
    step = math.pi / (M + 1 if not sym and M > 1 else max(M, 1))
    return _line(step / 2, step, M).sin()


@_window
def gaussian(M: int, sym: bool, std: float = 1.0) -> Any:
    """The bell of a standard deviation."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    return (-_line(-_centre(M, sym), 1, M).square() / (2 * std * std)).exp()


@_window
def kaiser(M: int, sym: bool, beta: float = 12.0) -> Any:
    """The Kaiser window of a shape parameter."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    if M <= 1:
        return eg.ones(M, dtype=eg.float64)
    k = _line(-beta, 2 * beta / _whole(M, sym), M)
    return (beta * beta - k * k).clamp(min=0).sqrt().i0() / eg.tensor(beta, dtype=eg.float64).i0()


@_window
def hamming(M: int, sym: bool) -> Any:
    """0.54 - 0.46 cos."""
    return _cosines(M, sym, (0.54, 0.46))


@_window
def hann(M: int, sym: bool) -> Any:
    """A raised cosine."""
    return _cosines(M, sym, (0.5, 0.5))


@_window
def blackman(M: int, sym: bool) -> Any:
    """Three cosines after Blackman."""
    return _cosines(M, sym, (0.42, 0.5, 0.08))


@_window
def nuttall(M: int, sym: bool) -> Any:
    """Four cosines after Nuttall."""
    return _cosines(M, sym, (0.3635819, 0.4891775, 0.1365995, 0.0106411))


@_window
def bartlett(M: int, sym: bool) -> Any:
    """A triangle."""
    if M <= 1:
        return eg.ones(M, dtype=eg.float64)
    return 1 - _line(-1, 2 / _whole(M, sym), M).abs()


@_window
def general_cosine(M: int, sym: bool, a: Iterable[float]) -> Any:
    """The sum of (-1)^i a_i cos(2 pi i n / N)."""
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    weights = list(a)
    if not weights:
        raise ValueError("Coefficients cannot be empty")
    return _cosines(M, sym, weights)


@_window
def general_hamming(M: int, sym: bool, alpha: float = 0.54) -> Any:
    """alpha - (1 - alpha) cos."""
    return _cosines(M, sym, (alpha, 1 - alpha))
