"""Random numbers: seeds, generators, ranges, moments."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import eagergrad as eg

N = 20_000

DRAWS: dict[str, Callable[[eg.Generator | None], eg.Tensor]] = {
    "rand": lambda g: eg.rand(5, generator=g),
    "randn": lambda g: eg.randn(5, generator=g),
    "randint": lambda g: eg.randint(100, (5,), generator=g),
    "randperm": lambda g: eg.randperm(20, generator=g),
    "normal": lambda g: eg.normal(0.0, 1.0, (5,), generator=g),
    "bernoulli": lambda g: eg.bernoulli(eg.full((20,), 0.5), generator=g),
    "multinomial": lambda g: eg.multinomial(eg.ones(10), 5, generator=g),
    "uniform_": lambda g: eg.empty(5).uniform_(generator=g),
    "normal_": lambda g: eg.empty(5).normal_(generator=g),
    "exponential_": lambda g: eg.empty(5).exponential_(generator=g),
    "random_": lambda g: eg.empty(5).random_(0, 1000, generator=g),
    "cauchy_": lambda g: eg.empty(5).cauchy_(generator=g),
    "geometric_": lambda g: eg.empty(5).geometric_(0.1, generator=g),
    "poisson": lambda g: eg.poisson(eg.full((5,), 30.0), generator=g),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_repeats_a_draw(name: str) -> None:
    eg.manual_seed(1)
    a, b = DRAWS[name](None), DRAWS[name](None)
    eg.manual_seed(1)
    assert eg.equal(a, DRAWS[name](None))
    assert eg.equal(b, DRAWS[name](None)) and not eg.equal(a, b)


@pytest.mark.parametrize("name", DRAWS)
def test_a_generator_has_a_stream_of_its_own(name: str) -> None:
    g, h = eg.Generator(), eg.Generator()
    g.manual_seed(3), h.manual_seed(3)
    a = DRAWS[name](g)
    DRAWS[name](None)
    assert eg.equal(a, DRAWS[name](h))
    state = g.get_state()
    b = DRAWS[name](g)
    g.set_state(state)
    assert eg.equal(b, DRAWS[name](g))


def test_uniform_numbers() -> None:
    x = eg.rand(N, dtype=eg.float64)
    assert x.min() >= 0 and x.max() < 1
    assert abs(x.mean() - 0.5) < 0.01 and abs(x.var() - 1 / 12) < 0.003
    y = eg.empty(N).uniform_(-3, 5)
    assert y.min() >= -3 and y.max() <= 5 and abs(y.mean() - 1) < 0.1


def test_normal_numbers() -> None:
    for x in (eg.randn(N), eg.empty(N).normal_(), eg.randn(N, dtype=eg.float64)):
        assert abs(x.mean()) < 0.03 and abs(x.std() - 1) < 0.03
        assert abs((x**3).mean()) < 0.1 and abs((x**4).mean() - 3) < 0.3
    y = eg.normal(eg.full((N,), 2.0), eg.full((N,), 0.5))
    assert abs(y.mean() - 2) < 0.02 and abs(y.std() - 0.5) < 0.02


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_numbers_of_every_float(dtype: str) -> None:
    x = eg.rand(1000, dtype=getattr(eg, dtype))
    assert x.dtype == getattr(eg, dtype) and x.min() >= 0 and x.max() < 1
    assert eg.randn(1000, dtype=getattr(eg, dtype)).isfinite().all()


def test_integers() -> None:
    x = eg.randint(2, 7, (N,))
    assert x.dtype == eg.int64 and sorted(set(x.tolist())) == [2, 3, 4, 5, 6]
    counts = eg.bincount(x)[2:].double() / N
    assert (counts - 0.2).abs().max() < 0.02
    assert eg.randint(-5, -2, (3,), dtype=eg.int32).dtype == eg.int32
    assert eg.randint(0, 2, (3,), dtype=eg.float32).dtype == eg.float32
    assert eg.randint_like(eg.zeros(3), 5).dtype == eg.float32


def test_permutations() -> None:
    for n in (0, 1, 2, 1000):
        assert sorted(eg.randperm(n).tolist()) == list(range(n))
    first = eg.stack([eg.randperm(4) for _ in range(2000)])[:, 0]
    assert (eg.bincount(first).double() / 2000 - 0.25).abs().max() < 0.06


def test_bernoulli() -> None:
    p = eg.tensor([0.0, 0.25, 1.0])
    x = eg.stack([eg.bernoulli(p) for _ in range(2000)])
    assert x[:, 0].sum() == 0 and x[:, 2].sum() == 2000 and abs(x[:, 1].mean() - 0.25) < 0.05
    assert abs(eg.empty(N).bernoulli_(0.3).mean() - 0.3) < 0.02
    assert eg.bernoulli(eg.full((3,), 0.5, dtype=eg.float64)).dtype == eg.float64


def test_multinomial() -> None:
    weights = eg.tensor([0.0, 1.0, 3.0, 6.0])
    x = eg.multinomial(weights, N, replacement=True)
    share = eg.bincount(x, minlength=4).double() / N
    assert np.allclose(share.numpy(), [0, 0.1, 0.3, 0.6], atol=0.02)
    for _ in range(50):
        assert sorted(eg.multinomial(weights, 3).tolist()) == [1, 2, 3]
    rows = eg.multinomial(eg.tensor([[1.0, 0.0], [0.0, 1.0]]), 2, replacement=True)
    assert rows.tolist() == [[0, 0], [1, 1]]
    first = eg.stack([eg.multinomial(weights, 3) for _ in range(1000)])[:, 0]
    assert abs((first == 3).float().mean() - 0.6) < 0.08


def test_other_distributions() -> None:
    assert abs(eg.empty(N).exponential_(2.0).mean() - 0.5) < 0.03
    assert eg.empty(N).exponential_().min() >= 0
    assert abs(eg.empty(N).log_normal_(0.0, 0.25).log().mean()) < 0.02
    assert abs(eg.empty(N).geometric_(0.25).mean() - 4) < 0.2
    assert abs(eg.empty(N).cauchy_(1.0, 2.0).median() - 1) < 0.2
    assert abs(eg.poisson(eg.full((N,), 3.0)).mean() - 3) < 0.1
    assert eg.empty(N, dtype=eg.int64).random_(0, 3).max() == 2


@pytest.mark.parametrize(
    ("n", "p"), [(5, 0.3), (40, 0.1), (100, 0.5), (100, 0.9), (10000, 0.02), (3, 1.0)]
)
def test_binomials(n: int, p: float) -> None:
    x = eg._C.ops._binomial(eg.full((N,), n), eg.full((N,), p, dtype=eg.float64))
    assert x.min() >= 0 and x.max() <= n and (x == x.floor()).all()
    deviation = np.sqrt(n * p * (1 - p))
    assert abs(x.mean() - n * p) <= 5 * deviation / np.sqrt(N)
    assert abs(x.var(unbiased=False) - deviation**2) <= 0.1 * deviation**2
    if n == 5:
        shares = eg.bincount(x.long(), minlength=6).double() / N
        expected = [0.16807, 0.36015, 0.3087, 0.1323, 0.02835, 0.00243]
        assert np.allclose(shares.numpy(), expected, atol=0.02)


@pytest.mark.parametrize("a", [0.05, 0.7, 1.0, 4.5, 2000.0])
def test_gamma_numbers(a: float) -> None:
    x = eg._C.ops._log_gamma(eg.full((N,), a, dtype=eg.float64)).exp()
    assert abs(x.mean() - a) <= 5 * np.sqrt(a / N)
    assert abs(x.var() - a) <= 0.4 * a


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_dropout_keeps_the_mean(p: float) -> None:
    x = eg.ones(N, requires_grad=True)
    y = eg.nn.functional.dropout(x, p)
    kept = y != 0
    assert abs(kept.float().mean() - (1 - p)) < 0.02
    assert np.allclose(y[kept].detach().numpy(), 1 / (1 - p))
    y.sum().backward()
    assert eg.equal(x.grad, y.detach())


def test_dropout_of_whole_channels() -> None:
    y = eg.nn.functional.dropout2d(eg.ones(50, 20, 3, 3), 0.5)
    per_channel = y.flatten(2)
    assert ((per_channel == 0).all(2) | (per_channel == 2).all(2)).all()
    assert 0.3 < (per_channel[:, :, 0] == 0).float().mean() < 0.7


def test_views_are_filled_and_the_rest_is_left_alone() -> None:
    x = eg.zeros(4, 4)
    x[:, ::2].normal_()
    assert (x[:, 1::2] == 0).all() and (x[:, ::2] != 0).all()


FILL = [
    lambda x: x.normal_(1, 2),
    lambda x: x.uniform_(2, 3),
    lambda x: x.log_normal_(0, 0.5),
]


@pytest.mark.parametrize("fill", FILL)
@pytest.mark.parametrize("dtype", [eg.float32, eg.float64])
def test_dense_memory_is_filled_without_a_second_array(fill, dtype) -> None:
    x = eg.zeros(1000, 100, dtype=dtype)
    eg.memory.reset_peak()
    before = eg.memory.stats()["peak"]
    eg.manual_seed(3)
    fill(x)
    assert eg.memory.stats()["peak"] - before < x.nbytes / 2
    strided = eg.zeros(1000, 200, dtype=dtype)[:, ::2]
    eg.manual_seed(3)
    fill(strided)
    assert eg.equal(x, strided)


@pytest.mark.parametrize("fill", FILL)
def test_filling_spoils_saved_values(fill) -> None:
    w = eg.ones(3, requires_grad=True)
    x = eg.ones(3)
    y = w * x
    fill(x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    with pytest.raises(RuntimeError, match="leaf Variable"):
        fill(w)


def test_seeds() -> None:
    g = eg.Generator()
    assert g.manual_seed(2**40) is g and g.initial_seed() == 2**40
    assert isinstance(eg.seed(), int)
    with pytest.raises((TypeError, RuntimeError, ValueError)):
        eg.manual_seed("seed")
    eg.manual_seed(-1)
    before = eg.get_rng_state()
    with eg.random.fork_rng():
        eg.rand(3)
    assert eg.equal(before, eg.get_rng_state())
