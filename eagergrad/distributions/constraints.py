"""Which values a parameter or a sample may have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import eagergrad as eg

__all__ = [
    "Constraint",
    "MixtureSameFamilyConstraint",
    "boolean",
    "cat",
    "corr_cholesky",
    "dependent",
    "dependent_property",
    "greater_than",
    "greater_than_eq",
    "half_open_interval",
    "independent",
    "integer_interval",
    "interval",
    "is_dependent",
    "less_than",
    "lower_cholesky",
    "lower_triangular",
    "multinomial",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_definite",
    "positive_integer",
    "positive_semidefinite",
    "real",
    "real_vector",
    "simplex",
    "square",
    "stack",
    "symmetric",
    "unit_interval",
]


class Constraint:
    """A region. `check` tells, elementwise over the batch, whether a value lies in it;
    ``event_dim`` is the number of rightmost dimensions that make one value."""

    is_discrete = False
    event_dim = 0

    def check(self, value: Any) -> Any:
        """Return a tensor of bools, one a value."""
        raise NotImplementedError(f"{type(self).__name__} has no check")

    def __repr__(self) -> str:
        return f"{type(self).__name__.lstrip('_')}()"


class _Dependent(Constraint):
    """A region that depends on other values, so that it cannot be checked alone."""

    def __init__(self, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        self.is_discrete = is_discrete
        self.event_dim = event_dim

    def __call__(self, *, is_discrete: bool = False, event_dim: int = 0) -> _Dependent:
        return _Dependent(is_discrete=is_discrete, event_dim=event_dim)

    def check(self, value: Any) -> Any:
        raise ValueError("a dependent constraint cannot be checked without its distribution")


def is_dependent(constraint: Any) -> bool:
    """Return whether a region depends on other values."""
    return isinstance(constraint, _Dependent)


class dependent_property(property, _Dependent):
    """A property that gives the region of an instance, and stands for a dependent one in its
    class."""

    def __init__(self, fn: Any = None, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        super().__init__(fn)
        self.is_discrete = is_discrete
        self.event_dim = event_dim

    def __call__(self, fn: Any) -> Any:  # type: ignore[override]
        return dependent_property(fn, is_discrete=self.is_discrete, event_dim=self.event_dim)


def _region(
    name: str,
    test: Callable[..., Any],
    *bounds: str,
    is_discrete: bool = False,
    event_dim: int = 0,
) -> Any:
    """A class of regions: where ``test(x, *bounds)`` holds. Its instances know their bounds by name."""

    def __init__(self: Any, *values: Any, **named: Any) -> None:
        given = {**dict(zip(bounds, values, strict=False)), **named}
        if len(values) + len(named) != len(bounds) or set(given) != set(bounds):
            raise TypeError(f"[{name}] expected {', '.join(bounds) or 'no arguments'}")
        self.__dict__.update(given)

    def check(self: Any, value: Any) -> Any:
        return test(value, *(getattr(self, b) for b in bounds))

    def __repr__(self: Any) -> str:
        return f"{name}({', '.join(f'{b}={getattr(self, b)}' for b in bounds)})"

    body = {
        "__doc__": f"Regions {name}({', '.join(bounds)}).",
        "__module__": __name__,
        "__init__": __init__,
        "__repr__": __repr__,
        "check": check,
        "is_discrete": is_discrete,
        "event_dim": event_dim,
    }
    return type(f"_{name}", (Constraint,), body)


class independent(Constraint):
    """A region whose values are whole blocks of a base region's."""

    def __init__(self, base_constraint: Any, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint = base_constraint
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value: Any) -> Any:
        inner = self.base_constraint.check(value)
        n = self.reinterpreted_batch_ndims
        if inner.dim() < n:
            raise ValueError(f"expected at least {self.event_dim} dimensions, got {value.dim()}")
        return inner.reshape(*inner.shape[: inner.dim() - n], -1).all(-1) if n else inner

    def __repr__(self) -> str:
        return f"IndependentConstraint({self.base_constraint}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamilyConstraint(Constraint):
    """The values of a mixture: those of its components, whose last batch dimension is mixed away."""

    def __init__(self, base_constraint: Any) -> None:
        if not isinstance(base_constraint, Constraint):
            raise TypeError(f"expected a constraint, got {base_constraint!r}")
        self.base_constraint = base_constraint
        self.is_discrete = base_constraint.is_discrete
        self.event_dim = base_constraint.event_dim

    def check(self, value: Any) -> Any:
        at = value.dim() - self.event_dim
        if at < 0:
            raise ValueError(f"expected at least {self.event_dim} dimensions, got {value.dim()}")
        inner = self.base_constraint.check(value.unsqueeze(at))
        return inner.reshape(*inner.shape[:at], -1).all(-1)

    def __repr__(self) -> str:
        return f"MixtureSameFamilyConstraint({self.base_constraint})"


