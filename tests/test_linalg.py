"""eagergrad.linalg: values against NumPy and PyTorch, gradients of first and second order, and bad input."""

import numpy as np
import pytest

import eagergrad as eg
from eagergrad import linalg

rng = np.random.default_rng(11)


def real(*shape):
    return rng.normal(size=shape)


def symmetric(*shape):
    a = real(*shape)
    return a + np.swapaxes(a, -1, -2)


def definite(n):
    a = real(n, n)
    return a @ a.T + n * np.eye(n)


def regular(*shape):
    return real(*shape) + 3 * np.eye(shape[-1])


# name, function of (linalg, tensors), inputs. Signs of vectors are free, so they are multiplied out.
CASES = {
    "inv": (lambda l, a: l.inv(a), [regular(2, 3, 3)]),
    "solve": (lambda l, a, b: l.solve(a, b), [regular(3, 3), real(3, 2)]),
    "solve-vector": (lambda l, a, b: l.solve(a, b), [regular(3, 3), real(3)]),
    "solve-broadcast": (lambda l, a, b: l.solve(a, b), [regular(3, 3), real(2, 3, 2)]),
    "solve-right": (lambda l, a, b: l.solve(a, b, left=False), [regular(3, 3), real(2, 3)]),
    "triangular": (lambda l, a, b: l.solve_triangular(a, b, upper=True),
                   [regular(3, 3), real(3, 2)]),
    "triangular-unit": (lambda l, a, b: l.solve_triangular(a, b, upper=False, unitriangular=True),
                        [regular(2, 3, 3), real(2, 3, 2)]),
    "triangular-right": (lambda l, a, b: l.solve_triangular(a, b, upper=False, left=False),
                         [regular(3, 3), real(2, 3)]),
    "pinv-tall": (lambda l, a: l.pinv(a), [real(4, 2)]),
    "pinv-wide": (lambda l, a: l.pinv(a), [real(2, 2, 4)]),
    "lstsq": (lambda l, a, b: l.lstsq(a, b).solution, [real(5, 2), real(5, 3)]),
    "det": (lambda l, a: l.det(a), [real(2, 3, 3)]),
    "slogdet": (lambda l, a: l.slogdet(a).logabsdet, [real(3, 3)]),
    "cholesky": (lambda l, a: l.cholesky((a + a.mT) / 2), [definite(3)]),
    "cholesky-upper": (lambda l, a: l.cholesky((a + a.mT) / 2, upper=True), [definite(3)]),
    "qr": (lambda l, a: sum(x.sum() for x in l.qr(a)), [real(4, 3)]),
    "qr-wide": (lambda l, a: l.qr(a).R, [real(2, 4)]),
    "eigh-values": (lambda l, a: l.eigh((a + a.mT) / 2).eigenvalues, [symmetric(3, 3)]),
    "eigh-vectors": (lambda l, a: l.eigh((a + a.mT) / 2).eigenvectors ** 2, [symmetric(2, 3, 3)]),
    "eigvalsh": (lambda l, a: l.eigvalsh((a + a.mT) / 2), [symmetric(3, 3)]),
    "svd-values": (lambda l, a: l.svd(a).S, [real(3, 4)]),
    "svd-vectors": (lambda l, a: l.svd(a, full_matrices=False).U ** 2, [real(4, 3)]),
    "svd-both": (lambda l, a: l.svd(a, full_matrices=False).Vh ** 2, [real(2, 3, 4)]),
    "svdvals": (lambda l, a: l.svdvals(a), [real(3, 4)]),
    "lu": (lambda l, a: l.lu(a).L + l.lu(a).U, [real(3, 3)]),
    "lu_solve": (lambda l, a, b: l.lu_solve(*l.lu_factor(a), b), [regular(3, 3), real(3, 2)]),
    "lu_solve-adjoint": (lambda l, a, b: l.lu_solve(*l.lu_factor(a), b, adjoint=True),
                         [regular(3, 3), real(3, 2)]),
    "matrix_exp": (lambda l, a: l.matrix_exp(a), [real(2, 3, 3)]),
    "matrix_power": (lambda l, a: l.matrix_power(a, 3), [real(3, 3)]),
    "matrix_power-negative": (lambda l, a: l.matrix_power(a, -2), [regular(3, 3)]),
    "multi_dot": (lambda l, a, b, c: l.multi_dot([a, b, c]), [real(2, 5), real(5, 3), real(3)]),
    "cond": (lambda l, a: l.cond(a), [regular(3, 3)]),
    "cond-1": (lambda l, a: l.cond(a, 1), [regular(3, 3)]),
    "vecdot": (lambda l, a, b: l.vecdot(a, b), [real(2, 3), real(3)]),
    "cross": (lambda l, a, b: l.cross(a, b), [real(2, 3), real(2, 3)]),
    "tensorinv": (lambda l, a: l.tensorinv(a), [regular(6, 6).reshape(2, 3, 2, 3)]),
    "tensorsolve": (lambda l, a, b: l.tensorsolve(a, b), [regular(6, 6).reshape(2, 3, 6), real(2, 3)]),
    "vander": (lambda l, a: l.vander(a, N=3), [real(4)]),
    "householder": (lambda l, a, t: l.householder_product(a, t), [real(4, 3), real(3)]),
    "norm": (lambda l, a: l.norm(a), [real(2, 3, 4)]),
    "norm-vector": (lambda l, a: l.norm(a, 3, dim=1), [real(2, 3, 4)]),
    "vector_norm": (lambda l, a: l.vector_norm(a, 1, dim=(0, 2), keepdim=True), [real(2, 3, 4)]),
    **{f"matrix_norm{p}": (lambda l, a, p=p: l.matrix_norm(a, p, keepdim=p == 2), [real(2, 3, 4)])
       for p in ("fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf"))},
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_agree_with_pytorch(name):
    torch = pytest.importorskip("torch")
    if name == "cond-1":
        pytest.skip("PyTorch 2.13 cannot differentiate it")
    function, inputs = CASES[name]

    def run(lib):
        args = [lib.tensor(x, requires_grad=True) for x in inputs]
        y = function(lib.linalg, *args)
        (y * lib.arange(1.0, y.numel() + 1, dtype=y.dtype).reshape(y.shape)).sum().backward()
        return [y.detach().numpy(), *(a.grad.numpy() for a in args)]

    for ours, theirs in zip(run(eg), run(torch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_second_order(name):
    if name in ("svd-vectors", "svd-both", "eigh-vectors") and CASES[name][1][0].ndim > 2:
        pytest.skip("one matrix is enough")
    function, inputs = CASES[name]
    args = tuple(eg.tensor(x, requires_grad=True) for x in inputs)
    assert eg.autograd.gradcheck(lambda *a: function(linalg, *a), args)
    assert eg.autograd.gradgradcheck(lambda *a: function(linalg, *a), args)


def test_factors_multiply_back():
    a = eg.tensor(real(2, 4, 3))
    for full in (True, False):
        u, s, vh = linalg.svd(a, full_matrices=full)
        assert eg.allclose(u[..., :, :3] * s.unsqueeze(-2) @ vh, a)
        assert u.shape[-1] == (4 if full else 3)
    for mode in ("reduced", "complete"):
        q, r = linalg.qr(a, mode)
        assert eg.allclose(q @ r, a) and q.shape[-1] == (4 if mode == "complete" else 3)
    assert eg.allclose(linalg.qr(a, "r").R, linalg.qr(a).R)
    for shape in ((3, 3), (4, 3), (3, 4)):
        b = eg.tensor(real(2, *shape))
        p, l, u = linalg.lu(b)
        assert eg.allclose(p @ l @ u, b)


def test_pieces_of_information():
    a = eg.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=eg.float64)
    assert linalg.matrix_rank(a).item() == 1 and linalg.matrix_rank(a, atol=10.0).item() == 0
    assert (
        linalg.inv_ex(a).info.item() > 0 and linalg.cholesky_ex(a - 3 * eg.eye(2)).info.item() > 0
    )
    assert linalg.cholesky_ex(a + eg.eye(2)).info.item() == 0
    assert linalg.slogdet(a).logabsdet.item() < -30
    assert linalg.lstsq(a, eg.ones(2, 1, dtype=eg.float64)).rank.item() == 1


def test_the_gradient_of_a_singular_determinant():
    a = eg.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=eg.float64, requires_grad=True)
    linalg.det(a).backward()
    np.testing.assert_allclose(a.grad.numpy(), [[0.0, 0.0], [0.0, 1.0]], atol=1e-12)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: linalg.inv(eg.ones(2, 3)),
        lambda: linalg.inv(eg.ones(3)),
        lambda: linalg.inv(eg.ones(2, 2, dtype=eg.int64)),
        lambda: linalg.inv(eg.ones(2, 2, dtype=eg.float16)),
        lambda: linalg.inv(eg.zeros(2, 2)),
        lambda: linalg.solve(eg.zeros(2, 2), eg.ones(2)),
        lambda: linalg.solve(eg.eye(2), eg.ones(3)),
        lambda: linalg.cholesky(-eg.eye(2)),
        lambda: linalg.qr(eg.eye(2), "nope"),
        lambda: linalg.eigh(eg.eye(2), "X"),
        lambda: linalg.matrix_norm(eg.eye(2), 7),
        lambda: linalg.norm(eg.ones(2, 2, 2), 2),
        lambda: linalg.multi_dot([eg.eye(2)]),
    ],
)
def test_bad_input_is_named(bad):
    with pytest.raises(RuntimeError):
        bad()


