"""Odd and bad input: each is refused clearly or answered rightly, without long loops, crashes or silent nonsense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import eagergrad as eg
from eagergrad import _C

F = eg.nn.functional
NAN, INF = float("nan"), float("inf")


def _outgrow() -> None:
    x = eg.empty(0, device="cpu")
    seen = x.numpy()
    eg.ones(100, device="cpu", out=x)
    del seen


REFUSED: dict[str, tuple[type[Exception], str, Callable[[], Any]]] = {
    "triangle with more entries than memory has addresses": (
        RuntimeError,
        "too many elements",
        lambda: eg.tril_indices(2**33, 2**31),
    ),
    "rows of different lengths in the kernel of distances": (
        RuntimeError,
        "do not fit",
        lambda: _C.op_table["_distances"](eg.ones(2, 3), eg.ones(2, 4), 2.0, False),
    ),
    "repetition whose size wraps": (
        RuntimeError,
        "too many elements",
        lambda: eg.ones(4).repeat(2**62 + 1),
    ),
    "repeats whose sum wraps": (
        RuntimeError,
        "64 bits",
        lambda: eg.ones(5).repeat_interleave(eg.tensor([2**62] * 4 + [3])),
    ),
    "numbers in the memory of Python objects": (
        ValueError,
        "Python objects",
        lambda: eg.frombuffer(np.array([1, "x"], dtype=object), dtype=eg.int8),
    ),
    "result that outgrows memory which NumPy reads": (
        RuntimeError,
        "not resizable",
        _outgrow,
    ),
    "view whose bytes wrap": (
        RuntimeError,
        "overflow",
        lambda: eg.ones(4).as_strided((2,), (2**62 - 1,)),
    ),
    "view that ends at the last integer": (
        RuntimeError,
        "overflow",
        lambda: eg.ones(4).as_strided((2,), (2**63 - 1,)),
    ),
    "padding by an unknown mode in the kernels": (
        NotImplementedError,
        "no mode reflection",
        lambda: _C.op_table["pad_mode"](eg.ones(1, 2, 3), (1, 1), "reflection"),
    ),
    "threshold without a number": (
        TypeError,
        "expected a number, got NoneType",
        lambda: F.threshold(eg.ones(2), None, 5.0),
    ),
    "threshold of whole numbers at NaN": (
        RuntimeError,
        "whole number",
        lambda: F.threshold(eg.arange(2), NAN, 5.0),
    ),
    "hardtanh of whole numbers at infinity": (
        RuntimeError,
        "whole number",
        lambda: F.hardtanh(eg.arange(2), -INF, 5.0),
    ),
    "convolution with padding of two numbers for three dimensions": (
        RuntimeError,
        "list of 3 values",
        lambda: eg.nn.Conv3d(1, 1, 3, padding=(1, 1)),
    ),
    "padding by half an element": (
        TypeError,
        "float",
        lambda: F.pad(eg.ones(2), (1, 0.5)),
    ),
    "unpooling of a vector": (
        RuntimeError,
        "3-d or 4-d",
        lambda: F.max_unpool2d(eg.ones(2), eg.arange(2), 2),
    ),
    "local response norm over no channels": (
        RuntimeError,
        "greater than 0",
        lambda: F.local_response_norm(eg.ones(2, 3, 4), 0),
    ),
}


@pytest.mark.parametrize("case", REFUSED, ids=[c.replace(" ", "-") for c in REFUSED])
def test_bad_input_is_refused_clearly(case: str) -> None:
    error, match, call = REFUSED[case]
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("function", [eg.tril_indices, eg.triu_indices])
def test_triangles_of_any_offset(function: Any) -> None:
    matrix = eg.tril if function is eg.tril_indices else eg.triu
    for offset in [*range(-6, 7), 2**63 - 1, -(2**63)]:
        for rows in range(4):
            for columns in range(5):
                there = eg.ones(rows, columns)
                near = max(-9, min(9, offset))
                expected = matrix(there, near).nonzero().t().tolist()
                assert function(rows, columns, offset).tolist() == expected


def test_differences_end_where_nothing_is_left() -> None:
    assert eg.diff(eg.arange(3), 2**40).shape == (0,)
    x = eg.arange(3)
    eg.diff(x, 0).add_(1)
    assert x.tolist() == [0, 1, 2]


def test_repeat_fills_as_many_dimensions_as_a_tensor_has() -> None:
    x = eg.arange(3.0)[::2].requires_grad_()
    y = x.repeat([1] * 63 + [2])
    assert y.flatten().tolist() == [0, 2, 0, 2]
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_logsumexp_over_lines_of_a_matrix_without_columns() -> None:
    assert eg.logsumexp(eg.ones(3, 0), 0).shape == (0,)


def test_shifted_polynomials_of_bytes_do_not_wrap() -> None:
    y = eg.special.shifted_chebyshev_polynomial_t(eg.tensor(0, dtype=eg.uint8), 3)
    assert float(y) == -1.0


def test_bounds_of_nan_give_nan() -> None:
    assert F.hardtanh(eg.ones(2), NAN, 0.7).isnan().all()


def test_functions_take_what_pytorch_takes() -> None:
    assert eg.view_copy(eg.arange(6).reshape(2, 3).t(), (6,)).tolist() == [0, 3, 1, 4, 2, 5]
    assert eg.nn.Conv2d(1, 1, 3, padding=(1,))(eg.ones(1, 4, 4)).shape == (1, 4, 4)
    assert eg.nn.ZeroPad2d((1, 2))(eg.ones(1, 1)).tolist() == [[0, 1, 0, 0]]
    assert eg.mvlgamma(eg.tensor([-1.0]), 1).tolist() == [INF]
    same = eg.cosine_similarity(eg.tensor([[1.0, 2.0]]), eg.tensor([[2, 4]]))
    assert same.item() == pytest.approx(1)
    logits, target = eg.zeros(1, 1), eg.tensor([[1.0, 0.0, 1.0]])
    loss = F.multilabel_soft_margin_loss(logits, target)
    assert loss.item() == pytest.approx(3 * 0.6931472)  # divided by the classes of the logits


def test_cosine_similarity_has_the_gradient_of_short_rows() -> None:
    x = eg.tensor([[0.1, 0.2]], requires_grad=True)
    eg.cosine_similarity(x, eg.tensor([[2.0, 1.0]]), eps=1.0).backward()
    assert x.grad[0].tolist() == pytest.approx([0.8144272, 0.2872136])  # PyTorch's


def test_rows_without_a_limit_keep_their_gradient() -> None:
    x = eg.ones(2, 3, requires_grad=True)
    eg.renorm(x, 2, 0, INF).sum().backward()
    assert (x.grad == 1).all()


@pytest.mark.parametrize("export", ["numpy", "__dlpack__"])
@pytest.mark.parametrize(
    "move",
    [
        lambda x: setattr(x, "data", eg.zeros(2)),
        lambda x: x.set_(eg.zeros(2)),
        lambda x: x.resize_(100_000),
    ],
    ids=["data", "set_", "resize_"],
)
def test_readers_keep_the_memory_of_a_tensor_that_moves(export: str, move: Any) -> None:
    x = eg.ones(50_000, device="cpu")
    seen = getattr(x, export)()
    move(x)
    del x
    others = [eg.full((50_000,), 7.0, device="cpu") for _ in range(4)]
    values = seen if export == "numpy" else eg.utils.dlpack.from_dlpack(seen)
    assert (values == 1).all() and len(others) == 4


def test_memory_can_grow_when_its_reader_is_gone() -> None:
    x = eg.empty(0, device="cpu")
    x.numpy()
    assert eg.ones(100, device="cpu", out=x).sum() == 100


@pytest.mark.parametrize("shape", [(3, 0), (0, 4), (3, 4, 0), (3, 0, 2)])
def test_normalisation_of_nothing_has_gradients(shape: tuple[int, ...]) -> None:
    x = eg.ones(shape, requires_grad=True)
    w = eg.ones(shape[1], requires_grad=True)
    for y in (F.group_norm(x, 1, w, w), F.batch_norm(x, None, None, w, w, training=True)):
        x.grad = w.grad = None
        (g,) = eg.autograd.grad(y.sum(), w, create_graph=True)
        y.sum().backward()
        assert y.shape == x.grad.shape == shape
        assert (w.grad == 0).all() and (g == 0).all()


def test_bytes_seen_as_bools_have_distinct_values() -> None:
    x = eg.tensor([3, 3, 200, 1, 0], dtype=eg.uint8).view(eg.bool)
    values, inverse, counts = eg.unique(x, return_inverse=True, return_counts=True)
    assert set(values.tolist()) == {False, True}
    assert inverse.shape == x.shape and counts.sum() == 5
    assert eg.unique_consecutive(x).numel() <= 5
