"""Convolution layers and functions: against torch where it is installed, written-down values, errors, gradients."""

from __future__ import annotations

import numpy as np
import pytest

import eagergrad as eg
import eagergrad.nn as nn
import eagergrad.nn.functional as F
from util import check_gradients

CONV = {1: "conv1d", 2: "conv2d", 3: "conv3d"}

# batch, in, out, spatial, kernel, stride, padding, dilation, groups
SHAPES = [
    (2, 3, 4, (9,), (3,), 1, 1, 1, 1),
    (3, 4, 6, (16,), (4,), 2, 3, 2, 2),
    (2, 3, 5, (7, 9), (3, 3), 1, 1, 1, 1),
    (2, 16, 32, (13, 13), (3, 3), 1, 1, 1, 1),
    (1, 32, 16, (8, 11), (3, 2), (2, 1), (1, 0), (1, 2), 1),
    (2, 3, 64, (21, 23), (11, 11), 4, 2, 1, 1),
    (2, 8, 8, (10, 9), (3, 3), 1, 1, 1, 8),
    (2, 6, 12, (9, 7), (5, 5), 2, 2, 1, 6),
    # a channel each, in images so small that rows are joined
    (2, 8, 8, (7, 7), (3, 3), 1, 1, 1, 8),
    (3, 5, 10, (3, 4, 3), (2, 2, 2), 1, 0, 1, 5),
    (1, 6, 6, (11, 5), (3, 3), 2, 1, 1, 6),
    (2, 4, 8, (1, 1), (1, 1), 1, 0, 1, 4),
    (2, 32, 48, (7, 7), (1, 1), 1, 0, 1, 1),
    (2, 20, 20, (7, 7), (1, 1), 2, 0, 1, 1),
    (1, 4, 6, (5, 5), (1, 1), 1, 2, 1, 2),
    (2, 4, 6, (4, 5, 6), (3, 2, 3), (1, 2, 1), 1, 1, 2),
    (1, 16, 17, (5, 4, 6), (2, 2, 2), 2, 0, 1, 1),
    (2, 300, 40, (6, 6), (3, 3), 1, 1, 1, 1),
    (40, 8, 8, (6,), (3,), 1, 1, 1, 1),
    # windows that do not overlap; with rest columns; as large as the image, or nearly
    (3, 8, 6, (13, 17), (4, 5), (4, 6), 0, 1, 1),
    (2, 4, 8, (4, 4, 8), (2, 2, 4), (2, 2, 4), 0, 1, 1),
    (5, 16, 8, (4, 4), (4, 4), 1, 0, 1, 2),
    (3, 64, 5, (3,), (3,), 2, 0, 1, 1),
    (2, 16, 4, (9,), (5,), 7, 0, 1, 1),
    # few channels, for which rows are interleaved
    (2, 2, 16, (5, 21), (3, 3), 1, 1, 1, 1),
    (2, 3, 32, (6, 17), (3, 3), 1, 0, 1, 1),
    (2, 4, 16, (9, 13), (4, 4), 2, 1, 1, 1),
    (2, 1, 16, (9, 19), (3, 3), 1, 0, 1, 1),
    # more than a megabyte of weights
    (5, 300, 128, (4, 4), (3, 3), 1, 1, 1, 1),
]
# Kernels of 3x3 that run by tiles of 2x2 outputs: rest rows and columns, groups, planes, pieces of a line, blocks that all threads share.
TILED_SHAPES = [
    (2, 40, 33, (13, 12), (3, 3), 1, (0, 2), 1, 1),
    (3, 64, 80, (9, 11), (3, 3), 1, 1, 1, 2),
    (2, 32, 34, (5, 6, 8), (3, 3, 3), (2, 1, 1), 1, (2, 1, 1), 1),
    (1, 48, 64, (3, 301), (3, 3), 1, 1, 1, 1),
    (5, 136, 160, (7, 6), (3, 3), 1, 1, 1, 1),
]
SHAPES += TILED_SHAPES


