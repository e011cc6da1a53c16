"""Masked reductions, signal windows, frequencies, and the functions that real dtypes make trivial."""

from __future__ import annotations

import math

import numpy as np
import pytest

import eagergrad as eg

M = eg.masked
X = np.array([[1.0, -2.0, 3.0, 0.5], [4.0, 5.0, -6.0, 2.0], [0.0, 1.0, 2.0, 3.0]])
MASK = np.array(
    [[True, False, True, True], [False, True, False, True], [False, False, False, False]]
)
KEPT = np.ma.array(X, mask=~MASK)


def both(name, *args, **kw):
    with np.errstate(all="ignore"):
        return getattr(M, name)(eg.tensor(X), *args, mask=eg.tensor(MASK), **kw).numpy()


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("sum", lambda: KEPT.sum(1).filled(0)),
        ("prod", lambda: KEPT.prod(1).filled(1)),
        ("amax", lambda: KEPT.max(1).filled(-np.inf)),
        ("amin", lambda: KEPT.min(1).filled(np.inf)),
        ("mean", lambda: KEPT.mean(1).filled(np.nan)),
        ("norm", lambda: np.sqrt((KEPT**2).sum(1)).filled(0)),
        ("argmax", lambda: np.where(MASK, X, -np.inf).argmax(1)),
        ("argmin", lambda: np.where(MASK, X, np.inf).argmin(1)),
        ("cumsum", lambda: np.where(MASK, X, 0).cumsum(1)),
        ("cumprod", lambda: np.where(MASK, X, 1).cumprod(1)),
    ],
)
def test_reductions_of_selected_elements(name, reference):
    got = both(name, 2.0, 1) if name == "norm" else both(name, 1)
    np.testing.assert_allclose(got, reference())


def test_variance_and_median_of_selected_elements():
    rows = slice(0, 2)
    np.testing.assert_allclose(both("var", 1)[rows], KEPT.var(1, ddof=1).data[rows])
    np.testing.assert_allclose(both("std", 1, False)[rows], KEPT.std(1).data[rows])
    np.testing.assert_allclose(both("median", 1)[rows], [1.0, 2.0])
    assert math.isnan(both("median", 1)[2])


def test_softmax_of_selected_elements():
    e = np.where(MASK, np.exp(X), 0)[:2]
    np.testing.assert_allclose(both("softmax", 1)[:2], e / e.sum(1, keepdims=True))
    np.testing.assert_allclose(np.exp(both("log_softmax", 1)[:2]), e / e.sum(1, keepdims=True))
    np.testing.assert_allclose(both("logsumexp", 1)[:2], np.log(e.sum(1)))
    n = np.where(MASK, np.exp(-X), 0)[:2]
    np.testing.assert_allclose(both("softmin", 1)[:2], n / n.sum(1, keepdims=True))
    unit = both("normalize", 2.0, 1)
    np.testing.assert_allclose(np.linalg.norm(unit[:2], axis=1), 1)
    pair = M.logaddexp(eg.tensor(X), eg.tensor(X), other_mask=eg.tensor(MASK)).numpy()
    np.testing.assert_allclose(pair, np.where(MASK, X + math.log(2), X))


def test_gradients_reach_selected_elements_only():
    x = eg.tensor(X, requires_grad=True)
    M.sum(x, mask=eg.tensor(MASK)).backward()
    np.testing.assert_array_equal(x.grad.numpy(), MASK)


def test_masks_are_checked():
    with pytest.raises(TypeError):
        M.sum(eg.tensor(X), mask=eg.ones(3, 4))
    with pytest.raises((ValueError, RuntimeError)):
        M.sum(eg.tensor(X), mask=eg.ones(5, dtype=eg.bool))


SCIPY = [
    ("bartlett", (), "bartlett"),
    ("blackman", (), "blackman"),
    ("cosine", (), "cosine"),
    ("exponential", (), ("exponential", None, 1.0)),
    ("gaussian", (), ("gaussian", 1.0)),
    ("general_cosine", ([0.46, 0.23, 0.31],), ("general_cosine", [0.46, 0.23, 0.31])),
    ("general_hamming", (), ("general_hamming", 0.54)),
    ("hamming", (), "hamming"),
    ("hann", (), "hann"),
    ("kaiser", (), ("kaiser", 12.0)),
    ("nuttall", (), "nuttall"),
]


