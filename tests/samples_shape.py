"""Rows of creation, of views and of what joins, splits and repeats."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from table import ALL, FLOATS, WIDE_FLOATS, A, C, D, E, Row, V

MOST = ("float64", "float32", "bfloat16", "int64", "uint8", "bool")
BAD_SHAPE = (RuntimeError, ValueError, TypeError)


def row(name: str, ref: Any, *calls: Any, **kw: Any) -> Row:
    kw.setdefault("dtypes", MOST)
    return Row(name, ref, list(calls), **kw)


def _unflatten(x: Any, dim: int, sizes: Any) -> Any:
    dim %= x.ndim
    return x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :])


def _flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    if x.ndim == 0:
        return x.reshape(1)
    a, b = start_dim % x.ndim, end_dim % x.ndim
    return x.reshape(*x.shape[:a], math.prod(x.shape[a : b + 1]), *x.shape[b + 1 :])


def _squeeze(x: Any, dim: Any = None) -> Any:
    if dim is None:
        return np.squeeze(x)
    dims = [d % max(x.ndim, 1) for d in ([dim] if isinstance(dim, int) else dim)]
    return np.squeeze(x, tuple(d for d in dims if x.ndim and x.shape[d] == 1))


def _expand(x: Any, *sizes: Any) -> Any:
    sizes = sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
    lead = len(sizes) - x.ndim
    full = [x.shape[i - lead] if s == -1 else s for i, s in enumerate(sizes)]
    return np.broadcast_to(x, full)


VIEWS = [
    row("reshape", lambda x, s: np.reshape(x, s), C(A(2, 3), (3, 2)), C(A(2, 3), (-1,)),
        C(A(), (1, 1)), C(A(4), [2, -1]), C(A(0, 3), (3, 0)),
        names=("input", "shape"), errors=[E(RuntimeError, A(2, 3), (4, 2)),
        E(RuntimeError, A(2, 3), (-1, -1)), E(RuntimeError, A(2, 3), (-1, 4)),
        E((RuntimeError, TypeError), A(2, 3), (2.0, 3))]),
    row("view", lambda x, *s: np.reshape(x, s[0] if isinstance(s[0], tuple) else s),
        C(A(2, 3), 3, 2), C(A(2, 3), -1), C(A(2, 3), (6, 1)), function=False,
        skips={"layout": "a view of a strided tensor may not exist", "gradient-layout": ""},
        errors=[E(RuntimeError, A(2, 3), 4, 2)]),
    row("flatten", _flatten, C(A(2, 3, 4)), C(A(2, 3, 4), 1), C(A(2, 3, 4), 0, 1), C(A()),
        C(A(2, 3, 4), start_dim=1, end_dim=-1), errors=[E(IndexError, A(2), 1),
        E(RuntimeError, A(2, 3, 4), 2, 1)]),
    row("ravel", np.ravel, C(A(2, 3)), C(A())),
    row("unflatten", _unflatten, C(A(2, 6), 1, (2, 3)), C(A(6), 0, (3, 2)),
        C(A(6, 2), -2, (2, 3)), errors=[E(RuntimeError, A(2, 6), 1, (4, 2))]),
    row("squeeze", _squeeze, C(A(1, 3, 1)), C(A(1, 3, 1), 0), C(A(1, 3, 1), 1), C(A(1, 3, 1), -1),
        C(A(1, 3, 1), (0, 2)), C(A()), errors=[E(IndexError, A(2), 3)]),
    row("unsqueeze", np.expand_dims, C(A(2, 3), 0), C(A(2, 3), -1), C(A(), 0), C(A(2), 1),
        errors=[E(IndexError, A(2), 3), E(TypeError, A(2))], names=("input", "dim")),
    row("transpose", np.swapaxes, C(A(2, 3), 0, 1), C(A(2, 3, 4), -1, 1),
        aliases=("swapaxes", "swapdims"), errors=[E(IndexError, A(2, 3), 0, 2)],
        names=("input", "dim0", "dim1")),
    row("t", np.transpose, C(A(2, 3)), C(A(3)), C(A()), errors=[E(RuntimeError, A(2, 3, 4))]),
    row("permute", lambda x, d: np.transpose(x, d), C(A(2, 3, 4), (2, 0, 1)), C(A(2, 3), [-1, 0]),
        C(A(), ()), names=("input", "dims"),
        errors=[E((RuntimeError, ValueError), A(2, 3), (0, 0)), E(RuntimeError, A(2, 3), (0,)),
        E((IndexError, RuntimeError), A(2, 3), (0, 2))]),
    row("movedim", np.moveaxis, C(A(2, 3, 4), 0, 2), C(A(2, 3, 4), (0, 1), (1, 2)),
        C(A(2, 3), -1, 0), aliases=("moveaxis",), errors=[E(RuntimeError, A(2, 3), (0, 0), (0, 1))]),
    row("expand", _expand, C(A(1, 3), 2, 3), C(A(3), (2, -1)), C(A(), 2, 2), C(A(2, 1), 4, -1, 3),
        function=False, errors=[E(RuntimeError, A(2, 3), 3, 3), E(RuntimeError, A(2, 3), 3)]),
    row("broadcast_to", np.broadcast_to, C(A(1, 3), (2, 3)), C(A(), (2,)), C(A(3), (0, 3)),
        errors=[E(RuntimeError, A(2, 3), (3, 3))]),
    row("narrow", lambda x, d, s, n: np.take(x, range(s, s + n), d), C(A(2, 5), 1, 1, 3),
        C(A(4), 0, 1, 2), C(A(4), 0, 2, 0),
        errors=[E((RuntimeError, IndexError), A(4), 0, 3, 2), E(RuntimeError, A(), 0, 0, 1),
        E((RuntimeError, IndexError), A(4), 0, 1, -1)], names=("input", "dim", "start", "length")),
    row("select", lambda x, d, i: np.take(x, i, d), C(A(2, 3), 1, 2), C(A(2, 3, 4), 0, -1),
        C(A(3), 0, 0), errors=[E(IndexError, A(2), 0, 2), E(IndexError, A(), 0, 0)]),
    row("unfold", lambda x, d, size, step:
        np.lib.stride_tricks.sliding_window_view(x, size, d)[
        (slice(None),) * (d % x.ndim) + (slice(None, None, step),)],
        C(A(7), 0, 3, 2), C(A(2, 5), 1, 2, 1), C(A(2, 5), -1, 5, 1), function=False,
        errors=[E(RuntimeError, A(3), 0, 4, 1), E(RuntimeError, A(3), 0, 2, 0)]),
    row("as_strided", lambda x, size, stride, offset=0: np.lib.stride_tricks.as_strided(
        x.ravel()[offset:], size, [s * x.itemsize for s in stride]), C(A(6), (2, 2), (1, 2)),
        C(A(6), (2, 3), (1, 1), 1), skips={"layout": "it depends on the layout",
        "gradient-layout": ""}),
    row("diagonal", np.diagonal, C(A(3, 3)), C(A(2, 4), 1), C(A(2, 3, 4), 0, 1, 2),
        C(A(3, 3), offset=-1), errors=[E(RuntimeError, A(3, 3), 0, 1, 1)]),
    row("view_as", lambda x, y: x.reshape(y.shape), C(A(2, 3), A(3, 2)), function=False,
        skips={"layout": "a view of a strided tensor may not exist", "gradient-layout": "",
        "gradient": ""}),
    row("reshape_as", lambda x, y: x.reshape(y.shape), C(A(2, 3), A(6)), function=False,
        skips={"gradient": "", "gradient-layout": ""}),
    row("expand_as", lambda x, y: np.broadcast_to(x, y.shape), C(A(3), A(2, 3)), function=False,
        skips={"gradient": "", "gradient-layout": ""}),
    row("adjoint", lambda x: np.swapaxes(x, -1, -2), C(A(2, 3)), C(A(2, 3, 4)), dtypes=FLOATS),
    row("contiguous", np.asarray, C(A(2, 3)), C(A()), function=False),
    row("clone", np.array, C(A(2, 3)), C(A()), C(A(0))),
    row("atleast_1d", np.atleast_1d, C(A()), C(A(2)), method=None),
    row("atleast_2d", np.atleast_2d, C(A()), C(A(2)), C(A(2, 2)), method=None),
    row("atleast_3d", np.atleast_3d, C(A()), C(A(2)), C(A(2, 2)), method=None),
]  # fmt: skip


def _repeat(x: Any, *reps: Any) -> Any:
    reps = reps[0] if len(reps) == 1 and not isinstance(reps[0], int) else reps
    return np.tile(x, reps)


def _repeat_interleave(x: Any, repeats: Any, dim: Any = None) -> Any:
    return np.repeat(x, repeats, dim)


def _roll(x: Any, shifts: Any, dims: Any = None) -> Any:
    return np.roll(x, shifts, dims)


def _diag_embed(x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    n = x.shape[-1] + abs(offset)
    y = np.zeros((*x.shape[:-1], n, n), x.dtype)
    i = np.arange(x.shape[-1])
    y[..., i + max(-offset, 0), i + max(offset, 0)] = x
    return np.moveaxis(y, (-2, -1), (dim1, dim2))


COPIES = [
    row("repeat", _repeat, C(A(2, 3), 2, 1), C(A(3), 2, 2), C(A(), 3), C(A(2), (3,)),
        function=False, errors=[E(RuntimeError, A(2, 3), 2), E(RuntimeError, A(2), -1)]),
    row("tile", lambda x, d: np.tile(x, d), C(A(2, 3), (2,)), C(A(3), (2, 2)), C(A(), (2,)),
        names=("input", "dims")),
    row("repeat_interleave", _repeat_interleave, C(A(3), 2), C(A(2, 3), 2, dim=1),
        C(A(3), V([1, 0, 2], "int64")), C(A(2, 3), V([2, 1], "int64"), 0),
        errors=[E(RuntimeError, A(3), V([1, 2], "int64")), E(RuntimeError, A(3), -1)]),
    row("flip", lambda x, d: np.flip(x, d), C(A(2, 3), (0,)), C(A(2, 3, 4), (0, -1)), C(A(3), [0]),
        errors=[E(IndexError, A(2), (1,)), E(RuntimeError, A(2, 2), (0, 0))]),
    row("fliplr", np.fliplr, C(A(2, 3))),
    row("flipud", np.flipud, C(A(2, 3))),
    row("roll", _roll, C(A(5), 2), C(A(2, 3), 1, 0), C(A(2, 3), (1, -1), (0, 1)), C(A(2, 3), 2),
        C(A(3, 1), 1, 1), errors=[E(RuntimeError, A(2, 3), (1, 2), 0)]),
    row("rot90", lambda x, k=1, dims=(0, 1): np.rot90(x, k, dims), C(A(2, 3)), C(A(2, 3), 2),
        C(A(2, 3, 4), 1, [1, 2]), C(A(2, 3), -1)),
    row("tril", np.tril, C(A(3, 3)), C(A(2, 4), 1), C(A(2, 3, 3), -1), inplace=True, out=True,
        errors=[E(RuntimeError, A(3))], names=("input",)),
    row("triu", lambda x, diagonal=0: np.triu(x, diagonal), C(A(3, 3)), C(A(2, 4), 1), C(A(2, 3, 3),
        diagonal=-1), inplace=True, out=True, errors=[E(RuntimeError, A(3))], names=("input",)),
    row("diag", np.diag, C(A(3)), C(A(3, 3)), C(A(2), 1), C(A(3, 4), -1),
        errors=[E(RuntimeError, A(2, 2, 2))]),
    row("diag_embed", _diag_embed, C(A(3)), C(A(2, 3)), C(A(2, 3), 1), C(A(2, 2), -1, 0, 2)),
    row("diagflat", lambda x, offset=0: np.diagflat(x, offset), C(A(2, 2)), C(A(2), 1)),
    row("diagonal_scatter", lambda x, y: (lambda z: (np.fill_diagonal(z, y), z)[1])(x.copy()),
        C(A(3, 3), A(3)), dtypes=FLOATS),
    row("select_scatter", lambda x, y, d, i: (lambda z: (z.__setitem__(
        (slice(None),) * d + (i,), y), z)[1])(x.copy()), C(A(2, 3), A(2), 1, 0), dtypes=FLOATS),
    row("slice_scatter", lambda x, y, d, s, e: (lambda z: (z.__setitem__(
        (slice(None),) * d + (slice(s, e),), y), z)[1])(x.copy()), C(A(4, 3), A(2, 3), 0, 1, 3),
        dtypes=FLOATS),
]  # fmt: skip


def _split(x: Any, size: Any, dim: int = 0) -> Any:
    if isinstance(size, int):
        return np.split(x, range(size, x.shape[dim], size), dim)
    return np.split(x, np.cumsum(size)[:-1], dim)


def _chunk(x: Any, n: int, dim: int = 0) -> Any:
    return _split(x, -(-x.shape[dim] // n), dim)


def _unbind(x: Any, dim: int = 0) -> Any:
    return [np.take(x, i, dim) for i in range(x.shape[dim])]


def _block_diag(*xs: Any) -> Any:
    xs = tuple(np.atleast_2d(x) for x in xs)
    y = np.zeros((sum(x.shape[0] for x in xs), sum(x.shape[1] for x in xs)))
    r = c = 0
    for x in xs:
        y[r : r + x.shape[0], c : c + x.shape[1]] = x
        r, c = r + x.shape[0], c + x.shape[1]
    return y


JOIN_ERRORS = [E((RuntimeError, ValueError), []), E(TypeError, 3)]
JOINS = [
    row("cat", lambda xs, dim=0: np.concatenate(xs, dim), C([A(2, 3), A(1, 3)]),
        C((A(2, 3), A(2, 1)), 1), C([A(2), A(0), A(1)]), C([A(2, 3), A(2, 3)], dim=-1),
        method=None, out=True, aliases=("concat", "concatenate"), names=("tensors",),
        errors=[*JOIN_ERRORS, E(RuntimeError, [A(2, 3), A(2, 2)]), E(RuntimeError, [A(2), A(2, 2)]),
        E(RuntimeError, [A(), A()]), E(IndexError, [A(2), A(2)], 1), E(TypeError, [A(2), 1.0])]),
    row("stack", lambda xs, dim=0: np.stack(xs, dim), C([A(2, 3), A(2, 3)]), C([A(3), A(3)], -1),
        C([A(), A()]), C([A(2, 3)], dim=1), method=None, out=True, names=("tensors",),
        errors=[*JOIN_ERRORS, E(RuntimeError, [A(2), A(3)]), E(IndexError, [A(2), A(2)], 2)]),
    row("hstack", np.hstack, C([A(2), A(3)]), C([A(2, 1), A(2, 2)]), C([A(), A()]), method=None),
    row("vstack", np.vstack, C([A(3), A(3)]), C([A(2, 3), A(1, 3)]), method=None,
        aliases=("row_stack",)),
    row("dstack", np.dstack, C([A(3), A(3)]), C([A(2, 3), A(2, 3)]), method=None),
    row("column_stack", np.column_stack, C([A(3), A(3)]), C([A(2, 2), A(2)]), method=None),
    row("split", _split, C(A(5), 2), C(A(2, 6), 4, 1), C(A(5, 2), [1, 4]), C(A(2, 3), (1, 2), dim=1),
        errors=[E(RuntimeError, A(5), [1, 2]), E(RuntimeError, A(5), -1),
        E((RuntimeError, IndexError), A(), 1)]),
    row("chunk", _chunk, C(A(5), 2), C(A(2, 6), 4, 1), C(A(3), 5), errors=[E(RuntimeError, A(5), 0),
        E((RuntimeError, ValueError), A(), 1)], names=("input", "chunks")),
    row("tensor_split", lambda x, n, dim=0: np.array_split(x, n, dim), C(A(7), 3), C(A(7), (2, 5)),
        C(A(2, 5), 2, dim=1), errors=[E(RuntimeError, A(3), 0)]),
    row("unbind", _unbind, C(A(2, 3)), C(A(2, 3), 1), C(A(3)), errors=[E(IndexError, A(2), 1),
        E((RuntimeError, IndexError), A())]),
    row("hsplit", np.hsplit, C(A(2, 4), 2), C(A(4), [1, 3])),
    row("vsplit", np.vsplit, C(A(4, 2), 2)),
    row("dsplit", np.dsplit, C(A(2, 2, 4), 2)),
    row("block_diag", _block_diag, C(A(2, 2), A(1, 3)), C(A(2), A(1, 1)), dtypes=WIDE_FLOATS,
        method=None),
    row("meshgrid", lambda *xs, indexing="ij": np.meshgrid(*xs, indexing=indexing),
        C(A(2), A(3), indexing="ij"), C(A(2), A(3), indexing="xy"), method=None),
    row("cartesian_prod", lambda *xs: np.stack([g.ravel() for g in np.meshgrid(*xs, indexing="ij")],
        1), C(A(2), A(3)), C(A(2), A(2), A(2)), method=None),
    row("combinations", lambda x, r=2, with_replacement=False: np.array(list((
        itertools.combinations_with_replacement if with_replacement
        else itertools.combinations)(x, r))), C(A(4)), C(A(3), 2, True), C(A(4), r=3),
        method=None),
    row("broadcast_tensors", np.broadcast_arrays, C(A(2, 1), A(3)), method=None,
        errors=[E(RuntimeError, A(2), A(3))]),
]  # fmt: skip


def make(name: str, ref: Any, *calls: Any, **kw: Any) -> Row:
    """A creation function: no tensor to differentiate by, no memory layout to vary."""
    kw.setdefault("rtype", None)
    kw.setdefault("dtypes", ("float32",))
    return Row(name, ref, list(calls), method=kw.pop("method", None), order=0, **kw)


def _np(f: Any) -> Any:
    """A NumPy creation function given PyTorch's dtype names."""

    def ref(*args: Any, dtype: str = "", **kw: Any) -> Any:
        kw.pop("requires_grad", None), kw.pop("device", None)
        return f(*args, **kw).astype(dtype or "float64")

    return ref


