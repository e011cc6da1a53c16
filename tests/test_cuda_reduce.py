"""Reductions, scans, softmax and losses on the GPU against the CPU."""

from __future__ import annotations

import pytest

import eagergrad as eg
from cuda_pairs import assert_same, check, draw, gpu  # noqa: F401

F = eg.nn.functional


@pytest.mark.parametrize(
    ("sizes", "dim"),
    [
        ((5, 7), 1),
        ((3, 1000), -1),
        ((2, 2100), 1),  # a block a line
        ((1, 40001), 1),  # several blocks a line
        ((70, 3), 0),
        ((3, 40, 33), 1),
        ((9000, 3), 0),  # several blocks a column
        ((2, 3, 4, 5), (0, 2)),
        ((6,), 0),
        ((4, 3), None),
        ((0, 3), 0),
        ((3, 0), 0),
    ],
)
def test_sum(sizes, dim):
    check(lambda x: x.sum(dim), draw(*sizes))


def test_truth_of_several_blocks():
    x = eg.ones(40001, dtype=eg.bool)
    x[40000] = False
    check(lambda x: (x.all(), x.any(), (~x).any(), (~x[:40000]).any()), x)


@pytest.mark.parametrize("dtype", [eg.float16, eg.bfloat16])
def test_halves_are_summed_in_float32(dtype):
    x = draw(3, 700, dtype=dtype)
    check(lambda x: (x.sum(1), x.mean(1), x.amax(0), x.sum(1, dtype=eg.float32)), x)
    many = eg.ones(5000, dtype=dtype, device="cuda")
    assert many.mean().item() == 1


def test_strided_input():
    x = draw(6, 8, 5)
    check(lambda x: x.transpose(0, 2)[1:, ::3].sum((0, 2)), x)
    check(lambda x: x.expand(3, 6, 8, 5).sum(0), x)


@pytest.mark.parametrize("dtype", [eg.int8, eg.uint8, eg.int64, eg.bool])
def test_integers(dtype):
    x = draw(4, 50, dtype=dtype, low=0, high=3)
    for dim in (0, 1):
        check(lambda x, d=dim: (x.sum(d), x.prod(d), x.amax(d), x.amin(d)), x)
        check(lambda x, d=dim: (x.all(d), x.any(d)), x)


def test_products_and_extremes():
    x = draw(5, 6)
    check(lambda x: (x.prod(1), x.amax(0), x.amin(1), x.logsumexp(1)), x, order=2)
    x[1, 2] = float("nan")
    x[2, 3] = float("-inf")
    check(lambda x: (x.amax(1), x.amin(0), x.argmax(1), x.argmin(0), x.logsumexp(1)), x, order=0)
    for value in ("inf", "-inf"):
        check(lambda x: x.logsumexp(1), eg.full((2, 3), float(value)), order=0)


@pytest.mark.parametrize("sizes", [(3, 40), (2, 3000), (1, 30000), (5000, 2)])
def test_positions(sizes):
    x = draw(*sizes, dtype=eg.int32)  # with many equal ones
    for dim in (0, 1):
        check(lambda x, d=dim: (x.argmax(d), x.argmin(d)), x)
    check(lambda x: (x.argmax(), x.max(), x.min()), x)
    values, at = x.to("cuda").max(1)
    assert_same(values, x.amax(1))
    assert_same(at, x.argmax(1))


@pytest.mark.parametrize("dim", [0, 1])
def test_variance(dim):
    x = 1000 + draw(8, 90)
    check(lambda x: (x.var(dim), x.std(dim), x.mean(dim)), x, order=2, tolerance=1e-3)
    check(lambda x: eg.var_mean(x), draw(30, 50, dtype=eg.float64), order=1)


@pytest.mark.parametrize(
    ("sizes", "dim"),
    [((3, 5), 1), ((2, 1500), 1), ((1, 40001), 1), ((400, 3), 0), ((2, 3, 4), 1), ((0, 2), 1)],
)
def test_scans(sizes, dim):
    check(lambda x: x.cumsum(dim), draw(*sizes), tolerance=1e-4)
    x = draw(*sizes, dtype=eg.int64)
    check(lambda x: (x.cumsum(dim), *x.cummax(dim), *x.cummin(dim)), x)


def test_scans_of_floats():
    x = draw(4, 33)
    check(lambda x: (x.cumprod(1), x.logcumsumexp(0)), x, order=2, tolerance=1e-4)
    check(lambda x: x.cumsum(0), x.half())
    x[1, 3] = 0
    check(lambda x: x.cumprod(1), x)


# --- softmax ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 8, 10, 200, 1000, 1500, 1501, 4100, 17000])
def test_softmax(n):
    x = 5 * draw(3, n)
    check(lambda x: (eg.softmax(x, 1), eg.log_softmax(x, 1)), x)


def test_softmax_of_other_layouts_and_types():
    x = draw(4, 5, 6)
    check(lambda x: (eg.softmax(x, 0), eg.log_softmax(x, 1)), x, order=2)
    for dtype in (eg.float16, eg.float64):
        check(lambda x: (eg.softmax(x, 1), eg.log_softmax(x, -1)), draw(4, 70, dtype=dtype))
    masked = x.clone()
    masked[:, 0, 2:] = float("-inf")
    check(lambda x: eg.softmax(x, 2), masked)
    check(lambda x: eg.softmax(x, 1), draw(0, 3))


