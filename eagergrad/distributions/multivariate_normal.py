"""The multivariate normal distribution."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.distribution import Distribution
from eagergrad.distributions.utils import lazy_property

__all__ = ["MultivariateNormal"]


def _times(matrix: Any, vector: Any) -> Any:
    return eg.matmul(matrix, vector.unsqueeze(-1)).squeeze(-1)


def squared_distance(scale_tril: Any, x: Any) -> Any:
    """Squared length of ``L^-1 x``, the Mahalanobis distance, broadcast over both batches."""
    n = x.shape[-1]
    if scale_tril.dim() == 2:  # one factor for all: one solve with many right-hand sides
        columns = x.reshape(-1, n).t()
        solved = eg.linalg.solve_triangular(scale_tril, columns, upper=False)
        return solved.pow(2).sum(0).reshape(x.shape[:-1])
    batch = eg.broadcast_shapes(scale_tril.shape[:-2], x.shape[:-1])
    factor = scale_tril.expand(*batch, n, n)
    column = x.expand(*batch, n).unsqueeze(-1)
    return eg.linalg.solve_triangular(factor, column, upper=False).pow(2).sum((-2, -1))


def _cholesky_of_inverse(precision: Any) -> Any:
    """Lower factor L with L L^T the inverse of a precision matrix."""
    flipped = eg.linalg.cholesky(eg.flip(precision, (-2, -1)))
    upper = eg.flip(flipped, (-2, -1)).mT
    eye = eg.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    return eg.linalg.solve_triangular(upper, eye.expand(precision.shape), upper=False)


class ByFactor(Distribution):
    """A distribution with a positive definite matrix, which is given by itself, by its inverse or by its lower triangular
    Cholesky factor. Kept is the factor before it is broadcast: solved once, not once a batch element.
    """

    @staticmethod
    def _given(name: str, covariance: Any, precision: Any, factor: Any) -> tuple[str, Any]:
        """Name and value of the one form that is given."""
        forms = {
            "covariance_matrix": covariance,
            "precision_matrix": precision,
            "scale_tril": factor,
        }
        given = {k: v for k, v in forms.items() if v is not None}
        if len(given) != 1:
            raise ValueError(f"[{name}] expected exactly one of {', '.join(forms)}")
        return next(iter(given.items()))

    # Subclasses (GPyTorch's) give the Cholesky factor under PyTorch's name, `_unbroadcasted_scale_tril`.
    def _set_factor(self, form: str, matrix: Any) -> None:
        if form == "scale_tril":
            self._unbroadcasted_scale_tril = matrix
        elif form == "covariance_matrix":
            self._unbroadcasted_scale_tril = eg.linalg.cholesky(matrix)
        else:
            self._unbroadcasted_scale_tril = _cholesky_of_inverse(matrix)

    def _spread(self, matrix: Any) -> Any:
        n = self.event_shape[0]
        return matrix.expand(*self.batch_shape, n, n)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril
        return new

    @lazy_property
    def scale_tril(self) -> Any:
        """Lower triangular Cholesky factor of the matrix."""
        return self._spread(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The matrix: the covariance of the normal vectors."""
        return self._spread(
            eg.matmul(self._unbroadcasted_scale_tril, self._unbroadcasted_scale_tril.mT)
        )

    @lazy_property
    def precision_matrix(self) -> Any:
        """Inverse of the matrix."""
        return self._spread(eg.cholesky_inverse(self._unbroadcasted_scale_tril))


class MultivariateNormal(ByFactor):
    """Normal distribution of vectors, given by covariance, precision or the lower triangular
    Cholesky factor of the covariance.

    Raises:
        ValueError: not exactly one of the three is given, or shapes do not fit.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("[MultivariateNormal] loc expected at least one dimension, got none")
        name, matrix = self._given(
            "MultivariateNormal", covariance_matrix, precision_matrix, scale_tril
        )
        n = loc.shape[-1]
        if matrix.dim() < 2 or tuple(matrix.shape[-2:]) != (n, n):
            raise ValueError(
                f"[MultivariateNormal] {name} expected shape (..., {n}, {n}), "
                f"got {tuple(matrix.shape)}"
            )
        batch = eg.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        self.__dict__[name] = matrix.expand(*batch, n, n)
        self.loc = loc.expand(*batch, n)
        super().__init__(batch, (n,), validate_args=validate_args)
        self._set_factor(name, matrix)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return (
            self._unbroadcasted_scale_tril.pow(2)
            .sum(-1)
            .expand(*self.batch_shape, *self.event_shape)
        )

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        noise = eg.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + _times(self._unbroadcasted_scale_tril, noise)

    def _half_log_det(self) -> Any:
        return self._unbroadcasted_scale_tril.diagonal(0, -2, -1).log().sum(-1)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        distance = squared_distance(self._unbroadcasted_scale_tril, value - self.loc)
        norm = self.event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (norm + distance) - self._half_log_det()

    def entropy(self) -> Any:
        h = 0.5 * self.event_shape[0] * (1.0 + math.log(2 * math.pi)) + self._half_log_det()
        return h.expand(self.batch_shape)
