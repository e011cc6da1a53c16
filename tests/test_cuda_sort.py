"""Sorting, selection, runs and search on the GPU against the CPU."""

from __future__ import annotations

import pytest

import eagergrad as eg
from cuda_pairs import assert_same, check, draw, gpu  # noqa: F401

NAN, INF = float("nan"), float("inf")


def with_ties(*sizes, dtype=eg.float32):
    x = draw(*sizes, dtype=dtype, low=-4, high=5)
    return (x * 4).round() / 4 if dtype.is_floating_point else x


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sizes", [(6, 5), (3, 64), (2, 300), (1, 2048), (1, 2500), (9, 1)])
def test_sort(sizes, descending):
    check(lambda x: x.sort(-1, descending), with_ties(*sizes))


@pytest.mark.parametrize(
    ("dtype", "n"),
    [
        (eg.bool, 50),
        (eg.uint8, 2100),
        (eg.int16, 50),
        (eg.int64, 50),
        (eg.float16, 2100),
        (eg.float64, 50),
    ],
)
def test_types_are_sorted(dtype, n):
    x = with_ties(2, n, dtype=dtype)
    check(lambda x: (x.sort(1), x.argsort(1, descending=True)), x, order=0)


def test_special_numbers_are_sorted():
    x = eg.tensor([NAN, 0.0, -0.0, INF, -INF, NAN, -1e-40, 3e38])
    for n in (1, 300):
        y = x.repeat(n)
        check(lambda y: (y.argsort(), y.argsort(descending=True), y.sort()[0]), y, order=0)
        check(lambda y: (y.topk(7), y.topk(7, largest=False), y.kthvalue(3)), y, order=0)


def test_sort_along_other_dimensions_and_derivatives():
    x = draw(5, 40, 3)
    check(lambda x: (x.sort(1), x.msort(), x.transpose(0, 1).sort(1)), x, order=2)
    check(lambda x: (x[0, 0, 0].sort(0), x[:, :0].sort(0)), x)


@pytest.mark.parametrize(
    ("rows", "n", "largest"), [(3, 40, False), (2, 1000, True), (17, 2100, False), (1, 33000, True)]
)
def test_selection(rows, n, largest):
    x = with_ties(rows, n)
    check(lambda x: x.topk(7, 1, largest), x, tolerance=1e-4)
    check(lambda x: (x.topk(1, 1, largest), x.kthvalue(n // 3, 1)), x, order=0)


def test_selection_of_many_and_of_other_types():
    check(lambda x: x.topk(2300, 1), draw(2, 9500), order=0)
    check(lambda x: x.topk(700, 1), draw(16, 3000, dtype=eg.float64), order=0)
    x = with_ties(16, 2100, dtype=eg.int64)
    check(lambda x: (x.topk(30, 1, False), x.kthvalue(9, 1, keepdim=True)), x, order=0)
    check(lambda x: (x.topk(0), x.topk(2, 0)), draw(4, 3))


@pytest.mark.parametrize("dtype", [eg.float32, eg.int64])
def test_medians_and_modes(dtype):
    x = with_ties(3, 50, dtype=dtype)
    if dtype.is_floating_point:
        x[1, 5:9] = NAN
        x[2] = NAN
        x[0, 7:9] = INF
    check(lambda x: (x.median(1), x.nanmedian(0), x.median(), x[0].nanmedian()), x, order=0)
    check(lambda x: (x[:2].mode(1), x.mode(0, keepdim=True)[0], x[0, 0].mode()), x, order=0)


@pytest.mark.parametrize("n", [1, 60, 3000])
def test_unique(n):
    x = draw(n, dtype=eg.int64, low=-50, high=50)
    check(lambda x: x.unique(return_inverse=True, return_counts=True), x, order=0)
    check(
        lambda x: (x // 40).unique_consecutive(return_inverse=True, return_counts=True), x, order=0
    )


def test_unique_rows():
    x = draw(40, 3, dtype=eg.int32, low=0, high=2)
    for dim in (0, 1):
        check(lambda x, d=dim: x.unique(return_inverse=True, return_counts=True, dim=d), x, order=0)
    check(lambda x: (x[:0].unique(), x[0, 0].unique(), x.unique_consecutive(dim=0)), x, order=0)
    check(lambda x: x.unique(return_counts=True), eg.tensor([NAN, 1.0, NAN]), order=0)


def test_search():
    b, v = draw(3, 20).sort(1)[0], draw(3, 50, seed=1)
    for right in (False, True):
        check(lambda b, v, r=right: eg.searchsorted(b, v, right=r), b, v, order=0)
        check(lambda b, v, r=right: eg.bucketize(v, b[0], right=r, out_int32=True), b, v, order=0)
    check(lambda b, v: eg.searchsorted(v, b, sorter=v.argsort(1)), b, v, order=0)
    check(lambda b, v: (eg.bucketize(0.25, b[0]), eg.searchsorted(b[1], 0.5)), b, v, order=0)


def test_membership_and_histograms():
    x, y = draw(30, dtype=eg.int64), draw(5, dtype=eg.int64, seed=1)
    check(lambda x, y: (eg.isin(x, y), eg.isin(x, y, invert=True), eg.isin(x, 3)), x, y, order=0)
    check(lambda x, y: (eg.isin(3, x), eg.isin(x, y[:0])), x, y, order=0)
    w = draw(30, dtype=eg.float64)
    check(lambda x, w: eg.bincount(x.abs(), w, minlength=12), x, w, order=0)
    check(lambda w: (w.histc(7), w.histc(5, -0.5, 0.5)), w, order=0)
    check(lambda w: (w.float().histc(7), w.histc(3, -1.0, w[3].item()), w[:0].histc(3)), w, order=0)
    check(lambda w: eg.histogram(w, 4), w, order=0)
    v, edges = (
        draw(30, dtype=eg.float64, seed=2),
        eg.tensor([-0.5, 0.0, 0.1, 0.7], dtype=eg.float64),
    )
    check(lambda w, v, e: eg.histogram(w, e, weight=v, density=True), w, v, edges, order=0)
    check(lambda w: eg.histogram(w.float(), 3, range=(-0.25, 0.5), density=True), w, order=0)
    assert_same(eg.bincount(x[:0].to("cuda")), eg.bincount(x[:0]))


def test_bad_input_is_refused():
    x = draw(4).to("cuda")
    with pytest.raises(RuntimeError, match="out of range"):
        x.topk(5)
    with pytest.raises(RuntimeError, match="one device"):
        eg.searchsorted(x, draw(3))
    with pytest.raises(RuntimeError, match="non-negative"):
        eg.bincount(eg.tensor([1, -1], device="cuda"))
