"""Comparing results in tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import eagergrad as eg

__all__ = ["assert_allclose", "assert_close", "make_tensor"]


def _default_tolerance(dtype: Any) -> tuple[float, float]:
    """Relative and absolute; PyTorch's."""
    return {
        eg.float16: (1e-3, 1e-5),
        eg.bfloat16: (1.6e-2, 1e-5),
        eg.float32: (1.3e-6, 1e-5),
        eg.float64: (1e-7, 1e-7),
    }.get(dtype, (0.0, 0.0))


class _Comparison:
    """The options of one call."""

    def __init__(
        self,
        rtol: float | None,
        atol: float | None,
        equal_nan: bool,
        check: dict[str, bool],
        msg: Any,
    ) -> None:
        self.rtol, self.atol, self.equal_nan = rtol, atol, equal_nan
        self.check, self.msg = check, msg

    def fail(self, text: str, path: str) -> None:
        text += f" (at {path})" if path else ""
        if self.msg is not None:
            text = self.msg(text) if callable(self.msg) else self.msg
        raise AssertionError(text)

    def tolerance(self, a: Any, b: Any) -> tuple[float, float]:
        if self.rtol is not None and self.atol is not None:
            return self.rtol, self.atol
        pairs = [_default_tolerance(t.dtype) for t in (a, b)]
        return max(p[0] for p in pairs), max(p[1] for p in pairs)

    def any(self, a: Any, b: Any, path: str) -> None:
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            if set(a) != set(b):
                self.fail(f"keys differ: {sorted(map(str, a))} and {sorted(map(str, b))}", path)
            for k in a:
                self.any(a[k], b[k], f"{path}[{k!r}]")
        elif _is_sequence(a) and _is_sequence(b):
            if len(a) != len(b):
                self.fail(f"lengths differ: {len(a)} and {len(b)}", path)
            for i, (x, y) in enumerate(zip(a, b, strict=True)):
                self.any(x, y, f"{path}[{i}]")
        elif a is None and b is None:
            return
        else:
            self.values(a, b, path)

    def values(self, a: Any, b: Any, path: str) -> None:
        numbers = isinstance(a, int | float | bool) and isinstance(b, int | float | bool)
        kinds_match = numbers or type(a) is type(b) or _both(a, b, eg.Tensor)
        if not kinds_match:
            raise TypeError(
                f"[assert_close] cannot compare {type(a).__name__} and {type(b).__name__}"
            )
        options = {"dtype": eg.float64} if numbers and isinstance(a, float) else {}
        x, y = (v if isinstance(v, eg.Tensor) else eg.as_tensor(v, **options) for v in (a, b))
        if not numbers:
            self.attributes(x, y, path)
        self.elements(x.detach(), y.detach(), path)

    def attributes(self, a: Any, b: Any, path: str) -> None:
        if tuple(a.shape) != tuple(b.shape):
            self.fail(f"shapes differ: {tuple(a.shape)} and {tuple(b.shape)}", path)
        for name in ("device", "dtype", "layout"):
            x, y = getattr(a, name), getattr(b, name)
            if self.check[name] and x != y:
                self.fail(f"{name}s differ: {x} and {y}", path)
        if self.check["stride"] and a.stride() != b.stride():
            self.fail(f"strides differ: {a.stride()} and {b.stride()}", path)

    def elements(self, a: Any, b: Any, path: str) -> None:
        rtol, atol = self.tolerance(a, b)
        x, y = (np.asarray(t.cpu().double().numpy()) for t in (a, b))
        close = np.isclose(x, y, rtol, atol, self.equal_nan)
        if close.all():
            return
        gap = np.abs(x - y)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = gap / np.abs(y)
        worst = np.where(close, -1.0, np.where(np.isnan(gap), np.inf, gap))
        where = np.unravel_index(int(np.argmax(worst)), x.shape)
        index = tuple(int(i) for i in where)
        self.fail(
            f"{int((~close).sum())} of {x.size} elements are not close; the worst at index {index}: "
            f"{x[where]} and {y[where]}, absolute difference {gap[where]:.3g} (allowed {atol:g}), "
            f"relative {relative[where]:.3g} (allowed {rtol:g})",
            path,
        )


def _both(a: Any, b: Any, kind: type) -> bool:
    return isinstance(a, kind) and isinstance(b, kind)


def _is_sequence(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, str)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless two tensors, arrays, numbers or nested lists and dicts of them
    agree in shape, dtype, device and, within a tolerance, in their values.

    The tolerances of a dtype are used where none are given; both or neither must be.

    Raises:
        TypeError: the two are of kinds that cannot be compared.

    >>> import eagergrad as eg
    >>> assert_close(eg.tensor([1.0, 2.0]), eg.tensor([1.0, 2.0 + 1e-7]))
    """
    if (rtol is None) != (atol is None):
        raise ValueError("[assert_close] expected both rtol and atol, or neither")
    if not allow_subclasses and type(actual) is not type(expected):
        raise TypeError(
            f"[assert_close] cannot compare {type(actual).__name__} and {type(expected).__name__}"
        )
    check = {
        "device": check_device,
        "dtype": check_dtype,
        "layout": check_layout,
        "stride": check_stride,
    }
    _Comparison(rtol, atol, equal_nan, check, msg).any(actual, expected, "")


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """The old form of `assert_close`: dtypes, devices and classes may differ, NaN equals NaN."""
    pair = [x if isinstance(x, eg.Tensor) else eg.as_tensor(x) for x in (actual, expected)]
    if rtol is None and atol is None:
        tolerances = [_default_tolerance(t.dtype) for t in pair]
        rtol, atol = (max(t[i] for t in tolerances) for i in (0, 1))
    assert_close(
        *pair,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_device=False,
        check_dtype=False,
        check_stride=False,
        msg=msg or None,
    )


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any = "cpu",
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Any:
    """A tensor of uniform random values from ``low`` up to ``high`` (-9 to 9 or 10, as far as the dtype reaches).

    Raises:
        ValueError: ``low`` is not below ``high``, or both ``noncontiguous`` and ``memory_format`` are given.

    >>> import eagergrad as eg
    >>> x = make_tensor(2, 3, dtype=eg.int8, low=0, high=3)
    >>> x.shape == (2, 3) and bool((x >= 0).all() and (x < 3).all())
    True
    """
    if noncontiguous and memory_format is not None:
        raise ValueError("[make_tensor] expected noncontiguous or memory_format, not both")
    size = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if dtype == eg.bool:
        bottom, top = 0, 2
    elif dtype.is_floating_point:
        bottom, top = -9, 9
    else:
        bottom, top = (0 if dtype == eg.uint8 else -9), 10
    low = bottom if low is None else low
    high = top if high is None else high
    if not low < high:
        raise ValueError(f"[make_tensor] expected low < high, got low={low} and high={high}")
    if noncontiguous and size:
        size = (*size[:-1], 2 * size[-1])
    if dtype.is_floating_point:
        x = eg.empty(size, dtype=dtype, device=device).uniform_(low, high)
    else:
        x = eg.randint(int(low), int(high), size, dtype=dtype, device=device)
    if noncontiguous and size:
        x = x[..., ::2]
    if exclude_zero:
        one = eg.finfo(dtype).tiny if dtype.is_floating_point else 1
        x[x == 0] = one
    if memory_format is not None:
        x = x.clone(memory_format=memory_format)
    return x.requires_grad_(requires_grad)
