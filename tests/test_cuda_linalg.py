"""Linear algebra and segments on the GPU against the CPU: CuPy or the host computes, results and gradients live on the device."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import eagergrad as eg
from cuda_pairs import assert_same, check, draw, gpu  # noqa: F401

L = eg.linalg


class Functions:
    """`cupy.linalg`, strict in what CuPy does not take."""

    def __init__(self, called):
        self.called = called

    def __getattr__(self, name):
        if not hasattr(np.linalg, name):
            raise AttributeError(name)

        def call(*arrays, **options):
            self.called.add(name)
            assert all(a.flags.c_contiguous and a.size for a in arrays)
            assert name != "solve" or arrays[0].shape[:-2] == arrays[1].shape[:-2], (
                "no broadcasting"
            )
            result = getattr(np.linalg, name)(*arrays, **options)
            return tuple(result) if isinstance(result, tuple) else result

        return call


class NumpyArrays:
    """NumPy in the place of CuPy, over copies of the device's memory."""

    def __init__(self, called):
        self.linalg = Functions(called)

    def array(self, t):
        assert t.is_cuda and not t.requires_grad
        return np.array(memoryview(t.cpu()))

    def tensor(self, array, device):
        return eg._C.from_array(np.array(array)).to(device)

    strict = staticmethod(contextlib.nullcontext)

    def on(self, device):
        assert device.type == "cuda" and device.index is not None
        return contextlib.nullcontext()

    @staticmethod
    def has_eig():
        return True


@pytest.fixture(params=["the host", "CuPy"], autouse=True)
def library(request, monkeypatch):
    """Where factorizations are computed: without a GPU by NumPy, which stands in for CuPy."""
    from eagergrad.cuda import _runtime, linalg

    called = set()
    if request.param == "the host":
        monkeypatch.setattr(linalg, "arrays", lambda: None)
    elif _runtime.emulated:
        monkeypatch.setattr(linalg, "arrays", lambda: NumpyArrays(called))
    return called


def test_the_device_computes_what_cupy_has(library, request):
    A = square().to("cuda")
    for f in (L.inv, L.slogdet, L.cholesky, L.qr, L.eigh, L.svd):
        f(symmetric(A))
    L.solve(A, A)
    L.det(A)
    L.eig(symmetric(A))
    eg.geqrf(A)
    if library or "the host" in request.node.name:
        wanted = {"inv", "slogdet", "cholesky", "qr", "eigh", "svd", "solve", "eig"}
        assert library == (set() if "the host" in request.node.name else wanted)
    empty = L.inv(eg.zeros(2, 0, 0, device="cuda"))
    assert empty.is_cuda and empty.shape == (2, 0, 0)


def square(n=3, seed=0):
    return draw(2, n, n, dtype=eg.float64, seed=seed) + 3 * eg.eye(n, dtype=eg.float64)


def symmetric(A):
    return A + A.mT + eg.arange(1.0, 4.0, dtype=A.dtype, device=A.device).diag()


@pytest.mark.parametrize(
    "f",
    [
        L.inv,
        L.det,
        lambda A: L.slogdet(A).logabsdet,
        lambda A: L.cholesky(symmetric(A)),
        lambda A: L.eigh(symmetric(A)).eigenvalues,
        lambda A: L.pinv(A[:, :2]),
    ],
    ids="inv det slogdet cholesky eigh pinv".split(),
)
def test_matrices_to_second_order(f):
    check(f, square(), order=2, tolerance=1e-9)


@pytest.mark.parametrize(
    "f",
    [
        L.qr,
        L.lu,
        lambda A: L.svd(A, False).S,
        lambda A: L.pinv(symmetric(A), hermitian=True),
        lambda A: L.lu_factor(A[:, :2]).LU,
        L.matrix_exp,
        lambda A: L.matrix_power(A, -2),
        lambda A: L.norm(A, "nuc", (-2, -1)),
        L.cond,
    ],
    ids="qr lu svd pinv_hermitian lu_factor matrix_exp matrix_power norm cond".split(),
)
def test_matrices(f):
    check(f, square(), tolerance=1e-9)


def test_systems():
    A, B, v = square(), draw(2, 3, 4, dtype=eg.float64), draw(3, dtype=eg.float64)
    check(L.solve, A, B, order=2, tolerance=1e-9)
    check(L.solve, A, v, tolerance=1e-9)
    check(lambda a, b: L.solve_triangular(a, b, upper=False, unitriangular=True), A, B)
    check(lambda a, b: L.lu_solve(*L.lu_factor(a), b), A, B, tolerance=1e-9)
    check(lambda a, b: L.lstsq(a[:, :, :2], b).solution, A, B, tolerance=1e-9)
    check(lambda a, b: eg.cholesky_solve(b, L.cholesky(symmetric(a))), A, B, tolerance=1e-9)


def test_results_without_gradients():
    A = eg.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, 1.0], [0.0, 1.0, 4.0]])
    results = [
        (L.matrix_rank(x), *L.eig(x), *eg.geqrf(x), *L.inv_ex(x), *L.lu_factor_ex(x))
        for x in (A.to("cuda"), A)
    ]
    for cuda, cpu in zip(*results, strict=True):
        assert_same(cuda, cpu)
    some = eg.stack([eg.eye(3), eg.tensor([[1.0, 2, 3], [2, 4, 6], [0, 0, 1]]), 2 * eg.eye(3)])
    for f in (L.inv_ex, L.cholesky_ex):
        made, info = f(some.to("cuda"))
        expected, which = f(some)
        assert made.is_cuda and info.is_cuda and info.tolist() == which.tolist() != [0, 0, 0]
        assert_same(made[::2], expected[::2])
    _, info = L.solve_ex(some.to("cuda"), some.to("cuda"))
    assert info.tolist() == L.solve_ex(some, some)[1].tolist() != [0, 0, 0]


def test_errors_are_those_of_the_cpu():
    zeros, ones = eg.zeros(2, 2, device="cuda"), eg.ones(2, 2)
    with pytest.raises(L.LinAlgError, match=r"element 1 is zero.*singular"):
        L.inv(zeros)
    with pytest.raises(L.LinAlgError, match="order 1 is not positive-definite"):
        L.cholesky(zeros)
    with pytest.raises(RuntimeError, match=r"same device.*cuda:0 and cpu"):
        L.solve(zeros, ones)
    with pytest.raises(RuntimeError, match=r"same device.*cpu and cuda:0"):
        L.solve_triangular(ones, zeros, upper=True)
    rotation = eg.tensor([[0.0, 1.0], [-1.0, 0.0]], device="cuda")
    with pytest.raises(RuntimeError, match="complex"):
        L.eig(rotation)
    with pytest.raises(RuntimeError, match="infs or NaNs"):
        L.eig(rotation / 0)


@pytest.mark.parametrize("offsets", [[0, 2, 2, 7], eg.tensor([0, 2, 2, 7], dtype=eg.int32)])
def test_segments(offsets):
    values = draw(7, dtype=eg.float64)
    for f in (eg.sparse.segment_sum, eg.sparse.segment_softmax, eg.sparse.segment_log_softmax):
        check(lambda v, f=f: f(v, offsets), values, order=2)
    on_device = eg.tensor([0, 2, 2, 7], device="cuda")
    assert_same(
        eg.sparse.segment_sum(values.to("cuda"), on_device), eg.sparse.segment_sum(values, offsets)
    )
