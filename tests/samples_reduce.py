"""Rows of the reductions, the cumulative ops and softmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from table import ALL, FLOATS, NUMBERS, WIDE_FLOATS, A, C, D, E, M, Row, V

NAN, INF = math.nan, math.inf
TIES = "of equal values any may be the one"
WITH_INTS = FLOATS + ("int64", "int32", "uint8")


def axis_of(dim: Any) -> Any:
    return tuple(dim) if isinstance(dim, (list, tuple)) else dim


def over(f: Any) -> Any:
    """A NumPy reduction under PyTorch's argument names; no dim, or an empty list, means all."""

    def ref(x: Any, dim: Any = None, keepdim: bool = False, **kw: Any) -> Any:
        kw.pop("dtype", None)
        axis = None if isinstance(dim, (list, tuple)) and not dim else axis_of(dim)
        return f(x, axis=axis, keepdims=keepdim, **kw)

    return ref


REDUCE = [
    C(A(2, 3)), C(A(2, 3, 4), 1), C(A(2, 3, 4), -1, True), C(A(2, 3), dim=0, keepdim=True),
    C(A()), C(A(), 0), C(A(3), -1),
]  # fmt: skip
MANY_DIMS = [C(A(2, 3, 4), (0, 2)), C(A(2, 3, 4), [1, -1], keepdim=True)]
EMPTY = [C(A(0)), C(A(2, 0), 1), C(A(2, 0), 0), C(A(0, 3), 0)]
DIM_ERRORS = [
    E(IndexError, A(2, 3), 2),
    E(IndexError, A(2, 3), -3),
    E(TypeError, A(2, 3), "rows"),
]
TWICE = E(RuntimeError, A(2, 3), (0, 0))

SUMS = [
    Row("sum", over(np.sum), REDUCE + MANY_DIMS + EMPTY + [C(A(2, 3), dtype="dtype:float64"),
        C(A(2, 3), dim=[])], dtypes=ALL, rtype=None, out=True, errors=[*DIM_ERRORS, TWICE],
        names=("input",), skips={"out": "", "out-gradient": "out= needs a dim"}),
    Row("sum", over(np.sum), [C(A(2, 3), 1), C(A(2, 3), (0, 1))], dtypes=ALL, rtype="sum",
        out=True),
    Row("mean", over(lambda x, axis=None, keepdims=False: np.mean(
        x, axis=axis if np.ndim(x) else None, keepdims=keepdims)), REDUCE + MANY_DIMS + [C(A(2, 0), 0), C(A(2, 3),
        dtype="dtype:float64")], rtype=None, names=("input",),
        errors=[*DIM_ERRORS, TWICE, E(RuntimeError, D("int64", 3)), E(RuntimeError, M(3))]),
    Row("mean", over(np.mean), [C(A(2, 3), 1), C(A(2, 3), (0, 1))], out=True),
    Row("nansum", over(np.nansum), [*REDUCE, C(V([[NAN, 1.0], [2.0, NAN]]), 1)], dtypes=FLOATS),
    Row("nanmean", over(np.nanmean), [*REDUCE, C(V([[NAN, 1.0], [2.0, 4.0]]), 1)],
        dtypes=WIDE_FLOATS),
    Row("prod", over(np.prod), [C(A(2, 3)), C(A(2, 3, 4), 1), C(A(2, 3), -1, True), C(A()),
        C(A(0)), C(V([2.0, 0.0, 3.0], "float64", grad=True)),
        C(V([[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]], "float64", grad=True), 1)],
        dtypes=FLOATS + ("int64", "uint8"), rtype="sum", ints=(1, 4), tol=2, errors=DIM_ERRORS),
    Row("any", over(np.any), REDUCE + EMPTY + [C(A(2, 3, 4), (0, 1))], dtypes=ALL, order=0,
        rtype=None, ints=(0, 2), errors=DIM_ERRORS[:2]),
    Row("all", over(np.all), REDUCE + EMPTY + [C(A(2, 3, 4), (0, 1))], dtypes=ALL, order=0,
        rtype=None, ints=(0, 2), errors=DIM_ERRORS[:2]),
    Row("count_nonzero", lambda x, dim=None: np.count_nonzero(x, axis=axis_of(dim)),
        [C(A(2, 3)), C(A(2, 3), 1), C(A(2, 3, 4), (0, 1)), C(A(0))], dtypes=ALL, order=0,
        rtype="int64", ints=(0, 2)),
    Row("logsumexp", lambda x, dim, keepdim=False: np.log(np.sum(np.exp(x), axis_of(dim),
        keepdims=keepdim)), [C(A(2, 3), 1), C(A(2, 3, 4), (0, 2)), C(A(3), 0, True), C(A(), 0)],
        dtypes=FLOATS, out=True, aliases=("special.logsumexp",), names=("input", "dim")),
]  # fmt: skip


