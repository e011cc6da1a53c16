"""What the tests share: conversion, comparison and gradient checks along random directions."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import eagergrad as eg
from table import TOLERANCE, Call, Drawn, Row, map_tree, realise

AGAINST_TORCH = eg.__name__ == "torch"


def times(many: int, few: int) -> int:
    """`many` on the CPU; `few` on a GPU, which takes the emulation long."""
    return many if eg.get_default_device().type == "cpu" else few


def resolve(name: str, root: Any = eg) -> Any:
    """The attribute at a dotted path."""
    return functools.reduce(getattr, name.split("."), root)


def dtype_name(t: Any) -> str:
    return str(t.dtype).rsplit(".", 1)[-1]


def to_tensor(d: Drawn, root: Any = eg, device: str = "cpu") -> Any:
    return root.tensor(d.values, dtype=getattr(root, d.dtype), device=device)


def to_numpy(x: Any) -> Any:
    """Numbers and arrays for comparison (bfloat16 has no NumPy dtype: it goes by float32)."""
    if not hasattr(x, "detach"):
        return x
    x = x.detach().cpu()
    return (x.float() if dtype_name(x) == "bfloat16" else x).numpy()


def tensors(tree: Any) -> list[Any]:
    """The tensors of a nested structure, in order."""
    found: list[Any] = []
    map_tree(lambda t: found.append(t) if hasattr(t, "detach") else None, tree)
    return found


def make(
    row: Row, call: Any, dtype: str, device: str = "cpu", root: Any = eg
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Draw a call and turn its arrays into tensors."""
    args, kwargs = realise(row, call, dtype)

    def leaf(v: Any) -> Any:
        return to_tensor(v, root, device) if isinstance(v, Drawn) else dtype_of(v, root)

    return map_tree(leaf, args), map_tree(leaf, kwargs)


def dtype_of(v: Any, root: Any) -> Any:
    """Rows write dtypes as 'dtype:float64', so that they do not depend on a framework."""
    if isinstance(v, str) and v.startswith("dtype:"):
        return getattr(root, v[6:])
    return v


def reference(row: Row, call: Call, dtype: str) -> Any:
    """The row's NumPy reference on the values that the tensors really hold, in float64."""
    args, kwargs = realise(row, call, dtype)

    def leaf(v: Any) -> Any:
        if not isinstance(v, Drawn):
            return v[6:] if isinstance(v, str) and v.startswith("dtype:") else v
        x = to_numpy(to_tensor(v))
        return x.astype(np.float64) if x.dtype.kind == "f" else x

    if row.scipy:
        pytest.importorskip("scipy", reason="the reference needs SciPy")
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return row.ref(*map_tree(leaf, args), **map_tree(leaf, kwargs))


def assert_close(actual: Any, expected: Any, dtype: str = "float64", tol: float = 1.0) -> None:
    """Compare results, tuples included, with the tolerance of `dtype`."""
    if isinstance(actual, (tuple, list)):
        assert len(actual) == len(expected), f"{len(actual)} results, expected {len(expected)}"
        for a, e in zip(actual, expected, strict=True):
            assert_close(a, e, dtype, tol)
        return
    name = dtype_name(actual) if hasattr(actual, "detach") else ""
    actual, expected = to_numpy(actual), np.asarray(to_numpy(expected))
    if name:
        assert tuple(actual.shape) == expected.shape, f"{actual.shape} != {expected.shape}"
    rtol = max(TOLERANCE.get(dtype, 1e-10), TOLERANCE.get(name, 0.0)) * tol
    if expected.dtype.kind in "biu" and np.asarray(actual).dtype.kind in "biu":
        np.testing.assert_array_equal(actual, expected)
        return
    np.testing.assert_allclose(
        np.asarray(actual, np.float64), expected.astype(np.float64), rtol=rtol, atol=rtol
    )


# -- gradients along random directions -------------------------------------------------------------


def _outputs(result: Any) -> list[Any]:
    return [t for t in tensors([result]) if t.is_floating_point() and t.requires_grad]