def arrays(shape: tuple, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, cin, cout, spatial, kernel, *_, groups = shape
    rng = np.random.default_rng(0)
    draw = lambda *s: rng.standard_normal(s).astype(dtype)
    return draw(n, cin, *spatial), draw(cout, cin // groups, *kernel), draw(cout)


def both(call, inputs: list[np.ndarray], rtol: float = 1e-9) -> None:
    """The call's result and gradients agree with torch's."""
    torch = pytest.importorskip("torch")
    results = []
    for lib in (eg, torch):
        xs = [lib.tensor(a).requires_grad_() for a in inputs]
        y = call(lib, *xs)
        g = np.random.default_rng(1).standard_normal(tuple(y.shape)).astype(inputs[0].dtype)
        grads = lib.autograd.grad(y, xs, lib.tensor(g))
        results.append([t.detach().numpy() for t in (y, *grads)])
    for ours, theirs in zip(*results, strict=True):
        assert ours.shape == theirs.shape
        scale = np.abs(theirs).max() if theirs.size else 1.0
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * scale)


def sum_over_windows(x, w, b, stride, padding, dilation, groups):
    """Convolution by its definition, with NumPy."""
    dims = x.ndim - 2
    stride, padding, dilation = (
        (v,) * dims if isinstance(v, int) else v for v in (stride, padding, dilation)
    )
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    reach = tuple(d * (k - 1) + 1 for k, d in zip(w.shape[2:], dilation, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(range(2, 2 + dims)))
    steps = [slice(None, None, s) for s in stride], [slice(None, None, d) for d in dilation]
    windows = windows[(slice(None), slice(None), *steps[0], *steps[1])]
    depth, outs = w.shape[1], w.shape[0] // groups
    taps = tuple(range(-dims, 0))
    parts = [
        np.tensordot(
            windows[:, g * depth : (g + 1) * depth],
            w[g * outs : (g + 1) * outs],
            ((1, *taps), (1, *taps)),
        )
        for g in range(groups)
    ]
    return np.moveaxis(np.concatenate(parts, -1) + b, -1, 1)


@pytest.mark.parametrize("dtype, rtol", [("float64", 1e-10), ("float32", 2e-4)])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_convolution_is_a_sum_over_windows(shape, dtype, rtol):
    _, _, _, spatial, _, *options = shape
    inputs = arrays(shape, dtype)
    leaves = [eg.tensor(a).requires_grad_() for a in inputs]
    y = getattr(F, CONV[len(spatial)])(*leaves, *options)
    expected = sum_over_windows(*inputs, *options)
    assert y.shape == expected.shape
    scale = np.abs(expected).max()
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=rtol, atol=rtol * scale)
    # Convolution is linear in the input and in the weight: the gradients are its adjoints.
    rng = np.random.default_rng(1)
    g = rng.standard_normal(y.shape).astype(dtype)
    gx, gw, gb = (t.numpy() for t in eg.autograd.grad(y, leaves, eg.tensor(g)))
    x, w, b = (rng.standard_normal(a.shape) for a in inputs)
    along_x = (g * sum_over_windows(x, inputs[1], np.zeros_like(b), *options)).sum()
    along_w = (g * sum_over_windows(inputs[0], w, np.zeros_like(b), *options)).sum()
    size = np.sqrt(g.size) * scale
    np.testing.assert_allclose((gx * x).sum(), along_x, rtol=rtol, atol=rtol * size)
    np.testing.assert_allclose((gw * w).sum(), along_w, rtol=rtol, atol=rtol * size)
    np.testing.assert_allclose(gb, g.sum((0, *range(2, g.ndim))), rtol=rtol, atol=rtol * size)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_convolution_agrees_with_torch(shape):
    _, _, _, spatial, _, stride, padding, dilation, groups = shape
    name = CONV[len(spatial)]
    both(
        lambda lib, x, w, b: getattr(lib.nn.functional, name)(
            x, w, b, stride, padding, dilation, groups
        ),
        list(arrays(shape)),
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_float32_agrees_with_torch(shape):
    _, _, _, spatial, _, stride, padding, dilation, groups = shape
    name = CONV[len(spatial)]
    both(
        lambda lib, x, w, b: getattr(lib.nn.functional, name)(
            x, w, b, stride, padding, dilation, groups
        ),
        list(arrays(shape, "float32")),
        rtol=2e-4,
    )


@pytest.mark.parametrize(
    "dims, groups, stride, padding, extra, dilation",
    [
        (1, 1, 2, 1, 1, 1),
        (2, 1, 1, 0, 0, 1),
        (2, 2, 2, 1, 1, 1),
        (2, 4, 3, 2, (1, 2), 2),
        (3, 1, 2, 1, 1, 1),
    ],
)
def test_transposed_convolution_agrees_with_torch(dims, groups, stride, padding, extra, dilation):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 8, *(4, 5, 3)[:dims]))
    w = rng.standard_normal((8, 6 // groups if groups != 4 else 2, *(3, 4, 2)[:dims]))
    b = rng.standard_normal(w.shape[1] * groups)
    name = f"conv_transpose{dims}d"
    both(
        lambda lib, x, w, b: getattr(lib.nn.functional, name)(
            x, w, b, stride, padding, extra, groups, dilation
        ),
        [x, w, b],
    )


def test_conv2d_of_written_down_values():
    x = eg.arange(9, dtype=eg.float32).reshape(1, 1, 3, 3)
    w = eg.tensor([[[[1.0, 0.0], [0.0, -1.0]]]])
    assert F.conv2d(x, w).tolist() == [[[[-4.0, -4.0], [-4.0, -4.0]]]]
    assert F.conv2d(x, w, eg.tensor([10.0]), stride=2).tolist() == [[[[6.0]]]]
    assert F.conv2d(x, w, padding=1, stride=3).tolist() == [[[[0.0, 0.0], [0.0, 8.0]]]]


def test_unbatched_input_is_a_batch_of_one():
    x, w, b = (eg.tensor(a) for a in arrays(SHAPES[2]))
    assert eg.equal(F.conv2d(x[0], w, b, padding=1), F.conv2d(x, w, b, padding=1)[0])


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kernel", [(2, 3), (4, 5), (1, 1)])
def test_same_padding_keeps_the_size(kernel):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 7, 8)), rng.standard_normal((4, 3, *kernel))
    both(lambda lib, x, w: lib.nn.functional.conv2d(x, w, padding="same", dilation=(1, 2)), [x, w])
    assert F.conv2d(eg.tensor(x), eg.tensor(w), padding="same").shape == (2, 4, 7, 8)


