"""Every property over every row of the sample table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import eagergrad as eg
from samples import ROWS, covered_names
from table import INTEGRAL, Call, Row, map_tree
from util import (
    AGAINST_TORCH,
    assert_close,
    check_gradients,
    differentiable_inputs,
    dtype_name,
    make,
    reference,
    resolve,
    tensors,
    to_numpy,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def _ids(rows: list[Row]) -> list[str]:
    seen: dict[str, int] = {}
    names = []
    for row in rows:
        seen[row.name] = seen.get(row.name, 0) + 1
        names.append(row.name if seen[row.name] == 1 else f"{row.name}#{seen[row.name]}")
    return names


def over_rows(*needs: str, keep: Any = lambda row: True) -> Any:
    """Parametrise by the rows that have what `needs` names and satisfy `keep`."""
    rows = [r for r in ROWS if all(getattr(r, n) for n in needs) and keep(r)]
    return pytest.mark.parametrize("row", rows, ids=_ids(rows))


CASES = [(row, dtype) for row in ROWS for dtype in row.dtypes]


def over_dtypes() -> Any:
    ids = [f"{i}-{d}" for i, row in zip(_ids(ROWS), ROWS, strict=True) for d in row.dtypes]
    return pytest.mark.parametrize("row,dtype", CASES, ids=ids)


def call_op(row: Row, args: Any, kwargs: Any) -> Any:
    if row.function:
        return resolve(row.name)(*args, **kwargs)
    return getattr(args[0], row.method_name)(*args[1:], **kwargs)


def _plain(result: Any) -> Any:
    return list(result) if isinstance(result, (tuple, list)) else result


def _main_dtype(row: Row) -> str:
    return "float64" if "float64" in row.dtypes else row.dtypes[0]


def _calls(row: Row, what: str) -> list[Call]:
    reason = row.skips.get(what)
    if AGAINST_TORCH and what in row.torch_bugs:
        reason = "torch itself fails here"
    if reason:
        pytest.skip(reason)
    return [] if what in row.skips else list(row.calls)


# -- forward ---------------------------------------------------------------------------------------


def _expected_dtype(row: Row, dtype: str, inputs: list[Any]) -> str | None:
    if row.rtype in ("bool", "int64", "float64"):
        return row.rtype
    if row.rtype is None or any(dtype_name(t) != dtype for t in inputs) or not inputs:
        return None
    if row.rtype == "float" and dtype in INTEGRAL:
        return "float32"
    if row.rtype == "sum" and dtype in INTEGRAL:
        return "int64"
    return dtype


def _number_decides(dtype: str, args: Any, kwargs: Any) -> bool:
    """Whether a Python number of a higher kind than the tensors' takes part."""
    kinds = {type(a) for a in [*args, *kwargs.values()]}
    return (dtype in INTEGRAL and float in kinds) or (dtype == "bool" and int in kinds)


@over_dtypes()
def test_forward_equals_the_reference(row: Row, dtype: str, device: str) -> None:
    if row.ref is None:
        pytest.skip(row.skips.get("reference", "the row has tests of its own"))
    for call in _calls(row, "reference"):
        args, kwargs = make(row, call, dtype, device)
        result = call_op(row, args, kwargs)
        try:
            assert_close(_plain(result), _plain(reference(row, call, dtype)), dtype, row.tol)
            inputs = tensors([args, kwargs])
            expected = _expected_dtype(row, dtype, inputs)
            if expected and hasattr(result, "dtype") and not _number_decides(dtype, args, kwargs):
                assert dtype_name(result) == expected
        except AssertionError as error:
            raise AssertionError(f"{row.name}{call} of {dtype}: {error}") from error


@over_rows(keep=lambda row: row.method_name is not None and row.function)
def test_method_equals_function(row: Row, device: str) -> None:
    for call in _calls(row, "method"):
        args, kwargs = make(row, call, _main_dtype(row), device)
        if not hasattr(args[0], "detach"):
            continue
        method = getattr(args[0], row.method_name or "")
        assert_close(_plain(method(*args[1:], **kwargs)), _plain(call_op(row, args, kwargs)))