def _moment(f: Any, g: Any = None) -> Any:
    def ref(x: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False,
            correction: Any = 1) -> Any:  # fmt: skip
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        ddof = correction if unbiased is None else int(unbiased)
        y = f(x, axis=axis_of(dim), ddof=ddof, keepdims=keepdim)
        return (y, g(x, axis=axis_of(dim), keepdims=keepdim)) if g else y

    return ref


MOMENT = [
    C(A(2, 3)), C(A(2, 3, 4), 1), C(A(2, 3), -1, keepdim=True), C(A(2, 3, 4), (0, 2)),
    C(A(4), False), C(A(2, 3), 1, False), C(A(2, 4), dim=1, correction=2),
    C(A(2, 3), dim=None, correction=0),
]  # fmt: skip
MOMENTS = [
    Row(name, ref, MOMENT, rtype=None, names=("input",), tol=4,
        errors=[*DIM_ERRORS[:2], E((RuntimeError, TypeError), D("int64", 3))])
    for name, ref in [
        ("var", _moment(np.var)),
        ("std", _moment(np.std)),
        ("var_mean", _moment(np.var, np.mean)),
        ("std_mean", _moment(np.std, np.mean)),
    ]
]  # fmt: skip
for _row in MOMENTS[2:]:
    _row.method = None


