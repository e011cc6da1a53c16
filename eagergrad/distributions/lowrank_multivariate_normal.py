"""The multivariate normal distribution whose covariance is a few directions and a diagonal."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.distribution import Distribution
from eagergrad.distributions.utils import lazy_property

__all__ = ["LowRankMultivariateNormal"]


class LowRankMultivariateNormal(Distribution):
    """Normal distribution of vectors of n with covariance ``W W^T + diag(d)``, W = ``cov_factor`` of shape
    (..., n, m) and d = ``cov_diag``; densities cost O(n m^2), by the lemmas of Woodbury and of determinants.

    Raises:
        ValueError: shapes do not fit.

    >>> import eagergrad as eg
    >>> d = LowRankMultivariateNormal(eg.zeros(2), eg.tensor([[1.0], [0.0]]), eg.ones(2))
    >>> d.covariance_matrix.tolist()
    [[2.0, 0.0], [0.0, 1.0]]
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("[LowRankMultivariateNormal] loc expected at least one dimension")
        n = loc.shape[-1]
        for name, value, fits in (
            ("cov_factor", cov_factor, cov_factor.dim() >= 2 and cov_factor.shape[-2] == n),
            ("cov_diag", cov_diag, cov_diag.dim() >= 1 and cov_diag.shape[-1] == n),
        ):
            if not fits:
                raise ValueError(
                    f"[LowRankMultivariateNormal] {name} of shape {tuple(value.shape)} does not fit "
                    f"loc of shape {tuple(loc.shape)}"
                )
        try:
            batch = eg.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        except RuntimeError as e:
            raise ValueError(f"[LowRankMultivariateNormal] batch shapes do not fit: {e}") from e
        self.loc = loc.expand(*batch, n)
        self.cov_factor = cov_factor.expand(*batch, *cov_factor.shape[-2:])
        self.cov_diag = cov_diag.expand(*batch, n)
        # As they came: solved once, not once a batch element.
        self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag = cov_factor, cov_diag
        self._capacitance = self._capacitance_tril()
        super().__init__(batch, (n,), validate_args=validate_args)

    def _capacitance_tril(self) -> Any:
        """Lower Cholesky factor of I + W^T diag(d)^-1 W."""
        scaled = self._unbroadcasted_cov_factor.mT / self._unbroadcasted_cov_diag.unsqueeze(-2)
        m = self._unbroadcasted_cov_factor.shape[-1]
        eye = eg.eye(
            m,
            dtype=self._unbroadcasted_cov_factor.dtype,
            device=self._unbroadcasted_cov_factor.device,
        )
        return eg.linalg.cholesky(scaled @ self._unbroadcasted_cov_factor + eye)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._unbroadcasted_cov_factor, new._unbroadcasted_cov_diag = (
            self._unbroadcasted_cov_factor,
            self._unbroadcasted_cov_diag,
        )
        new._capacitance = self._capacitance
        return new

    def _square(self, matrix: Any) -> Any:
        n = self.event_shape[0]
        return matrix.expand(*self.batch_shape, n, n)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """Covariance of the components."""
        return self._square(
            self._unbroadcasted_cov_factor @ self._unbroadcasted_cov_factor.mT
            + eg.diag_embed(self._unbroadcasted_cov_diag)
        )

    @lazy_property
    def precision_matrix(self) -> Any:
        """Inverse of the covariance."""
        scaled = self._unbroadcasted_cov_factor.mT / self._unbroadcasted_cov_diag.unsqueeze(-2)
        a = eg.linalg.solve_triangular(self._capacitance, scaled, upper=False)
        return self._square(eg.diag_embed(self._unbroadcasted_cov_diag.reciprocal()) - a.mT @ a)

    @lazy_property
    def scale_tril(self) -> Any:
        """Lower triangular Cholesky factor of the covariance."""
        return eg.linalg.cholesky(self.covariance_matrix)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return self.cov_factor.pow(2).sum(-1) + self.cov_diag

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        kind = {"dtype": self.loc.dtype, "device": self.loc.device}
        along = eg.randn((*shape[:-1], self._unbroadcasted_cov_factor.shape[-1]), **kind)
        across = eg.randn(shape, **kind)
        directions = eg.matmul(self._unbroadcasted_cov_factor, along.unsqueeze(-1)).squeeze(-1)
        return self.loc + directions + self._unbroadcasted_cov_diag.sqrt() * across

    def _half_log_det(self) -> Any:
        triangle = self._capacitance.diagonal(0, -2, -1).log().sum(-1)
        return triangle + 0.5 * self._unbroadcasted_cov_diag.log().sum(-1)

    def _squared_distance(self, x: Any) -> Any:
        scaled = x / self._unbroadcasted_cov_diag
        along = eg.matmul(self._unbroadcasted_cov_factor.mT, scaled.unsqueeze(-1))
        batch = eg.broadcast_shapes(along.shape[:-2], self._capacitance.shape[:-2])
        factor = self._capacitance.expand(*batch, *self._capacitance.shape[-2:])
        solved = eg.linalg.solve_triangular(
            factor, along.expand(*batch, *along.shape[-2:]), upper=False
        )
        return (x * scaled).sum(-1) - solved.pow(2).sum((-2, -1))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        distance = self._squared_distance(value - self.loc)
        norm = self.event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (norm + distance) - self._half_log_det()

    def entropy(self) -> Any:
        h = 0.5 * self.event_shape[0] * (1.0 + math.log(2 * math.pi)) + self._half_log_det()
        return h.expand(self.batch_shape)
