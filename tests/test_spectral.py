"""QR, eigenvalues, singular values and least squares on the CPU: sizes around blocks, batches, layouts, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import eagergrad as eg
from eagergrad import _C
from eagergrad import linalg as L

ops = _C.op_table
SHAPES = [
    (1, 1),
    (3, 3),
    (7, 7),
    (4, 9),
    (9, 4),
    (17, 17),
    (33, 20),
    (20, 33),
    (150, 150),
    (200, 70),
]
BATCHED = [
    *SHAPES[:-2],
    (5, 3, 3),
    (40, 4, 4),
    (37, 3, 2),
    (19, 2, 5),
    (9, 16, 16),
    (17, 20, 11),
    (8, 30, 32),
    (2, 3, 8, 8),
    (3, 64, 64),
]
EMPTY = [(0, 3), (3, 0), (0, 0), (2, 0, 3), (0, 3, 3)]


def matrices(shape, dtype):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def close(actual, expected, dtype, scale=1.0):
    actual = actual.numpy() if isinstance(actual, _C.TensorBase) else actual
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max(initial=0.0) < scale * (2e-4 if dtype == "f4" else 1e-11)


def orthogonal(q, dtype):
    q = q.numpy().astype("f8")
    close(q.swapaxes(-1, -2) @ q, np.broadcast_to(np.eye(q.shape[-1]), (*q.shape[:-2], q.shape[-1], q.shape[-1])), dtype)  # fmt: skip


def by_columns(t):
    return t.mT.is_contiguous()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("mode", ["reduced", "complete"])
@pytest.mark.parametrize("shape", BATCHED + EMPTY, ids=str)
def test_qr(shape, mode, dtype):
    A = matrices(shape, dtype)
    Q, R = L.qr(eg.tensor(A), mode)
    rows = shape[-2] if mode == "complete" else min(shape[-2:])
    assert Q.shape == (*shape[:-1], rows) and R.shape == (*shape[:-2], rows, shape[-1])
    assert by_columns(Q) and by_columns(R) and not R.tril(-1).any()
    orthogonal(Q, dtype)
    close(Q.numpy().astype("f8") @ R.numpy(), A, dtype, 10)
    if mode == "reduced":
        Q, r = L.qr(eg.tensor(A), "r")
        assert Q.shape == (0,) and eg.allclose(r, R, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_reflections_of_extreme_sizes(dtype):
    for size in (1e-30, 1e30) if dtype == "f4" else (1e-250, 1e250):
        A = (matrices((5, 3), "f8") * size).astype(dtype)
        Q, R = L.qr(eg.tensor(A))
        orthogonal(Q, dtype)
        close(Q.numpy() @ R.numpy() / size, A / size, dtype)
    Q, R = L.qr(eg.tensor([[2.0, 1.0], [0.0, 3.0]]))  # nothing to reflect
    assert eg.equal(Q, eg.eye(2)) and R.tolist() == [[2.0, 1.0], [0.0, 3.0]]
    assert L.qr(eg.full((3, 3), float("nan"))).Q.isnan().any()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", BATCHED, ids=str)
def test_products_of_reflections(shape, dtype):
    A = eg.tensor(matrices(shape, dtype))
    packed, tau = eg.geqrf(A)
    assert by_columns(packed)
    Q, R = L.qr(A, "complete")
    close(packed.triu()[..., : R.shape[-2], :], R.numpy(), dtype, 10)
    m, k = shape[-2], min(shape[-2:])
    close(L.householder_product(packed[..., :k], tau), Q.numpy()[..., :k], dtype, 10)
    C = eg.tensor(matrices((*shape[:-2], m, 5), dtype))
    for transpose, q in ((False, Q), (True, Q.mT)):
        close(eg.ormqr(packed, tau, C, transpose=transpose), (q @ C).numpy(), dtype, 10)
        right = eg.ormqr(packed, tau, C.mT, left=False, transpose=transpose)
        close(right, (C.mT @ q).numpy(), dtype, 10)
    # recorded, the same from tensor operations
    recorded = L.householder_product(packed[..., :k].clone().requires_grad_(), tau)
    close(recorded.detach(), Q.numpy()[..., :k], dtype, 10)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("uplo", ["L", "U"])
@pytest.mark.parametrize("shape", [s for s in BATCHED + EMPTY if s[-1] == s[-2]], ids=str)
def test_eigh(shape, uplo, dtype):
    A = matrices(shape, dtype)
    values, V = L.eigh(eg.tensor(A), uplo)
    half = np.tril(A) if uplo == "L" else np.triu(A)
    S = half + half.swapaxes(-1, -2) - half * np.eye(shape[-1], dtype=dtype)
    scale = max(shape[-1], 1)
    close(values, np.linalg.eigvalsh(S.astype("f8")), dtype, scale)
    close(L.eigvalsh(eg.tensor(A), uplo), values.numpy(), dtype, scale)
    assert by_columns(V) and V.shape == shape
    orthogonal(V, dtype)
    close(S.astype("f8") @ V.numpy(), V.numpy() * values.numpy()[..., None, :], dtype, scale)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("shape", BATCHED + EMPTY, ids=str)
def test_svd(shape, full, dtype):
    A = matrices(shape, dtype)
    U, S, Vh = L.svd(eg.tensor(A), full)
    (m, n), k, batch = shape[-2:], min(shape[-2:]), shape[:-2]
    assert U.shape == (*batch, m, m if full else k) and Vh.shape == (*batch, n if full else k, n)
    assert by_columns(U) and by_columns(Vh)
    scale = 4 * max(m, n, 1)
    expected = np.linalg.svd(A.astype("f8"), compute_uv=False) if A.size else np.zeros((*batch, k))
    close(S, expected, dtype, scale)
    close(L.svdvals(eg.tensor(A)), expected, dtype, scale)
    orthogonal(U, dtype)
    orthogonal(Vh.mT, dtype)
    product = (U.numpy()[..., :k] * S.numpy()[..., None, :]).astype("f8") @ Vh.numpy()[..., :k, :]
    close(product, A, dtype, scale)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", [2, 3, 8])
def test_factors_of_special_matrices(n, dtype):
    """Repeated, vanishing, tiny and huge values, in batches and alone."""
    rng = np.random.default_rng(n)
    q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    small, big = (1e-30, 1e30) if dtype == "f4" else (1e-250, 1e250)
    one = np.eye(n)
    sizes = [np.zeros((n, n)), one, np.ones((n, n)), one * small, one * big, np.ones((n, n)) * big,
             np.ones((n, n)) * small, q * 3 @ np.diag([0, 1, *[2] * n][:n]) @ q.T,
             np.diag(np.arange(n) - 1.0), np.eye(n, k=1) + np.eye(n, k=-1), -one]  # fmt: skip
    batch = np.stack(sizes).astype(dtype)
    for A in (batch, *batch):
        scale = np.abs(A).max(axis=(-2, -1), keepdims=True) + np.finfo(dtype).tiny
        values, V = L.eigh(eg.tensor(A))
        orthogonal(V, dtype)
        product = V.numpy() * (values.numpy()[..., None, :] / scale) @ V.numpy().swapaxes(-1, -2)
        close(product, A / scale, dtype, 10)
        assert (np.diff(values.numpy()) >= 0).all()
        U, S, Vh = L.svd(eg.tensor(A))
        orthogonal(U, dtype)
        orthogonal(Vh.mT, dtype)
        close(U.numpy() * (S.numpy()[..., None, :] / scale) @ Vh.numpy(), A / scale, dtype, 10)
        assert (np.diff(S.numpy()) <= 0).all() and (S.numpy() >= 0).all()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", [1, 3, 20, 90])
def test_eig_of_real_eigenvalues(n, dtype):
    S = matrices((2, n, n), "f8")
    A = (S + S.swapaxes(1, 2)).astype(dtype)
    values, V = L.eig(eg.tensor(A))
    close(A @ V.numpy(), V.numpy() * values.numpy()[:, None], dtype, 10 * n)
    close(np.sort(L.eigvals(eg.tensor(A)).numpy()), np.sort(values.numpy()), dtype, 10 * n)
    assert by_columns(V)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("driver", ["gels", "gelsd", "gelss", "gelsy"])
@pytest.mark.parametrize(
    "shape", [(5, 3), (3, 5), (2, 6, 6), (60, 20), (3, 9, 2), (0, 2), (2, 0)], ids=str
)
def test_lstsq(shape, driver, dtype):
    A, B = matrices(shape, dtype), matrices((*shape[:-1], 4), dtype)
    result = L.lstsq(eg.tensor(A), eg.tensor(B), driver=driver)
    expected = np.linalg.pinv(A.astype("f8")) @ B
    close(result.solution, expected, dtype, 100)
    over = shape[-2] > shape[-1] and driver != "gelsy"
    residuals = ((A @ expected - B) ** 2).sum(-2)
    close(result.residuals, residuals.astype(dtype) if over else np.empty(0), dtype, 100)
    rank = min(shape[-2:])
    assert result.rank.tolist() == ([] if driver == "gels" else np.full(shape[:-2], rank).tolist())
    values = np.linalg.svd(A.astype("f8"), compute_uv=False) if A.size else np.zeros(0)
    close(
        result.singular_values, values if driver in ("gelsd", "gelss") else np.empty(0), dtype, 100
    )


def test_lstsq_finds_the_rank_and_has_gradients():
    A = eg.tensor([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], dtype=eg.float64)
    B = eg.tensor([[1.0], [0.0], [1.0]], dtype=eg.float64)
    for driver in ("gelsd", "gelss", "gelsy"):
        result = L.lstsq(A, B, driver=driver)
        assert result.rank.item() == 1 and eg.allclose(result.solution, L.pinv(A) @ B)
    A = eg.tensor(matrices((2, 4, 2), "f8"), requires_grad=True)
    B = eg.tensor(matrices((2, 4, 3), "f8"), requires_grad=True)
    assert eg.autograd.gradcheck(lambda a, b: L.lstsq(a, b).solution, (A, B))
    assert eg.autograd.gradgradcheck(lambda a, b: L.lstsq(a, b).solution, (A, B))
    assert L.lstsq(A, B).solution.grad_fn.name() == "LinalgLstsqBackward0"


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 5, 5), (90, 90), (2, 0, 0)], ids=str)
def test_ldl(shape, dtype):
    A = matrices(shape, dtype)
    A = A + A.swapaxes(-1, -2)
    A[..., range(shape[-1]), range(shape[-1])] = 0  # blocks of two rows
    if shape[-1] == 1:
        A += 2
    B = matrices((*shape[:-1], 3), dtype)
    LD, pivots, info = L.ldl_factor_ex(eg.tensor(np.tril(A)))
    assert by_columns(LD) and pivots.dtype is eg.int32 and not info.any() and not LD.triu(1).any()
    assert shape[-1] < 2 or (pivots < 0).any()
    X = L.ldl_solve(LD, pivots, eg.tensor(B))
    assert by_columns(X)
    close(A.astype("f8") @ X.numpy(), B, dtype, 2000)
    b = eg.tensor(B, requires_grad=True)
    L.ldl_solve(LD, pivots, b).sum().backward()
    close(b.grad, L.solve(eg.tensor(A), eg.ones(B.shape, dtype=b.dtype)).numpy(), dtype, 2000)


def test_ldl_of_what_has_none():
    LD, pivots, info = L.ldl_factor_ex(eg.zeros(2, 3, 3))
    assert info.tolist() == [1, 1] and not LD.any() and pivots.shape == (2, 3)
    with pytest.raises(L.LinAlgError, match=r"Batch element 0|singular"):
        L.ldl_factor(eg.zeros(2, 3, 3))
    with pytest.raises(RuntimeError, match="no gradient"):
        L.ldl_factor(eg.eye(3).requires_grad_())
    LD, pivots = L.ldl_factor(eg.eye(3))
    for bad in ([0, 1, 2], [4, 1, 1], [-1, 2, 3], [1, 2, -3], [-9, -9, 1]):
        with pytest.raises(RuntimeError, match="expected pivots from 1 to 3"):
            L.ldl_solve(LD, eg.tensor(bad, dtype=eg.int32), eg.ones(3, 1))
    for arguments in ((LD, pivots, eg.ones(2, 1)), (LD, pivots[:2], eg.ones(3, 1)), (LD, pivots.long(), eg.ones(3, 1)),
                      (LD, pivots, eg.ones(3, 1).double()), (LD, pivots, eg.ones(3))):  # fmt: skip
        with pytest.raises(RuntimeError):
            L.ldl_solve(*arguments)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 8.0])
@pytest.mark.parametrize("shape", [(1, 1), (40, 3, 3), (8, 8), (3, 12, 12), (50, 50)], ids=str)
def test_matrix_exp(shape, size, dtype):
    A = (matrices(shape, dtype) * size / shape[-1]).astype(dtype)
    expected = np.broadcast_to(np.eye(shape[-1]), shape).copy()
    term = expected.copy()
    for k in range(1, 80):
        term = term @ A.astype("f8") / k
        expected += term
    scale = np.abs(expected).max()
    close(eg.linalg.matrix_exp(eg.tensor(A)).numpy() / scale, expected / scale, dtype)


def test_matrix_exp_of_what_is_not_finite():
    A = eg.zeros(2, 3, 3)
    A[1, 0, 0] = float("nan")
    y = L.matrix_exp(A)
    assert eg.equal(y[0], eg.eye(3)) and y[1].isnan().any()
    large = eg.zeros(2, 9, 9)  # more rows than a kernel takes
    large[1, 0, 0] = float("nan")
    large.requires_grad_()
    y = L.matrix_exp(large)
    assert eg.equal(y[0].detach(), eg.eye(9)) and y[1].isnan().all()
    y.sum().backward()
    assert large.grad[0].isfinite().all()
    assert L.matrix_exp(eg.full((2, 2), float("inf"))).isnan().all()
    assert L.matrix_exp(eg.full((2, 2), 1e5)).isinf().all()
    for n in (3, 5, 9):
        A = eg.tensor(matrices((2, n, n), "f8"), requires_grad=True)
        assert eg.autograd.gradcheck(L.matrix_exp, (A,))
        assert n > 3 or eg.autograd.gradgradcheck(L.matrix_exp, (A,))


def test_edges_are_those_of_pytorch():
    A, singular = eg.tensor(matrices((2, 3, 3), "f8")), eg.zeros(2, 3, 3)
    singular[0], singular[1, 0, 0] = eg.eye(3), 1.0
    assert L.cond(singular, 1).tolist() == [1.0, float("inf")]
    assert L.cond(eg.zeros(4, 0, 0)).tolist() == [0.0] * 4
    assert L.matrix_power(eg.tensor([[1, 1], [0, 1]]), 5).tolist() == [[1, 5], [0, 1]]
    assert L.solve_ex(A[0], eg.ones(4, 3, 2, dtype=A.dtype)).info.shape == ()
    assert L.solve(A, A[:, 0]).shape == (2, 3)
    for error, f in ((IndexError, lambda: L.matrix_norm(eg.zeros(0, 3), -2)),
                     (IndexError, lambda: L.matrix_norm(eg.zeros(0, 3), -float("inf"))),
                     (RuntimeError, lambda: L.matrix_norm(A, dim=(0, 1, 2))),
                     (TypeError, lambda: L.vector_norm(A, "fro")),
                     (RuntimeError, lambda: L.solve_triangular(A, A[0, 0], upper=True)),
                     (RuntimeError, lambda: L.solve(A, eg.ones(3, 3, 3, dtype=A.dtype))),
                     (RuntimeError, lambda: L.multi_dot([A, A[0]])),
                     (RuntimeError, lambda: L.vander(A[0, 0, :1]))):  # fmt: skip
        with pytest.raises(error):
            f()


@pytest.mark.host("a GPU's library does not tell which matrix of a batch fails")
def test_batches_are_told_which_of_them_fails():
    A = eg.eye(3).repeat(4, 1, 1)
    A[2] = 0
    inverse, info = L.inv_ex(A)
    assert info.tolist() == [0, 0, 1, 0] and eg.equal(inverse[3], eg.eye(3))
    assert L.solve_ex(A, eg.ones(4, 3, 1)).info.tolist() == [0, 0, 1, 0]
    assert L.cholesky_ex(A).info.tolist() == [0, 0, 1, 0]
    assert L.lu_factor_ex(A).info.tolist() == [0, 0, 1, 0]
    for f in (L.inv, L.cholesky, lambda a: L.solve(a, a), L.lu_factor,
              lambda a: L.inv_ex(a, check_errors=True), lambda a: L.solve_ex(a, a, check_errors=True),
              lambda a: L.cholesky_ex(a, check_errors=True)):  # fmt: skip
        with pytest.raises(RuntimeError, match=r"Batch element 2"):
            f(A)
    A[2] = float("nan")
    for f in (L.svd, L.svdvals, L.eigh, L.eigvalsh, L.cond, L.matrix_rank, L.pinv):
        with pytest.raises(L.LinAlgError, match=r"Batch element 2.*non-finite"):
            f(A)
    with pytest.raises(RuntimeError, match="infs or NaNs"):
        L.eigvals(A)
    with pytest.raises(RuntimeError, match="complex"):
        L.eig(eg.tensor([[0.0, 1.0], [-1.0, 0.0]]))


def test_results_do_not_depend_on_the_number_of_threads():
    A, threads = eg.tensor(matrices((300, 260), "f4")), eg.get_num_threads()
    results = []
    try:
        for n in (1, 2, 3):
            eg.set_num_threads(n)
            results.append([*L.qr(A), *L.svd(A[:100, :100].reshape(25, 20, 20))])
    finally:
        eg.set_num_threads(threads)
    for other in results[1:]:
        assert all(eg.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.host("kernels of the CPU: a GPU has CuPy's")
@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("_qr", (eg.ones(3), False, True), "at least 2 dimensions"),
        ("_geqrf", (eg.ones(3, 3, dtype=eg.int64),), "Expected a floating point"),
        ("_householder_product", (eg.ones(2, 3), eg.ones(2)), "no more columns than rows"),
        ("_householder_product", (eg.ones(3, 2), eg.ones(3)), "does not fit"),
        ("_householder_product", (eg.ones(4, 3, 2), eg.ones(3, 2)), "does not fit"),
        ("_householder_product", (eg.ones(3, 2), eg.ones(2).double()), "expected a tau of"),
        ("_ormqr", (eg.ones(3, 2), eg.ones(2), eg.ones(2, 3), False), "do not fit"),
        ("_ormqr", (eg.ones(3, 2), eg.ones(2), eg.ones(3, 3).double(), False), "do not fit"),
        ("_eigh", (eg.ones(2, 3), False, True), "batches of square matrices"),
        ("_eig", (eg.ones(2, 3), True), "batches of square matrices"),
        ("_svd", (eg.ones(3), False, True), "at least 2 dimensions"),
        ("_slogdet", (eg.ones(3, 2), True), "batches of square matrices"),
        ("_lstsq", (eg.ones(3, 2), eg.ones(2, 2), 0.0, 0), "do not fit"),
        ("_lstsq", (eg.ones(3, 2), eg.ones(3, 2), 0.0, 4), "no driver"),
        ("_matrix_exp", (eg.ones(17, 17),), "from 1 to 16 rows"),
        ("_lu_permutation", (eg.tensor([5], dtype=eg.int32), 3, eg.float32), "out of range"),
        ("_lu_permutation", (eg.tensor([1], dtype=eg.int32), 3, eg.int64), "float32 or float64"),
        ("_first_nonzero", (eg.ones(3),), "expected a contiguous tensor of int32"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(name, arguments, message):
    with pytest.raises(RuntimeError, match=message):
        ops[name](*arguments)


@pytest.mark.parametrize("scale", [1.0, 1e-25, 1e25])
@pytest.mark.parametrize(("apart", "rank"), [(1.0, 5), (1e-2, 5), (1e-12, 4)])
def test_least_squares_where_columns_are_nearly_dependent(apart, rank, scale):
    A, B = matrices((3, 30, 5), "f8"), matrices((3, 30, 2), "f8")
    A[..., 4] = A[..., 0] + apart * A[..., 4]
    X, _, found, _ = L.lstsq(eg.tensor(scale * A), eg.tensor(B), rcond=1e-9)
    assert found.tolist() == [rank] * 3
    residual = B - A @ (scale * X.numpy())
    assert np.abs(A.swapaxes(-1, -2) @ residual).max() < 1e-9
