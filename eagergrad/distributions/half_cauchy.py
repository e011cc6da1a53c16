"""The half-Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad.distributions.cauchy import Cauchy
from eagergrad.distributions.half_normal import Folded

__all__ = ["HalfCauchy"]


class HalfCauchy(Folded):
    """Absolute value of a `Cauchy` centred at 0, of scale ``scale``."""

    _whole = Cauchy

    @property
    def mean(self) -> Any:
        return eg.full_like(self.scale, math.inf)

    @property
    def variance(self) -> Any:
        return eg.full_like(self.scale, math.inf)
