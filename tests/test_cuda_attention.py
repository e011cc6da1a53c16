"""Attention and connectionist temporal classification on the GPU: the same as on the CPU."""

from __future__ import annotations

import pytest

import both_devices
import eagergrad as eg
from both_devices import assert_same, real
from eagergrad.nn import functional as F

pytestmark = both_devices.needs_emulation


@pytest.fixture(scope="module", autouse=True)
def gpu():
    both_devices.start()


def heads(*shapes, dtype=eg.float32):
    return [real(*s, seed=i, dtype=dtype) for i, s in enumerate(shapes)]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("width", [5, 64])
def test_attention(causal, width):
    assert_same(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal),
        *heads((2, 2, 70, width), (2, 2, 67, width), (2, 2, 67, width)),
    )


def test_wide_heads_and_other_widths_of_values():
    assert_same(
        F.scaled_dot_product_attention, *heads((1, 1, 3, 20), (1, 1, 5, 20), (1, 1, 5, 130))
    )


def test_float64_and_halves():
    shapes = (1, 2, 35, 9), (1, 2, 33, 9), (1, 2, 33, 7)
    assert_same(F.scaled_dot_product_attention, *heads(*shapes, dtype=eg.float64), tol=1e-12)
    assert_same(F.scaled_dot_product_attention, *heads(*shapes, dtype=eg.bfloat16), tol=2e-2)


def test_groups_of_heads_and_strides():
    def f(q, k, v):
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, enable_gqa=True)

    assert_same(f, *heads((2, 9, 4, 6), (2, 11, 2, 6), (2, 11, 2, 6)))


def test_masks():
    q, k, v = heads((2, 3, 6, 8), (2, 3, 7, 8), (2, 3, 7, 8))
    keep = real(2, 1, 6, 7, seed=5) > 0
    keep[0, 0, 2] = False  # a query that sees nothing
    added = real(6, 7, seed=6)
    for mask in (keep, added):
        assert_same(
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.device)),
            q,
            k,
            v,
        )


# --- connectionist temporal classification ------------------------------------------------------

TARGETS = eg.tensor([[1, 2, 2, 3], [3, 3, 1, 1], [4, 1, 4, 4]])


@pytest.mark.parametrize("dtype", [eg.float32, eg.float64])
@pytest.mark.parametrize("reduction", ["none"])
def test_ctc_loss(dtype, reduction):
    lengths = eg.tensor([9, 6, 9]), eg.tensor([4, 2, 4])
    for where in ("cpu", "cuda"):  # of targets and lengths
        assert_same(
            lambda x: F.ctc_loss(
                x - 2,
                TARGETS.to(where) if x.device.type == "cuda" else TARGETS,
                *lengths,
                reduction=reduction,
            ),
            real(9, 3, 5, dtype=dtype),
        )


def test_ctc_loss_of_targets_that_do_not_fit():
    for zero in (False, True):
        assert_same(
            lambda x: F.ctc_loss(
                x, TARGETS, [9, 3, 0], [4, 4, 0], reduction="none", zero_infinity=zero
            ),
            real(9, 3, 5) - 1.5,
        )