def test_singular_matrices_raise_their_own_error():
    for bad in (lambda: linalg.inv(eg.zeros(2, 2)), lambda: linalg.cholesky(-eg.eye(2))):
        with pytest.raises(linalg.LinAlgError):
            bad()
    with pytest.raises(linalg.LinAlgError, match="The diagonal element 1 is zero, the inversion"):
        linalg.inv(eg.zeros(2, 2))


def test_packed_qr_multiplies_back() -> None:
    a = eg.randn(2, 4, 3, dtype=eg.float64)
    packed, tau = eg.geqrf(a)
    q = eg.ormqr(packed, tau, eg.eye(4, dtype=eg.float64).expand(2, 4, 4))
    np.testing.assert_allclose((q @ packed.triu()).numpy(), a.numpy(), atol=1e-12)
    c = eg.randn(2, 4, 4, dtype=eg.float64)
    for left in (True, False):
        for transpose in (True, False):
            want = (q.mT if transpose else q) @ c if left else c @ (q.mT if transpose else q)
            got = eg.ormqr(packed, tau, c, left, transpose)
            np.testing.assert_allclose(got.numpy(), want.numpy(), atol=1e-12)


def test_low_rank_matrices_are_found_whole() -> None:
    eg.manual_seed(0)
    a = eg.randn(8, 2, dtype=eg.float64) @ eg.randn(2, 5, dtype=eg.float64)
    for m in (a, a.mT):
        u, s, v = eg.svd_lowrank(m, q=2)
        np.testing.assert_allclose(((u * s) @ v.mT).numpy(), m.numpy(), atol=1e-10)
        u, s, v = eg.pca_lowrank(m, q=2)
        np.testing.assert_allclose(((u * s) @ v.mT).numpy(), (m - m.mean(0)).numpy(), atol=1e-10)
    with pytest.raises(ValueError):
        eg.pca_lowrank(a, q=9)


@pytest.mark.parametrize("size", [3, 40])
def test_infinities_do_not_keep_decompositions_busy(size):
    x = eg.randn(size, size, dtype=eg.float64, generator=eg.Generator().manual_seed(0))
    x[0, 0] = float("inf")
    for result in (*eg.linalg.svd(x), eg.linalg.svdvals(x), eg.linalg.pinv(x)):
        assert eg.isnan(result).any()
    for driver in ("gelss", "gelsd"):
        assert eg.isnan(eg.linalg.lstsq(x, x, driver=driver).solution).all()
    x[0, 0] = float("nan")
    with pytest.raises(eg.linalg.LinAlgError, match="non-finite"):
        eg.linalg.svd(x)
