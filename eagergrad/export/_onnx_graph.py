"""An ONNX graph as it grows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eagergrad.export._trace import Size


class NoForm(Exception):
    """What an op does with these arguments cannot be said in ONNX."""


@dataclass(frozen=True)
class Val:
    """A value of the graph: its name, dtype and shape, in which `Size` are sizes that follow the batch."""

    name: str
    dtype: np.dtype
    shape: tuple[Any, ...]


class Graph:
    """Nodes and constants; `batch` is the input, and its dimension, that has the size of the batch."""

    def __init__(self, onnx: Any, batch: tuple[str, int] | None) -> None:
        self.onnx = onnx
        self.batch = batch
        self.list: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self._known: dict[tuple[Any, ...], str] = {}
        self._count = 0
        self.scope = ""
        self._size: str | None = None

    def new(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def nodes(self, op: str, *inputs: str, count: int, **attributes: Any) -> list[str]:
        names = [self.new() for _ in range(count)]
        label = f"{self.scope}/{op}_{len(self.list)}".lstrip("/")
        self.list.append(
            self.onnx.helper.make_node(op, list(inputs), names, name=label, **attributes)
        )
        return names

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        return self.nodes(op, *inputs, count=1, **attributes)[0]

    def constant(self, array: np.ndarray, name: str = "") -> str:
        key = (
            (array.dtype.str, array.shape, array.tobytes())
            if array.size <= 64 and not name
            else None
        )
        if key in self._known:
            return self._known[key]
        name = name or f"number_{len(self.constants)}"
        self.constants[name] = array
        if key is not None:
            self._known[key] = name
        return name

    def ints(self, numbers: Iterable[int]) -> str:
        return self.constant(np.asarray(list(numbers), np.int64))

    def number(self, x: Any, dtype: Any) -> str:
        return (
            self.cast(self.size(x), dtype)
            if isinstance(x, Size)
            else self.constant(np.asarray(x, dtype))
        )

    def cast(self, x: Val, dtype: Any) -> str:
        return x.name if x.dtype == np.dtype(dtype) else self.cast_name(x.name, dtype)

    def cast_name(self, name: str, dtype: Any) -> str:
        return self.node(
            "Cast", name, to=self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        )

    def index(self, i: Any) -> str:
        return self.size(i).name if isinstance(i, Size) else self.constant(np.asarray(i, np.int64))

    def size(self, s: Size) -> Val:
        """A size that follows the batch, as a number of the graph."""
        if self._size is None:
            assert self.batch is not None
            name, dim = self.batch
            self._size = self.node(
                "Gather", self.node("Shape", name), self.constant(np.asarray(dim)), axis=0
            )
        x = self._size
        if s.factor != 1:
            x = self.node("Mul", x, self.constant(np.asarray(s.factor)))
        if s.offset:
            x = self.node("Add", x, self.constant(np.asarray(s.offset)))
        return Val(x, np.dtype(np.int64), ())

    def shape_of(self, shape: Sequence[Any]) -> str:
        """A shape as a vector of the graph."""
        if not any(isinstance(n, Size) for n in shape):
            return self.ints(shape)
        zero = self.ints([0])
        parts = [
            self.node("Unsqueeze", self.size(n).name, zero)
            if isinstance(n, Size)
            else self.ints([n])
            for n in shape
        ]
        return self.node("Concat", *parts, axis=0)

    def slice(self, x: str, parts: Sequence[tuple[int, Any, Any, int]]) -> str:
        """x from start to stop along axes: (axis, start, stop, step) of each."""
        axes, starts, stops, steps = zip(*parts, strict=True)
        return self.node(
            "Slice",
            x,
            self.shape_of(starts),
            self.shape_of(stops),
            self.ints(axes),
            self.ints(steps),
        )