def test_empty_batch():
    conv = nn.Conv2d(3, 4, 3)
    x = eg.zeros(0, 3, 8, 8, requires_grad=True)
    y = conv(x)
    assert y.shape == (0, 4, 6, 6)
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert conv.weight.grad.abs().max().item() == 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_compute_in_float(dtype):
    half = getattr(eg, dtype)
    x, w, b = (eg.tensor(a).to(half) for a in arrays(SHAPES[2]))
    y = F.conv2d(x, w, b, padding=1)
    exact = F.conv2d(x.double(), w.double(), b.double(), padding=1)
    assert y.dtype == half
    bound = 0.01 if dtype == "float16" else 0.1
    assert (y.double() - exact).abs().max().item() < bound * exact.abs().max().item()


# Pieces of long lines, planes too large for a strip, joined small images, many channels, an empty batch.
WIDE_SHAPES = [
    *((2, 40, 33, (3001,), (5,), 1, 2, 2, 1), (3, 2, 70, (70, 40), (1, 1), 1, 0, 1, 1)),
    *((1, 64, 40, (90, 90), (3, 3), 1, 1, 1, 1), (17, 65, 100, (2, 1), (3, 3), 1, 1, 1, 1)),
    *((33, 34, 17, (4, 4), (1, 1), 1, 0, 1, 1), (2, 600, 300, (5, 5), (3, 3), 2, 1, 1, 1)),
    *((2, 70, 300, (13, 12), (1, 1), 1, 0, 1, 1), (0, 6, 6, (9, 7), (5, 5), 2, 2, 1, 2)),
]


