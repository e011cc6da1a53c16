"""Runs a function on the CPU and on the emulated GPU and compares results and gradients."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import eagergrad as eg

needs_emulation = pytest.mark.skipif(
    shutil.which("g++") is None, reason="the emulated GPU needs a C++ compiler"
)


def start() -> None:
    import emulated_gpu

    emulated_gpu.start()


def flat(out):
    """The tensors of a result: one, or nested tuples of them."""
    if isinstance(out, (tuple, list)):
        return [t for o in out for t in flat(o)]
    return [out]


def outcome(f, tensors, device):
    """Results and gradients of all floating-point inputs, with the same random gradients of the results on all devices."""
    inputs = [t.detach().to(device) for t in tensors]
    wanted = [t.requires_grad_() for t in inputs if t.is_floating_point()]
    out = flat(f(*inputs))
    generator = np.random.default_rng(7)
    gs = [eg.tensor(generator.standard_normal(o.shape)).to(o.dtype).to(device) for o in out]
    pairs = [(o, g) for o, g in zip(out, gs) if o.requires_grad]
    if not pairs:
        return out
    ends, starts = zip(*pairs)
    return [*out, *eg.autograd.grad(ends, wanted, starts, allow_unused=True)]


def assert_same(f, *tensors, tol=1e-5):
    """f gives the same on both devices, and its gradients too."""
    for a, b in zip(outcome(f, tensors, "cpu"), outcome(f, tensors, "cuda")):
        assert (a is None) == (b is None)
        if a is None:
            continue
        assert b.device.type == "cuda" and a.dtype == b.dtype and a.shape == b.shape
        x, y = (t.detach().to("cpu").double().numpy() for t in (a, b))
        scale = max(1.0, np.abs(x[np.isfinite(x)]).max(initial=0.0))
        np.testing.assert_allclose(y, x, rtol=tol, atol=tol * scale)


def second_order(f, *tensors, tol=1e-5):
    """The gradient of the squared gradient is the same on both devices."""

    def penalty(*inputs):
        out = flat(f(*inputs))
        wanted = [t for t in inputs if t.is_floating_point()]
        ones = [eg.ones_like(o) for o in out]
        return eg.autograd.grad([o * o for o in out], wanted, ones, create_graph=True)

    assert_same(penalty, *tensors, tol=tol)


def real(*shape, seed=0, dtype=eg.float32):
    return eg.tensor(np.random.default_rng(seed).uniform(-1, 1, shape)).to(dtype)
