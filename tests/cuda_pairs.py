"""Comparing an op on the CPU with the same op on the GPU, emulated where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import eagergrad as eg
import emulated_gpu

TOLERANCE = {eg.float16: 2e-3, eg.bfloat16: 2e-2, eg.float32: 1e-5, eg.float64: 1e-12}


@pytest.fixture(scope="module", autouse=True)
def gpu() -> Iterator[None]:
    """A GPU for the tests of a module: the machine's, or the emulated one; without TF32, which keeps 10 bits."""
    with emulated_gpu.running(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(eg.backends.cudnn, "allow_tf32", False)
        yield


def draw(*sizes: int, dtype: Any = eg.float32, seed: int = 0, low: int = -9, high: int = 9) -> Any:
    """Numbers of the given type, in [-1, 1) or whole ones in [low, high)."""
    rng = np.random.default_rng([seed, *sizes])
    if dtype.is_floating_point:
        return eg.tensor(rng.uniform(-1, 1, sizes)).to(dtype)
    return eg.tensor(rng.integers(low, high, sizes)).to(dtype)


def leaves(tree: Any) -> list[Any]:
    if isinstance(tree, (tuple, list)):
        return [leaf for branch in tree for leaf in leaves(branch)]
    return [tree]


def numbers(t: Any) -> Any:
    t = t.detach().cpu()
    return (t.double() if t.dtype.is_floating_point else t).numpy()


def assert_same(cuda: Any, cpu: Any, tolerance: float | None = None) -> None:
    """The same shapes, types and, nearly, the same numbers."""
    assert cuda.device.type == "cuda"
    assert cuda.shape == cpu.shape
    assert cuda.dtype == cpu.dtype
    if not cpu.dtype.is_floating_point:
        np.testing.assert_array_equal(numbers(cuda), numbers(cpu))
        return
    near = TOLERANCE[cpu.dtype] if tolerance is None else tolerance
    np.testing.assert_allclose(numbers(cuda), numbers(cpu), rtol=near, atol=near)


def derivatives(f: Callable[..., Any], inputs: list[Any], order: int) -> list[Any]:
    """The results of f, and its derivatives along fixed weights."""
    inputs = [x.detach().requires_grad_(order > 0 and x.dtype.is_floating_point) for x in inputs]
    results = leaves(f(*inputs))
    found = list(results)
    wanted = [x for x in inputs if x.requires_grad]
    for level in range(order if wanted else 0):
        total = eg.zeros((), dtype=eg.float64, device=inputs[0].device)
        for k, y in enumerate(results):
            if y.requires_grad:
                weights = draw(*y.shape, dtype=eg.float64, seed=10 * level + k).to(y.device)
                y = y.double() * (y.double() if level + 1 < order else 1)  # else linear in y
                total = total + (y * weights).sum()
        grads = eg.autograd.grad(
            total, wanted, create_graph=level + 1 < order, materialize_grads=level > 0
        )
        results = list(grads)
        found += results
    return found


def check(
    f: Callable[..., Any], *inputs: Any, order: int = 1, tolerance: float | None = None
) -> None:
    """f gives the same on both devices, and so do its derivatives up to `order`."""
    cpu = derivatives(f, list(inputs), order)
    cuda = derivatives(f, [x.to("cuda") for x in inputs], order)
    assert len(cpu) == len(cuda)
    for a, b in zip(cuda, cpu, strict=True):
        assert_same(a, b, tolerance)