def _sizes(f: Any) -> Any:
    return lambda *s: f(s[0] if len(s) == 1 and not isinstance(s[0], int) else s)


def _logspace(start: Any, end: Any, steps: int, base: float = 10.0) -> Any:
    return np.logspace(start, end, steps, base=base)


SIZE_ERRORS = [
    E(BAD_SHAPE, -1), E(TypeError, "2"), E(TypeError, 2.5), E(BAD_SHAPE, (2, -3)),
    E((RuntimeError, MemoryError, OverflowError, ValueError, TypeError), 2**40, 2**40),
]  # fmt: skip
LIKE = ("float64", "float16", "int64", "bool")
CREATION = [
    make("zeros", _np(_sizes(np.zeros)), C(2, 3), C((2, 3)), C(0), C(()), C(2, dtype="dtype:int64"),
         C([2], device="cpu", requires_grad=True), errors=SIZE_ERRORS),
    make("ones", _np(_sizes(np.ones)), C(2, 3), C((2, 3)), C(()), C(2, dtype="dtype:bool"),
         errors=SIZE_ERRORS),
    make("empty", None, C(2, 3), errors=SIZE_ERRORS, skips={"torch": "", "reference": "any values",
         "layout": ""}),
    make("full", _np(np.full), C((2, 3), 1.5), C((2,), 7, dtype="dtype:int64"), C((), 2.0),
         names=("size", "fill_value"), errors=[E(BAD_SHAPE, (-1,), 0.0), E(TypeError, (2,), "x")]),
    make("eye", _np(np.eye), C(3), C(2, 3), C(3, 2, dtype="dtype:int64"), C(0),
         errors=[E(RuntimeError, -1)]),
    make("arange", _np(np.arange), C(5), C(1, 4), C(1, 2, 0.25), C(5, 0, -2), C(0, 1, 0.1),
         C(2.5), C(3, dtype="dtype:float32"), errors=[E((RuntimeError, ValueError), 0, 1, 0),
         E((RuntimeError, ValueError), 1, 0, 1), E(TypeError, "5")]),
    make("linspace", _np(np.linspace), C(0, 1, 5), C(-2.0, 3.0, 4), C(1, 1, 1), C(0, 1, 0),
         C(3, 10, 8), errors=[E(RuntimeError, 0, 1, -1)]),
    make("logspace", _np(_logspace), C(0, 2, 3), C(-1, 1, 5, base=2.0)),
    make("tril_indices", lambda r, c, offset=0: np.stack(np.tril_indices(r, offset, c)), C(3, 3),
         C(2, 4, 1), C(3, 2, -1)),
    make("triu_indices", lambda r, c, offset=0: np.stack(np.triu_indices(r, offset, c)), C(3, 3),
         C(2, 4, 1), C(3, 2, -1)),
    make("zeros_like", lambda x: np.zeros_like(x), C(A(2, 3)), C(A()), rtype="same", dtypes=LIKE),
    make("ones_like", lambda x: np.ones_like(x), C(A(2, 3)), C(A()), rtype="same", dtypes=LIKE),
    make("full_like", np.full_like, C(A(2, 3), 1), C(A(), 0), rtype="same", dtypes=LIKE),
    make("empty_like", None, C(A(2, 3)), dtypes=LIKE,
         skips={"torch": "", "reference": "any values", "layout": ""}),
    make("new_zeros", lambda x, s: np.zeros(s, x.dtype), C(A(2), (2, 3)), C(A(2), 2), rtype="same",
         dtypes=LIKE, function=False, method="new_zeros"),
    make("new_ones", lambda x, s: np.ones(s, x.dtype), C(A(2), (2, 3)), rtype="same",
         dtypes=LIKE, function=False, method="new_ones"),
    make("new_full", lambda x, s, v: np.full(s, v, x.dtype), C(A(2), (2, 3), 1), rtype="same",
         dtypes=LIKE, function=False, method="new_full"),
    make("new_empty", None, C(A(2), (2, 3)), function=False, method="new_empty",
         skips={"torch": "", "reference": "any values", "layout": ""}),
    make("new_tensor", lambda x, v: np.asarray(v, x.dtype), C(A(2), [1, 0]), function=False,
         method="new_tensor", rtype="same", dtypes=LIKE),
    make("vander", np.vander, C(A(3)), C(A(3), 4), C(A(3), increasing=True), dtypes=WIDE_FLOATS),
    make("scalar_tensor", np.asarray, C(2.0), C(3)),
    *(make(f"{w}_window", None, C(5), C(6, periodic=False), skips={"reference": "see torch",
      "layout": ""}) for w in ("hann", "hamming", "blackman", "bartlett")),
    make("nn.functional.one_hot", lambda x, num_classes=-1: np.eye(num_classes if num_classes > 0
         else x.max() + 1, dtype=np.int64)[x], C(V([0, 2, 1], "int64")),
         C(V([[0], [1]], "int64"), 3), C(V([1, 0], "int64"), num_classes=2), dtypes=("int64",),
         errors=[E(RuntimeError, V([0, 3], "int64"), 2), E(RuntimeError, V([-1], "int64"), 2)]),
]  # fmt: skip

