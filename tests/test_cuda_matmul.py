"""Matrix products on the GPU against the CPU."""

from __future__ import annotations

import pytest

import eagergrad as eg
from cuda_pairs import check, draw, gpu  # noqa: F401


@pytest.mark.parametrize("dtype", [eg.float16, eg.bfloat16, eg.float32, eg.float64])
def test_types(dtype):
    a, b = draw(5, 6, dtype=dtype), draw(6, 4, dtype=dtype)
    check(lambda a, b: (a @ b, b.T @ a.T), a, b, tolerance=3e-2 if dtype.itemsize == 2 else None)


@pytest.mark.parametrize("dtype", [eg.uint8, eg.int64])
def test_whole_numbers(dtype):
    a, b = draw(17, 40, dtype=dtype, low=0), draw(40, 19, dtype=dtype, low=0)
    check(lambda a, b: (a @ b, b.T @ a.T, a[:, ::3] @ b[::3]), a, b)
    check(eg.bmm, draw(3, 4, 5, dtype=dtype, low=0), draw(3, 5, 2, dtype=dtype, low=0))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((4,), (4,)),
        ((3, 4), (4,)),
        ((4,), (4, 5)),
        ((2, 3, 4), (4, 5)),
        ((2, 3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (3, 4, 5)),
        ((0, 4), (4, 5)),
        ((3, 0), (0, 5)),
        ((1, 1), (1, 1)),
    ],
)
def test_shapes(a, b):
    check(lambda a, b: a @ b, draw(*a), draw(*b, seed=1), order=2)


def test_strided_operands():
    a, b = draw(6, 8, 10), draw(6, 10, 4)
    check(lambda a, b: a[::2, 1:, ::2] @ b[::2, ::2], a, b)
    check(
        lambda a, b: eg.bmm(a.transpose(1, 2), b.expand(6, 8, 10).transpose(1, 2).mT),
        a,
        b[:1, :8, :1],
    )
    check(lambda a, b: a[0].expand(3, 8, 10) @ b[:3], a, b)


def test_linear():
    x, w, b = draw(2, 3, 4), draw(5, 4, seed=1), draw(5, seed=2)
    check(eg.nn.functional.linear, x, w, b, order=2)
    check(eg.nn.functional.linear, x, w)
    check(eg.nn.functional.linear, x.half(), w.half(), b.half(), tolerance=1e-2)


def test_gradients_add_up_in_place():
    # The second product's gradient is added into the first one's by the product itself.
    check(lambda x, w: (x @ w).tanh() + (2 * x) @ w, draw(3, 4), draw(4, 4))


def test_others():
    m, a, b, v = draw(3, 4), draw(3, 5), draw(5, 4), draw(5, seed=4)
    check(lambda m, a, b: eg.addmm(m, a, b, beta=0.5, alpha=2), m, a, b, order=2)
    check(lambda a, v: (a.mv(v), v.dot(v), eg.outer(v, v), eg.inner(a, v)), a, v)
    check(lambda a, b: eg.einsum("ij,jk->ki", a, b), a, b)
    check(lambda a: eg.einsum("bij,bkj->bik", a, a), draw(2, 3, 4))
    check(lambda m, a, b: eg.baddbmm(m, a, b), draw(2, 3, 4), draw(2, 3, 5), draw(2, 5, 4))


def test_errors():
    a = draw(3, 4).to("cuda")
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        a @ a
    with pytest.raises(RuntimeError, match="device"):
        a @ draw(4, 3)


def test_precision_setting():
    old = eg.get_float32_matmul_precision()
    try:
        eg.set_float32_matmul_precision("high")
        assert eg.backends.cuda.matmul.allow_tf32
        eg.backends.cuda.matmul.allow_tf32 = False
        assert eg.get_float32_matmul_precision() == "highest"
    finally:
        eg.set_float32_matmul_precision(old)