class cat(Constraint):
    """Pieces along a dimension, each in its own region."""

    def __init__(
        self, cseq: Sequence[Any], dim: int = 0, lengths: Sequence[int] | None = None
    ) -> None:
        self.cseq = list(cseq)
        self.dim = dim
        self.lengths = list(lengths) if lengths is not None else [1] * len(self.cseq)
        self.is_discrete = any(c.is_discrete for c in self.cseq)
        self.event_dim = max(c.event_dim for c in self.cseq)

    def __repr__(self) -> str:
        return "Cat()"

    def check(self, value: Any) -> Any:
        parts = value.split(self.lengths, self.dim)
        return eg.cat([c.check(v) for c, v in zip(self.cseq, parts, strict=True)], self.dim)


class stack(Constraint):
    """Slices along a dimension, each in its own region."""

    def __init__(self, cseq: Sequence[Any], dim: int = 0) -> None:
        self.cseq = list(cseq)
        self.dim = dim
        self.is_discrete = any(c.is_discrete for c in self.cseq)
        self.event_dim = max(c.event_dim for c in self.cseq) + (1 if dim < 0 else 0)

    def __repr__(self) -> str:
        return "Stack()"

    def check(self, value: Any) -> Any:
        parts = value.unbind(self.dim)
        return eg.stack([c.check(v) for c, v in zip(self.cseq, parts, strict=True)], self.dim)


greater_than = _region("GreaterThan", lambda x, low: x > low, "lower_bound")
greater_than_eq = _region("GreaterThanEq", lambda x, low: x >= low, "lower_bound")
less_than = _region("LessThan", lambda x, high: x < high, "upper_bound")
interval = _region(
    "Interval", lambda x, low, high: (x >= low) & (x <= high), "lower_bound", "upper_bound"
)
half_open_interval = _region(
    "HalfOpenInterval", lambda x, low, high: (x >= low) & (x < high), "lower_bound", "upper_bound"
)
integer_interval = _region(
    "IntegerInterval",
    lambda x, low, high: (x % 1 == 0) & (x >= low) & (x <= high),
    "lower_bound",
    "upper_bound",
    is_discrete=True,
)
_integer_greater_eq = _region(
    "IntegerGreaterThan",
    lambda x, low: (x % 1 == 0) & (x >= low),
    "lower_bound",
    is_discrete=True,
)
# Vectors of nonnegative integers with at most this sum.
multinomial = _region(
    "Multinomial",
    lambda x, total: (x >= 0).all(-1) & (x.sum(-1) <= total),
    "upper_bound",
    is_discrete=True,
    event_dim=1,
)


def _is_simplex(x: Any) -> Any:
    return (x >= 0).all(-1) & ((x.sum(-1) - 1).abs() < 1e-6)


def _is_one_hot(x: Any) -> Any:
    return ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1)


def _is_lower(x: Any) -> Any:
    return (x.tril() == x).flatten(-2).all(-1)


def _is_square(x: Any) -> Any:
    return eg.full(x.shape[:-2], x.shape[-2] == x.shape[-1], dtype=eg.bool, device=x.device)


def _is_symmetric(x: Any) -> Any:
    if x.shape[-2] != x.shape[-1]:
        return _is_square(x)
    return eg.isclose(x, x.mT, atol=1e-6).flatten(-2).all(-1)


def _is_positive_definite(x: Any) -> Any:
    symmetric = _is_symmetric(x)
    return symmetric & (eg.linalg.cholesky_ex(x)[1] == 0) if bool(symmetric.all()) else symmetric


def _is_positive_semidefinite(x: Any) -> Any:
    symmetric = _is_symmetric(x)
    if not bool(symmetric.all()):
        return symmetric
    return (eg.linalg.eigvalsh(x) >= -1e-6 * x.detach().abs().max()).all(-1)


def _is_corr_cholesky(x: Any) -> Any:
    near = 1e-4 if x.dtype == eg.float32 else 1e-8
    unit = ((x * x).sum(-1) - 1).abs().lt(near * x.shape[-1]).all(-1)
    return _is_lower(x) & (x.diagonal(0, -2, -1) > 0).all(-1) & unit


dependent = _Dependent()
boolean = _region("Boolean", lambda x: (x == 0) | (x == 1), is_discrete=True)()
real = _region("Real", lambda x: x == x)()
real_vector = independent(real, 1)
positive = greater_than(0.0)
nonnegative = greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
nonnegative_integer = _integer_greater_eq(0)
positive_integer = _integer_greater_eq(1)
simplex = _region("Simplex", _is_simplex, event_dim=1)()
one_hot = _region("OneHot", _is_one_hot, is_discrete=True, event_dim=1)()
lower_triangular = _region("LowerTriangular", _is_lower, event_dim=2)()
lower_cholesky = _region(
    "LowerCholesky",
    lambda x: _is_lower(x) & (x.diagonal(0, -2, -1) > 0).all(-1),
    event_dim=2,
)()
corr_cholesky = _region("CorrCholesky", _is_corr_cholesky, event_dim=2)()
square = _region("Square", _is_square, event_dim=2)()
symmetric = _region("Symmetric", _is_symmetric, event_dim=2)()
positive_definite = _region("PositiveDefinite", _is_positive_definite, event_dim=2)()
positive_semidefinite = _region("PositiveSemidefinite", _is_positive_semidefinite, event_dim=2)()
