"""Invertible maps of values, with the logarithm of their derivative."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any

import eagergrad as eg
from eagergrad.distributions import constraints
from eagergrad.distributions.utils import sum_rightmost, tril_matrix_to_vec, vec_to_tril_matrix

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "CatTransform",
    "ComposeTransform",
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "ExpTransform",
    "IndependentTransform",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StackTransform",
    "StickBreakingTransform",
    "TanhTransform",
    "Transform",
    "identity_transform",
]


class Transform:
    """A map with an inverse. Subclasses write ``_call``, ``_inverse`` and
    ``log_abs_det_jacobian`` and name ``domain`` and ``codomain``.

    With ``cache_size=1`` the last pair of values is kept, so that inverting a value just made
    returns the very value it was made of.
    """

    bijective = False
    domain: Any
    codomain: Any
    _sign: Any = None

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError(f"[{type(self).__name__}] cache_size expected 0 or 1: {cache_size}")
        self._cache_size = cache_size
        self._inv: Any = None
        self._cached_x_y: tuple = (None, None)
        super().__init__()  # of a Module, where a class is both

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_inv": None, "_cached_x_y": (None, None)}

    @property
    def event_dim(self) -> int:
        """Dimensions of one value, where domain and codomain agree."""
        if self.domain.event_dim != self.codomain.event_dim:
            raise ValueError("event_dim differs between domain and codomain; use theirs")
        return self.domain.event_dim

    @property
    def inv(self) -> Any:
        """The inverse, a transform as well."""
        inverse = self._inv() if self._inv is not None else None
        if inverse is None:
            inverse = _InverseTransform(self)
            self._inv = weakref.ref(inverse)
        return inverse

    @property
    def sign(self) -> Any:
        """1 for an increasing map of numbers, -1 for a decreasing one."""
        if self._sign is None:
            raise NotImplementedError(f"{type(self).__name__} has no sign")
        return self._sign

    def with_cache(self, cache_size: int = 1) -> Any:
        """The same transform with another cache size."""
        if self._cache_size == cache_size:
            return self
        new = type(self).__new__(type(self))
        new.__dict__.update(self.__getstate__())
        new._cache_size = cache_size
        return new

    def __call__(self, x: Any) -> Any:
        if self._cache_size == 0:
            return self._call(x)
        if x is not self._cached_x_y[0]:
            self._cached_x_y = (x, self._call(x))
        return self._cached_x_y[1]

    def _inv_call(self, y: Any) -> Any:
        if self._cache_size == 0:
            return self._inverse(y)
        if y is not self._cached_x_y[1]:
            self._cached_x_y = (self._inverse(y), y)
        return self._cached_x_y[0]

    def _call(self, x: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no _call")

    def _inverse(self, y: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no _inverse")

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Return log |dy/dx| at x with y = f(x)."""
        raise NotImplementedError(f"{type(self).__name__} has no log_abs_det_jacobian")

    def forward_shape(self, shape: Any) -> Any:
        """Shape of the result for values of a shape."""
        return eg.Size(shape)

    def inverse_shape(self, shape: Any) -> Any:
        """Shape of the values for a result of a shape."""
        return eg.Size(shape)

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _InverseTransform(Transform):
    """A transform the other way round."""

    def __init__(self, transform: Transform) -> None:
        super().__init__(transform._cache_size)
        self._of = transform

    @property
    def domain(self) -> Any:  # type: ignore[override]
        return self._of.codomain

    @property
    def codomain(self) -> Any:  # type: ignore[override]
        return self._of.domain

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return self._of.bijective

    @property
    def sign(self) -> Any:
        return self._of.sign

    @property
    def inv(self) -> Any:
        return self._of

    def with_cache(self, cache_size: int = 1) -> Any:
        return self._of.with_cache(cache_size).inv

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _InverseTransform) and self._of == other._of

    __hash__ = object.__hash__

    def __call__(self, x: Any) -> Any:
        return self._of._inv_call(x)

    def _inv_call(self, y: Any) -> Any:
        return self._of(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -self._of.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Any) -> Any:
        return self._of.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._of.forward_shape(shape)

    def __repr__(self) -> str:
        return f"_InverseTransform({self._of!r})"


