"""The kernels behind linear algebra: sizes around their blocks and halves, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import eagergrad as eg
from eagergrad import _C

pytestmark = pytest.mark.host("kernels of the CPU: a GPU has CuPy's")

ops = _C.op_table
SIZES = [0, 1, 2, 15, 16, 17, 33, 64, 100, 257]


def close(actual, expected, dtype):
    scale = np.abs(expected).max(initial=1.0)
    assert np.abs(actual - expected).max(initial=0.0) / scale < (1e-3 if dtype == "f4" else 1e-10)


def matrices(n, dtype, *, batch=(2,), columns=None):
    rng = np.random.default_rng(n)
    return rng.standard_normal((*batch, n, n if columns is None else columns)).astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", SIZES)
def test_solve(n, dtype):
    A, B = matrices(n, dtype), matrices(n, dtype, columns=n % 7 + 30)
    X, info = ops["linalg_solve_ex"](eg.tensor(A), eg.tensor(B))
    close(A.astype("f8") @ X.numpy(), B, dtype)
    assert not info.any()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", SIZES)
def test_cholesky(n, dtype):
    A = matrices(n, "f8")
    S = (A @ A.swapaxes(1, 2) + n * np.eye(n)).astype(dtype)
    L, info = ops["linalg_cholesky_ex"](eg.tensor(np.tril(S)))  # the upper triangle is not read
    close(L.numpy(), np.linalg.cholesky(S.astype("f8")), dtype)
    assert not info.any()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_solve_triangular(n, upper, unit, dtype):
    A = (matrices(n, "f8") / (n + 1) + np.eye(n) * (7 if unit else 2)).astype(dtype)
    B = matrices(n, dtype, columns=n % 5 + 18)
    X = ops["linalg_solve_triangular"](eg.tensor(A), eg.tensor(B), upper, True, unit)
    T = np.triu(A, unit) if upper else np.tril(A, -int(unit))
    close((T + np.eye(n) * unit).astype("f8") @ X.numpy(), B, dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    ("m", "n"), [(n, n) for n in SIZES] + [(40, 17), (17, 40), (0, 3), (33, 100)]
)
def test_lu(m, n, dtype):
    A = np.random.default_rng(0).standard_normal((2, m, n)).astype(dtype)
    LU, pivots, info = (t.numpy() for t in ops["linalg_lu_factor_ex"](eg.tensor(A)))
    k = min(m, n)
    order = ops["_lu_order"](eg.tensor(pivots), m).numpy()
    L, U = np.tril(LU[..., :k], -1) + np.eye(m, k), np.triu(LU[:, :k])
    close(L.astype("f8") @ U, np.take_along_axis(A, order[..., None], 1), dtype)
    assert np.abs(L).max(initial=0) <= 1 and not info.any()


def test_results_do_not_depend_on_the_number_of_threads():
    A, threads = eg.tensor(matrices(300, "f4", batch=())), eg.get_num_threads()
    results = []
    try:
        for n in (1, 2, 3):
            eg.set_num_threads(n)
            results.append([eg.linalg.inv(A), eg.linalg.cholesky(A @ A.mT + eg.eye(300))])
    finally:
        eg.set_num_threads(threads)
    for other in results[1:]:
        assert all(eg.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_what_cannot_be_factorised_is_told_by_number():
    singular = np.diag([1.0, 2.0, 0.0, 4.0])
    assert ops["linalg_lu_factor_ex"](eg.tensor(singular))[2].item() == 3
    assert (
        ops["linalg_solve_ex"](eg.tensor(singular), eg.ones(4, 1, dtype=eg.float64))[1].item() == 3
    )
    indefinite = np.eye(40)
    indefinite[29, 29] = -1
    assert ops["linalg_cholesky_ex"](eg.tensor(indefinite))[1].item() == 30
    for f in (eg.linalg.inv, eg.linalg.cholesky):
        with pytest.raises(eg.linalg.LinAlgError):
            f(eg.tensor(singular))
    nan = eg.full((20, 20), float("nan"))
    assert (
        ops["linalg_lu_factor_ex"](nan)[0].isnan().all()
        and ops["linalg_cholesky_ex"](nan)[1].item() == 1
    )


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("linalg_lu_factor_ex", (eg.ones(3),), "at least 2 dimensions"),
        ("linalg_lu_factor_ex", (eg.ones(3, 3, dtype=eg.int64),), "Expected a floating point"),
        ("linalg_cholesky_ex", (eg.ones(3, 2),), "square matrices, but they are 3 by 2"),
        ("linalg_inv_ex", (eg.ones(2, 3, 2),), "square matrices, but they are 3 by 2"),
        ("linalg_solve_ex", (eg.ones(3, 3), eg.ones(2, 3)), "Incompatible shapes"),
        ("linalg_solve_ex", (eg.ones(2, 3, 3), eg.ones(4, 3, 3)), "broadcast"),
        ("linalg_solve_triangular", (eg.ones(3, 3), eg.ones(3, 3).double(), True), "one dtype"),
        ("linalg_solve_triangular", (eg.ones(3, 3), eg.ones(3), True), "at least 2 dimensions"),
        ("cholesky_solve", (eg.ones(2, 3), eg.ones(3, 3)), "Incompatible shapes"),
        ("_lu_order", (eg.tensor([1, 5], dtype=eg.int32), 3), "pivot 5 is out of range"),
        ("_lu_order", (eg.tensor([0], dtype=eg.int32), 3), "pivot 0 is out of range"),
        ("_lu_order", (eg.tensor([1, 2]), 3), "dtype int32"),
        ("_lu_order", (eg.ones(4, dtype=eg.int32), 3), "do not fit"),
    ],
)
def test_bad_input_is_refused(name, arguments, message):
    with pytest.raises(RuntimeError, match=message):
        ops[name](*arguments)
