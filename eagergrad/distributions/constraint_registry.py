"""From unconstrained numbers to the values a constraint allows: what optimisers and samplers work in."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

from eagergrad.distributions import constraints as C
from eagergrad.distributions import transforms as T

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """Kinds of constraints and the functions that make a transform to each."""

    def __init__(self) -> None:
        self._registry: dict[type, Callable[[Any], Any]] = {}

    def register(self, constraint: Any, factory: Callable | None = None) -> Any:
        """Make `factory` answer for a kind of constraint, given by class or instance; a decorator without it.

        Raises:
            TypeError: it is no constraint.
        """
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        kind = type(constraint) if isinstance(constraint, C.Constraint) else constraint
        if not isinstance(kind, type) or not issubclass(kind, C.Constraint):
            raise TypeError(f"[register] expected a constraint or its class, got {constraint!r}")
        self._registry[kind] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        """Return a transform from unconstrained numbers to what the constraint allows.

        Raises:
            NotImplementedError: none is registered for this kind.
        """
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _both(*kinds: Any) -> Callable[[Callable], Callable]:
    def register(factory: Callable) -> Callable:
        for kind in kinds:
            biject_to.register(kind, factory)
            transform_to.register(kind, factory)
        return factory

    return register


def _shifted(base: Any, loc: Any, scale: Any) -> Any:
    return T.ComposeTransform([base, T.AffineTransform(loc, scale)])


@_both(C.real)
def _real(constraint: Any) -> Any:
    return T.identity_transform


@_both(C.greater_than, C.greater_than_eq)
def _above(constraint: Any) -> Any:
    return _shifted(T.ExpTransform(), constraint.lower_bound, 1)


@_both(C.less_than)
def _below(constraint: Any) -> Any:
    return _shifted(T.ExpTransform(), constraint.upper_bound, -1)


@_both(C.interval, C.half_open_interval)
def _between(constraint: Any) -> Any:
    low, high = constraint.lower_bound, constraint.upper_bound
    if isinstance(low, Number) and isinstance(high, Number) and (low, high) == (0, 1):
        return T.SigmoidTransform()
    return _shifted(T.SigmoidTransform(), low, high - low)


@_both(C.corr_cholesky)
def _corr_cholesky(constraint: Any) -> Any:
    return T.CorrCholeskyTransform()


@biject_to.register(C.simplex)
def _simplex_by_sticks(constraint: Any) -> Any:
    return T.StickBreakingTransform()


@transform_to.register(C.simplex)
def _simplex_by_softmax(constraint: Any) -> Any:
    return T.SoftmaxTransform()


@transform_to.register(C.lower_cholesky)
def _lower_cholesky(constraint: Any) -> Any:
    return T.LowerCholeskyTransform()


@transform_to.register(C.positive_definite)
@transform_to.register(C.positive_semidefinite)
def _positive_definite(constraint: Any) -> Any:
    return T.PositiveDefiniteTransform()


def _register_compound(registry: ConstraintRegistry) -> None:
    """Constraints made of constraints, each part by the same registry."""

    @registry.register(C.independent)
    def _independent(constraint: Any) -> Any:
        base = registry(constraint.base_constraint)
        return T.IndependentTransform(base, constraint.reinterpreted_batch_ndims)

    @registry.register(C.cat)
    def _cat(constraint: Any) -> Any:
        parts = [registry(c) for c in constraint.cseq]
        return T.CatTransform(parts, constraint.dim, constraint.lengths)

    @registry.register(C.stack)
    def _stack(constraint: Any) -> Any:
        return T.StackTransform([registry(c) for c in constraint.cseq], constraint.dim)


_register_compound(biject_to)
_register_compound(transform_to)
