"""Elementwise functions: what keeps zeros works on the values; dense operands are read at the entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import op_table as _op_table
from eagergrad._C import ops as _ops
from eagergrad.sparse.construct import as_sparse
from eagergrad.sparse.pattern import Form, Pattern
from eagergrad.sparse.tensor import SparseTensor

# f(0) = 0: the function of a sparse tensor has its pattern.
KEEP_ZERO = (
    "abs absolute neg negative positive sgn sign square sqrt sin tan asin arcsin atan arctan sinh tanh asinh arcsinh atanh "
    "arctanh expm1 log1p erf erfinv floor ceil trunc fix round frac deg2rad rad2deg nan_to_num relu relu6 leaky_relu elu "
    "selu celu silu gelu gelu_erf gelu_tanh mish softsign tanhshrink hardshrink softshrink hardswish dropout alpha_dropout"
).split()


def on_values(name: str) -> Callable[..., SparseTensor]:
    """The op of a name, on the values of a coalesced tensor."""
    op = _op_table[name]

    def function(input: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:
        x = as_sparse(input).coalesce()
        return x._with(op(x._vals, *args, **kwargs))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`eagergrad.{name}` of the entries; zeros stay zero."
    return function


def dropout(input: Any, p: float = 0.5, training: bool = True) -> SparseTensor:
    """Zero each stored value with probability p and scale the rest by 1/(1-p); without `training` the input itself."""
    if not training:
        return as_sparse(input)
    x = as_sparse(input).coalesce()
    return x._with(_ops.dropout(x._vals, p, training))


# ---- two sparse tensors ---------------------------------------------------------------------------


def _aligned(op: str, a: SparseTensor, b: SparseTensor) -> tuple[Form, Form]:
    """Both with compressed dimensions in one order and one index type. RuntimeError where the shapes differ."""
    if a.shape != b.shape:
        raise RuntimeError(
            f"[{op}] expected sparse tensors of one shape, got {tuple(a.shape)} and {tuple(b.shape)}"
        )
    f, g = a._form(), b._form()
    if f.turned != g.turned:
        f, g = f.upright(), g.upright()
    if f.pattern.ptr.dtype is not g.pattern.ptr.dtype or f.pattern.nnz + g.pattern.nnz > 2**31 - 1:
        f, g = (Form(x.values, x.pattern.as_int64(), x.turned) for x in (f, g))
    return f, g


def _placed(form: Form, at: Tensor, dtype: Any) -> Tensor:
    """The values at their places in a larger pattern, where `at` names them; zero elsewhere."""
    where = (at >= 0).nonzero().squeeze(1)
    zeros = eg.zeros(at.numel(), dtype=dtype, device=at.device)
    return zeros.index_add(0, where, form.values.to(dtype))


def _add_sparse(a: SparseTensor, b: SparseTensor, alpha: Any) -> SparseTensor:
    dtype = eg.result_type(a._vals, b._vals)
    if a.is_sparse and b.is_sparse and (a.dense_dim() or a.ndim != 2):
        if a.shape != b.shape or a.sparse_dim() != b.sparse_dim():
            raise RuntimeError(
                f"[add] expected sparse tensors of one shape and sparse_dim, got {tuple(a.shape)} with "
                f"{a.sparse_dim()} and {tuple(b.shape)} with {b.sparse_dim()}"
            )
        values = eg.cat([a._vals.to(dtype), b._vals.to(dtype) * alpha])
        return a._coo(eg.cat([a._idx, b._idx], 1), values, a.shape, False).coalesce()
    f, g = _aligned("add", a, b)
    p, q = f.pattern, g.pattern
    right = g.values if alpha == 1 else g.values * alpha
    if p.same(q):
        return SparseTensor._of(Form(f.values + right, p, f.turned), a.layout)
    ptr, idx, at_f, at_g = _ops._sparse_merge(p.ptr, p.idx, q.ptr, q.idx, p.rows, p.cols, False)
    values = _placed(f, at_f, dtype) + _placed(Form(right, q, g.turned), at_g, dtype)
    return SparseTensor._of(Form(values, Pattern(ptr, idx, p.rows, p.cols), f.turned), a.layout)


def _mul_sparse(a: SparseTensor, b: SparseTensor) -> SparseTensor:
    if a.is_sparse and b.is_sparse and a.ndim == 1 and not a.dense_dim():
        return _mul_sparse(a.unsqueeze(0), b.unsqueeze(0)).select(0, 0)
    f, g = _aligned("mul", a, b)
    p, q = f.pattern, g.pattern
    if p.same(q):
        return SparseTensor._of(Form(f.values * g.values, p, f.turned), a.layout)
    ptr, idx, at_f, at_g = _ops._sparse_merge(p.ptr, p.idx, q.ptr, q.idx, p.rows, p.cols, True)
    values = f.values.index_select(0, at_f) * g.values.index_select(0, at_g)
    return SparseTensor._of(Form(values, Pattern(ptr, idx, p.rows, p.cols), f.turned), a.layout)


# ---- with dense tensors and numbers -----------------------------------------------------------------


def _number(x: Any) -> bool:
    return not isinstance(x, Tensor) or (not isinstance(x, SparseTensor) and x.dim() == 0)


def at_entries(op: str, x: SparseTensor, dense: Tensor) -> Tensor:
    """The elements of a dense tensor, which broadcasts to x's shape, at the entries of a coalesced x."""
    if dense.dim() > x.ndim or any(
        n not in (1, m)
        for n, m in zip(reversed(dense.shape), reversed(x.shape))  # noqa: B905
    ):
        raise RuntimeError(
            f"[{op}] expected a dense operand that broadcasts to the sparse one's shape {tuple(x.shape)}, "
            f"got {tuple(dense.shape)}"
        )
    places = x._idx.unbind(0) if x.is_sparse else tuple(c.long() for c in x._form().coordinates())
    dense = dense.reshape(*[1] * (x.ndim - dense.dim()), *dense.shape)
    picked, index = dense, []
    for d, at in enumerate(places):
        index.append(at if dense.shape[d] == x.shape[d] and x.shape[d] != 1 else eg.zeros_like(at))
    wide = [d for d in range(len(places)) if dense.shape[d] != 1]
    if len(wide) == 1 and len(places) == dense.dim():  # a row or a column: one plain gather
        return picked.reshape(-1).index_select(0, index[wide[0]])
    if not wide and len(places) == dense.dim():
        return picked.reshape(1)
    return picked[tuple(index)]