CASTS = [
    row(name, lambda x, to=to: x.astype(to), C(A(2, 3)), C(A()), function=False, dtypes=ALL,
        rtype=None, order=order, ints=(0, 5), domain=(0, 5))
    for name, to, order in [
        ("double", "float64", 2), ("float", "float32", 0), ("half", "float16", 0),
        ("long", "int64", 0), ("int", "int32", 0), ("short", "int16", 0), ("char", "int8", 0),
        ("byte", "uint8", 0), ("bool", "bool", 0),
    ]
] + [
    row("type", lambda x, t: x.astype(t), C(A(2), "dtype:float64"), C(A(2), "dtype:int64"),
        function=False, order=0, rtype=None),
    row("to", lambda x, t: x.astype(t), C(A(2), "dtype:float64"), C(A(2), "dtype:int32"),
        function=False, order=0, rtype=None, dtypes=ALL, ints=(0, 5)),
    row("type_as", lambda x, y: x.astype(y.dtype), C(A(2), D("int64", 1)), function=False, order=0,
        rtype=None, ints=(0, 5)),
]  # fmt: skip

NOT_IN_PLACE_TWICE = {"layout": "it writes to its input"}
WRITES = [
    row("copy_", lambda x, y: np.broadcast_to(y, x.shape).astype(x.dtype), C(A(2, 3), A(2, 3)),
        C(A(2, 3), A(3)),
        C(A(2, 3), D("int64", 2, 1, low=0, high=2)), C(A(2), 3), function=False, order=0, rtype="same",
        skips=NOT_IN_PLACE_TWICE, errors=[E(RuntimeError, A(2), A(3)), E(TypeError, A(2), "x")]),
    row("fill_", lambda x, v: np.full_like(x, v), C(A(2, 3), 1), C(A(), 0), C(A(0), 1),
        function=False, order=0, skips=NOT_IN_PLACE_TWICE, errors=[E(RuntimeError, A(2), A(2)),
        E(TypeError, A(2), "x")]),
    row("zero_", np.zeros_like, C(A(2, 3)), C(A()), function=False, order=0,
        skips=NOT_IN_PLACE_TWICE),
    row("as_strided_scatter", lambda x, y, size, stride: (lambda z: (np.lib.stride_tricks.as_strided(
        z, size, [s * z.itemsize for s in stride]).__setitem__(..., y), z)[1])(x.copy()),
        C(A(6), A(2, 2), (2, 2), (1, 2)), dtypes=FLOATS, torch_bugs=("gradient",),
        skips={"layout": "it depends on the layout", "gradient-layout": ""}),
    row("split_with_sizes", _split, C(A(5, 2), [1, 4]), C(A(2, 3), [1, 2], 1)),
    row("constant_pad_nd", lambda x, pad, value=0: np.pad(x, [(0, 0)] * (x.ndim - len(pad) // 2) + [
        (pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)], constant_values=value),
        C(A(2, 3), (1, 2)), C(A(2, 3), (1, 0, 2, 1), 1), method=None),
    make("unravel_index", lambda i, s: np.unravel_index(i, s), C(V([3, 5], "int64"), (2, 3)),
         C(V(4, "int64"), (2, 2, 2)), dtypes=("int64",)),
    make("range", None, C(0, 4), C(1, 2, 0.5), skips={"reference": "see torch", "layout": ""}),
    make("empty_strided", None, C((2, 3), (1, 2)), skips={"torch": "", "layout": "",
         "reference": "any values"}),
]  # fmt: skip

