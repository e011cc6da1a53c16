"""The base of all distributions."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.utils import lazy_property, require

__all__ = ["Distribution"]


class Distribution:
    """A batch of probability distributions over events.

    ``sample`` returns values of shape ``sample_shape + batch_shape + event_shape``; ``log_prob``
    returns ``sample_shape + batch_shape``. Subclasses name the regions of their parameters in
    ``arg_constraints`` and that of their values in ``support``; both are checked unless
    ``validate_args`` is False.
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: Any = {}
    _validate_args = True

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Check parameters and values, or not, where a distribution is not told."""
        if value not in (True, False):
            raise ValueError(f"[set_default_validate_args] expected a bool, got {value!r}")
        Distribution._validate_args = value

    def __init__(
        self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None
    ) -> None:
        self._batch_shape = eg.Size(batch_shape)
        self._event_shape = eg.Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()
        super().__init__()  # of a Module, where a class is both

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            if constraints.is_dependent(constraint):
                continue
            if isinstance(getattr(type(self), name, None), lazy_property):
                if name not in self.__dict__:
                    continue
            value = getattr(self, name)
            require(
                constraint.check(value),
                type(self).__name__,
                f"parameter {name} (shape {tuple(value.shape)}) expected to satisfy {constraint!r}",
                value,
            )

    @property
    def batch_shape(self) -> Any:
        """Shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Any:
        """Shape of one value."""
        return self._event_shape

    @property
    def support(self) -> Any:
        """The region of the values."""
        raise NotImplementedError(f"{type(self).__name__} has no support")

    @property
    def mean(self) -> Any:
        """The expected value."""
        raise NotImplementedError(f"{type(self).__name__} has no mean")

    @property
    def mode(self) -> Any:
        """The likeliest value."""
        raise NotImplementedError(f"{type(self).__name__} has no mode")

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        raise NotImplementedError(f"{type(self).__name__} has no variance")

    @property
    def stddev(self) -> Any:
        """The square root of the variance."""
        return self.variance.sqrt()

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Return the same distributions, broadcast to another batch shape."""
        batch_shape = eg.Size(batch_shape)
        new = type(self).__new__(type(self)) if _instance is None else _instance
        for name, constraint in self.arg_constraints.items():
            if name in self.__dict__:
                value = self.__dict__[name]
                event = value.shape[value.dim() - constraint.event_dim :]
                new.__dict__[name] = value.expand(batch_shape + event)
        Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def sample(self, sample_shape: Any = ()) -> Any:
        """Draw values; no gradient reaches the parameters."""
        with eg.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Draw values as differentiable functions of the parameters, where ``has_rsample``."""
        raise NotImplementedError(f"{type(self).__name__} has no rsample")

    def sample_n(self, n: int) -> Any:
        """Draw n values."""
        return self.sample((n,))

    def log_prob(self, value: Any) -> Any:
        """Return the logarithm of the density (or probability) at a value."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")

    def cdf(self, value: Any) -> Any:
        """Return the probability of values up to this one."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf")

    def icdf(self, value: Any) -> Any:
        """Return the value up to which the given probability lies."""
        raise NotImplementedError(f"{type(self).__name__} has no icdf")

    def entropy(self) -> Any:
        """Return the entropy in nats."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy")

    def perplexity(self) -> Any:
        """Return exp(entropy)."""
        return eg.exp(self.entropy())

    def enumerate_support(self, expand: bool = True) -> Any:
        """Return all values of a discrete distribution along a new first dimension."""
        raise NotImplementedError(f"{type(self).__name__} cannot enumerate its support")

    def _enumerated(self, values: Any, expand: bool) -> Any:
        values = values.reshape(-1, *(1 for _ in self.batch_shape))
        return values.expand(-1, *self.batch_shape) if expand else values

    def _extended_shape(self, sample_shape: Any = ()) -> Any:
        return eg.Size(tuple(sample_shape) + tuple(self._batch_shape) + tuple(self._event_shape))

    def _validate_sample(self, value: Any) -> None:
        """Raise ValueError for a value that is no tensor, does not fit or is off the support."""
        if not self._validate_args:
            return
        name = type(self).__name__
        if not isinstance(value, eg.Tensor):
            raise ValueError(f"[{name}] value expected a tensor, got {type(value).__name__}")
        n = len(self.event_shape)
        if tuple(value.shape[value.dim() - n :]) != tuple(self.event_shape):
            raise ValueError(
                f"[{name}] value expected to end with the event shape {tuple(self.event_shape)}, "
                f"got {tuple(value.shape)}"
            )
        expected = self._extended_shape()
        for got, want in zip(reversed(value.shape), reversed(expected), strict=False):
            if got != 1 and want != 1 and got != want:
                raise ValueError(
                    f"[{name}] value of shape {tuple(value.shape)} does not broadcast with batch "
                    f"and event shape {tuple(expected)}"
                )
        try:
            support = self.support
        except NotImplementedError:
            return
        sentence = f"value expected to be within the support ({support!r})"
        require(support.check(value), name, sentence, value)

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        if _instance is None and type(self).__init__ is not cls.__init__:  # type: ignore[misc]
            raise NotImplementedError(
                f"{type(self).__name__} has its own __init__ and must define expand as well"
            )
        return self.__new__(type(self)) if _instance is None else _instance

    def __repr__(self) -> str:
        names = [n for n in self.arg_constraints if n in self.__dict__]
        parts = [
            f"{n}: {self.__dict__[n] if self.__dict__[n].numel() == 1 else self.__dict__[n].size()}"
            for n in names
        ]
        return f"{type(self).__name__}({', '.join(parts)})"
