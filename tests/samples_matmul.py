"""Rows of products, and of linear algebra."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from table import FLOATS, WIDE_FLOATS, A, C, D, E, Row, V

INF = math.inf
NUMERIC = FLOATS + ("int64", "int32")


def row(name: str, ref: Any, *calls: Any, **kw: Any) -> Row:
    kw.setdefault("dtypes", NUMERIC)
    kw.setdefault("tol", 4)
    return Row(name, ref, list(calls), **kw)


MIXED = E(RuntimeError, D("float32", 2, 2), D("float64", 2, 2))


def _addmm(product: Any, reduce: Any = None) -> Any:
    def ref(x: Any, a: Any, b: Any, beta: Any = 1, alpha: Any = 1) -> Any:
        p = product(a, b)
        return beta * x + alpha * (p.sum(0) if reduce else p)

    return ref


PRODUCTS = [
    row("matmul", np.matmul, C(A(2, 3), A(3, 4)), C(A(3), A(3)), C(A(2, 3), A(3)), C(A(3), A(3, 2)),
        C(A(2, 2, 3), A(3, 4)), C(A(2, 3), A(5, 3, 2)), C(A(2, 1, 2, 3), A(4, 3, 2)),
        C(A(3), A(2, 3, 2)), C(A(0, 3), A(3, 2)), C(A(2, 0), A(0, 3)), out=True,
        names=("input", "other"),
        errors=[E(RuntimeError, A(2, 3), A(2, 3)), E(RuntimeError, A(3), A(4)), MIXED,
        E(RuntimeError, A(), A(2)), E(RuntimeError, A(2, 2, 3), A(3, 3, 2)), E(TypeError, A(2), 3)]),
    row("mm", np.matmul, C(A(2, 3), A(3, 4)), C(A(2, 0), A(0, 3)), out=True,
        names=("input", "mat2"),
        errors=[E(RuntimeError, A(2, 3), A(2, 3)), E(RuntimeError, A(2, 3), A(3)), MIXED]),
    row("bmm", np.matmul, C(A(2, 3, 4), A(2, 4, 2)), C(A(0, 2, 3), A(0, 3, 2)), out=True,
        names=("input", "mat2"),
        errors=[E(RuntimeError, A(2, 3, 4), A(3, 4, 2)), E(RuntimeError, A(2, 3), A(3, 2))]),
    row("mv", np.matmul, C(A(2, 3), A(3)), names=("input", "vec"), out=True,
        errors=[E(RuntimeError, A(2, 3), A(2)), E(RuntimeError, A(3), A(3))]),
    row("dot", np.dot, C(A(3), A(3)), C(A(0), A(0)), out=True,
        errors=[E(RuntimeError, A(3), A(4)), E(RuntimeError, A(2, 2), A(2, 2))]),
    row("vdot", np.vdot, C(A(3), A(3))),
    row("inner", np.inner, C(A(3), A(3)), C(A(2, 3), A(4, 3)), C(A(), A(2)),
        C(A(0), A(0)), C(A(2, 0), A(3, 0)), errors=[E(RuntimeError, A(2, 3), A(3, 2))]),
    row("outer", np.outer, C(A(2), A(3)), aliases=("ger",), names=("input", "vec2"),
        errors=[E(RuntimeError, A(2, 2), A(2))], out=True),
    row("addmm", _addmm(np.matmul), C(A(2, 4), A(2, 3), A(3, 4)), C(A(4), A(2, 3), A(3, 4)),
        C(A(2, 1), A(2, 3), A(3, 4), beta=2, alpha=3), inplace=True, out=True,
        names=("input", "mat1", "mat2"), errors=[E(RuntimeError, A(3), A(2, 3), A(3, 4)),
        E(RuntimeError, A(4), A(2, 3), A(2, 4))]),
    row("addmv", _addmm(np.matmul), C(A(2), A(2, 3), A(3)), C(A(2), A(2, 3), A(3), beta=0, alpha=2),
        inplace=True, out=True, errors=[E(RuntimeError, A(3), A(2, 3), A(3))]),
    row("addbmm", _addmm(np.matmul, True), C(A(2, 4), A(3, 2, 3), A(3, 3, 4)),
        C(A(2, 4), A(2, 2, 3), A(2, 3, 4), beta=2, alpha=3), inplace=True, out=True),
    row("baddbmm", _addmm(np.matmul), C(A(2, 2, 4), A(2, 2, 3), A(2, 3, 4)),
        C(A(4), A(2, 2, 3), A(2, 3, 4), beta=2, alpha=3), inplace=True, out=True),
    row("addr", _addmm(np.outer), C(A(2, 3), A(2), A(3)), C(A(3), A(2), A(3), beta=2, alpha=3),
        inplace=True, out=True),
    row("einsum", lambda e, *xs: np.einsum(e, *(xs[0] if isinstance(xs[0], (list, tuple)) else xs)),
        C("ij,jk->ik", A(2, 3), A(3, 4)), C("ij,jk", A(2, 3), A(3, 2)), C("bij,bjk->bik",
        A(2, 2, 3), A(2, 3, 2)), C("ii->i", A(3, 3)), C("ii", A(3, 3)), C("ij->ji", A(2, 3)),
        C("i,j->ij", A(2), A(3)), C("...ij,...jk->...ik", A(2, 2, 3), A(3, 2)), C("ij->", A(2, 3)),
        C("i,i,i->", A(3), A(3), A(3)), C("bnd,bmd->bnm", [A(2, 2, 3), A(2, 4, 3)]),
        C("...ij,...jk->...ik", A(0, 2, 3), A(1, 3, 2)), C("...i,...i->...", A(1, 3), A(2, 3)),
        method=None,
        errors=[E((RuntimeError, ValueError), "ij,jk->ik", A(2, 3), A(2, 3)),
        E((RuntimeError, ValueError), "ij->ik", A(2, 3)), E((RuntimeError, ValueError), "ij", A(2))], dtypes=FLOATS + ("int64",), rtype=None),
    row("tensordot", lambda a, b, dims=2: np.tensordot(a, b, dims), C(A(2, 3, 4), A(3, 4, 2)),
        C(A(2, 3), A(3, 2), dims=1), C(A(2, 3, 4), A(4, 2, 3), dims=([1, 2], [2, 0])),
        C(A(2), A(3), dims=0), method=None,
        errors=[E((RuntimeError, ValueError), A(2, 3), A(2, 3), dims=1)]),
    row("kron", np.kron, C(A(2, 2), A(2, 3)), C(A(2), A(3)), C(A(2), A(2, 2)),
        torch_bugs=("layout",)),
    row("chain_matmul", lambda *m: np.linalg.multi_dot(m), C(A(2, 3), A(3, 4), A(4, 2)),
        dtypes=WIDE_FLOATS, method=None),
    row("cross", lambda a, b, dim=None: np.cross(a, b, axis=-1 if dim is None else dim),
        C(A(4, 3), A(4, 3), dim=1), C(A(3), A(3)), C(A(3, 2), A(3, 2), dim=0),
        C(A(2, 3), A(1, 3), dim=-1), errors=[E(RuntimeError, A(2, 2), A(2, 2), dim=1)]),
    row("cdist", lambda x, y, p=2.0: (np.abs(x[..., :, None, :] - y[..., None, :, :]) ** p).sum(-1)
        ** (1 / p), C(A(3, 2), A(4, 2)), C(A(2, 3, 2), A(2, 2, 2)), C(A(3, 2), A(2, 2), p=1.0),
        C(A(3, 2), A(2, 2), p=3.0), method=None, dtypes=WIDE_FLOATS, tol=50, order=1),
    row("dist", lambda a, b, p=2: (np.abs(a - b) ** p).sum() ** (1 / p), C(A(2, 3), A(2, 3)),
        C(A(3), A(3), 1), dtypes=WIDE_FLOATS),
    row("trace", np.trace, C(A(3, 3)), C(A(2, 3)), dtypes=FLOATS, errors=[E(RuntimeError, A(3))]),
    row("linalg.vecdot", lambda a, b, dim=-1: (a * b).sum(dim), C(A(2, 3), A(2, 3)),
        C(A(2, 3), A(3)), C(A(2, 3), A(2, 3), dim=0), method=None, dtypes=WIDE_FLOATS),
    row("cov", lambda x, correction=1: np.cov(x, ddof=correction), C(A(2, 5)), C(A(4)),
        C(A(2, 4), correction=0), dtypes=WIDE_FLOATS),
    row("corrcoef", np.corrcoef, C(A(2, 5)), dtypes=WIDE_FLOATS),
    row("nn.functional.linear", lambda x, w, b=0: x @ w.T + b, C(A(2, 3), A(4, 3), A(4)),
        C(A(2, 3), A(4, 3)), C(A(3), A(4, 3), A(4)), C(A(2, 2, 3), A(4, 3), A(4)),
        C(A(2, 3), A(3)), C(A(2, 3), A(4, 3), A(1, 4)), C(A(2, 2, 3), A(4, 3), A(1, 4)),
        C(A(2, 3), A(4, 3), A(2, 1)), dtypes=FLOATS, method=None,
        names=("input", "weight", "bias"),
        errors=[E(RuntimeError, A(2, 3), A(4, 2)), E(RuntimeError, A(2, 3), A(4, 3), A(3)),
                E(RuntimeError, A(2, 3), A(4, 3), A(3, 4))]),
    row("nn.functional.bilinear", lambda a, b, w, c=0: np.einsum("bi,kij,bj->bk", a, w, b) + c,
        C(A(2, 3), A(2, 4), A(5, 3, 4), A(5)), C(A(2, 3), A(2, 4), A(5, 3, 4)), dtypes=WIDE_FLOATS,
        method=None),
]  # fmt: skip

# -- linear algebra: float64 and float32, on well-conditioned matrices -----------------------------

SQUARE = V([[4.0, 1.0, 0.5], [1.0, 3.0, -0.7], [0.2, -0.4, 2.0]], grad=True)
POSITIVE = [[4.0, 1.0, 0.5], [1.0, 3.0, -0.7], [0.5, -0.7, 2.0]]
SINGULAR = V([[1.0, 2.0], [2.0, 4.0]], "float64")
RIGHT = V([[1.0, 2.0], [0.5, -1.0], [3.0, 0.2]], grad=True)


def lin(name: str, ref: Any, *calls: Any, **kw: Any) -> Row:
    kw.setdefault("dtypes", WIDE_FLOATS)
    kw.setdefault("method", None)
    kw.setdefault("tol", 20)
    kw.setdefault("rtype", None)
    kw.setdefault("skips", {})
    kw["skips"] = {"layout-expanded": "", **kw["skips"]}
    return Row(f"linalg.{name}", ref, list(calls), **kw)


NOT_SQUARE = E(RuntimeError, A(2, 3))
LINALG = [
    lin("norm", lambda x, ord=None, dim=None, keepdim=False: np.linalg.norm(
        x.ravel() if ord is None and dim is None else x, ord, dim, keepdim), C(A(3)), C(A(2, 3)),
        C(A(2, 3), "fro"), C(A(2, 3), 1), C(A(2, 3), INF), C(A(2, 3), 2, 1),
        C(A(2, 3), dim=(0, 1)), C(A(4), 3), domain=(0.2, 2)),
    lin("vector_norm", lambda x, ord=2, dim=None, keepdim=False: np.linalg.norm(
        x.ravel() if dim is None else x, ord, dim, keepdim), C(A(2, 3)), C(A(2, 3), 1, 1),
        C(A(3), INF), C(A(3), 3), C(A(2, 3), dim=0, keepdim=True), domain=(0.2, 2)),
    lin("matrix_norm", lambda x, ord="fro", dim=(-2, -1), keepdim=False: np.linalg.norm(
        x, ord, dim, keepdim), C(A(2, 3)), C(A(2, 3), 1), C(A(2, 3), -INF), C(SQUARE, "nuc"),
        C(SQUARE, 2), C(A(2, 3, 2), keepdim=True), domain=(0.2, 2), tol=100),
    lin("inv", np.linalg.inv, C(SQUARE), errors=[NOT_SQUARE, E(RuntimeError, SINGULAR)],
        aliases=("inverse",)),
    lin("pinv", np.linalg.pinv, C(RIGHT), C(SQUARE), tol=100),
    lin("det", np.linalg.det, C(SQUARE), errors=[NOT_SQUARE], aliases=("det",)),
    lin("slogdet", lambda x: tuple(np.linalg.slogdet(x)), C(SQUARE), errors=[NOT_SQUARE],
        aliases=("slogdet",)),
    lin("solve", np.linalg.solve, C(SQUARE, RIGHT), errors=[E(RuntimeError, A(2, 3), A(2)),
        E(RuntimeError, SINGULAR, V([1.0, 2.0], "float64"))]),
    lin("solve_triangular", lambda a, b, upper: np.linalg.solve(np.triu(a) if upper else np.tril(a),
        b), C(SQUARE, RIGHT, upper=True), C(SQUARE, RIGHT, upper=False)),
    lin("cholesky", np.linalg.cholesky, C(V(POSITIVE)), C(V([POSITIVE, POSITIVE])),
        skips={"gradient": "the argument has to stay symmetric: tests/test_linalg.py"},
        errors=[NOT_SQUARE, E(RuntimeError, V([[-1.0]], "float64"))]),
    lin("matrix_power", np.linalg.matrix_power, C(SQUARE, 3), C(SQUARE, 0), C(SQUARE, -1),
        C(SQUARE, 1), aliases=("matrix_power",), errors=[E(RuntimeError, A(2, 3), 2)]),
    lin("multi_dot", np.linalg.multi_dot, C([A(2, 3), A(3, 4), A(4, 2)])),
    lin("eigvalsh", np.linalg.eigvalsh, C(V(POSITIVE, grad=True)), errors=[NOT_SQUARE],
        skips={"gradient": "the argument has to stay symmetric: tests/test_linalg.py",
        "gradient-layout": ""}, order=1),
    lin("svdvals", lambda x: np.linalg.svd(x, compute_uv=False), C(RIGHT), C(SQUARE)),
    lin("matrix_rank", np.linalg.matrix_rank, C(SQUARE), C(SINGULAR), order=0),
]  # fmt: skip

ROWS = [*PRODUCTS, *LINALG]
