"""Norms, order statistics, comparisons of whole tensors, type rules."""

from __future__ import annotations

import math
from typing import Any

from eagergrad import _C
from eagergrad.tensor.autocast import full_precision_on_cuda
from eagergrad.tensor.dtype import ALL, dtype
from eagergrad.tensor.out import asking, with_numpy_names, with_out
from eagergrad.tensor.size import Size, wrap_dim

_ops = _C.op_table

__all__ = [
    "allclose",
    "broadcast_shapes",
    "can_cast",
    "corrcoef",
    "cov",
    "cumulative_trapezoid",
    "equal",
    "gradient",
    "isclose",
    "nanquantile",
    "norm",
    "quantile",
    "renorm",
    "segment_reduce",
    "trapezoid",
    "trapz",
]


# -- norms -------------------------------------------------------------------------------------------


def _dims(dim: Any, ndim: int) -> list[int]:
    if dim is None:
        return list(range(ndim))
    return [dim] if isinstance(dim, int) else list(dim)


@with_out
def norm(
    input: Any,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    out: Any = None,
    dtype: Any = None,
) -> Any:
    """The p-norm of the elements along dims: p a number, inf, -inf, 0, "fro" (2) or "nuc".

    The gradient at a zero vector is 0. Raises RuntimeError for integer input.

    >>> import eagergrad as eg
    >>> eg.norm(eg.tensor([3.0, 4.0]))
    tensor(5.)
    """
    x = input if dtype is None else input.to(dtype)
    if not x.dtype.is_floating_point:
        raise RuntimeError(
            f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {x.dtype}"
        )
    if p == "nuc":
        from eagergrad import linalg

        return linalg.matrix_norm(x, "nuc", dim or (-2, -1), keepdim)
    if p == "fro" or p is None:
        p = 2
    if isinstance(p, str):
        raise RuntimeError(f"norm got an unknown order: {p!r}")
    return _ops["_vector_norm"](x, float(p), None if dim is None else _dims(dim, x.dim()), keepdim)


@with_out
@full_precision_on_cuda
def renorm(input: Any, p: float, dim: int, maxnorm: float, *, out: Any = None) -> Any:
    """Slices along dim scaled down so that none has a p-norm above maxnorm."""
    return _ops["_renorm"](input, float(p), dim, float(maxnorm))


# -- order statistics --------------------------------------------------------------------------------


def _tensor(values: Any, **kw: Any) -> Any:
    from eagergrad.tensor.creation import tensor

    return tensor(values, **kw)


def _checked_q(name: str, input: Any, q: Any, interpolation: str) -> Any:
    """q as a tensor; RuntimeError for arguments that quantiles cannot be of."""
    if not input.dtype.is_floating_point or input.dtype.itemsize < 4:
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}"
        )
    if not isinstance(q, _C.TensorBase):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        q = _tensor(q, dtype=input.dtype, device=input.device)
    if q.dtype is not input.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if q.dim() > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if input.numel() == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    _C.ops._require((q >= 0) & (q <= 1), name, f"{name}() q values must be in the range [0, 1]")
    return q


def _at_ranks(ordered: Any, ranks: Any, interpolation: str) -> Any:
    """What stands at fractional places of the last dimension."""
    low, high = ranks.floor(), ranks.ceil()
    if interpolation == "lower":
        high = low
    elif interpolation == "higher":
        low = high
    elif interpolation == "nearest":
        low = high = ranks.round()
    a, b = ordered.gather(-1, low.long()), ordered.gather(-1, high.long())
    return _ops["lerp"](a, b, 0.5 if interpolation == "midpoint" else ranks - low)


def _quantile(
    input: Any,
    q: Any,
    dim: int | None,
    keepdim: bool,
    interpolation: str,
    skip_nan: bool,
    name: str,
) -> Any:
    q = _checked_q(name, input, q, interpolation)
    ndim = input.dim()
    axis = 0 if dim is None else wrap_dim(dim, ndim)
    whole = dim is None or ndim == 0
    x = input.reshape(-1) if whole else input
    x = _ops["sort"](x, dim=axis)[0].movedim(axis, -1)
    n, bad = x.shape[-1], x.detach().isnan()
    good = (n - bad.sum(-1, True)).to(x.dtype)
    if skip_nan:
        ranks, spoiled = q.reshape(-1) * (good - 1).clamp(min=0), good == 0
    else:
        ranks, spoiled = (q.reshape(-1) * (n - 1)).expand(*x.shape[:-1], -1), bad.any(-1, True)
    result = _at_ranks(x, ranks, interpolation).masked_fill(spoiled, math.nan).movedim(-1, 0)
    if keepdim:
        ones = (1,) * ndim
        result = result.reshape(result.shape[:1] + ones) if whole else result.unsqueeze(axis + 1)
    return result.squeeze(0) if q.dim() == 0 else result


