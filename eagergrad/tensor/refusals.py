"""What dense tensors and unsuitable matrices are answered, with the kinds of errors that programs catch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from eagergrad import _C


class LinAlgError(RuntimeError):
    """A matrix that the operation cannot take: singular, or not positive definite."""


_C._LinAlgError = LinAlgError  # type: ignore[attr-defined]  # where older programs catch it
_C._TensorMeta = type(_C.TensorBase)  # type: ignore[attr-defined]


def _refusal(name: str, kind: type[Exception], layout: str) -> Callable[..., NoReturn]:
    def method(self: Any) -> NoReturn:
        raise kind(f"[{name}] expected a {layout} tensor, got a strided one of shape {self.shape}")

    method.__name__ = name
    method.__doc__ = f"Of {layout} tensors alone; {kind.__name__} for others."
    return method


def attach_refusals(tensor_class: type) -> None:
    """Gives dense tensors the methods of sparse ones, which refuse them."""
    for layout, kind, names in (
        ("sparse COO", RuntimeError, "indices coalesce is_coalesced"),
        ("sparse", RuntimeError, "values"),
        ("sparse COO", NotImplementedError, "_indices _values _nnz"),
        ("sparse CSR", RuntimeError, "crow_indices col_indices"),
        ("sparse CSC", RuntimeError, "ccol_indices row_indices"),
    ):
        for name in names.split():
            setattr(tensor_class, name, _refusal(name, kind, layout))
