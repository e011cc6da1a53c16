"""Types of elements, their names and ranges."""

from __future__ import annotations

from typing import Any

import numpy as np


class dtype:
    """Type of a tensor's elements. The instances are ``eagergrad.float32`` and so on.

    >>> import eagergrad as eg
    >>> eg.float16.itemsize, eg.int64.is_floating_point
    (2, False)
    """

    __module__ = "eagergrad"  # where programs find it, and what `type(x)` prints
    __slots__ = ("_numpy", "is_floating_point", "is_signed", "itemsize", "name")
    is_complex = False

    def __init__(self, name: str, itemsize: int, numpy: str, kind: str) -> None:
        self.name = name
        self.itemsize = itemsize
        self.is_floating_point = kind == "f"
        self.is_signed = kind in "fi"
        self._numpy = np.dtype(numpy)

    def __repr__(self) -> str:
        return f"eagergrad.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _by_name, (self.name,)

    def __copy__(self) -> dtype:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> dtype:
        return self

    def to_real(self) -> dtype:
        """This type: all types are real."""
        return self


# In the order of csrc/core/common.h.
ALL = [
    dtype("bool", 1, "?", "b"),
    dtype("uint8", 1, "u1", "u"),
    dtype("int8", 1, "i1", "i"),
    dtype("int16", 2, "i2", "i"),
    dtype("int32", 4, "i4", "i"),
    dtype("int64", 8, "i8", "i"),
    dtype("float16", 2, "f2", "f"),
    dtype("bfloat16", 2, "u2", "f"),
    dtype("float32", 4, "f4", "f"),
    dtype("float64", 8, "f8", "f"),
]
bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 = ALL
NAMES = {
    **{t.name: t for t in ALL},
    "half": float16,
    "float": float32,
    "double": float64,
    "short": int16,
    "int": int32,
    "long": int64,
}


def _by_name(name: str) -> dtype:
    return NAMES[name]


_FROM_NUMPY = {t._numpy: t for t in ALL if t.name != "bfloat16"}


def dtype_from_numpy(spec: Any) -> dtype | None:
    """The dtype of a NumPy dtype or scalar type, None for anything else."""
    if not isinstance(spec, (np.dtype, type)):
        return None
    return _FROM_NUMPY.get(np.dtype(spec))


class finfo:
    """Limits of a floating point type, as ``numpy.finfo``.

    >>> import eagergrad as eg
    >>> eg.finfo(eg.float16).max
    65504.0
    """

    __module__ = "eagergrad"  # where programs find it, and what `type(x)` prints

    def __init__(self, type: dtype | None = None) -> None:
        from eagergrad import _C

        self._type = _C.get_default_dtype() if type is None else type
        if not isinstance(self._type, dtype) or not self._type.is_floating_point:
            raise TypeError(f"finfo takes a floating point dtype, got {type}")
        self.dtype = self._type.name
        self.bits = 8 * self._type.itemsize
        if self._type is bfloat16:
            self.eps, self.max = 2.0**-7, float(2.0**128 - 2.0**120)
            self.tiny = self.smallest_normal = 2.0**-126
            self.resolution = 0.01
        else:
            n = np.finfo(self._type._numpy)
            self.eps, self.max, self.tiny = float(n.eps), float(n.max), float(n.tiny)
            self.smallest_normal, self.resolution = self.tiny, 10.0**-n.precision
        self.min = -self.max

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer type, as ``numpy.iinfo``.

    >>> import eagergrad as eg
    >>> eg.iinfo(eg.int8).max
    127
    """

    __module__ = "eagergrad"  # where programs find it, and what `type(x)` prints

    def __init__(self, type: dtype) -> None:
        if not isinstance(type, dtype) or type.is_floating_point or type is bool_:
            raise TypeError(f"iinfo takes an integer dtype, got {type}")
        n = np.iinfo(type._numpy)
        self.dtype, self.bits, self.min, self.max = type.name, n.bits, int(n.min), int(n.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
