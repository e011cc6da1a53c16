"""The von Mises distribution of angles."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.distribution import Distribution
from eagergrad.distributions.utils import broadcast_all

__all__ = ["VonMises"]


class VonMises(Distribution):
    """Angles around ``loc``, the more closely the larger ``concentration``: density proportional to
    ``exp(concentration cos(x - loc))``.

    >>> import eagergrad as eg
    >>> bool(VonMises(eg.tensor(1.0), eg.tensor(4.0)).sample().abs() <= 3.15)
    True
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """The mean direction."""
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        """The circular variance, 1 less the length of the mean of unit vectors."""
        return 1 - eg.special.i1e(self.concentration) / eg.special.i0e(self.concentration)

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        with eg.no_grad():
            around = eg._C.ops._von_mises(self.concentration.detach().expand(shape).double())
            return ((self.loc + around + math.pi) % (2 * math.pi) - math.pi).to(self.loc.dtype)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        log_i0 = eg.special.i0e(self.concentration).log() + self.concentration
        return self.concentration * eg.cos(value - self.loc) - math.log(2 * math.pi) - log_i0
