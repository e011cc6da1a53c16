"""The power method for the largest singular value."""

from __future__ import annotations

import eagergrad as eg
from eagergrad import Tensor

from .. import functional as F

__all__ = ["as_matrix", "default_dim", "power_iterate_", "sigma_of"]


def default_dim(module: object) -> int:
    """The output dimension of the module's weight: 1 for transposed convolutions, else 0."""
    from ..modules import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d

    return 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """`weight` with `dim` first and the rest flattened."""
    if dim != 0:
        weight = weight.permute(dim, *(d for d in range(weight.dim()) if d != dim))
    return weight.reshape(weight.shape[0], -1)


def power_iterate_(matrix: Tensor, u: Tensor, v: Tensor, times: int, eps: float) -> None:
    """Move u and v, in place and unrecorded, towards the first singular vectors."""
    with eg.no_grad():
        for _ in range(times):
            u.copy_(F.normalize(eg.mv(matrix, v), dim=0, eps=eps))
            v.copy_(F.normalize(eg.mv(matrix.t(), u), dim=0, eps=eps))


def sigma_of(matrix: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """u' W v, whose gradient reaches W."""
    return eg.dot(u, eg.mv(matrix, v))