@with_out
def quantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    out: Any = None,
) -> Any:
    """The q-th quantiles (q in [0, 1], a number or a vector) of all elements or along dim."""
    return _quantile(input, q, dim, keepdim, interpolation, False, "quantile")


@with_out
def nanquantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    out: Any = None,
) -> Any:
    """quantile of the elements that are not NaN."""
    return _quantile(input, q, dim, keepdim, interpolation, True, "nanquantile")


@asking
def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """Covariance matrix of variables in rows."""
    if input.dim() > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {input.dim()} dimensions"
        )
    if input.dtype is ALL[0]:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input.reshape(1, -1) if input.dim() < 2 else input
    w: Any = None
    for name, weights in (("fweights", fweights), ("aweights", aweights)):
        if weights is not None:
            _check_weights(name, weights, x.shape[1])
            w = weights if w is None else w * weights
    total: Any = x.shape[1] if w is None else w.sum()
    if w is not None and not bool(total != 0):
        raise RuntimeError("cov(): weights sum to zero, can't be normalized")
    centred = x - ((x if w is None else x * w).sum(1, True) / total)
    products = centred @ (centred if w is None else centred * w).T.to(centred.dtype)
    if aweights is None or correction == 0:
        degrees = total - correction
    else:
        degrees = total - correction * (w * aweights).sum() / total
    degrees = degrees.clamp(min=0) if isinstance(degrees, _C.TensorBase) else max(degrees, 0)
    return (products / degrees).squeeze()


def _check_weights(name: str, w: Any, observations: int) -> None:
    if w.dim() > 1:
        raise RuntimeError(f"cov(): expected {name} to have one or fewer dimensions, got {w.dim()}")
    whole = not w.dtype.is_floating_point and w.dtype is not ALL[0]
    if whole != (name == "fweights"):
        kind = "an integral" if name == "fweights" else "a floating point"
        raise RuntimeError(f"cov(): expected {name} to have {kind} dtype, got {w.dtype}")
    if w.numel() != observations:
        raise RuntimeError(
            f"cov(): expected {name} for {observations} observations, got {w.numel()}"
        )
    if observations and not bool((w >= 0).all()):
        raise RuntimeError(f"cov(): {name} cannot be negative")


@asking
def corrcoef(input: Any) -> Any:
    """Correlation coefficients of variables in rows."""
    c = cov(input)
    if c.dim() == 0:
        return c / c
    d = c.diagonal().sqrt()
    return (c / d.unsqueeze(1) / d.unsqueeze(0)).clamp(-1, 1)


# -- integrals and derivatives of samples --------------------------------------------------------------


def _neighbours(y: Any, dim: int) -> Any:
    """Sums of neighbours along dim."""
    n = y.shape[dim]
    return y.narrow(dim, 0, n - 1) + y.narrow(dim, 1, n - 1)


def _areas(y: Any, x: Any, dx: Any, dim: int) -> Any:
    if y.dim() == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    dim = wrap_dim(dim, y.dim())
    n = y.shape[dim]
    if n == 0:
        return y
    mean = _neighbours(y, dim) / 2
    if x is None:
        return mean * dx
    if x.dim() == 1 and y.dim() > 1:
        shape = [1] * y.dim()
        shape[dim] = -1
        x = x.reshape(shape)
    step = x.narrow(dim, 1, x.shape[dim] - 1) - x.narrow(dim, 0, x.shape[dim] - 1)
    return mean * step


@with_numpy_names
def trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """Integral by the trapezoidal rule."""
    if x is None and y.shape[wrap_dim(dim, y.dim())] > 0:
        inner = y.sum(dim) - (y.select(dim, 0) + y.select(dim, -1)) * 0.5
        return inner if dx is None else inner * dx
    return _areas(y, x, 1 if dx is None else dx, dim).sum(dim)


trapz = trapezoid


@with_numpy_names
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """Integrals up to each sample by the trapezoidal rule."""
    return _areas(y, x, 1 if dx is None else dx, dim).cumsum(dim)


