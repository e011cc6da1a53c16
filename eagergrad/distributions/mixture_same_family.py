"""Mixtures."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.categorical import Categorical
from eagergrad.distributions.distribution import Distribution

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """A mixture whose components are the last batch dimension of one distribution.

    Raises:
        ValueError: the parts are no distributions, or their batch shapes do not fit.
    """

    arg_constraints: Any = {}
    has_rsample = False

    def __init__(
        self,
        mixture_distribution: Any,
        component_distribution: Any,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError("[MixtureSameFamily] mixture_distribution expected a Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("[MixtureSameFamily] component_distribution expected a Distribution")
        self._mixture = mixture_distribution
        self._component = component_distribution
        components = component_distribution.batch_shape
        weights = mixture_distribution.logits.shape[-1]
        if not components or components[-1] != weights:
            raise ValueError(
                f"[MixtureSameFamily] expected {weights} components in the last batch dimension, "
                f"got batch shape {tuple(components)}"
            )
        eg.broadcast_shapes(mixture_distribution.batch_shape, components[:-1])
        self._num_component = weights
        event = component_distribution.event_shape
        self._event_ndims = len(event)
        super().__init__(components[:-1], event, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        batch_shape = eg.Size(batch_shape)
        new = type(self).__new__(type(self)) if _instance is None else _instance
        new._component = self._component.expand((*batch_shape, self._num_component))
        new._mixture = self._mixture.expand(batch_shape)
        new._num_component, new._event_ndims = self._num_component, self._event_ndims
        Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.MixtureSameFamilyConstraint(self._component.support)

    @property
    def mixture_distribution(self) -> Any:
        """The weights."""
        return self._mixture

    @property
    def component_distribution(self) -> Any:
        """The components."""
        return self._component

    def _weights(self) -> Any:
        probs = self._mixture.probs
        return probs.reshape(*probs.shape, *(1 for _ in range(self._event_ndims)))

    def _spread(self, x: Any) -> Any:
        return x.unsqueeze(-1 - self._event_ndims)

    @property
    def mean(self) -> Any:
        return (self._weights() * self._component.mean).sum(-1 - self._event_ndims)

    @property
    def variance(self) -> Any:
        dim = -1 - self._event_ndims
        within = (self._weights() * self._component.variance).sum(dim)
        between = self._component.mean - self._spread(self.mean)
        return within + (self._weights() * between.pow(2)).sum(dim)

    def cdf(self, value: Any) -> Any:
        return (self._component.cdf(self._spread(value)) * self._mixture.probs).sum(-1)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        log_prob = self._component.log_prob(self._spread(value))
        return eg.logsumexp(log_prob + eg.log_softmax(self._mixture.logits, -1), -1)

    def sample(self, sample_shape: Any = ()) -> Any:
        with eg.no_grad():
            dim = len(sample_shape) + len(self.batch_shape)
            which = self._mixture.expand(self.batch_shape).sample(sample_shape)
            values = self._component.sample(sample_shape)
            index = which.reshape(*which.shape, *(1 for _ in range(self._event_ndims + 1)))
            index = index.expand(*which.shape, 1, *self.event_shape)
            return values.gather(dim, index).squeeze(dim)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self._mixture},\n  {self._component})"