@over_rows("aliases")
def test_aliases_are_the_same_function(row: Row, device: str) -> None:
    args, kwargs = make(row, row.calls[0], _main_dtype(row), device)
    for alias in row.aliases:
        if alias.startswith("."):
            other = getattr(args[0], alias[1:])(*args[1:], **kwargs)
        else:
            other = resolve(alias)(*args, **kwargs)
        assert_close(_plain(other), _plain(call_op(row, args, kwargs)))


@over_rows("names", keep=lambda row: row.function)
def test_arguments_have_pytorchs_names(row: Row, device: str) -> None:
    args, kwargs = make(row, row.calls[0], _main_dtype(row), device)
    named = dict(zip(row.names, args, strict=False))
    rest = args[len(named) :]
    assert not rest, "the row's `names` cover its first call"
    assert_close(_plain(resolve(row.name)(**named, **kwargs)), _plain(call_op(row, args, kwargs)))


# -- gradients -------------------------------------------------------------------------------------


@over_rows("order")
def test_gradient_along_random_directions(row: Row, device: str) -> None:
    checked = 0
    for call in _calls(row, "gradient"):
        xs, f = differentiable_inputs(row, call, device)
        if not xs or not any(x.numel() for x in xs):
            continue
        if not any(t.is_floating_point() for t in tensors([f(*xs)])):
            continue
        try:
            check_gradients(f, xs, row.order)
        except AssertionError as error:
            raise AssertionError(f"{row.name}{call}: {error}") from error
        checked += 1
    assert checked or "gradient" in row.skips, "a differentiable row has a float64 sample"


@over_rows("order")
def test_gradient_has_the_inputs_shape_and_dtype_alone_and_with_others(
    row: Row, device: str
) -> None:
    for call in _calls(row, "gradient"):
        xs, f = differentiable_inputs(row, call, device)
        xs = [x.requires_grad_() for x in xs]
        outputs = [t for t in tensors([f(*xs)]) if t.requires_grad]
        if not xs or not outputs:
            continue
        sums = [(t * t).sum() for t in outputs]
        options = {"allow_unused": True, "retain_graph": True}
        grads = eg.autograd.grad(sums, xs, **options)
        for x, g in zip(xs, grads, strict=True):
            if g is None:
                continue
            assert g.shape == x.shape and g.dtype == x.dtype
            # Asked for alone, by a backward that computes no other.
            assert_close(eg.autograd.grad(sums, x, **options)[0], g)


@over_rows("order")
def test_a_gradient_on_the_tape_has_the_same_values(row: Row, device: str) -> None:
    for call in _calls(row, "gradient"):
        xs, f = differentiable_inputs(row, call, device)
        xs = [x.requires_grad_() for x in xs]
        sums = [(t * t).sum() for t in tensors([f(*xs)]) if t.requires_grad]
        if not xs or not sums:
            continue
        options = {"allow_unused": True, "retain_graph": True}
        plain = eg.autograd.grad(sums, xs, **options)
        recorded = eg.autograd.grad(sums, xs, create_graph=True, **options)
        for g, h in zip(plain, recorded, strict=True):
            if g is not None:
                np.testing.assert_allclose(_plain(h.detach()), _plain(g), 1e-12, 1e-12)


@over_rows("order")
def test_forward_derivatives_are_the_transpose_of_backwards(row: Row, device: str) -> None:
    if row.order < 2:
        pytest.skip("a tangent takes the second derivative")
    rng = np.random.default_rng(0)
    for call in _calls(row, "gradient"):
        xs, f = differentiable_inputs(row, call, device)
        xs = [x.requires_grad_() for x in xs]
        ys = [t for t in tensors([f(*xs)]) if t.requires_grad]
        if not xs or not ys or len(ys) < len(tensors([f(*xs)])):
            continue
        drawn = [eg.tensor(rng.standard_normal(tuple(t.shape))).to(t) for t in (*ys, *xs)]
        gs, vs = drawn[: len(ys)], drawn[len(ys) :]
        grads = eg.autograd.grad(ys, xs, gs, allow_unused=True)
        _, tangents = eg.func.jvp(lambda *a, f=f: tuple(tensors([f(*a)])), tuple(xs), tuple(vs))
        forwards = sum((t * g).sum().item() for t, g in zip(tangents, gs, strict=True))
        backwards = sum((v * g).sum().item() for v, g in zip(vs, grads) if g is not None)
        np.testing.assert_allclose(forwards, backwards, 1e-8, 1e-8)


