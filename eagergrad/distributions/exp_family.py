"""Exponential families."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.distributions.distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """Distributions with density ``exp(<t(x), theta> - F(theta) + k(x))``: a subclass gives theta, F and the mean of
    k, and has its entropy from them.

    >>> import eagergrad as eg
    >>> class Rate(ExponentialFamily):
    ...     _mean_carrier_measure = 0
    ...     def __init__(self, rate):
    ...         self.rate = rate
    ...         super().__init__(rate.shape, validate_args=False)
    ...     @property
    ...     def _natural_params(self):
    ...         return (-self.rate,)
    ...     def _log_normalizer(self, x):
    ...         return -(-x).log()
    >>> Rate(eg.tensor([1.0, 2.0])).entropy()
    tensor([1.0000, 0.3069])
    """

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        raise NotImplementedError(f"{type(self).__name__} gives no natural parameters")

    def _log_normalizer(self, *natural_params: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} gives no log normaliser")

    @property
    def _mean_carrier_measure(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} gives no mean of its carrier measure")

    def entropy(self) -> Any:
        """Return F(theta) - <theta, grad F(theta)> less the mean of k, differentiable in the parameters."""
        wanted = any(p.requires_grad for p in self._natural_params)
        with eg.enable_grad():
            theta = [
                p if p.requires_grad else p.detach().requires_grad_() for p in self._natural_params
            ]
            log_norm = self._log_normalizer(*theta)
            gradients = eg.autograd.grad(log_norm.sum(), theta, create_graph=True)
            result = -self._mean_carrier_measure + log_norm
            n = len(self.event_shape)
            for p, g in zip(theta, gradients, strict=True):
                product = p * g
                result = (
                    result - product.reshape(*product.shape[: product.dim() - n], -1).sum(-1)
                    if n
                    else result - product
                )
        return result if wanted else result.detach()