@pytest.mark.parametrize("shape", SHAPES + WIDE_SHAPES, ids=str)
@pytest.mark.parametrize("transposed", [False, True])
def test_bfloat16_is_rounded_once(shape, transposed):
    _, _, _, spatial, _, stride, padding, dilation, groups = shape
    x, w, b = (eg.tensor(a).to(eg.bfloat16) for a in arrays(shape, "float32"))
    name = CONV[len(spatial)]
    if transposed:  # the same member of the three as an input
        name = f"conv_transpose{len(spatial)}d"
        y = getattr(F, CONV[len(spatial)])(x, w, None, stride, padding, dilation, groups)
        x = eg.randn(y.shape, generator=eg.Generator().manual_seed(0)).to(eg.bfloat16)
        b = None

    def run(dtype):
        inputs = [t.to(dtype).requires_grad_() for t in (x, w, b) if t is not None]
        bias = None if b is None else inputs[2]
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        y = getattr(F, name)(*inputs[:2], bias, **options)
        g = eg.randn(y.shape, generator=eg.Generator().manual_seed(1)).to(eg.bfloat16)
        return [y.detach(), *eg.autograd.grad(y, inputs, g.to(dtype))]

    for ours, exact in zip(run(eg.bfloat16), run(eg.float32), strict=True):
        assert ours.dtype == eg.bfloat16 and ours.shape == exact.shape
        if exact.numel():
            error = (ours.float() - exact).abs() - exact.abs() / 256
            assert error.max().item() <= 1e-4 * exact.abs().max().item()


def test_bfloat16_beside_infinity():
    x = eg.zeros(1, 2, 6, 40, dtype=eg.bfloat16)
    x[0, 1, 2, 39] = float("inf")
    w = eg.ones(3, 2, 3, 3, dtype=eg.bfloat16)
    y = F.conv2d(x, w, padding=1)
    assert eg.isinf(y).sum().item() == 3 * 3 * 2 and not eg.isnan(y).any()


def test_non_contiguous_inputs():
    x, w, b = (eg.tensor(a) for a in arrays((2, 16, 16, (9, 9), (3, 3), 1, 1, 1, 1)))
    plain = F.conv2d(x.transpose(2, 3).contiguous(), w.flip(2), b, padding=1)
    assert eg.allclose(F.conv2d(x.transpose(2, 3), w.flip(2), b, padding=1), plain)


GRADIENT_SHAPES = [
    (2, 2, 3, (6,), (3,), 2, 1, 1, 1),
    (1, 2, 4, (5, 4), (3, 2), (2, 1), 1, 1, 2),
    (1, 16, 16, (4, 4), (3, 3), 1, 1, 1, 1),
    (1, 2, 2, (3, 3, 3), (2, 2, 2), 1, 1, 1, 1),
]


@pytest.mark.parametrize("shape", GRADIENT_SHAPES, ids=str)
def test_gradients_of_first_and_second_order(shape):
    _, _, _, spatial, _, stride, padding, dilation, groups = shape
    conv = getattr(F, CONV[len(spatial)])
    inputs = [eg.tensor(a) for a in arrays(shape)]
    check_gradients(
        lambda x, w, b: conv(x, w, b, stride, padding, dilation, groups) ** 2, inputs, order=2
    )


def test_gradients_of_the_transposed_convolution():
    rng = np.random.default_rng(0)
    inputs = [eg.tensor(rng.standard_normal(s)) for s in ((1, 4, 3, 3), (4, 2, 3, 2), (4,))]
    check_gradients(
        lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1, groups=2) ** 2, inputs, order=2
    )


@pytest.mark.parametrize("shape", TILED_SHAPES, ids=str)
def test_tiles_are_as_exact_as_sums_over_taps(shape):
    _, _, _, spatial, _, stride, padding, dilation, groups = shape
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}

    def run(dtype):
        x, w, b = (eg.tensor(a).to(dtype).requires_grad_() for a in arrays(shape))
        y = getattr(F, CONV[len(spatial)])(x, w, b, **options)
        g = eg.randn(y.shape, generator=eg.Generator().manual_seed(1), dtype=eg.float64)
        return [y.detach(), *eg.autograd.grad(y, (x, w, b), g.to(dtype))]

    for ours, exact in zip(run(eg.float32), run(eg.float64), strict=True):
        assert (ours.double() - exact).abs().max() <= 2e-6 * exact.abs().max()