@over_rows(keep=lambda row: row.order == 0 or row.rtype == "bool")
def test_results_without_gradient_say_so(row: Row, device: str) -> None:
    if row.rtype not in ("bool", "int64"):
        pytest.skip("only for results that are not floating")
    xs, f = differentiable_inputs(row, row.calls[0], device)
    for y in tensors([f(*[x.requires_grad_() for x in xs])]):
        assert y.is_floating_point() or not y.requires_grad


# -- memory layouts --------------------------------------------------------------------------------


def _transposed(x: Any) -> Any:
    return x.detach().movedim(0, -1).contiguous().movedim(-1, 0) if x.dim() > 1 else x


def _strided(x: Any) -> Any:
    if x.dim() == 0:
        return x
    buffer = eg.stack([x, x], dim=-1).reshape(*x.shape[:-1], 2 * x.shape[-1])
    return buffer[..., ::2]


def _offset(x: Any) -> Any:
    flat = eg.cat([x.new_zeros(3), x.reshape(-1)])
    return flat[3:].view(x.shape)


def _expanded(x: Any) -> Any:
    return x[:1].expand(x.shape) if x.dim() and x.shape[0] > 1 else x


def _single(x: Any) -> Any:
    """With any stride where the size is 1: it says nothing."""
    strides = [1000 if n == 1 else s for n, s in zip(x.shape, x.stride(), strict=True)]
    return x.detach().as_strided(x.shape, strides) if x.numel() else x


@pytest.mark.parametrize("layout", [_transposed, _strided, _offset, _expanded, _single])
@over_rows()
def test_memory_layout_does_not_matter(row: Row, layout: Any, device: str) -> None:
    for call in _calls(row, "layout"):
        args, kwargs = make(row, call, _main_dtype(row), device)
        if layout is _expanded and {"index", "layout-expanded"} & set(row.skips):
            pytest.skip(row.skips.get("index", "equal rows make the matrix singular"))

        def lay(t: Any) -> Any:
            return layout(t) if hasattr(t, "detach") else t

        def plain(t: Any) -> Any:
            return lay(t).contiguous().clone() if hasattr(t, "detach") else t

        actual = call_op(row, map_tree(lay, args), map_tree(lay, kwargs))
        expected = call_op(row, map_tree(plain, args), map_tree(plain, kwargs))
        assert_close(_plain(actual), _plain(expected), tol=max(row.tol, 10))


@over_rows("order")
def test_gradient_of_a_strided_input(row: Row, device: str) -> None:
    if "gradient-layout" in row.skips:
        pytest.skip("it depends on the layout")
    for call in _calls(row, "gradient")[:3]:
        xs, f = differentiable_inputs(row, call, device)
        if not xs:
            continue

        def gradients(change: Any, xs: Any = xs, f: Any = f) -> list[Any]:
            leaves = [x.detach().clone().requires_grad_() for x in xs]
            outputs = [t for t in tensors([f(*[change(x) for x in leaves])]) if t.requires_grad]
            if not outputs:
                return []
            grads = eg.autograd.grad([(t * t).sum() for t in outputs], leaves, allow_unused=True)
            return [g for g in grads if g is not None]

        assert_close(gradients(_strided), gradients(lambda x: x), tol=10)


# -- in place and out= -----------------------------------------------------------------------------


def _fits_in_place(args: Any, kwargs: Any, result: Any) -> bool:
    first = args[0]
    return (
        hasattr(first, "detach")
        and tuple(first.shape) == tuple(result.shape)
        and (dtype_name(result) == dtype_name(first) or dtype_name(result) == "bool")
    )