def _same_kind(cls: type) -> type:
    """Class decorator: instances without parameters are all equal."""

    def equal(self: Any, other: object) -> bool:
        return type(other) is type(self)

    cls.__eq__ = equal  # type: ignore[assignment,method-assign]
    cls.__hash__ = lambda self: hash(type(self))  # type: ignore[assignment,method-assign]
    return cls


class ComposeTransform(Transform):
    """Transforms one after another; an empty list is the identity."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = [p.with_cache(cache_size) for p in parts] if cache_size else list(parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComposeTransform) and self.parts == other.parts

    __hash__ = object.__hash__

    def _spanned(self, region: Any, forward: bool) -> Any:
        """The region of the first (or last) part, widened to all that the others need."""
        parts = self.parts if forward else self.parts[::-1]
        need = region.event_dim
        dim = (parts[-1].codomain if forward else parts[-1].domain).event_dim
        for p in reversed(parts):
            inner, outer = (p.domain, p.codomain) if forward else (p.codomain, p.domain)
            dim += inner.event_dim - outer.event_dim
            dim = max(dim, inner.event_dim)
        return constraints.independent(region, dim - need) if dim > need else region

    @property
    def domain(self) -> Any:  # type: ignore[override]
        if not self.parts:
            return constraints.real
        return self._spanned(self.parts[0].domain, forward=True)

    @property
    def codomain(self) -> Any:  # type: ignore[override]
        if not self.parts:
            return constraints.real
        return self._spanned(self.parts[-1].codomain, forward=False)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return all(p.bijective for p in self.parts)

    @property
    def sign(self) -> Any:
        sign: Any = 1
        for p in self.parts:
            sign = sign * p.sign
        return sign

    @property
    def inv(self) -> Any:
        inverse = self._inv() if self._inv is not None else None
        if inverse is None:
            inverse = ComposeTransform([p.inv for p in reversed(self.parts)])
            self._inv = weakref.ref(inverse)
            inverse._inv = weakref.ref(self)
        return inverse

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return ComposeTransform(self.parts, cache_size)

    def __call__(self, x: Any) -> Any:
        for p in self.parts:
            x = p(x)
        return x

    def _inv_call(self, y: Any) -> Any:
        for p in reversed(self.parts):
            y = p._inv_call(y)
        return y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        if not self.parts:
            return eg.zeros_like(x)
        event_dim = self.domain.event_dim
        total: Any = 0.0
        for i, p in enumerate(self.parts):
            after = y if i == len(self.parts) - 1 else p(x)
            jacobian = p.log_abs_det_jacobian(x, after)
            total = total + sum_rightmost(jacobian, event_dim - p.domain.event_dim)
            event_dim += p.codomain.event_dim - p.domain.event_dim
            x = after
        return total

    def forward_shape(self, shape: Any) -> Any:
        for p in self.parts:
            shape = p.forward_shape(shape)
        return eg.Size(shape)

    def inverse_shape(self, shape: Any) -> Any:
        for p in reversed(self.parts):
            shape = p.inverse_shape(shape)
        return eg.Size(shape)

    def __repr__(self) -> str:
        return "ComposeTransform(\n    " + ",\n    ".join(map(repr, self.parts)) + "\n)"


identity_transform = ComposeTransform([])


class IndependentTransform(Transform):
    """A transform whose last batch dimensions count as part of a value."""

    def __init__(
        self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size)
        self.base_transform = base_transform.with_cache(cache_size)
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    def __repr__(self) -> str:
        return f"IndependentTransform({self.base_transform!r}, {self.reinterpreted_batch_ndims})"

    @property
    def domain(self) -> Any:  # type: ignore[override]
        base = self.base_transform.domain
        return constraints.independent(base, self.reinterpreted_batch_ndims)

    @property
    def codomain(self) -> Any:  # type: ignore[override]
        base = self.base_transform.codomain
        return constraints.independent(base, self.reinterpreted_batch_ndims)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return self.base_transform.bijective

    @property
    def sign(self) -> Any:
        return self.base_transform.sign

    def _call(self, x: Any) -> Any:
        return self.base_transform(x)

    def _inverse(self, y: Any) -> Any:
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        jacobian = self.base_transform.log_abs_det_jacobian(x, y)
        return sum_rightmost(jacobian, self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Any) -> Any:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self.base_transform.inverse_shape(shape)


class ReshapeTransform(Transform):
    """Values of one shape as values of another with as many elements."""

    bijective = True

    def __init__(self, in_shape: Any, out_shape: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.in_shape, self.out_shape = eg.Size(in_shape), eg.Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ValueError(
                f"[ReshapeTransform] shapes {tuple(in_shape)} and {tuple(out_shape)} hold "
                "different numbers of elements"
            )

    @property
    def domain(self) -> Any:  # type: ignore[override]
        return constraints.independent(constraints.real, len(self.in_shape))

    @property
    def codomain(self) -> Any:  # type: ignore[override]
        return constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Any) -> Any:
        return x.reshape(self.forward_shape(x.shape))

    def _inverse(self, y: Any) -> Any:
        return y.reshape(self.inverse_shape(y.shape))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x.new_zeros(x.shape[: x.dim() - len(self.in_shape)])

    def _swap(self, shape: Any, old: Any, new: Any) -> Any:
        cut = len(shape) - len(old)
        if cut < 0 or tuple(shape[cut:]) != tuple(old):
            raise ValueError(
                f"[ReshapeTransform] expected shape (..., {tuple(old)}), got {tuple(shape)}"
            )
        return eg.Size(tuple(shape[:cut]) + tuple(new))

    def forward_shape(self, shape: Any) -> Any:
        return self._swap(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._swap(shape, self.out_shape, self.in_shape)


@_same_kind
class ExpTransform(Transform):
    """y = exp(x)."""

    domain = constraints.real
    codomain = constraints.positive
    bijective = True
    _sign = 1

    def _call(self, x: Any) -> Any:
        return x.exp()

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x


class PowerTransform(Transform):
    """y = x ** exponent."""

    domain = constraints.positive
    codomain = constraints.positive
    bijective = True

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent if isinstance(exponent, eg.Tensor) else eg.tensor(float(exponent))

    @property
    def sign(self) -> Any:
        return self.exponent.sign()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PowerTransform) and bool((self.exponent == other.exponent).all())

    __hash__ = object.__hash__

    def _call(self, x: Any) -> Any:
        return x.pow(self.exponent)

    def _inverse(self, y: Any) -> Any:
        return y.pow(1 / self.exponent)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return (self.exponent * y / x).abs().log()

    def forward_shape(self, shape: Any) -> Any:
        return eg.broadcast_shapes(shape, self.exponent.shape)

    inverse_shape = forward_shape


@_same_kind
class SigmoidTransform(Transform):
    """y = 1 / (1 + exp(-x))."""

    domain = constraints.real
    codomain = constraints.unit_interval
    bijective = True
    _sign = 1

    def _call(self, x: Any) -> Any:
        info = eg.finfo(x.dtype)
        return eg.sigmoid(x).clamp(min=info.tiny, max=1.0 - info.eps)

    def _inverse(self, y: Any) -> Any:
        info = eg.finfo(y.dtype)
        y = y.clamp(min=info.tiny, max=1.0 - info.eps)
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        softplus = eg.nn.functional.softplus
        return -softplus(-x) - softplus(x)


@_same_kind
class SoftplusTransform(Transform):
    """y = log(1 + exp(x))."""

    domain = constraints.real
    codomain = constraints.positive
    bijective = True
    _sign = 1

    def _call(self, x: Any) -> Any:
        return eg.nn.functional.softplus(x)

    def _inverse(self, y: Any) -> Any:
        return (-y).expm1().neg().log() + y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -eg.nn.functional.softplus(-x)


@_same_kind
class TanhTransform(Transform):
    """y = tanh(x)."""

    domain = constraints.real
    codomain = constraints.interval(-1.0, 1.0)
    bijective = True
    _sign = 1

    def _call(self, x: Any) -> Any:
        return x.tanh()

    def _inverse(self, y: Any) -> Any:
        return eg.atanh(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        # log(1 - tanh(x)^2) in a form that does not cancel for large x
        return 2.0 * (math.log(2.0) - x - eg.nn.functional.softplus(-2.0 * x))


@_same_kind
class AbsTransform(Transform):
    """y = |x|, inverted to the positive half."""

    domain = constraints.real
    codomain = constraints.positive

    def _call(self, x: Any) -> Any:
        return x.abs()

    def _inverse(self, y: Any) -> Any:
        return y


class AffineTransform(Transform):
    """y = loc + scale * x, for values of ``event_dim`` dimensions."""

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self._event_dim = loc, scale, event_dim

    @property
    def event_dim(self) -> int:
        return self._event_dim

    @property
    def domain(self) -> Any:  # type: ignore[override]
        n = self._event_dim
        return constraints.independent(constraints.real, n) if n else constraints.real

    codomain = domain  # type: ignore[assignment]

    @property
    def sign(self) -> Any:
        if isinstance(self.scale, eg.Tensor):
            return self.scale.sign()
        return (self.scale > 0) - (self.scale < 0)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AffineTransform):
            return False
        pairs = ((self.loc, other.loc), (self.scale, other.scale))
        return all(bool(eg.as_tensor(a == b).all()) for a, b in pairs)

    __hash__ = object.__hash__

    def _call(self, x: Any) -> Any:
        return self.loc + self.scale * x

    def _inverse(self, y: Any) -> Any:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        if isinstance(self.scale, eg.Tensor):
            jacobian = self.scale.abs().log()
        else:
            jacobian = eg.full_like(x, math.log(abs(self.scale)))
        jacobian = jacobian.expand(eg.broadcast_shapes(x.shape, jacobian.shape))
        return sum_rightmost(jacobian, self._event_dim)

    def forward_shape(self, shape: Any) -> Any:
        return eg.broadcast_shapes(
            shape, getattr(self.loc, "shape", ()), getattr(self.scale, "shape", ())
        )

    inverse_shape = forward_shape


@_same_kind
class SoftmaxTransform(Transform):
    """Vectors to probability vectors; not one to one, so it has no Jacobian."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Any) -> Any:
        return eg.softmax(x, -1)

    def _inverse(self, y: Any) -> Any:
        return y.log()