def _scaled(name: str, x: SparseTensor, other: Any, **options: Any) -> SparseTensor:
    op = _op_table[name]
    x = x.coalesce()
    factor = other if _number(other) else at_entries(name, x, other)
    return x._with(op(x._vals, factor, **options))


def mul(input: Any, other: Any) -> Any:
    """The elementwise product; sparse. A dense factor broadcasts, so ``X * column`` scales rows."""
    a, b = as_sparse(input), as_sparse(other)
    if isinstance(a, SparseTensor) and isinstance(b, SparseTensor):
        return _mul_sparse(a, b)
    return _scaled("mul", a, b) if isinstance(a, SparseTensor) else _scaled("mul", b, a)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """Entries divided by a number or a dense tensor that broadcasts; what is not stored stays zero."""
    a, b = as_sparse(input), as_sparse(other)
    if isinstance(b, SparseTensor):
        raise TypeError(
            "[div] division by a sparse tensor divides by its zeros; use x / y.to_dense()"
        )
    return _scaled("div", a, b, rounding_mode=rounding_mode)


def pow(input: Any, exponent: Any) -> Any:
    """Entries to a positive power."""
    x = as_sparse(input)
    if not isinstance(x, SparseTensor) or not isinstance(exponent, (int, float)) or exponent <= 0:
        raise TypeError(
            f"[pow] expected a sparse base and a positive number (others make zeros ones), got exponent {exponent!r}"
        )
    x = x.coalesce()
    return x._with(x._vals**exponent)


def _add_dense(dense: Tensor, x: SparseTensor, alpha: Any) -> Tensor:
    """A dense tensor plus a multiple of a sparse one: only the entries are touched."""
    dtype = eg.result_type(dense, x._vals)
    if dense.shape != x.shape:
        dense = dense.expand(*eg.broadcast_shapes(dense.shape, x.shape))
        if dense.shape != x.shape:
            return dense + x.to_dense() * alpha
    values = x._vals.to(dtype) if alpha == 1 else x._vals.to(dtype) * alpha
    places = x._idx.unbind(0) if x.is_sparse else [c.long() for c in x._form().coordinates()]
    return dense.to(dtype).index_put(tuple(places), values, accumulate=True)


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """The sum: sparse of two sparse tensors, dense if one is dense."""
    a, b = as_sparse(input), as_sparse(other)
    if isinstance(a, SparseTensor) and isinstance(b, SparseTensor):
        return _add_sparse(a, b, alpha)
    dense = b if isinstance(a, SparseTensor) else a
    if not isinstance(dense, Tensor):
        if isinstance(dense, (int, float)) and dense == 0:  # sum(list of sparse tensors)
            return a if isinstance(a, SparseTensor) else b * alpha
        raise TypeError(
            f"[add] a sparse tensor plus {dense!r} is not sparse; use x.to_dense() + {dense!r}"
        )
    if isinstance(a, SparseTensor):
        return _add_dense(b * alpha if alpha != 1 else b, a, 1)
    return _add_dense(a, b, alpha)


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """The difference; see `add`."""
    if isinstance(as_sparse(other), SparseTensor):
        return add(input, other, alpha=-alpha)
    if not isinstance(as_sparse(other), Tensor):
        return add(input, other if other == 0 else -other)
    return add(input, -as_sparse(other), alpha=alpha)
