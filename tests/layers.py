"""Comparing a layer with PyTorch's: the same state, the same inputs, results and gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import eagergrad as eg
from util import tensors


def twins(name: str, *args: Any, dtype: str = "float64", **kwargs: Any) -> tuple[Any, Any, Any]:
    """(torch, their layer, our layer), with one state and one repr; skips without torch."""
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about PyTorch's own fast paths
        theirs = getattr(torch.nn, name)(*args, **kwargs).to(getattr(torch, dtype))
    ours = getattr(eg.nn, name)(*args, **kwargs).to(getattr(eg, dtype))
    gen = np.random.default_rng(3)
    with torch.no_grad():
        for p in theirs.parameters():
            bound = min(0.7, 1.5 / np.sqrt(p.shape[-1]))
            p.copy_(torch.tensor(gen.uniform(-bound, bound, tuple(p.shape))))
    state = {k: v.detach().numpy().copy() for k, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    assert repr(ours) == repr(theirs)
    ours.load_state_dict({k: eg.tensor(v) for k, v in state.items()})
    return torch, theirs, ours


def outcome(
    lib: Any, call: Callable[..., Any], inputs: Sequence[np.ndarray], parameters: Sequence[Any]
) -> list[Any]:
    """Outputs, then gradients of inputs and parameters, for fixed weights on the outputs."""
    args = [lib.tensor(x) for x in inputs]
    for a in args:
        if a.is_floating_point():
            a.requires_grad_()
    outs = tensors([call(*args)])
    total = 0.0
    for out in outs:
        if out.is_floating_point() and out.requires_grad:
            weights = np.linspace(0.5, 1.5, out.numel()).reshape(tuple(out.shape))
            total = total + (out * lib.tensor(weights, dtype=out.dtype)).sum()
    total.backward()  # type: ignore[attr-defined]
    return [*outs, *(a.grad for a in args), *(p.grad for p in parameters)]


def assert_same(ours: Sequence[Any], theirs: Sequence[Any], tol: float = 1e-9) -> None:
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if b is None:
            assert a is None or not a.numpy().any(), i
            continue
        x, y = a.detach().numpy(), b.detach().numpy()
        assert x.shape == y.shape and x.dtype == y.dtype, i
        np.testing.assert_allclose(x, y, rtol=tol, atol=tol, err_msg=f"result {i}")


def assert_agrees(
    name: str,
    inputs: Sequence[np.ndarray],
    *args: Any,
    call: Callable[..., Any] = lambda layer, *xs: layer(*xs),
    dtype: str = "float64",
    tol: float = 1e-9,
    **kwargs: Any,
) -> None:
    """A layer of this name, made with these arguments, behaves as PyTorch's does on these inputs."""
    torch, theirs, ours = twins(name, *args, dtype=dtype, **kwargs)
    results = [
        outcome(lib, lambda *xs, m=layer: call(m, *xs), inputs, list(layer.parameters()))
        for lib, layer in ((eg, ours), (torch, theirs))
    ]
    for lib, layer, found in ((eg, ours, results[0]), (torch, theirs, results[1])):
        found.extend(layer.buffers())
    assert_same(results[0], results[1], tol)
