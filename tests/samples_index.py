"""Rows of gathering, scattering, masking, sorting and searching."""

from __future__ import annotations

from typing import Any

import numpy as np

from table import ALL, FLOATS, WIDE_FLOATS, A, C, D, E, M, N, Row, V

SOME = FLOATS + ("int64", "int32", "uint8", "bool")
NUMERIC = FLOATS + ("int64", "int32")
INDEX_ERRORS = (IndexError, RuntimeError)
TIES = "of equal values any may come first"


def row(name: str, ref: Any, *calls: Any, **kw: Any) -> Row:
    kw.setdefault("dtypes", SOME)
    return Row(name, ref, list(calls), **kw)


def I(*values: Any) -> Any:  # noqa: E743
    return V(list(values), "int64")


def _along(index: Any, dim: int) -> tuple[Any, ...]:
    """Open-mesh indices that address `index` along `dim` and its own place elsewhere."""
    grid = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[dim] = index
    return tuple(grid)


def _gather(x: Any, dim: int, index: Any) -> Any:
    return x[_along(index, dim)]


def _places(dim: int, index: Any) -> Any:
    for where in np.ndindex(index.shape):
        target = list(where)
        target[dim] = index[where]
        yield where, tuple(target)


def _scatter(x: Any, dim: int, index: Any, src: Any, reduce: str | None = None) -> Any:
    y = x.copy()
    for where, target in _places(dim, index):
        v = src[where] if isinstance(src, np.ndarray) and src.ndim else src
        y[target] = {None: v, "add": y[target] + v, "multiply": y[target] * v}[reduce]
    return y


_REDUCTIONS = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def _scatter_reduce(
    x: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool = True
) -> Any:
    y, count = x.astype(np.float64), np.zeros(x.shape)
    for where, target in _places(dim, index):
        fresh = not include_self and count[target] == 0
        op = _REDUCTIONS["sum" if reduce == "mean" else reduce]
        y[target] = src[where] if fresh else op(y[target], src[where])
        count[target] += 1
    if reduce == "mean":
        y = y / np.maximum(count + include_self, 1)
    return y if x.dtype.kind == "f" else np.floor(y)


def _index_set(f: Any) -> Any:
    def ref(x: Any, dim: int, index: Any, src: Any, alpha: Any = 1) -> Any:
        y = np.moveaxis(x.copy(), dim, 0) if x.ndim else x.copy()
        s = np.moveaxis(src, dim, 0) if np.ndim(src) else src
        for i, j in enumerate(np.atleast_1d(index)):
            y[j] = f(y[j], alpha * s[i] if np.ndim(src) else src)
        return np.moveaxis(y, 0, dim)

    return ref


def _index_reduce(
    x: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool = True
) -> Any:
    full = np.broadcast_to(np.expand_dims(index, [i for i in range(x.ndim) if i != dim]), src.shape)
    return _scatter_reduce(x, dim, full, src, {"mean": "mean"}.get(reduce, reduce), include_self)


def _put(x: Any, index: Any, src: Any, accumulate: bool = False) -> Any:
    y = x.copy().ravel()
    for i, v in zip(index.ravel(), src.ravel(), strict=True):
        y[i] = y[i] + v if accumulate else v
    return y.reshape(x.shape)


