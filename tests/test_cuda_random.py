"""Random numbers on the GPU: a seed gives those of the CPU."""

from __future__ import annotations

import pytest

import eagergrad as eg
import emulated_gpu
from cuda_pairs import assert_same, draw, gpu  # noqa: F401

F = eg.nn.functional


def same(f, tolerance=None):
    """f(device) from one seed, and what is drawn after it."""
    drawn = []
    for device in ("cuda", "cpu"):
        eg.manual_seed(7)
        drawn.append((f(device), eg.rand(3)))
    assert_same(drawn[0][0], drawn[1][0], tolerance)
    assert drawn[0][1].tolist() == drawn[1][1].tolist()


@pytest.mark.parametrize("n", [0, 1, 5, 1027])
@pytest.mark.parametrize("dtype", [eg.float16, eg.bfloat16, eg.float32, eg.float64])
def test_uniform_and_normal(n, dtype):
    same(lambda device: eg.rand(n, dtype=dtype, device=device), tolerance=0)
    same(lambda device: eg.randn(n, dtype=dtype, device=device))


def test_several_draws_follow_each_other():
    same(lambda device: eg.stack([eg.rand(7, device=device) for _ in range(3)]), tolerance=0)


def test_whole_numbers():
    same(lambda device: eg.randint(-5, 90, (4, 31), device=device))
    same(lambda device: eg.randint(0, 2, (33,), dtype=eg.bool, device=device))
    same(lambda device: eg.zeros(9, dtype=eg.int64, device=device).random_())
    for n in (0, 1, 2, 40, 3001):
        same(lambda device, n=n: eg.randperm(n, device=device))
    same(lambda device: eg.randperm(40000, dtype=eg.int32, device=device))  # by several blocks


def test_like_and_in_place():
    x = draw(6, 5)
    same(lambda device: eg.rand_like(x.to(device)), tolerance=0)
    same(lambda device: eg.randint_like(x.to(device), 9))
    same(lambda device: eg.zeros(6, 5, device=device).t().uniform_(2, 3))
    same(lambda device: eg.zeros(50, device=device).normal_(1, 2))
    for name, args in [
        ("exponential_", (2.0,)),
        ("cauchy_", (1.0, 2.0)),
        ("log_normal_", (0.0, 0.5)),
        ("geometric_", (0.3,)),
        ("bernoulli_", (0.3,)),
    ]:
        same(
            lambda device, name=name, args=args: getattr(
                eg.zeros(50, dtype=eg.float64, device=device), name
            )(*args)
        )


def test_distributions():
    p = draw(5, 40).abs()
    same(lambda device: eg.bernoulli(p.to(device)))
    same(lambda device: eg.normal(p.to(device), 2.0))
    same(lambda device: eg.normal(0.5, p.to(device)))
    same(lambda device: eg.multinomial(p.to(device), 6))
    same(lambda device: eg.multinomial(p[0].to(device), 9, replacement=True))
    same(lambda device: eg.poisson(p.to(device) * 20))
    same(lambda device: eg.poisson(p.to(device) * 2))
    same(
        lambda device: eg.binomial(p.to(device).mul(30).floor(), eg.full((1,), 0.3, device=device))
    )


def test_samples_by_rejection():
    D = eg.distributions

    def sample(device):
        a = draw(3, 40).to(device).abs() * 3 + 0.01
        return eg.stack(
            [
                D.Gamma(a, 2.0).sample(),
                D.Beta(a, a + 1).sample(),
                D.StudentT(a + 1).sample(),
                D.Binomial(eg.full_like(a, 9), a / 4).sample(),
                D.Binomial(eg.full_like(a, 4000), a / 4).sample(),
                D.VonMises(a - 3, a * a * a).sample(),
            ]
        )

    same(sample, tolerance=1e-5)

    def slope(device):
        a = (draw(50).to(device).abs() * 2000 + 0.01).requires_grad_()
        D.Gamma(a, 1.0).rsample().log().sum().backward()
        return a.grad

    same(slope)


def test_distributions_check_without_waiting():
    p = draw(5, 4).to("cuda")
    place = eg.zeros(2, dtype=eg.int64, device="cuda")
    with emulated_gpu.capturing(place):
        eg.distributions.Normal(p, p.abs() + 1).log_prob(p)
        eg.distributions.Categorical(logits=p).sample()
    wrong = eg.distributions.Normal(p, p)
    with pytest.raises(ValueError, match=r"\[Normal\] parameter scale.*test_cuda_random"):
        wrong.sample().tolist()


def test_bad_parameters_are_reported_when_a_value_is_read():
    p = draw(5, 40).abs().to("cuda")
    for match, draws in [
        (r"\[bernoulli\].*p_in.*test_cuda_random", lambda: eg.bernoulli(p + 1)),
        (r"\[poisson\].*non-negative", lambda: eg.poisson(-p)),
        (r"\[multinomial\].*element < 0", lambda: eg.multinomial(p - 0.5, 2)),
        (r"\[multinomial\].*not enough", lambda: eg.multinomial(p * (p > 2), 2)),
        (r"\[multinomial\].*not enough", lambda: eg.multinomial(p * 0, 2, replacement=True)),
    ]:
        drawn = draws()
        with pytest.raises(RuntimeError, match=match):
            drawn.tolist()


def test_a_generator_of_its_own():
    def drawn(device):
        g = eg.Generator().manual_seed(3)
        return eg.randn(9, generator=g, device=device)

    same(drawn)


@pytest.mark.parametrize("dtype", [eg.float32, eg.float16])
def test_dropout(dtype):
    x = draw(7, 33, dtype=dtype)

    def dropped(device):
        y = x.to(device).requires_grad_()
        z = F.dropout(y, 0.4)
        (g,) = eg.autograd.grad(z.sum(), y)
        return eg.stack([z, g])

    same(dropped)
    same(lambda device: F.dropout2d(x.to(device).view(7, 3, 11, 1), 0.5))
    same(lambda device: F.alpha_dropout(x.to(device), 0.5), tolerance=1e-2)