def _arg(pick: Any, take: Any) -> Any:
    def ref(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if dim is None:
            return take(x)
        if np.ndim(x) == 0:
            return x, np.int64(0)
        index = pick(x, axis=dim, keepdims=True)
        value = np.take_along_axis(x, index, dim)
        return (value, index) if keepdim else (value.squeeze(dim), index.squeeze(dim))

    return ref


def _both(f: Any, g: Any) -> Any:
    def ref(x: Any, *args: Any, **kw: Any) -> Any:
        return g(x, args[0]) if args and isinstance(args[0], np.ndarray) else f(x, *args, **kw)

    return ref


EXTREME = [C(A(2, 3)), C(A(2, 3, 4), 1), C(A(2, 3), -1, True), C(A(2, 3), dim=0, keepdim=True),
           C(A()), C(A(3), 0), C(A(), 0)]  # fmt: skip
NO_MAX_OF_NOTHING = [E((RuntimeError, IndexError), A(0)), E((RuntimeError, IndexError), A(2, 0), 1)]
EXTREMES = [
    Row("max", _both(_arg(np.argmax, np.max), np.maximum), EXTREME + [C(A(2, 3), A(3)),
        C(V([[1.0, NAN], [NAN, 3.0]]), 1)], dtypes=FLOATS, rtype=None, ints=(-9, 30),
        errors=DIM_ERRORS[:2] + NO_MAX_OF_NOTHING),
    Row("min", _both(_arg(np.argmin, np.min), np.minimum), EXTREME + [C(A(2, 3), A(3))],
        dtypes=FLOATS + ("int64",), rtype=None, ints=(-9, 30),
        errors=DIM_ERRORS[:2] + NO_MAX_OF_NOTHING),
    Row("amax", over(np.max), REDUCE + MANY_DIMS, dtypes=WITH_INTS, out=True,
        errors=DIM_ERRORS[:2] + [TWICE] + NO_MAX_OF_NOTHING),
    Row("amin", over(np.min), REDUCE + MANY_DIMS, dtypes=WITH_INTS, out=True,
        errors=DIM_ERRORS[:2] + [TWICE] + NO_MAX_OF_NOTHING),
    Row("aminmax", lambda x, dim=None, keepdim=False: (np.min(x, axis=dim, keepdims=keepdim),
        np.max(x, axis=dim, keepdims=keepdim)), [C(A(2, 3)), C(A(2, 3), dim=1),
        C(A(2, 3), dim=0, keepdim=True)], dtypes=WITH_INTS, rtype=None),
    *(
        Row(name, lambda x, dim=None, keepdim=False, f=f: np.asarray(
            f(x, axis=dim, keepdims=keepdim)), [C(A(2, 3)), C(A(2, 3, 4), 1), C(A(2, 3), -1, True),
            C(A()), C(A(3), 0)], dtypes=NUMBERS, order=0, rtype="int64", ints=(-9, 30),
            errors=DIM_ERRORS[:2] + NO_MAX_OF_NOTHING)
        for name, f in (("argmax", np.argmax), ("argmin", np.argmin))
    ),
]  # fmt: skip


def _median(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The lower of the two middle values, and where it is."""
    if dim is None:
        return np.sort(np.ravel(x))[(np.size(x) - 1) // 2]
    order = np.argsort(x, axis=dim, kind="stable")
    index = np.take(order, [(x.shape[dim] - 1) // 2], axis=dim)
    value = np.take_along_axis(x, index, dim)
    return (value, index) if keepdim else (value.squeeze(dim), index.squeeze(dim))


def _nanmedian(x: Any) -> Any:
    v = np.sort(x[~np.isnan(x)])
    return v[(len(v) - 1) // 2]


def _quantile(f: Any) -> Any:
    def ref(x: Any, q: Any, dim: Any = None, keepdim: bool = False,
            interpolation: str = "linear") -> Any:  # fmt: skip
        return f(x, q, axis=dim, keepdims=keepdim, method=interpolation)

    return ref


def _mode(x: Any, dim: int = -1, keepdim: bool = False) -> Any:
    def one(v: Any) -> Any:
        values, counts = np.unique(v, return_counts=True)
        return values[np.argmax(counts)]

    y = np.apply_along_axis(one, dim, x)
    return np.expand_dims(y, dim) if keepdim else y


def _norm(x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Any:
    p = 2 if p == "fro" or p is None else p
    a = np.abs(x)
    kw = {"axis": axis_of(dim), "keepdims": keepdim}
    if p == INF:
        return a.max(**kw)
    if p == -INF:
        return a.min(**kw)
    if p == 0:
        return np.asarray((a != 0).sum(**kw), float)
    return (a**p).sum(**kw) ** (1 / p)


ORDER = [
    Row("median", _median, [C(A(5)), C(A(2, 4)), C(A(2, 4), 1), C(A(3, 4), 0, True), C(A())],
        dtypes=FLOATS + ("int64",), rtype=None, ints=(-9, 30), errors=DIM_ERRORS[:2],
        skips={"index": TIES}),
    Row("nanmedian", _nanmedian, [C(V([3.0, NAN, 1.0, 2.0])), C(A(5))], dtypes=WIDE_FLOATS),
    Row("quantile", _quantile(np.quantile), [C(A(5), 0.3), C(A(2, 4), 0.6, 1),
        C(A(2, 4), V([0.1, 0.5, 0.9]), dim=0), C(A(2, 4), 0.5, dim=1, keepdim=True),
        *(C(A(6), 0.35, interpolation=i) for i in ("lower", "higher", "midpoint", "nearest"))],
        dtypes=WIDE_FLOATS, tol=2, errors=[E((RuntimeError, ValueError), A(3), 1.5),
        E(RuntimeError, D("int64", 3), 0.5)]),
    Row("nanquantile", _quantile(np.nanquantile), [C(V([[1.0, NAN, 3.0, 2.0]]), 0.4, 1)],
        dtypes=WIDE_FLOATS, order=1, tol=2, skips={"gradient": ""}),
    Row("mode", _mode, [C(V([[3, 1, 1, 2], [5, 5, 2, 2]])), C(V([[3, 1], [3, 2]]), 0),
        C(V([[3, 1, 1, 2]]), 1, True)], dtypes=("float32", "int64"), order=0, rtype=None,
        skips={"reference": "the index may be any of the equal ones", "torch": "", "layout": ""}),
    Row("norm", _norm, [C(A(3)), C(A(2, 3), 1), C(A(2, 3), p=2, dim=1), C(A(2, 3), INF),
        C(A(2, 3), 3, 0, True), C(A(2, 3), "fro"), C(A(2, 3), dim=(0, 1)),
        C(A(2, 3), 0.5, 1), C(A(2, 3), -INF, dim=1), C(A(2, 3), p=0)], dtypes=WIDE_FLOATS,
        tol=2, domain=(0.2, 2), names=("input",)),
    Row("renorm", lambda x, p, dim, maxnorm: np.apply_along_axis(
        lambda r: r * min(1.0, maxnorm / np.linalg.norm(r, p)), 1, x),
        [C(A(3, 4), 2, 0, 1.5)], dtypes=WIDE_FLOATS, tol=1e4, order=1, inplace=True,
        skips={"inplace": ""}),
]  # fmt: skip


def _cum_extreme(f: Any, better: Any) -> Any:
    def ref(x: Any, dim: int) -> Any:
        if np.ndim(x) == 0:
            return x, np.int64(0)
        values, moved = f(x, axis=dim), np.moveaxis(x, dim, 0)
        index, best = np.zeros(moved.shape, np.int64), moved[0].copy()
        for i in range(1, len(moved)):
            win = better(moved[i], best)
            best, index[i] = np.where(win, moved[i], best), np.where(win, i, index[i - 1])
        return values, np.moveaxis(index, 0, dim)

    return ref


def _diff(x: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    extra = {k: v for k, v in (("prepend", prepend), ("append", append)) if v is not None}
    return np.diff(x, n, dim, **extra)


CUM = [C(A(4), 0), C(A(2, 3, 4), 1), C(A(2, 3), dim=-1), C(A(), 0), C(A(2, 0), 1)]
CUM_ERRORS = [E(IndexError, A(2), 1), E((TypeError, RuntimeError), A(2))]
SCANS = [
    Row("cumsum", lambda x, dim: np.cumsum(x, dim) if np.ndim(x) else x, CUM, dtypes=ALL,
        rtype="sum", inplace=True, out=True, errors=CUM_ERRORS, names=("input", "dim"), tol=2),
    Row("cumprod", lambda x, dim: np.cumprod(x, dim) if np.ndim(x) else x,
        [*CUM, C(V([[2.0, 0.0, 3.0], [1.0, 4.0, 0.0]], "float64", grad=True), 1)],
        dtypes=FLOATS + ("int64",), rtype="sum", inplace=True, out=True, errors=CUM_ERRORS,
        names=("input", "dim"), tol=2),
    Row("logcumsumexp", lambda x, dim: np.log(np.cumsum(np.exp(x), dim)) if np.ndim(x) else x,
        CUM, dtypes=FLOATS, out=True, errors=CUM_ERRORS, names=("input", "dim"), tol=2),
    Row("cummax", _cum_extreme(np.maximum.accumulate, np.greater_equal), CUM[:3],
        dtypes=FLOATS + ("int64",), rtype=None, ints=(-9, 30), errors=CUM_ERRORS, out=True),
    Row("cummin", _cum_extreme(np.minimum.accumulate, np.less_equal), CUM[:3],
        dtypes=FLOATS + ("int64",), rtype=None, ints=(-9, 30), errors=CUM_ERRORS, out=True),
    Row("diff", _diff, [C(A(5)), C(A(3, 4), dim=0), C(A(2, 5), 2), C(A(4), prepend=A(1)),
        C(A(2, 4), append=A(2, 2))], dtypes=FLOATS + ("int64",)),
    Row("trapezoid", lambda y, x=None, dx=1.0, dim=-1: np.trapezoid(y, x, dx, dim),
        [C(A(5)), C(A(2, 4), dx=0.5), C(A(4), A(4)), C(A(3, 2), dim=0)], dtypes=WIDE_FLOATS,
        method=None, aliases=("trapz",)),
    Row("cumulative_trapezoid", lambda y, dx=1.0: np.cumsum((y[..., 1:] + y[..., :-1]) / 2, -1)
        * dx, [C(A(5)), C(A(2, 4), dx=0.5)], dtypes=WIDE_FLOATS, method=None),
]  # fmt: skip


def _softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    e = np.exp(x - np.max(x, dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)


SOFTMAX = [
    Row(prefix + name, ref, [C(A(2, 3), 1), C(A(2, 3, 4), 1), C(A(2, 3), dim=-2), C(A(3), 0),
        C(V([[1000.0, 0.0], [-1000.0, -1000.0]], "float64"), 1),
        *([C(A(), 0)] if name != "softmin" else [])],
        method=None if prefix else "", names=("input", "dim"),
        errors=[E(IndexError, A(2), 1), E((RuntimeError, NotImplementedError), D("int64", 2), 0)])
    for prefix in ("", "nn.functional.")
    for name, ref in [
        ("softmax", lambda x, dim: _softmax(x, dim) if np.ndim(x) else np.ones(())),
        ("log_softmax", lambda x, dim: (lambda z: z - np.log(np.exp(z).sum(dim, keepdims=True)))(
            x - np.max(x, dim, keepdims=True)) if np.ndim(x) else np.zeros(())),
        *([("softmin", lambda x, dim: _softmax(-x, dim))] if prefix else []),
    ]
]  # fmt: skip

ROWS = [*SUMS, *MOMENTS, *EXTREMES, *ORDER, *SCANS, *SOFTMAX]