VIEW_COPIES = [
    row("narrow_copy", lambda x, d, a, n: np.take(x, range(a, a + n), d), C(A(2, 5), 1, 1, 3),
        errors=[E(RuntimeError, A(2, 5), 1, 3, 3)]),
    row("squeeze_copy", _squeeze, C(A(1, 3, 1)), C(A(1, 3, 1), 0), method=None),
    row("unsqueeze_copy", np.expand_dims, C(A(2, 3), 1), method=None),
    row("view_copy", np.reshape, C(A(2, 3), (3, 2)), method=None,
        skips={"layout": "a view of a strided tensor may not exist", "gradient-layout": ""}),
    row("expand_copy", _expand, C(A(2, 1), (2, 3)), method=None),
    row("permute_copy", np.transpose, C(A(2, 3, 4), (2, 0, 1)), method=None),
    row("transpose_copy", np.swapaxes, C(A(2, 3, 4), 0, 2), method=None),
    row("t_copy", np.transpose, C(A(2, 3)), C(A(3)), method=None),
    row("select_copy", lambda x, d, i: np.take(x, i, d), C(A(2, 3), 1, 2), method=None),
    row("slice_copy", lambda x, d=0, a=None, b=None, s=1: x[(slice(None),) * d + (slice(a, b, s),)],
        C(A(5, 2)), C(A(2, 5), 1, 1, 4, 2), method=None),
    row("diagonal_copy", lambda x, o=0: np.diagonal(x, o), C(A(3, 4)), C(A(3, 4), 1), method=None),
    row("as_strided_copy", lambda x, size, stride: np.lib.stride_tricks.as_strided(
        x, size, [s * x.itemsize for s in stride]), C(A(6), (2, 2), (1, 2)), method=None,
        skips={"layout": "it depends on the layout", "gradient-layout": ""}),
    row("alias_copy", np.copy, C(A(2, 3)), method=None),
    row("detach_copy", np.copy, C(A(2, 3)), method=None, order=0),
    row("unbind_copy", lambda x, d=0: [np.take(x, i, d) for i in range(x.shape[d])], C(A(2, 3)),
        C(A(2, 3), 1), method=None),
    row("split_with_sizes_copy", _split, C(A(5, 2), [1, 4]), method=None),
    row("unsafe_split_with_sizes", _split, C(A(5, 2), [1, 4])),
    row("unsafe_split", lambda x, n: [x[i : i + n] for i in range(0, len(x), n)], C(A(5, 2), 2)),
    row("unsafe_chunk", lambda x, n: np.array_split(x, n), C(A(4, 2), 2)),
    row("sum_to_size", lambda x, *s: x.sum(tuple(i for i, n in enumerate(s) if n == 1),
        keepdims=True, dtype=x.dtype), C(A(2, 3), 1, 3), C(A(2, 3), 2, 1), function=False, dtypes=FLOATS,
        errors=[E(RuntimeError, A(2, 3), 4, 3)]),
    row("fill_diagonal_", lambda x, v: (lambda z: (np.fill_diagonal(z, v), z)[1])(x.copy()),
        C(A(3, 3), 1), C(A(2, 4), 0), function=False, order=0, skips=NOT_IN_PLACE_TWICE,
        errors=[E(RuntimeError, A(3), 1)]),
    row("nonzero_static", None, C(A(2, 3), size=4), order=0, rtype="int64",
        skips={"reference": "see torch"}),
]  # fmt: skip

ROWS = [*WRITES, *VIEW_COPIES, *VIEWS, *COPIES, *JOINS, *CREATION, *CASTS]