# --- losses -----------------------------------------------------------------------------------------------------------


def classes(n: int, count: int, ignored: int = 0):
    t = draw(n, dtype=eg.int64, low=0, high=count)
    t[:ignored] = -100
    return t


@pytest.mark.parametrize("count", [7, 1300])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(count, smoothing):
    for ignored in (0, 2):
        t = classes(6, count, ignored)
        for reduction in ("mean", "sum", "none"):
            check(
                lambda x, t, r=reduction: F.cross_entropy(
                    x, t, label_smoothing=smoothing, reduction=r
                ),
                draw(6, count),
                t,
                order=2 if count == 7 else 1,
            )


def test_cross_entropy_of_other_types_and_shapes():
    check(F.cross_entropy, draw(6, 9, dtype=eg.float16), classes(6, 9))
    check(F.cross_entropy, draw(2, 5, 3, 4), draw(2, 3, 4, dtype=eg.int64, low=0, high=5))
    check(F.cross_entropy, draw(6, 5), eg.softmax(draw(6, 5, seed=3), 1))
    check(F.cross_entropy, draw(5), eg.tensor(3))


def test_weights_of_classes():
    x, t = draw(6, 5), classes(6, 5, 1)
    w = draw(5).abs()
    for smoothing in (0.0, 0.2):
        check(
            lambda x, t, s=smoothing: F.cross_entropy(
                x, t, weight=w.to(x.device), label_smoothing=s
            ),
            x,
            t,
        )
    check(lambda x, t: F.nll_loss(x.log_softmax(1), t, weight=w.to(x.device)), x, t, order=2)


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_targets_out_of_range_are_refused(loss):
    x = draw(3000, 5).to("cuda")
    t = classes(3000, 5)
    t[1234] = 5
    value = loss(x, t.to("cuda"))
    with pytest.raises(IndexError, match=r"Target 5 is out of bounds.*size 5.*test_cuda_reduce"):
        value.item()
    with pytest.raises(RuntimeError, match="same device"):
        loss(x, classes(3000, 5))


def test_other_losses():
    a, b = draw(4, 3), draw(4, 3, seed=1)
    check(lambda a, b: (F.mse_loss(a, b), F.l1_loss(a, b), F.huber_loss(a, b)), a, b)
    p, t = a.abs() * 0.9 + 0.05, b.abs()
    check(F.binary_cross_entropy, p, t)
    check(F.binary_cross_entropy_with_logits, a, t)
    check(lambda a, b: F.kl_div(a.log_softmax(1), b.softmax(1), reduction="batchmean"), a, b)


# --- sequences --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda d: eg.arange(7, device=d),
        lambda d: eg.arange(3, -8, -2, device=d),
        lambda d: eg.arange(0, 1, 0.1, device=d),
        lambda d: eg.arange(5, dtype=eg.float16, device=d),
        lambda d: eg.arange(0, device=d),
        lambda d: eg.linspace(-1, 1, 9, device=d),
        lambda d: eg.linspace(3, 5, 1, dtype=eg.float64, device=d),
        lambda d: eg.logspace(-2, 2, 5, device=d),
        lambda d: eg.eye(3, 5, device=d),
    ],
)
def test_sequences(make):
    assert_same(make("cuda"), make("cpu"))


def test_new_tensors_are_made_beside_their_model():
    x = eg.ones(2, dtype=eg.float64, device="cuda")
    made = [
        x.new_zeros(2, 3),
        x.new_ones((2,)),
        x.new_empty(3),
        x.new_full((2,), 3),
        x.new_tensor([1, 2]),
        x.new_tensor(eg.ones(2)),
    ]
    assert all(t.device == x.device and t.dtype == x.dtype for t in made)
    assert x.new_zeros(2, device="cpu").device.type == "cpu"


def test_probabilities_and_divisors_are_checked_without_waiting():
    x, n = draw(5).to("cuda"), eg.tensor([3, 0], device="cuda")
    for match, op in [
        (r"\[binary_cross_entropy\].*between 0 and 1", lambda: F.binary_cross_entropy(x + 3, x)),
        (r"ZeroDivisionError", lambda: n // n),
        (r"ZeroDivisionError", lambda: 7 % n),
    ]:
        found = op()
        with pytest.raises(RuntimeError, match=match):
            found.tolist()
    check(
        lambda p: F.binary_cross_entropy(p.sigmoid(), p.sigmoid() * p.sigmoid()), x.cpu(), order=2
    )
    check(lambda n: (n // 2, 7 % n, n // n), eg.tensor([3, 5]), order=0)


def test_modes_and_exponents():
    check(lambda x: eg.mode(x, 1), draw(4, 9, dtype=eg.int64, low=0, high=3), order=0)
    check(lambda x: eg.mode(x, 0), draw(5, 3))
    check(lambda x: eg.frexp(x * eg.tensor([1e-30, 1.0, 0.0, 3e38], device=x.device)), draw(4))
