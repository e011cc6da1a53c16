"""Ready parametrizations: weight norm, spectral norm, orthogonal."""

from __future__ import annotations

from typing import Any, TypeVar

import eagergrad as eg
from eagergrad import Tensor

from .. import functional as F
from ..modules.module import Module
from . import parametrize
from ._spectral import as_matrix, default_dim, power_iterate_, sigma_of
from ._weight_norm import norm_except_dim, weight_of

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


# ---- weight norm -------------------------------------------------------------------------------------------------


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_of(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Split tensor `name` into a length per index of `dim` (`original0`) and a direction (`original1`).

    Source: Salimans and Kingma, 2016. Returns module.

    >>> import eagergrad as eg
    >>> layer = weight_norm(eg.nn.Linear(3, 2))
    >>> sorted(layer.state_dict())
    ['bias', 'parametrizations.weight.original0', 'parametrizations.weight.original1']
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    module._register_load_state_dict_pre_hook(_OldWeightNormKeys(name))
    return module


class _OldWeightNormKeys:
    """A load pre-hook: `weight_g` and `weight_v` of the old weight norm under their new names."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        old = [f"{prefix}{self.name}_g", f"{prefix}{self.name}_v"]
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                new = f"{prefix}parametrizations.{self.name}.original{i}"
                state_dict[new] = state_dict.pop(key)


# ---- spectral norm -----------------------------------------------------------------------------------------------


class _SpectralNorm(Module):
    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but "
                f"got n_power_iterations={n_power_iterations}"
            )
        if not -weight.dim() <= dim < weight.dim():
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{weight.dim()}, "
                f"{weight.dim() - 1}] but got {dim})"
            )
        self.dim = dim % weight.dim()
        self.eps = eps
        if weight.dim() > 1:
            self.n_power_iterations = n_power_iterations
            with eg.no_grad():
                matrix = as_matrix(weight, self.dim)
                rows, cols = matrix.shape
                u = F.normalize(weight.new_empty(rows).normal_(0, 1), dim=0, eps=eps)
                v = F.normalize(weight.new_empty(cols).normal_(0, 1), dim=0, eps=eps)
            self.register_buffer("_u", u)
            self.register_buffer("_v", v)
            power_iterate_(matrix, u, v, 15, eps)

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        u, v = self._u, self._v
        if self.training:
            power_iterate_(matrix, u, v, self.n_power_iterations, self.eps)
        return weight / sigma_of(matrix, u.clone(), v.clone())

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """Divide tensor `name` by its largest singular value, estimated by the power method; returns module.

    Source: Miyato et al., 2018. ValueError where the tensor is missing.

    >>> import eagergrad as eg
    >>> layer = spectral_norm(eg.nn.Linear(20, 40))
    >>> 0.8 < float(eg.linalg.matrix_norm(layer.weight, 2)) < 1.2
    True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    chosen = default_dim(module) if dim is None else dim
    parametrize.register_parametrization(
        module, name, _SpectralNorm(weight, n_power_iterations, chosen, eps)
    )
    return module


# ---- orthogonal --------------------------------------------------------------------------------------------------


def _eye(n: int, like: Tensor) -> Tensor:
    return eg.eye(n, dtype=like.dtype, device=like.device)


def _reflectors(q: Tensor) -> Tensor:
    """The reflectors of Q as `householder_product` takes them, and on the diagonal the signs that make R's diagonal positive.

    `forward` finds tau from the reflectors: one that LAPACK leaves out (tau = 0) turns its column around there.
    """
    a, tau = eg.geqrf(q)
    signs = a.diagonal(dim1=-2, dim2=-1).sign_()
    signs[tau == 0] *= -1
    return a


def _is_orthogonal(q: Tensor) -> bool:
    k = q.shape[-1]
    eps = 10 * q.shape[-2] * eg.finfo(q.dtype).eps
    return bool(eg.allclose(eg.matmul(q.transpose(-2, -1), q), _eye(k, q), atol=eps))


def _make_orthogonal(a: Tensor) -> Tensor:
    """An orthogonal matrix near `a`, of which `a` itself is the answer if it is orthogonal."""
    q, r = eg.linalg.qr(a)
    return q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)


class _Orthogonal(Module):
    base: Tensor

    def __init__(
        self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True
    ) -> None:
        super().__init__()
        self.shape = tuple(weight.shape)
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.shape[-2] < x.shape[-1]
        if wide:
            x = x.transpose(-2, -1)
        if self.orthogonal_map == "householder":
            a = x.tril(-1)
            signs = x.diagonal(dim1=-2, dim2=-1).to(eg.int32).unsqueeze(-2)
            q = eg.linalg.householder_product(a, 2 / (1 + (a * a).sum(-2))) * signs
        else:
            q = self._of_skew(x)
        if "base" in self._buffers:
            q = eg.matmul(self.base, q)
        return q.transpose(-2, -1) if wide else q

    def _of_skew(self, x: Tensor) -> Tensor:
        n, k = x.shape[-2:]
        lower = x.tril()
        if n != k:
            lower = eg.cat([lower, lower.new_zeros((*x.shape[:-2], n, n - k))], -1)
        skew = lower - lower.transpose(-2, -1)
        if self.orthogonal_map == "matrix_exp":
            q = eg.linalg.matrix_exp(skew)
        else:
            one = _eye(n, x)
            q = eg.linalg.solve(one - skew / 2, one + skew / 2)
        return q[..., :k] if n != k else q

    def right_inverse(self, q: Tensor) -> Tensor:
        if tuple(q.shape) != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. "
                f"Got a tensor of shape {tuple(q.shape)}."
            )
        given = q
        n, k = q.shape[-2:]
        wide = n < k
        if wide:
            q = q.transpose(-2, -1)
            n, k = k, n
        if "base" not in self._buffers:
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    "It is not possible to assign to the matrix exponential "
                    "or the Cayley parametrizations when use_trivialization=False."
                )
            a = _reflectors(q)
            return a.transpose(-2, -1) if wide else a
        if n == k:
            q = q.clone() if _is_orthogonal(q) else _make_orthogonal(q)
        else:
            more = eg.randn((*q.shape[:-2], n, n - k), dtype=q.dtype, device=q.device)
            q = _make_orthogonal(eg.cat([q, more], -1))
        self.base = q
        # e^0 = 1 with the sign that turns the householder map's reflections off
        start = eg.zeros_like(given)
        start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return start


def orthogonal(
    module: M,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> M:
    """Keep matrix `name` (or its transpose, if wide) orthogonal: by "matrix_exp", "cayley" or "householder".

    Source: Lezcano-Casado, 2019. ValueError for another map or a tensor below 2 dimensions. Returns module.

    >>> import eagergrad as eg
    >>> layer = orthogonal(eg.nn.Linear(20, 40))
    >>> bool(eg.allclose(layer.weight.t() @ layer.weight, eg.eye(20), atol=1e-5))
    True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.dim() < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions."
        )
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
            f"Got: {orthogonal_map}"
        )
    chosen: Any = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, chosen, unsafe=True)
    return module
