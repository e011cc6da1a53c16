"""Convolution on the GPU: the same results and gradients as on the CPU."""

from __future__ import annotations

import pytest

import eagergrad as eg
from cuda_pairs import check, draw, gpu  # noqa: F401 (a fixture)
from eagergrad.nn import functional as F

# input, weight, options
CASES = {
    "1-d": ((2, 3, 11), (17, 3, 4), {"stride": 2, "padding": 1}),
    "2-d": ((2, 5, 9, 7), (20, 5, 3, 3), {"padding": 1}),
    "stride and dilation": ((2, 9, 12, 11), (9, 9, 3, 2), {"stride": (2, 3), "dilation": (1, 2)}),
    "stride beyond the kernel": ((1, 10, 9, 9), (10, 10, 1, 1), {"stride": 3}),
    "dilation that the stride divides": ((1, 2, 13), (9, 2, 3), {"stride": 4, "dilation": 2}),
    "3-d": ((1, 3, 4, 5, 6), (10, 3, 2, 3, 2), {"padding": (1, 0, 1), "stride": (1, 2, 1)}),
    "groups": ((2, 18, 5, 5), (36, 9, 3, 3), {"groups": 2, "padding": 1}),
    "depthwise": ((2, 6, 8, 7), (6, 1, 3, 3), {"groups": 6, "padding": 1, "stride": 2}),
    "depthwise, two a channel": ((1, 3, 6, 6), (6, 1, 3, 3), {"groups": 3}),
    "few outputs": ((1, 20, 6, 6), (3, 20, 3, 3), {"padding": 1}),
    "several tiles": ((2, 40, 8, 8), (70, 40, 2, 2), {}),
    "padding before only": ((1, 9, 6, 6), (9, 9, 2, 4), {"padding": "same"}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [eg.float32, eg.float64])
def test_convolution(case, dtype):
    x, w, options = CASES[case]
    function = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[len(x)]
    check(
        lambda x, w, b: function(x, w, b, **options),
        *(draw(*s, seed=i, dtype=dtype) for i, s in enumerate([x, w, (w[0],)])),
        tolerance=1e-5 if dtype == eg.float32 else 1e-12,
    )


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolution(groups):
    check(
        lambda x, w, b: F.conv_transpose2d(
            x, w, b, stride=2, padding=1, output_padding=1, groups=groups
        ),
        draw(2, 12, 4, 5),
        draw(12, 10, 3, 3, seed=1),
        draw(10 * groups, seed=2),
    )


def test_halves_strides_and_no_bias():
    check(
        lambda x, w: F.conv2d(x.transpose(2, 3)[:, ::2], w),
        draw(2, 6, 5, 6, dtype=eg.float16),
        draw(9, 3, 3, 3, seed=1, dtype=eg.float16),
        tolerance=2e-3,
    )


def test_empty_batch():
    check(F.conv2d, draw(0, 3, 5, 5), draw(4, 3, 3, 3), draw(4))


def test_gradient_of_the_gradient():
    check(
        lambda x, w: F.conv2d(x, w, stride=2, padding=1),
        draw(1, 3, 6, 5),
        draw(9, 3, 3, 3, seed=1),
        order=2,
    )


def test_the_weight_gradient_is_split_and_added_in_order():
    # Many pixels, few weights: several blocks share the sum.
    x, w = draw(2, 12, 24, 24), draw(12, 12, 2, 2, seed=1)
    check(F.conv2d, x, w, tolerance=1e-5)
    grads = []
    for _ in range(2):
        wd = w.to("cuda").requires_grad_()
        out = F.conv2d(x.to("cuda"), wd)
        out.backward(eg.ones_like(out))
        grads.append(wd.grad.to("cpu"))
    assert (grads[0] == grads[1]).all()