@pytest.mark.parametrize(("name", "args", "scipy_window"), SCIPY)
@pytest.mark.parametrize("sym", [True, False])
@pytest.mark.parametrize("n", [1, 2, 7, 10])
def test_windows(name, args, scipy_window, sym, n):
    signal = pytest.importorskip("scipy.signal")
    window = getattr(eg.signal.windows, name)
    got = window(n, *args, sym=sym, dtype=eg.float64)
    assert got.dtype is eg.float64
    np.testing.assert_allclose(
        got.numpy(), signal.get_window(scipy_window, n, fftbins=not sym), atol=1e-12
    )
    assert window(0, *args, sym=sym).shape == (0,)
    with pytest.raises(ValueError):
        window(-1, *args)
    with pytest.raises(ValueError):
        window(4, *args, dtype=eg.int64)


def test_frequencies():
    for n in (0, 1, 4, 5):
        if n:
            np.testing.assert_allclose(
                eg.fft.fftfreq(n, 0.5).numpy(), np.fft.fftfreq(n, 0.5), rtol=1e-6
            )
            np.testing.assert_allclose(
                eg.fft.rfftfreq(n, 0.5).numpy(), np.fft.rfftfreq(n, 0.5), rtol=1e-6
            )
        x = np.arange(n * 3).reshape(n, 3)
        for dim in (None, 0, (0, 1)):
            for name in ("fftshift", "ifftshift"):
                got = getattr(eg.fft, name)(eg.tensor(x), dim).numpy()
                np.testing.assert_array_equal(got, getattr(np.fft, name)(x, dim))


def test_real_numbers_are_their_own_conjugates():
    x = eg.tensor([1.0, -2.0, math.nan], requires_grad=True)
    for f in (eg.conj, eg.resolve_conj, eg.resolve_neg, eg.conj_physical):
        assert f(x) is x
    assert not eg.is_conj(x) and not x.is_neg()
    np.testing.assert_allclose(x.angle().detach().numpy(), [0, math.pi, math.nan], rtol=1e-6)
    assert x.angle().requires_grad
    with pytest.raises(RuntimeError):
        eg.imag(x)


def test_functions_beside_methods():
    x = eg.tensor([4.0, 9.0])
    assert eg.sqrt_(x) is x
    assert x.tolist() == [2.0, 3.0]
    assert eg.fill(x, 7).tolist() == [7.0, 7.0]
    assert x.tolist() == [2.0, 3.0]
    assert eg.zero_(x).tolist() == [0.0, 0.0]
    made = eg.empty_permuted((2, 3, 4), (2, 0, 1))
    assert made.shape == (2, 3, 4)
    assert made.stride() == (3, 1, 6)
    assert eg.unfold_copy(eg.arange(4), 0, 2, 1).tolist() == [[0, 1], [1, 2], [2, 3]]
    assert x.new_empty_strided((2, 3), (1, 2)).stride() == (1, 2)


ORDERS = [0, 0.5, 1, 1.5, 2, 3, math.inf, -math.inf, -1]


@pytest.mark.parametrize("p", ORDERS)
def test_norms_have_finite_gradients_at_zero(p):
    x = eg.tensor([0.0, 3.0, -4.0], dtype=eg.float64, requires_grad=True)
    y = eg.linalg.vector_norm(x, p)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(y.item(), np.linalg.norm(x.detach().numpy(), p))
    y.backward()
    assert bool(x.grad.isfinite().all())
    z = eg.zeros(3, requires_grad=True)
    if p > 0:
        eg.linalg.vector_norm(z, p).backward()
        assert bool(z.grad.isfinite().all())


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [True, False])
def test_second_gradient_of_grid_sample(mode, padding, align):
    eg.manual_seed(0)
    x = eg.randn(1, 2, 3, 4, dtype=eg.float64, requires_grad=True)
    grid = ((eg.rand(1, 2, 2, 2, dtype=eg.float64) * 2 - 1) * 1.3).requires_grad_()

    def sample(x, grid):
        return eg.nn.functional.grid_sample(x, grid, mode, padding, align)

    plain = eg.autograd.grad(sample(x, grid).sum(), (x, grid))
    recorded = eg.autograd.grad(sample(x, grid).sum(), (x, grid), create_graph=True)
    for a, b in zip(plain, recorded, strict=True):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), atol=1e-12)
    if mode == "nearest":  # constant in the grid
        assert eg.autograd.gradgradcheck(lambda x: sample(x, grid.detach()), (x,))
    else:
        assert eg.autograd.gradgradcheck(sample, (x, grid))


@pytest.mark.parametrize("name", ["argmax", "argmin", "logsumexp"])
def test_masked_results_have_the_inputs_dtype(name):
    function = getattr(eg.masked, name)
    for dtype in (eg.float32, eg.int64):
        assert function(eg.tensor([1, 3, 2], dtype=dtype), 0).dtype is dtype
    assert function(eg.tensor([1, 3]), 0, dtype=eg.float64).dtype is eg.float64
