"""The logistic-normal distribution."""

from __future__ import annotations

from typing import Any

from eagergrad.distributions import constraints
from eagergrad.distributions.independent import Independent
from eagergrad.distributions.normal import Normal
from eagergrad.distributions.transformed_distribution import TransformedDistribution
from eagergrad.distributions.transforms import StickBreakingTransform

__all__ = ["LogisticNormal"]


class LogisticNormal(TransformedDistribution):
    """Probability vectors made by stick breaking of normal vectors."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args=validate_args)
        if not base.batch_shape:
            base = base.expand([1])
        super().__init__(Independent(base, 1), StickBreakingTransform(), validate_args)

    @property
    def loc(self) -> Any:
        """Mean of the normal vector."""
        return self.base_dist.base_dist.loc

    @property
    def scale(self) -> Any:
        """Standard deviation of the normal vector."""
        return self.base_dist.base_dist.scale