@over_rows("inplace")
def test_in_place_variant_writes_the_same_values(row: Row, device: str) -> None:
    for call in _calls(row, "inplace"):
        args, kwargs = make(row, call, _main_dtype(row), device)
        expected = call_op(row, args, kwargs)
        if not _fits_in_place(args, kwargs, expected):
            continue
        x = args[0].clone()
        pointer, version = x.data_ptr(), x._version
        same = getattr(x, f"{row.method_name or row.name}_")(*args[1:], **kwargs)
        assert same is x and x.data_ptr() == pointer
        assert x._version > version
        assert x.dtype == args[0].dtype
        assert_close(x, expected.to(x.dtype))


@over_rows("inplace", "order", keep=lambda r: "float64" in r.dtypes)
def test_in_place_variant_has_the_same_gradient(row: Row, device: str) -> None:
    for call in _calls(row, "inplace")[:3]:
        args, kwargs = make(row, call, "float64", device)
        if not hasattr(args[0], "detach") or args[0].numel() == 0:
            continue
        x = args[0].clone().requires_grad_()
        y = call_op(row, (x, *args[1:]), kwargs)
        if not _fits_in_place((x,), {}, y) or not y.requires_grad:
            continue
        (expected,) = eg.autograd.grad((y * y).sum(), x)
        z = x.clone()
        getattr(z, f"{row.method_name or row.name}_")(*args[1:], **kwargs)
        (actual,) = eg.autograd.grad((z * z).sum(), x)
        assert_close(actual, expected)


@over_rows("inplace")
def test_in_place_on_a_strided_view_writes_through(row: Row, device: str) -> None:
    calls = _calls(row, "inplace")
    if not calls:
        pytest.skip("no sample whose result fits into its input")
    call = calls[0]
    args, kwargs = make(row, call, _main_dtype(row), device)
    expected = call_op(row, args, kwargs)
    if not _fits_in_place(args, kwargs, expected):
        pytest.skip("the result does not fit into the input")
    base = eg.stack([args[0], args[0]], dim=-1).contiguous()
    view = base[..., 0]
    getattr(view, f"{row.method_name or row.name}_")(*args[1:], **kwargs)
    assert_close(base[..., 0], expected.to(base.dtype))
    assert_close(base[..., 1], args[0])


@over_rows("out")
def test_out_receives_the_result(row: Row, device: str) -> None:
    for call in _calls(row, "out"):
        args, kwargs = make(row, call, _main_dtype(row), device)
        expected = call_op(row, args, kwargs)
        if isinstance(expected, (tuple, list)):
            out: Any = tuple(eg.empty_like(t) for t in expected)
            call_op(row, args, {**kwargs, "out": out})
            assert_close(list(out), list(expected))
            continue
        if not hasattr(expected, "detach"):
            continue
        out = eg.empty_like(expected)
        assert call_op(row, args, {**kwargs, "out": out}) is out
        assert_close(out, expected)
        strided = eg.empty([*expected.shape, 2], dtype=expected.dtype, device=device)[..., 0]
        call_op(row, args, {**kwargs, "out": strided})
        assert_close(strided, expected)


@over_rows("out", keep=lambda r: "float64" in r.dtypes and r.elementwise)
def test_out_that_is_the_input_is_allowed(row: Row, device: str) -> None:
    args, kwargs = make(row, row.calls[0], "float64", device)
    expected = call_op(row, args, kwargs)
    if getattr(expected, "dtype", None) != args[0].dtype or expected.shape != args[0].shape:
        pytest.skip("the result does not fit into the input")
    x = args[0].clone()
    call_op(row, (x, *args[1:]), {**kwargs, "out": x})
    assert_close(x, expected.to(x.dtype))


@over_rows("out", "order", keep=lambda r: "float64" in r.dtypes)
def test_out_refuses_gradients(row: Row, device: str) -> None:
    _calls(row, "out-gradient")
    args, kwargs = make(row, row.calls[0], "float64", device)
    if not hasattr(args[0], "detach"):
        pytest.skip("the first argument is not a tensor")
    args[0].requires_grad_()
    result = call_op(row, args, kwargs)
    if isinstance(result, (tuple, list)) or not result.requires_grad:
        pytest.skip("one differentiable result")
    out = eg.empty_like(result.detach())
    with pytest.raises(RuntimeError):
        call_op(row, args, {**kwargs, "out": out})


