"""Rows: functions of segments, the dense ones among the sparse."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from table import A, C, E, Row, V

OFFSETS = V([0, 2, 2, 5], "int64")
SHORT = V([0, 5], "int32")


def _segments(f: Any) -> Any:
    def reference(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        parts = [values[a:b] for a, b in itertools.pairwise(offsets)]
        return np.concatenate([f(p) for p in parts if len(p)])

    return reference


def _softmax(p: np.ndarray) -> np.ndarray:
    return np.exp(p - p.max()) / np.exp(p - p.max()).sum()


def _row(name: str, ref: Any) -> Row:
    return Row(
        f"sparse.{name}", ref, [C(A(5), OFFSETS), C(A(5), SHORT)], method=None,
        errors=[E(RuntimeError, A(5), V([0, 3, 2, 5], "int64")), E(RuntimeError, A(2, 3), OFFSETS),
                E(RuntimeError, A(5), V([0, 4], "int64")), E(RuntimeError, A(5), V([1, 5], "int64"))],
        skips={"layout-expanded": "offsets rise", "torch": "PyTorch has it for the segments of a sparse matrix only"},
    )  # fmt: skip


ROWS = [
    _row("segment_sum", lambda v, o: np.array([v[a:b].sum() for a, b in itertools.pairwise(o)])),
    _row("segment_softmax", _segments(_softmax)),
    _row("segment_log_softmax", _segments(lambda p: np.log(_softmax(p)))),
]  # fmt: skip