def test_small_integers_are_exact_by_tiles():
    rng = np.random.default_rng(0)
    x, w = rng.integers(-9, 9, (2, 32, 12, 12)), rng.integers(-9, 9, (32, 32, 3, 3))
    exact = F.conv2d(eg.tensor(x).double(), eg.tensor(w).double(), padding=1)
    assert eg.equal(F.conv2d(eg.tensor(x).float(), eg.tensor(w).float(), padding=1).double(), exact)


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan"), 3e38])
def test_what_is_not_finite_stays_in_its_windows(value):
    x = eg.ones(2, 32, 12, 12)
    x[1, 3, 4, 6] = value
    w = eg.rand(32, 32, 3, 3, generator=eg.Generator().manual_seed(0)) + 2
    inputs = [t.requires_grad_() for t in (x, w)]
    y = F.conv2d(*inputs, padding=1)
    gx, gw = eg.autograd.grad(y, inputs, x.detach())
    reached = eg.zeros(2, 12, 12, dtype=eg.bool)
    reached[1, 3:6, 5:8] = True
    huge = eg.isnan if value != value else eg.isinf
    for t in (y, gx):
        assert eg.equal(huge(t).all(1), reached) and eg.equal(eg.isfinite(t).all(1), ~reached)
    if value != 3e38:  # times the 1 beside it
        assert huge(gw[:, 3]).all() and huge(gw[3]).all()
        assert eg.isfinite(gw).sum() == 31 * 31 * 9


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("sizes", [(4, 32, 32, (24, 24)), (3, 136, 160, (9, 9))], ids=str)
def test_the_same_bits_with_any_number_of_threads(dtype, sizes):
    shape = (*sizes, (3, 3), 1, 1, 1, 1)
    x, w, b = (eg.tensor(a).to(getattr(eg, dtype)) for a in arrays(shape))
    x.requires_grad_(), w.requires_grad_()

    def run():
        y = F.conv2d(x, w, b, padding=1)
        return [y, *eg.autograd.grad(y.sum(), (x, w))]

    before = eg.get_num_threads()
    try:
        eg.set_num_threads(1)
        one = run()
        eg.set_num_threads(3)
        three = run()
    finally:
        eg.set_num_threads(before)
    assert all(eg.equal(a, b) for a, b in zip(one, three, strict=True))


@pytest.mark.parametrize(
    "x, w, kw, match",
    [
        ((1, 3, 5, 5), (4, 2, 3, 3), {}, "2 input channels"),
        ((1, 3, 2, 2), (4, 3, 3, 3), {}, "larger than the padded input"),
        ((1, 3, 5, 5), (4, 3, 3), {}, "4-d weight"),
        ((3, 5), (4, 3, 3, 3), {}, "input"),
        ((1, 4, 5, 5), (3, 2, 3, 3), {"groups": 2}, "divide"),
        ((1, 3, 5, 5), (4, 3, 3, 3), {"stride": 0}, "stride"),
        ((1, 3, 5, 5), (4, 3, 3, 3), {"dilation": 0}, "dilation"),
        ((1, 3, 5, 5), (4, 3, 3, 3), {"padding": -1}, "padding"),
        ((1, 3, 5, 5), (4, 3, 3, 3), {"padding": (1, 1, 1)}, "padding"),
        ((1, 3, 5, 5), (4, 3, 3, 3), {"padding": "same", "stride": 2}, "stride 1"),
        ((1, 3, 5, 5), (4, 3, 3, 3), {"padding": "full"}, "full"),
        ((1, 3, 5, 5), (4, 3, 3, 3), {"bias": eg.zeros(3)}, "bias"),
    ],
)
def test_errors_name_what_came(x, w, kw, match):
    with pytest.raises(RuntimeError, match=match):
        F.conv2d(eg.zeros(*x), eg.zeros(*w), **kw)


def test_dtypes_must_agree():
    with pytest.raises(RuntimeError, match="dtype"):
        F.conv2d(eg.zeros(1, 3, 5, 5), eg.zeros(4, 3, 3, 3, dtype=eg.float64))


