"""The chi-squared distribution."""

from __future__ import annotations

from typing import Any

from eagergrad.distributions import constraints
from eagergrad.distributions.gamma import Gamma
from eagergrad.distributions.utils import broadcast_all

__all__ = ["Chi2"]


class Chi2(Gamma):
    """Chi-squared distribution with ``df`` degrees of freedom."""

    arg_constraints = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (df,) = broadcast_all(df)
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = type(self).__new__(type(self)) if _instance is None else _instance
        Gamma.__init__(new, self.concentration.expand(batch_shape), 0.5, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def df(self) -> Any:
        """Degrees of freedom."""
        return self.concentration * 2
