"""The Wishart distribution of covariance matrices."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.gamma import log_gamma_sample
from eagergrad.distributions.multivariate_normal import ByFactor

__all__ = ["Wishart"]


class Wishart(ByFactor):
    """Sums of ``df`` outer products of normal vectors; the scale is given by covariance, precision or the lower
    triangular Cholesky factor of the covariance.

    Raises:
        ValueError: not exactly one of the three is given, it is no matrix, or ``df`` is not above n - 1.

    >>> import eagergrad as eg
    >>> Wishart(eg.tensor(3.0), eg.eye(2)).mean.tolist()
    [[3.0, 0.0], [0.0, 3.0]]
    """

    arg_constraints = {
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
        "df": constraints.greater_than(0),
    }
    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(
        self,
        df: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        name, matrix = self._given("Wishart", covariance_matrix, precision_matrix, scale_tril)
        if matrix.dim() < 2 or matrix.shape[-1] != matrix.shape[-2]:
            raise ValueError(f"[Wishart] {name} expected square matrices: {tuple(matrix.shape)}")
        n = matrix.shape[-1]
        df = eg.as_tensor(df, dtype=matrix.dtype, device=matrix.device)
        batch = eg.broadcast_shapes(df.shape, matrix.shape[:-2])
        if bool((df <= n - 1).any()):
            raise ValueError(f"[Wishart] df={df} expected to be above ndim - 1 = {n - 1}")
        self.df = df.expand(batch)
        self.__dict__[name] = matrix.expand(*batch, n, n)
        super().__init__(batch, (n, n), validate_args=validate_args)
        self._set_factor(name, matrix)

    def _df(self) -> Any:
        return self.df.view(*self.batch_shape, 1, 1)

    @property
    def mean(self) -> Any:
        return self._df() * self.covariance_matrix

    @property
    def mode(self) -> Any:
        factor = self._df() - self.event_shape[0] - 1
        return eg.where(factor > 0, factor, eg.full_like(factor, math.nan)) * self.covariance_matrix

    @property
    def variance(self) -> Any:
        v = self.covariance_matrix
        diagonal = v.diagonal(0, -2, -1)
        return self._df() * (v.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def rsample(self, sample_shape: Any = ()) -> Any:
        n = self.event_shape[0]
        shape = self._extended_shape(sample_shape)
        kind = {"dtype": self.df.dtype, "device": self.df.device}
        # Bartlett: chi below the diagonal of degrees df, df - 1, ..., normal numbers left of it.
        degrees = self.df.unsqueeze(-1) - eg.arange(n, **kind)
        chi = (0.5 * (math.log(2) + log_gamma_sample((degrees / 2).expand(shape[:-1])))).exp()
        triangle = eg.randn(shape, **kind).tril(-1) + eg.diag_embed(chi)
        factor = self._unbroadcasted_scale_tril @ triangle
        return factor @ factor.mT

    def _log_det_tril(self) -> Any:
        return self._unbroadcasted_scale_tril.diagonal(0, -2, -1).log().sum(-1)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        n = self.event_shape[0]
        factor = eg.linalg.cholesky(value)
        log_det = 2 * factor.diagonal(0, -2, -1).log().sum(-1)
        batch = eg.broadcast_shapes(factor.shape[:-2], self._unbroadcasted_scale_tril.shape[:-2])
        ratio = eg.linalg.solve_triangular(
            self._unbroadcasted_scale_tril.expand(*batch, n, n),
            factor.expand(*batch, n, n),
            upper=False,
        )
        return (
            -self.df * (n / 2 * math.log(2) + self._log_det_tril())
            - eg.mvlgamma(self.df / 2, n)
            + (self.df - n - 1) / 2 * log_det
            - ratio.pow(2).sum((-2, -1)) / 2
        )

    def entropy(self) -> Any:
        n = self.event_shape[0]
        half = self.df / 2
        degrees = half.unsqueeze(-1) - eg.arange(n, dtype=half.dtype, device=half.device) / 2
        return (
            n * (n + 1) / 2 * math.log(2)
            + (n + 1) * self._log_det_tril()
            + eg.mvlgamma(half, n)
            - (self.df - n - 1) / 2 * eg.digamma(degrees).sum(-1)
            + half * n
        )