def _index_put(x: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    y = x.copy()
    if accumulate:
        np.add.at(y, tuple(indices), values)
    else:
        y[tuple(indices)] = values
    return y


def _masked_scatter(x: Any, mask: Any, src: Any) -> Any:
    y = x.copy()
    full = np.broadcast_to(mask, x.shape)
    y[full] = src.ravel()[: full.sum()]
    return y


def _fill_index(x: Any, dim: int, index: Any, value: Any) -> Any:
    y = np.moveaxis(x.copy(), dim, 0)
    y[index] = value
    return np.moveaxis(y, 0, dim)


GATHER = [
    row("gather", _gather, C(A(3, 4), 0, N(2, 4, high=3)), C(A(3, 4), 1, N(3, 6, high=4)),
        C(A(2, 3, 4), -1, N(2, 2, 2, high=4)), C(A(5), 0, N(3, high=5)), out=True,
        names=("input", "dim", "index"),
        errors=[E(INDEX_ERRORS, A(3, 4), 0, I([3, 0, 0, 0])), E(RuntimeError, A(3, 4), 0, I(0)),
        E(INDEX_ERRORS, A(3, 4), 2, N(3, 4, high=3)), E(RuntimeError, A(3), 0, D("float32", 3))]),
    row("take_along_dim", lambda x, i, dim=None: np.take_along_axis(x, i, dim) if dim is not None
        else x.ravel()[i], C(A(3, 4), N(3, 2, high=4), 1), C(A(3, 4), N(5, high=12)),
        C(A(3, 4), N(1, 4, high=3), dim=0), torch_bugs=("layout",)),
    row("index_select", lambda x, d, i: np.take(x, i, d) if x.ndim else x, C(A(3, 4), 0, I(2, 0, 2)),
        C(A(3, 4), -1, I(1)), C(A(5), 0, V([1, 3], "int32")), C(A(3, 4), 1, V([], "int64")),
        C(A(), 0, I(0)), names=("input", "dim", "index"),
        errors=[E(INDEX_ERRORS, A(3), 0, I(3)), E(INDEX_ERRORS, A(3), 0, V([[0]], "int64")),
        E(INDEX_ERRORS, A(3), 1, I(0)), E((RuntimeError, IndexError), A(3), 0, D("float32", 2))]),
    row("take", lambda x, i: np.take(x, i), C(A(3, 4), N(2, 3, high=12)), C(A(5), I(-1, 2)),
        errors=[E(INDEX_ERRORS, A(3), I(3)), E(RuntimeError, A(3), D("float32", 1))]),
    row("masked_select", lambda x, m: np.broadcast_to(x, np.broadcast_shapes(x.shape, m.shape))[
        np.broadcast_to(m, np.broadcast_shapes(x.shape, m.shape))], C(A(2, 3), M(2, 3)),
        C(A(2, 3), M(3)), C(A(3), M(2, 1)), names=("input", "mask"),
        errors=[E(RuntimeError, A(2, 3), A(2, 3)), E(RuntimeError, A(2, 3), M(2))]),
    row("nonzero", lambda x: np.stack(np.nonzero(x), 1) if x.ndim else
        np.zeros((int(bool(x)), 0)), C(A(2, 3)), C(A(4)), C(V([[0, 1], [2, 0]])), C(V(1)),
        C(A(0, 2)), order=0, rtype="int64", ints=(0, 3), dtypes=ALL),
    row("argwhere", lambda x: np.argwhere(x), C(A(2, 3)), C(V([[0, 1], [2, 0]])), order=0,
        rtype="int64", ints=(0, 3)),
]  # fmt: skip

SCATTER = [
    row("scatter", _scatter, C(A(3, 4), 0, I([0, 2, 1, 0], [1, 0, 2, 2]), A(2, 4)),
        C(A(2, 3), 1, I([2, 0], [1, 2]), A(2, 3)), C(A(2, 3), 1, I([2], [1]), 1),
        C(A(4), 0, I(1, 3), A(2)), inplace=True, out=True, names=("input", "dim", "index", "src"),
        torch_bugs=("gradient",),
        errors=[E(INDEX_ERRORS, A(3), 0, I(3), A(1)), E(RuntimeError, A(3), 0, I([0]), A(1)),
        E(RuntimeError, A(3), 0, I(0, 1), A(1)), E(RuntimeError, A(3), 0, I(0), D("float64", 1)),
        E(INDEX_ERRORS, A(3), 1, I(0), A(1))]),
    row("scatter_add", lambda x, d, i, s: _scatter(x, d, i, s, "add"),
        C(A(3, 4), 0, I([0, 2, 1, 0], [1, 2, 1, 0]), A(2, 4)), C(A(3), 0, I(1, 1, 1), A(4)),
        inplace=True, out=True, dtypes=NUMERIC, names=("input", "dim", "index", "src"), tol=3,
        torch_bugs=("gradient",),
        errors=[E(INDEX_ERRORS, A(3), 0, I(-4), A(1)), E(RuntimeError, A(3), 0, I(0, 1), A(1))]),
    row("scatter_reduce", _scatter_reduce, *(
        C(A(3, 4), 0, I([0, 2, 1, 0], [1, 2, 1, 2]), A(2, 4), r, include_self=s)
        for r in ("sum", "prod", "mean", "amax", "amin") for s in (True, False)),
        dtypes=WIDE_FLOATS + ("int64",), inplace=True, out=True, tol=3, order=1,
        errors=[E((RuntimeError, TypeError), A(3), 0, I(0), A(1), "median")]),
    row("index_add", _index_set(lambda old, new: old + new), C(A(3, 4), 0, I(0, 2, 0), A(3, 4)),
        C(A(3, 4), 1, I(1), A(3, 1)), C(A(4), 0, I(1, 2), A(2), alpha=2), dtypes=NUMERIC,
        inplace=True, out=True, tol=3, names=("input", "dim", "index", "source"),
        errors=[E(INDEX_ERRORS, A(3), 0, I(3), A(1)), E(INDEX_ERRORS, A(3), 0, I(0, 1), A(1))]),
    row("index_copy", _index_set(lambda old, new: new), C(A(3, 4), 0, I(0, 2), A(2, 4)),
        C(A(3, 4), 1, I(1), A(3, 1)), inplace=True, out=True,
        names=("input", "dim", "index", "source"),
        errors=[E(INDEX_ERRORS, A(3), 0, I(3), A(1))]),
    row("index_fill", _fill_index, C(A(3, 4), 0, I(0, 2), 1), C(A(3, 4), 1, I(-1), 0),
        C(A(3), 0, I(1), A(grad=True)), inplace=True,
        errors=[E(INDEX_ERRORS, A(3), 0, I(3), 1.0), E((RuntimeError, IndexError), A(3), 0,
        D("float32", 1), 1.0)]),
    row("index_reduce", _index_reduce, *(
        C(A(3, 4), 0, I(0, 2, 0), A(3, 4), r, include_self=s)
        for r in ("prod", "mean", "amax", "amin") for s in (True, False)), dtypes=WIDE_FLOATS,
        inplace=True, order=1, tol=3),
    row("index_put", _index_put, C(A(3, 4), (I(0, 2), I(1, 1)), A(2)),
        C(A(3, 4), (I(0, 0),), A(4), accumulate=True), C(A(3, 4), (M(3, 4),), A()),
        dtypes=NUMERIC, inplace=True, tol=3,
        errors=[E(IndexError, A(3), (I(3),), A(1)), E(RuntimeError, A(3), (I(0, 1),), A(3))]),
    row("put", _put, C(A(3, 4), I(0, 5, 11), A(3)), C(A(4), I(1, 1), A(2), accumulate=True),
        dtypes=NUMERIC, inplace=True, tol=3, errors=[E(INDEX_ERRORS, A(3), I(3), A(1))]),
    row("masked_fill", lambda x, m, v: np.where(m, v, x), C(A(2, 3), M(2, 3), 1),
        C(A(2, 3), M(3), 0), C(A(2, 3), M(2, 3), A()), C(A(), M(), 1), inplace=True,
        names=("input", "mask", "value"),
        errors=[E(RuntimeError, A(2, 3), M(2), 0.0), E(RuntimeError, A(2), A(2), 0.0),
        E(RuntimeError, A(2), M(2), A(2)), E(RuntimeError, A(2), M(3), 1.5)]),
    row("masked_scatter", _masked_scatter, C(A(2, 3), M(2, 3), A(6)), C(A(2, 3), M(3), A(2, 3)),
        inplace=True, errors=[E(RuntimeError, A(2), M(3), A(3))]),
]  # fmt: skip


# -- sorting and searching -------------------------------------------------------------------------


def _sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    if np.ndim(x) == 0:
        return x, np.int64(0)
    index = np.argsort(-x if descending else x, axis=dim, kind="stable")
    return np.take_along_axis(x, index, dim), index


def _topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    if np.ndim(x) == 0:
        return x, np.int64(0)
    v, i = _sort(x, dim, largest)
    return np.take(v, range(k), dim), np.take(i, range(k), dim)


def _kthvalue(x: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    v, i = _sort(x, dim)
    pick = (lambda a: np.take(a, [k - 1], dim)) if keepdim else (lambda a: np.take(a, k - 1, dim))
    return pick(v), pick(i)


def _unique(x: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
            dim: Any = None) -> Any:  # fmt: skip
    r = np.unique(x, False, return_inverse, return_counts, axis=dim)
    if return_inverse:
        r = (r[0], r[1].reshape(x.shape if dim is None else -1), *r[2:])
    return r


def _unique_consecutive(x: Any, return_inverse: bool = False, return_counts: bool = False) -> Any:
    x = x.ravel()
    new = np.concatenate([[True], x[1:] != x[:-1]])
    out = [x[new]]
    if return_inverse:
        out.append(np.cumsum(new) - 1)
    if return_counts:
        out.append(np.diff(np.append(np.nonzero(new)[0], len(x))))
    return out[0] if len(out) == 1 else tuple(out)


def _searchsorted(a: Any, v: Any, right: bool = False, side: str = "", sorter: Any = None,
                  out_int32: bool = False) -> Any:  # fmt: skip
    side = side or ("right" if right else "left")
    if np.ndim(a) > 1:
        return np.stack([_searchsorted(x, y, side=side) for x, y in zip(a, v, strict=True)])
    return np.asarray(np.searchsorted(a, v, side, sorter), np.int32 if out_int32 else np.int64)


def _histc(x: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    if min == max == 0:
        min, max = x.min(), x.max()
    return np.histogram(x, bins, (min, max))[0].astype(float)


SORTED = V([1, 3, 3, 7])
UNIQUES = V([3, 1, 1, 4, 3, 3])
SORTING = [
    row("sort", _sort, C(A(5)), C(A(2, 4), 0), C(A(2, 4), -1, True), C(A(3), descending=True),
        C(A()), C(A(0)), C(V([2.0, float("nan"), 1.0], "float64")), dtypes=NUMERIC, rtype=None,
        ints=(-9, 30), skips={"index": TIES}, errors=[E(IndexError, A(2), 1)]),
    row("sort", _sort, C(V([2, 1, 2, 1]), stable=True), C(V([2, 1, 2, 1]), stable=True, dim=0,
        descending=True), dtypes=NUMERIC, rtype=None, order=0),
    row("argsort", lambda *a, **k: _sort(*a, **k)[1], C(A(5)), C(A(2, 4), 0), C(A(2, 4), -1, True),
        order=0, dtypes=NUMERIC, rtype="int64", ints=(-9, 30), skips={"index": TIES}),
    row("msort", lambda x: np.sort(x, 0), C(A(4, 2)), dtypes=NUMERIC, ints=(-9, 30)),
    row("topk", _topk, C(A(6), 3), C(A(2, 4), 2, 0), C(A(2, 4), 2, largest=False), C(A(2, 4), 4),
        C(A(), 1), C(A(3), 0), dtypes=NUMERIC, rtype=None, ints=(-9, 30), skips={"index": TIES},
        names=("input", "k"), errors=[E(RuntimeError, A(3), 4), E(RuntimeError, A(3), -1),
        E(IndexError, A(3), 1, 1)]),
    row("kthvalue", _kthvalue, C(A(5), 2), C(A(2, 4), 1, 0), C(A(2, 4), 3, 1, True),
        dtypes=NUMERIC, rtype=None, ints=(-9, 30), skips={"index": TIES},
        errors=[E((RuntimeError, IndexError), A(3), 4), E((RuntimeError, IndexError), A(3), 0)]),
    row("unique", _unique, C(UNIQUES), C(UNIQUES, return_inverse=True),
        C(UNIQUES, return_inverse=True, return_counts=True), C(UNIQUES, True, False, True),
        C(V([[1, 2], [1, 2], [0, 5]]), dim=0), order=0, rtype=None,
        dtypes=("float32", "int64", "uint8")),
    row("unique_consecutive", _unique_consecutive, C(UNIQUES), C(UNIQUES, return_inverse=True),
        C(UNIQUES, return_inverse=True, return_counts=True), order=0, rtype=None,
        dtypes=("float32", "int64")),
    row("searchsorted", _searchsorted, C(SORTED, V([0, 3, 8])), C(SORTED, V([3, 7]), right=True),
        C(SORTED, 3), C(V([[1, 3], [2, 4]]), V([[2], [4]])), C(SORTED, V([3]), side="right"),
        C(SORTED, V([3]), out_int32=True), order=0, rtype=None, method=None,
        dtypes=("float32", "float64", "int64")),
    row("bucketize", lambda v, a, **k: _searchsorted(a, v, **k), C(V([0, 3, 8]), SORTED),
        C(V([[3], [7]]), SORTED, right=True), order=0, rtype=None, method=None,
        dtypes=("float32", "int64")),
    row("bincount", lambda x, w=None, minlength=0: np.bincount(x, w, minlength),
        C(V([0, 2, 2, 5])), C(V([1, 1]), minlength=4), C(V([0, 1, 1]), V([0.5, 1, 2], "float64")),
        C(V([])), order=0, dtypes=("int64", "int32", "uint8"), rtype=None,
        errors=[E(RuntimeError, V([-1], "int64")), E((RuntimeError, ValueError), V([[1]], "int64"))]),
    row("histc", _histc, C(A(9), 4), C(A(9), bins=3, min=-1, max=1), order=0, dtypes=WIDE_FLOATS),
    row("histogram", lambda x, bins=100, **k: tuple(v.astype(float) for v in np.histogram(
        x, bins, density=k.get("density", False), range=k.get("range"))),
        C(A(9), 4),
        C(A(9), 3, range=(-1.0, 1.0)), C(A(9), 4, density=True), C(A(9)), order=0, dtypes=WIDE_FLOATS,
        rtype=None, skips={"layout": ""}),
]  # fmt: skip

ROWS = [*GATHER, *SCATTER, *SORTING]
