"""What several distributions need: broadcasting of parameters, logits and probabilities, NumPy's
generators seeded from ours."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

import eagergrad as eg
from eagergrad import _C

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "require",
    "sum_rightmost",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """Tensors of one shape from numbers and tensors; numbers take the tensors' dtype and device.

    Raises:
        ValueError: a value is neither a number nor a tensor.
    """
    for v in values:
        if not isinstance(v, eg.Tensor | Number):
            raise ValueError(
                f"[broadcast_all] expected numbers and tensors, got {type(v).__name__}"
            )
    like = next((v for v in values if isinstance(v, eg.Tensor)), None)
    dtype = eg.get_default_dtype() if like is None else like.dtype
    device = "cpu" if like is None else like.device
    tensors = [
        v if isinstance(v, eg.Tensor) else eg.tensor(v, dtype=dtype, device=device) for v in values
    ]
    return tuple(eg.broadcast_tensors(*tensors))


def sum_rightmost(value: Any, dims: int) -> Any:
    """Sum over the last ``dims`` dimensions."""
    return value.reshape(*value.shape[: value.dim() - dims], -1).sum(-1) if dims else value


_sum_rightmost = sum_rightmost  # as PyTorch calls it; other libraries import both


def _standard_normal(shape: Any, dtype: Any, device: Any) -> Any:
    return eg.randn(shape, dtype=dtype, device=device)


def clamp_probs(probs: Any) -> Any:
    """Probabilities kept away from 0 and 1 by the dtype's resolution."""
    eps = eg.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Probabilities of log-odds, or of unnormalised log-probabilities along the last dimension."""
    return eg.sigmoid(logits) if is_binary else eg.softmax(logits, -1)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """The inverse of `logits_to_probs`."""
    clamped = clamp_probs(probs)
    log = eg.log(clamped)
    return log - eg.log1p(-clamped) if is_binary else log


def vec_to_tril_matrix(vec: Any, diag: int = 0) -> Any:
    """Square matrices whose triangle up to diagonal ``diag`` holds the vectors, row by row.

    Raises:
        ValueError: no size of matrix has that many entries there.
    """
    k, n = vec.shape[-1], 0
    while sum(min(max(row + diag + 1, 0), n) for row in range(n)) < k:
        n += 1
    rows, columns = eg.tril_indices(n, n, diag)
    if len(rows) != k:
        raise ValueError(f"[vec_to_tril_matrix] {k} entries fill no triangle up to diagonal {diag}")
    matrix = vec.new_zeros((*vec.shape[:-1], n, n))
    matrix[..., rows, columns] = vec
    return matrix


def tril_matrix_to_vec(mat: Any, diag: int = 0) -> Any:
    """The entries up to diagonal ``diag``, row by row: the inverse of `vec_to_tril_matrix`.

    Raises:
        ValueError: ``diag`` lies outside of the matrices.
    """
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"[tril_matrix_to_vec] diag ({diag}) expected within [{-n}, {n - 1}]")
    rows, columns = eg.tril_indices(n, n, diag)
    return mat[..., rows, columns]


def require(fine: Any, name: str, sentence: str, value: Any = None) -> None:
    """ValueError unless all of ``fine`` is true; for tensors on a GPU when a value is next read, without ``value``."""
    if fine.is_cpu and not bool(fine.all()):
        seen = "" if value is None else f", but found invalid values:\n{value}"
        raise ValueError(f"[{name}] {sentence}{seen}")
    if not fine.is_cpu:
        _C.ops._require(fine, name, sentence, True)


class lazy_property:
    """A property that is computed once an instance, recording gradients."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        with eg.enable_grad():
            value = self.wrapped(instance)
        instance.__dict__[self.name] = value
        return value