def _weighted(f: Callable[..., Any], seed: int) -> Callable[..., Any]:
    """`f` followed by a fixed random weighting: a scalar function."""

    def scalar(*xs: Any) -> Any:
        rng = np.random.default_rng(seed)
        total = None
        for y in [t for t in tensors([f(*xs)]) if t.is_floating_point()]:
            w = eg.tensor(rng.uniform(0.5, 1.5, tuple(y.shape)), dtype=eg.float64, device=y.device)
            part = (y * w).sum()
            total = part if total is None else total + part
        return total

    return scalar


def directional(f: Callable[..., Any], xs: Sequence[Any], seed: int) -> Callable[..., Any]:
    """The derivative of scalar `f` along a fixed random direction, by the tape."""
    rng = np.random.default_rng(seed)
    ds = [
        eg.tensor(rng.uniform(-1, 1, tuple(x.shape)), dtype=eg.float64, device=x.device) for x in xs
    ]

    def along(*zs: Any) -> Any:
        y = f(*zs)
        gs = (
            eg.autograd.grad(y, zs, create_graph=True, allow_unused=True)
            if y.requires_grad
            else [None] * len(zs)
        )
        total = eg.zeros((), dtype=eg.float64, device=zs[0].device)
        for g, d in zip(gs, ds, strict=True):
            if g is not None:
                total = total + (g * d).sum()
        return total

    along.directions = ds  # type: ignore[attr-defined]
    return along


def check_gradients(
    f: Callable[..., Any], xs: Sequence[Any], order: int = 1, rtol: float = 1e-5, eps: float = 1e-5
) -> None:
    """Compare the tape's derivatives up to `order` with central differences of the one before."""
    scalar = _weighted(f, 0)
    for k in range(1, order + 1):
        leaves = [x.detach().clone().requires_grad_() for x in xs]
        along = directional(scalar, leaves, k)
        derivative = float(along(*leaves).detach())
        moved = [
            [(x + s * eps * d).detach().requires_grad_() for x, d in zip(leaves, along.directions)]
            for s in (1, -1)
        ]
        numeric = float((scalar(*moved[0]) - scalar(*moved[1])).detach()) / (2 * eps)
        bound = rtol * max(1.0, abs(numeric), abs(derivative)) * 10 ** (k - 1)
        assert abs(derivative - numeric) <= bound, (
            f"order {k}: the tape says {derivative:.8g}, differences say {numeric:.8g}"
        )
        scalar = along


def differentiable_inputs(row: Row, call: Call, device: str = "cpu") -> tuple[list[Any], Any]:
    """The float64 tensors a call can be differentiated by, and the call as their function."""
    args, kwargs = realise(row, call, "float64")
    xs: list[Any] = []

    def leaf(v: Any) -> Any:
        if isinstance(v, Drawn):
            t = to_tensor(v, device=device)
            if v.grad and v.dtype == "float64":
                xs.append(t)
                return _Slot(len(xs) - 1)
            return t
        return dtype_of(v, eg)

    args, kwargs = map_tree(leaf, args), map_tree(leaf, kwargs)
    op = resolve(row.name) if row.function else None

    def f(*zs: Any) -> Any:
        def fill(v: Any) -> Any:
            return zs[v.index] if isinstance(v, _Slot) else v

        a, k = map_tree(fill, args), map_tree(fill, kwargs)
        return op(*a, **k) if op else getattr(a[0], row.method_name)(*a[1:], **k)

    return xs, f


def as_function(row: Row, args: Any, kwargs: Any) -> tuple[Any, list[Any]]:
    """The call as a function of its tensors, and these."""
    given = tensors([args, kwargs])

    def call(*xs: Any) -> Any:
        left = iter(xs)
        put = lambda v: next(left) if isinstance(v, eg.Tensor) else v
        a, k = map_tree(put, args), map_tree(put, kwargs)
        result = resolve(row.name)(*a, **k)
        return tuple(result) if isinstance(result, (tuple, list)) else result

    return call, given


class _Slot:
    def __init__(self, index: int) -> None:
        self.index = index