@with_numpy_names
def gradient(
    input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1
) -> tuple[Any, ...]:
    """Derivatives of samples by central differences (second order accurate inside), one tensor a dimension."""
    dims = [wrap_dim(d, input.dim()) for d in _dims(dim, input.dim())]
    if len(set(dims)) != len(dims):
        raise RuntimeError(
            f"dim {max(dims, key=dims.count)} appears multiple times in the list of dims"
        )
    spacing = 1 if spacing is None else spacing
    spacings = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(dims)
    if isinstance(spacing, _C.TensorBase):
        spacings = [spacing]
    if len(spacings) != len(dims):
        raise RuntimeError(
            f"torch.gradient expected spacing to be unspecified, a scalar, or a list of length {len(dims)}"
        )
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    return tuple(_derivative(input, s, d, edge_order) for s, d in zip(spacings, dims, strict=True))


def _derivative(f: Any, spacing: Any, dim: int, edge_order: int) -> Any:
    n = f.shape[dim]
    if n < edge_order + 1:
        raise RuntimeError(
            "torch.gradient expected each dimension size to be at least edge_order+1"
        )
    if f.dtype is ALL[0]:
        raise RuntimeError("gradient is not defined for bool tensors")
    f = f if f.dtype.is_floating_point else f.to(_C.get_default_dtype())

    def at(i: int, length: int = 1) -> Any:
        return f.narrow(dim, i, length)

    if isinstance(spacing, _C.TensorBase) and spacing.dim() == 1:
        shape = [1] * f.dim()
        shape[dim] = -1
        h = spacing.to(f.dtype).diff().reshape(shape)
        h0, h1 = h.narrow(dim, 0, n - 2), h.narrow(dim, 1, n - 2)
    else:
        return _even_derivative(at, n, float(spacing), dim, edge_order)

    def step(i: int) -> Any:
        return h.narrow(dim, i, 1)

    m = n - 2
    inside = (
        at(2, m) * h0 / (h1 * (h0 + h1))
        - at(0, m) * h1 / (h0 * (h0 + h1))
        + at(1, m) * (h1 - h0) / (h0 * h1)
    )
    if edge_order == 1:
        first = (at(1) - at(0)) / step(0)
        last = (at(n - 1) - at(n - 2)) / step(n - 2)
    else:
        a, b = step(0), step(1)
        first = (
            at(0) * (-(2 * a + b) / (a * (a + b)))
            + at(1) * ((a + b) / (a * b))
            - at(2) * (a / (b * (a + b)))
        )
        a, b = step(n - 3), step(n - 2)
        last = (
            at(n - 3) * (b / (a * (a + b)))
            - at(n - 2) * ((a + b) / (a * b))
            + at(n - 1) * ((2 * b + a) / (b * (a + b)))
        )
    return _ops["cat"]([first, inside, last], dim)


def _even_derivative(at: Any, n: int, h: float, dim: int, edge_order: int) -> Any:
    """The same of samples that lie h apart; at(i, length) are those from i on."""
    inside = (at(2, n - 2) - at(0, n - 2)) / (2 * h)
    if edge_order == 1:
        first, last = (at(1) - at(0)) / h, (at(n - 1) - at(n - 2)) / h
    else:
        first = at(0) * (-1.5 / h) + at(1) * (2 / h) - at(2) * (0.5 / h)
        last = at(n - 3) * (0.5 / h) - at(n - 2) * (2 / h) + at(n - 1) * (1.5 / h)
    return _ops["cat"]([first, inside, last], dim)


# -- whole tensors -------------------------------------------------------------------------------------