@_same_kind
class StickBreakingTransform(Transform):
    """Vectors of n numbers to probability vectors of n + 1: each component takes the logistic
    share of what the ones before it have left."""

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    def _shares(self, x: Any) -> tuple[Any, Any]:
        left = eg.arange(x.shape[-1], 0, -1, dtype=x.dtype, device=x.device)
        shifted = x - left.log()
        return shifted, SigmoidTransform()(shifted)

    def _call(self, x: Any) -> Any:
        _, share = self._shares(x)
        rest = (1 - share).cumprod(-1)
        one = eg.ones_like(share[..., :1])
        return eg.cat([share, one], -1) * eg.cat([one, rest], -1)

    def _inverse(self, y: Any) -> Any:
        head = y[..., :-1]
        left = eg.arange(head.shape[-1], 0, -1, dtype=y.dtype, device=y.device)
        rest = (1 - head.cumsum(-1)).clamp(min=eg.finfo(y.dtype).tiny)
        return head.log() - rest.log() + left.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        shifted, _ = self._shares(x)
        return (eg.nn.functional.logsigmoid(shifted) - shifted + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        return eg.Size((*shape[:-1], shape[-1] + 1))

    def inverse_shape(self, shape: Any) -> Any:
        return eg.Size((*shape[:-1], shape[-1] - 1))


@_same_kind
class LowerCholeskyTransform(Transform):
    """Square matrices to lower triangular ones with a positive diagonal."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + x.diagonal(0, -2, -1).exp().diag_embed()

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + y.diagonal(0, -2, -1).log().diag_embed()


@_same_kind
class PositiveDefiniteTransform(Transform):
    """Square matrices to positive definite ones."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Any) -> Any:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(eg.linalg.cholesky(y))


@_same_kind
class CorrCholeskyTransform(Transform):
    """Vectors of n(n-1)/2 numbers to lower Cholesky factors of n x n correlation matrices.

    Row by row, tanh of the numbers are the shares that the entries left of the diagonal take of what is
    left of the row's unit length; the diagonal gets the rest.
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Any) -> Any:
        share = vec_to_tril_matrix(eg.tanh(x), diag=-1)
        rest = (1 - share * share).sqrt().cumprod(-1)
        before = eg.cat([eg.ones_like(rest[..., :1]), rest[..., :-1]], -1)
        return (share + eg.eye(share.shape[-1], dtype=x.dtype, device=x.device)) * before

    def _before(self, y: Any) -> Any:
        """The squared length that is left of each row before each entry."""
        left = 1 - (y * y).cumsum(-1)
        return eg.cat([eg.ones_like(left[..., :1]), left[..., :-1]], -1)

    def _inverse(self, y: Any) -> Any:
        before = tril_matrix_to_vec(self._before(y), diag=-1)
        share = tril_matrix_to_vec(y, diag=-1) / before.sqrt()
        return (share.log1p() - (-share).log1p()) / 2

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        lengths = tril_matrix_to_vec(self._before(y), diag=-1)
        of_tanh = -2 * (x + eg.nn.functional.softplus(-2 * x) - math.log(2))
        return (0.5 * lengths.log() + of_tanh).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        n = round((0.25 + 2 * shape[-1]) ** 0.5 + 0.5) if shape else 0
        if not shape or n * (n - 1) // 2 != shape[-1]:
            raise ValueError(f"[CorrCholeskyTransform] expected n(n-1)/2 numbers: {tuple(shape)}")
        return eg.Size((*shape[:-1], n, n))

    def inverse_shape(self, shape: Any) -> Any:
        if len(shape) < 2 or shape[-2] != shape[-1]:
            raise ValueError(f"[CorrCholeskyTransform] expected square matrices: {tuple(shape)}")
        return eg.Size((*shape[:-2], shape[-1] * (shape[-1] - 1) // 2))


class CatTransform(Transform):
    """Pieces along a dimension, each with its own transform."""

    def __init__(
        self,
        tseq: Sequence[Transform],
        dim: int = 0,
        lengths: Sequence[int] | None = None,
        cache_size: int = 0,
    ) -> None:
        super().__init__(cache_size)
        self.transforms = [t.with_cache(cache_size) for t in tseq]
        self.dim = dim
        self.lengths = list(lengths) if lengths is not None else [1] * len(self.transforms)

    @property
    def domain(self) -> Any:  # type: ignore[override]
        return constraints.cat([t.domain for t in self.transforms], self.dim, self.lengths)

    @property
    def codomain(self) -> Any:  # type: ignore[override]
        return constraints.cat([t.codomain for t in self.transforms], self.dim, self.lengths)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return all(t.bijective for t in self.transforms)

    def _each(self, x: Any) -> list:
        return list(zip(self.transforms, x.split(self.lengths, self.dim), strict=True))

    def _call(self, x: Any) -> Any:
        return eg.cat([t(v) for t, v in self._each(x)], self.dim)

    def _inverse(self, y: Any) -> Any:
        return eg.cat([t.inv(v) for t, v in self._each(y)], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        pairs = zip(self._each(x), y.split(self.lengths, self.dim), strict=True)
        return eg.cat([t.log_abs_det_jacobian(a, b) for (t, a), b in pairs], self.dim)


class StackTransform(Transform):
    """Slices along a dimension, each with its own transform."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms = [t.with_cache(cache_size) for t in tseq]
        self.dim = dim

    @property
    def domain(self) -> Any:  # type: ignore[override]
        return constraints.stack([t.domain for t in self.transforms], self.dim)

    @property
    def codomain(self) -> Any:  # type: ignore[override]
        return constraints.stack([t.codomain for t in self.transforms], self.dim)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return all(t.bijective for t in self.transforms)

    def _each(self, x: Any) -> list:
        return list(zip(self.transforms, x.unbind(self.dim), strict=True))

    def _call(self, x: Any) -> Any:
        return eg.stack([t(v) for t, v in self._each(x)], self.dim)

    def _inverse(self, y: Any) -> Any:
        return eg.stack([t.inv(v) for t, v in self._each(y)], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        pairs = zip(self._each(x), y.unbind(self.dim), strict=True)
        return eg.stack([t.log_abs_det_jacobian(a, b) for (t, a), b in pairs], self.dim)


class CumulativeDistributionTransform(Transform):
    """Values to the probability of values up to them."""

    bijective = True
    codomain = constraints.unit_interval
    _sign = 1

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution

    @property
    def domain(self) -> Any:  # type: ignore[override]
        return self.distribution.support

    def _call(self, x: Any) -> Any:
        return self.distribution.cdf(x)

    def _inverse(self, y: Any) -> Any:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return self.distribution.log_prob(x)
