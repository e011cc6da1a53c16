"""What the parts of linalg share: checks, and the way to NumPy's LAPACK and back."""

from __future__ import annotations

from typing import Any

import numpy as np

import eagergrad as eg
from eagergrad import Tensor

__all__ = ["LinAlgError"]


class LinAlgError(RuntimeError):
    """A matrix for which the result does not exist: singular, not positive definite, or without convergence."""


def check(name: str, *tensors: Any) -> None:
    """Matrices of one of the two dtypes that LAPACK knows; RuntimeError otherwise."""
    for t in tensors:
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}: expected a Tensor, came {type(t).__name__}")
        if t.dtype not in (eg.float32, eg.float64):
            raise RuntimeError(
                f"{name}: expected a tensor of float32 or float64, came {t.dtype}; convert it first"
            )
        if t.dim() < 2:
            raise RuntimeError(
                f"{name}: The input tensor must have at least 2 dimensions, came {tuple(t.shape)}"
            )


def check_square(name: str, *tensors: Any) -> None:
    """Batches of square matrices."""
    check(name, *tensors)
    for t in tensors:
        if t.shape[-1] != t.shape[-2]:
            raise RuntimeError(
                f"{name}: A must be batches of square matrices, "
                f"but they are {t.shape[-2]} by {t.shape[-1]} matrices"
            )


def array(t: Tensor) -> np.ndarray:
    """The values, for NumPy."""
    return t.detach().cpu().numpy()


def tensor(a: Any, like: Tensor) -> Tensor:
    """Values of NumPy as a tensor of the dtype and device of `like`."""
    out = eg.from_numpy(np.ascontiguousarray(a)).reshape(np.shape(a))
    return out.to(device=like.device, dtype=like.dtype)


def eye(n: int, like: Tensor) -> Tensor:
    """The identity of the dtype and device of `like`."""
    return eg.eye(n, dtype=like.dtype, device=like.device)


def copied(results: tuple[Tensor, ...], out: Any) -> Any:
    """`results` in the tensors of `out`, if given."""
    if out is None:
        return results
    for target, value in zip(out, results, strict=True):
        target.resize_(value.shape)
        target.copy_(value)
    return out