@asking
def isclose(
    input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Any:
    """Element by element: ``|input - other| <= atol + rtol |other|``."""
    if not isinstance(input, _C.TensorBase) or not isinstance(other, _C.TensorBase):
        raise TypeError("isclose(): expected two Tensors")
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{input.dtype} did not match {other.dtype}")
    if rtol < 0 or atol < 0:
        raise RuntimeError(
            f"rtol and atol must be greater than or equal to zero, but got rtol={rtol}, atol={atol}"
        )
    a, b = input.detach(), other.detach()
    close = a == b
    if equal_nan and a.dtype.is_floating_point:
        close = close | (a.isnan() & b.isnan())
    if rtol == 0 and atol == 0:
        return close
    if not a.dtype.is_floating_point:
        a, b = a.to(ALL[9]), b.to(ALL[9])
    return close | (((a - b).abs() <= atol + (rtol * b).abs()) & b.isfinite())


@asking
def allclose(
    input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close, as isclose."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def equal(input: Any, other: Any) -> bool:
    """Whether both have the same shape and elements."""
    if not isinstance(other, _C.TensorBase):
        raise TypeError(f"equal(): argument 'other' must be Tensor, not {type(other).__name__}")
    return _ops["_equal"](input, other)


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that all the shapes broadcast to."""
    tuples = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    n = max((len(s) for s in tuples), default=0)
    out = [1] * n
    for s in tuples:
        for i, length in enumerate(s, n - len(s)):
            if length < 0:
                raise RuntimeError(
                    f"Trying to create tensor with negative dimension ({length}): ({length})"
                )
            if length != 1 and out[i] not in (1, length):
                raise RuntimeError(
                    "Shape mismatch: objects cannot be broadcast to a single shape: "
                    + ", ".join(str(list(t)) for t in tuples)
                )
            out[i] = length if length != 1 else out[i]
    return Size(out)


# -- types -----------------------------------------------------------------------------------------------


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether results of one dtype may be written to tensors of the other."""
    if from_.is_floating_point:
        return to.is_floating_point
    return from_ is ALL[0] or to is not ALL[0]


_SEGMENTS = {
    "sum": ("", 0.0),
    "mean": ("", 0.0),
    "prod": ("prod", 1.0),
    "max": ("amax", -math.inf),
    "min": ("amin", math.inf),
}


def _segment_lengths(data: Any, lengths: Any, offsets: Any, axis: int, unsafe: bool) -> Any:
    if lengths is None and offsets is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    given = offsets if lengths is None else lengths
    if tuple(given.shape[:-1]) != tuple(data.shape[:axis]) or given.dim() != axis + 1:
        raise RuntimeError(
            f"segment_reduce(): expected lengths or offsets of {axis + 1} dimensions that begin with {list(data.shape[:axis])}, "
            f"got shape {list(given.shape)}"
        )
    if lengths is None:
        lengths = offsets[..., 1:] - offsets[..., :-1]
        unsafe = unsafe and bool((offsets[..., 0] == 0).all())
    if not unsafe and bool((lengths < 0).any()):
        raise RuntimeError("segment_reduce(): lengths contains negative value!")
    if not bool((lengths.sum(-1) == data.shape[axis]).all()):
        raise RuntimeError(
            "segment_reduce(): Expected all rows of lengths along axis to sum to data.size(lengths.dim()-1)"
        )
    return lengths.reshape(-1)


@asking
def segment_reduce(
    data: Any,
    reduce: str,
    *,
    lengths: Any = None,
    indices: Any = None,
    offsets: Any = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: float | None = None,
) -> Any:
    """The sum, mean, prod, max or min of each run of entries along an axis; runs are given by lengths or by offsets.

    ``initial`` begins each run; without it an empty run gives 0, NaN, 1, -inf or inf.

    Raises:
        RuntimeError: the runs do not cover the axis, or the reduction is none of these.

    >>> import eagergrad as eg
    >>> segment_reduce(eg.arange(6.0), "max", lengths=eg.tensor([2, 3, 1]))
    tensor([1., 4., 5.])
    """
    if reduce not in _SEGMENTS:
        raise RuntimeError(
            f"segment_reduce(): expected reduce to be one of {', '.join(_SEGMENTS)}, got {reduce}"
        )
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet.")
    if not data.is_floating_point() or data.dim() == 0:
        raise RuntimeError("segment_reduce(): expected a floating point tensor with dimensions")
    axis = wrap_dim(axis, data.dim())
    sizes = _segment_lengths(data, lengths, offsets, axis, unsafe)
    rest = tuple(data.shape[axis + 1 :])
    name, empty = _SEGMENTS[reduce]
    shape = (sizes.shape[0], *rest)
    start = _ops["full"](
        shape, empty if initial is None else float(initial), dtype=data.dtype, device=data.device
    )
    which = _ops["repeat_interleave"](_ops["arange"](sizes.shape[0], device=data.device), sizes)
    entries = data.reshape(-1, *rest)
    if name:
        result = _ops["index_reduce"](start, 0, which, entries, name)
    else:
        result = _ops["index_add"](start, 0, which, entries)
    if reduce == "mean":
        count = sizes.reshape(-1, *(1 for _ in rest)).to(data.dtype)
        result = result / (count if initial is None else count.clamp(min=1))
    return result.reshape(*data.shape[:axis], -1, *rest)