# -- bad input -------------------------------------------------------------------------------------


def _error_cases() -> Iterator[Any]:
    for name, row in zip(_ids(ROWS), ROWS, strict=True):
        for k, bad in enumerate(row.errors):
            yield pytest.param(row, bad, id=f"{name}-{k}")


def call_and_wait(row: Row, args: Any, kwargs: Any, device: str) -> None:
    call_op(row, args, kwargs)
    if device == "cuda":
        eg.cuda.synchronize()  # indices are found wrong by the device


@pytest.mark.parametrize("row,bad", list(_error_cases()))
def test_bad_input_raises_and_changes_nothing(row: Row, bad: Any, device: str) -> None:
    args, kwargs = make(row, bad, bad.dtype, device)
    before = [t.clone() for t in tensors([args, kwargs])]
    with pytest.raises(bad.error, match=bad.match or None):
        call_and_wait(row, args, kwargs, device)
    for t, b in zip(tensors([args, kwargs]), before, strict=True):
        np.testing.assert_array_equal(to_numpy(t), to_numpy(b))


# -- the table itself ------------------------------------------------------------------------------


@pytest.mark.ours
def test_every_registered_op_has_a_row() -> None:
    from eagergrad import _C

    covered = covered_names()
    registered = {n.rstrip("_") or n for n in _C.op_table if not n.startswith("_")}
    missing = sorted(registered - covered)
    assert not missing, (
        f"{len(missing)} registered ops without a row in tests/samples_*.py: {missing}"
    )


# Row-major here, in the input's order in PyTorch, or the other way round.
OTHER_STRIDES = set(
    """isreal frexp nn.functional.logsigmoid renorm alias_copy detach_copy
    take_along_dim masked_scatter put addmm addbmm baddbmm kron linalg.matrix_power gru_cell
    nn.functional.pad""".split()
)


@pytest.mark.filterwarnings("ignore")
@over_rows(keep=lambda row: row.name not in OTHER_STRIDES)
def test_strides_of_a_transposed_input_are_torchs(row: Row, device: str) -> None:
    torch = pytest.importorskip("torch")
    _calls(row, "torch")
    for call in _calls(row, "layout")[:4]:
        if not row.function or any("out" in k for k in call.kwargs):
            continue
        dtype = _main_dtype(row)
        results = []
        for root in (eg, torch):
            args, kwargs = make(row, call, dtype, root=root)
            lay = lambda t: _transposed(t) if hasattr(t, "detach") else t
            results.append(resolve(row.name, root)(*map_tree(lay, args), **map_tree(lay, kwargs)))
        for a, b in zip(tensors(results[:1]), tensors(results[1:]), strict=True):
            assert not b.numel() or a.stride() == tuple(b.stride()), f"{row.name}{call}"


@pytest.mark.filterwarnings("ignore")
@over_dtypes()
def test_same_as_torch(row: Row, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    for call in _calls(row, "torch"):
        if any("out" in k for k in call.kwargs):
            continue
        args, kwargs = make(row, call, dtype)
        targs, tkwargs = make(row, call, dtype, root=torch)
        theirs = resolve(row.name, torch)(*targs, **tkwargs) if row.function else getattr(
            targs[0], row.method_name
        )(*targs[1:], **tkwargs)  # fmt: skip
        ours = call_op(row, args, kwargs)
        assert_close(_plain(ours), _plain(theirs), dtype, row.tol * 2)
        for a, b in zip(tensors([ours]), tensors([theirs]), strict=True):
            assert dtype_name(a) == dtype_name(b), f"{row.name}{call} of {dtype}"
            if "strides" not in row.skips and b.numel():
                assert a.stride() == tuple(b.stride()), f"{row.name}{call} of {dtype}"