LAYERS = [
    ("Conv1d", (3, 6, 3), {"padding": 1, "padding_mode": "circular"}, (2, 3, 8)),
    ("Conv2d", (3, 6, 3), {"padding": 1, "padding_mode": "reflect", "bias": False}, (2, 3, 8, 7)),
    ("Conv2d", (4, 8, (3, 2)), {"padding": "same", "padding_mode": "replicate"}, (2, 4, 8, 7)),
    ("Conv2d", (4, 8, 3), {"stride": 2, "dilation": 2, "groups": 4}, (2, 4, 9, 9)),
    ("Conv3d", (2, 4, 2), {"padding": (1, 0, 1)}, (1, 2, 4, 4, 4)),
    ("ConvTranspose1d", (4, 2, 3), {"stride": 2, "output_padding": 1}, (2, 4, 5)),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, (2, 4, 5, 5)),
    ("ConvTranspose3d", (2, 2, 2), {"dilation": 2, "bias": False}, (1, 2, 3, 3, 3)),
]


@pytest.mark.parametrize("name, args, kw, shape", LAYERS, ids=lambda v: str(v))
def test_layers_agree_with_torch(name, args, kw, shape):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, name)(*args, **kw)
    ours = getattr(nn, name)(*args, **kw)
    assert repr(ours) == repr(theirs)
    state = {k: eg.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in state.items()
    }
    ours.load_state_dict(state)
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    np.testing.assert_allclose(
        ours(eg.tensor(x)).detach().numpy(),
        theirs(torch.tensor(x)).detach().numpy(),
        rtol=1e-4,
        atol=1e-5,
    )


def test_output_size_chooses_the_output_padding():
    up = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    x = eg.zeros(1, 2, 4, 4)
    assert up(x).shape == (1, 3, 7, 7)
    assert up(x, output_size=(8, 7)).shape == (1, 3, 8, 7)
    assert up(x, output_size=(1, 3, 8, 8)).shape == (1, 3, 8, 8)
    with pytest.raises(ValueError, match="valid sizes"):
        up(x, output_size=(9, 9))


def test_layer_initialisation_bounds():
    conv = nn.Conv2d(8, 16, 3, groups=2)
    bound = 1 / np.sqrt(4 * 9)
    for p in (conv.weight, conv.bias):
        assert p.abs().max().item() <= bound
    assert conv.weight.abs().max().item() > 0.9 * bound


def test_layer_errors():
    with pytest.raises(ValueError, match="divisible"):
        nn.Conv2d(3, 4, 3, groups=2)
    with pytest.raises(ValueError, match="padding_mode"):
        nn.Conv2d(3, 4, 3, padding_mode="mirror")
    with pytest.raises(ValueError, match="zeros"):
        nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect")
    with pytest.raises(ValueError, match="strided"):
        nn.Conv2d(3, 4, 3, stride=2, padding="same")


@pytest.mark.parametrize("name", ["LazyConv2d", "LazyConvTranspose2d"])
def test_lazy_layers_learn_their_channels(name):
    layer = getattr(nn, name)(4, 3, padding=1)
    assert layer(eg.zeros(2, 5, 6, 6)).shape == (2, 4, 6, 6)
    assert type(layer).__name__ == name.removeprefix("Lazy")
    assert layer.in_channels == 5
    assert set(layer.state_dict()) == {"weight", "bias"}


def test_conv_tbc_agrees_with_conv1d():
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((7, 2, 3)), rng.standard_normal((3, 3, 4)), rng.standard_normal(4)
    both(lambda lib, x, w, b: lib.conv_tbc(x, w, b, 1) if lib is not eg else F.conv_tbc(x, w, b, 1),
         [x, w, b])  # fmt: skip


def test_integers_convolve_exactly():
    x, w = eg.arange(16).reshape(1, 1, 4, 4), eg.tensor([[[[1, 2], [3, 4]]]])
    y = F.conv2d(x, w, stride=2)
    assert y.dtype == eg.int64
    assert y.tolist() == [[[[34, 54], [114, 134]]]]


@pytest.mark.parametrize(
    "cin, cout, groups, dilation", [(1, 16, 1, 1), (3, 4, 1, 7), (4, 4, 4, 64)]
)
def test_long_lines_are_cut_into_pieces(cin, cout, groups, dilation):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, cin, 9001)), rng.standard_normal((cout, cin // groups, 3))
    both(
        lambda lib, x, w: lib.nn.functional.conv1d(x, w, None, 2, 5, dilation, groups),
        [x, w],
        rtol=1e-8,
    )
