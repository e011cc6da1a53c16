"""Pooling, padding, resizing and sampling: against torch where it is installed, values, errors, gradients."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

import eagergrad as eg
import eagergrad.nn as nn
import eagergrad.nn.functional as F
from util import check_gradients

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def both(call, *inputs: np.ndarray, rtol: float = 1e-9) -> None:
    """The call's results and gradients agree with torch's; `call` takes nn.functional and tensors."""
    torch = pytest.importorskip("torch")
    results = []
    for lib in (eg, torch):
        xs = [lib.tensor(a) for a in inputs]
        for x in xs:
            if x.is_floating_point():
                x.requires_grad_()
        ys = call(lib.nn.functional, *xs)
        ys = list(ys) if isinstance(ys, tuple) else [ys]
        found = [y.detach() for y in ys]
        g = lib.tensor(draw(*ys[0].shape, seed=1)).to(ys[0].dtype)
        leaves = [x for x in xs if x.requires_grad]
        if leaves and ys[0].requires_grad:
            found += lib.autograd.grad(ys[0], leaves, g)
        results.append([t.numpy() for t in found])
    assert len(results[0]) == len(results[1])
    for ours, theirs in zip(*results, strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        scale = np.abs(theirs[np.isfinite(theirs)]).max(initial=1)
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * scale)


SPATIAL = {1: (11,), 2: (9, 10), 3: (6, 7, 5)}


# -- pooling ---------------------------------------------------------------------------------------

WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 2, "stride": 3, "ceil_mode": True},
    {"kernel_size": 3, "stride": 1},
]


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("kw", [*WINDOWS, {"kernel_size": 2, "dilation": 2, "padding": 1}], ids=str)
def test_max_pool(dims, kw):
    x = draw(2, 3, *SPATIAL[dims])
    both(lambda f, x: getattr(f, f"max_pool{dims}d")(x, **kw, return_indices=True), x)
    both(lambda f, x: getattr(f, f"max_pool{dims}d")(x[0], **kw), x)


def test_long_windows_take_the_first_of_equal_values_and_the_last_nan():
    x = draw(2, 3, 4, 75).round(1)
    x[0, 0, 1, 3] = x[0, 0, 2, 60] = x[0, 0, 2, 70] = x[1, 2, 0, 74] = np.nan
    for size in ((1, 1), (2, 2), (4, 3)):
        both(lambda f, x: f.adaptive_max_pool2d(x, size, return_indices=True), x)
        both(lambda f, x: f.adaptive_max_pool1d(x[0], size[1], return_indices=True), x)
    both(lambda f, x: f.max_pool2d(x, (3, 70), 1), x)


def test_max_pool_takes_the_first_of_equal_values_and_nan():
    x = np.random.default_rng(0).integers(0, 3, (2, 2, 8, 8)).astype(np.float64)
    both(lambda f, x: f.max_pool2d(x, 3, 2, 1, return_indices=True), x)
    x[0, 0, 2, 3] = x[0, 0, 3, 3] = np.nan
    x[1, 1, 0, 0] = -np.inf
    both(lambda f, x: f.max_pool2d(x, 2, return_indices=True), x)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("kw", WINDOWS, ids=str)
@pytest.mark.parametrize("count", [True, False])
def test_avg_pool(dims, kw, count):
    x = draw(2, 3, *SPATIAL[dims])
    pool = f"avg_pool{dims}d"
    both(lambda f, x: getattr(f, pool)(x, **kw, count_include_pad=count), x)
    if dims > 1:
        both(lambda f, x: getattr(f, pool)(x[0], **kw, divisor_override=5), x)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_adaptive_pools(dims, size):
    x = draw(2, 3, *SPATIAL[dims])
    both(lambda f, x: getattr(f, f"adaptive_avg_pool{dims}d")(x, size), x)
    both(lambda f, x: getattr(f, f"adaptive_max_pool{dims}d")(x, size, return_indices=True), x)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_adaptive_pools_of_no_channels(dims):
    alone, batch = eg.ones(0, *(4,) * dims), eg.ones(2, 0, *(4,) * dims)
    for kind in ("avg", "max"):
        pool = getattr(F, f"adaptive_{kind}_pool{dims}d")
        assert pool(alone, 2).shape == (0, *(2,) * dims)
        if kind == "avg" and dims < 3:
            assert pool(batch, 2).shape == (2, 0, *(2,) * dims)
        else:
            with pytest.raises(RuntimeError, match="other than the batch should not be empty"):
                pool(batch, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_windows_and_strides(dtype):
    x = draw(2, 3, 150).astype(dtype)
    x[0, 0, 3] = x[1, 2, 140] = np.nan
    rtol = 1e-12 if dtype is np.float64 else 2e-6
    both(lambda f, x: f.max_pool1d(x, 5, 3, 2), x)
    both(lambda f, x: f.max_pool1d(x, 5, 3, 2, return_indices=True), x)
    both(lambda f, x: f.max_pool1d(x, 40, 1), x)
    both(lambda f, x: f.adaptive_max_pool1d(x, 7, return_indices=True), x)
    x = draw(2, 3, 150).astype(dtype)
    both(lambda f, x: f.adaptive_avg_pool1d(x, 4), x, rtol=rtol)
    both(lambda f, x: f.adaptive_avg_pool2d(x, (2, 3)), draw(2, 3, 60, 70).astype(dtype), rtol=rtol)
    both(
        lambda f, x: f.interpolate(x, 337, mode="linear"), x, rtol=10 * rtol
    )  # torch: positions in x.dtype


def test_a_gradient_that_is_infinite_where_windows_are_of_different_lengths():
    x = eg.ones(1, 1, 5, requires_grad=True)
    g = eg.ones(1, 1, 12)
    g[0, 0, 4] = float("inf")
    F.interpolate(x, 12, mode="linear").backward(g)
    assert x.grad.isinf().tolist() == [[[False, True, True, False, False]]]
    assert not x.grad.isnan().any()


def test_adaptive_pool_keeps_a_size_for_none():
    both(lambda f, x: f.adaptive_avg_pool2d(x, (None, 3)), draw(2, 3, 5, 8))
    both(lambda f, x: f.adaptive_max_pool2d(x, (2, None)), draw(2, 3, 5, 8))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_lp_pool(dims):
    x = np.abs(draw(2, 3, *SPATIAL[dims])) + 0.1
    both(lambda f, x: getattr(f, f"lp_pool{dims}d")(x, 3, 2, stride=1), x)
    both(lambda f, x: getattr(f, f"lp_pool{dims}d")(x, 2, 3, ceil_mode=True), x)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_max_unpool_inverts_max_pool(dims):
    x = draw(2, 3, *(8, 6, 4)[:dims])

    def call(f, x):
        y, at = getattr(f, f"max_pool{dims}d")(x, 2, return_indices=True)
        return getattr(f, f"max_unpool{dims}d")(y, at, 2)

    both(call, x)


def test_max_unpool_output_size():
    x = draw(1, 2, 7, 9)

    def call(f, x):
        y, at = f.max_pool2d(x, 2, return_indices=True)
        return f.max_unpool2d(y, at, 2, output_size=(7, 9))

    both(call, x)
    with pytest.raises(ValueError, match="output_size"):
        F.max_unpool2d(
            eg.zeros(1, 1, 2, 2), eg.zeros(1, 1, 2, 2, dtype=eg.int64), 2, output_size=(9, 9)
        )
    with pytest.raises(RuntimeError, match=r"invalid max index|out of bounds"):
        F.max_unpool2d(eg.zeros(1, 1, 1, 1), eg.full((1, 1, 1, 1), 7, dtype=eg.int64), 2)


@pytest.mark.parametrize("dims", [2, 3])
def test_fractional_max_pool(dims):
    x, samples = draw(2, 3, *(9, 10, 8)[:dims]), np.random.default_rng(2).uniform(size=(2, 3, dims))
    torch = pytest.importorskip("torch")
    name = f"fractional_max_pool{dims}d"
    ours = getattr(F, name)(
        eg.tensor(x), 2, 5, return_indices=True, _random_samples=eg.tensor(samples)
    )
    theirs = getattr(torch.nn.functional, name)(
        torch.tensor(x), 2, 5, return_indices=True, _random_samples=torch.tensor(samples)
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("dims", [2, 3])
def test_fractional_max_pool_keeps_to_the_size_of_its_input(dims):
    x = eg.rand(4, 8, *(24,) * dims, requires_grad=True)
    eg.memory.reset_peak()
    before = eg.memory.stats()["live"]
    y = getattr(F, f"fractional_max_pool{dims}d")(x, 2, output_ratio=0.6)
    y.sum().backward()
    assert eg.memory.stats()["peak"] - before < 16 * x.numel() * 4 + (1 << 20)
    assert x.grad.sum().item() == y.numel()


def test_fractional_max_pool_takes_the_first_of_equal_values_and_nan():
    x = eg.zeros(1, 1, 4, 4)
    samples = eg.full((1, 1, 2), 0.5)
    call = partial(F.fractional_max_pool2d, return_indices=True, _random_samples=samples)
    assert call(x, 4, 1)[1].item() == 0
    x[0, 0, 1, 2] = x[0, 0, 2, 1] = math.nan
    y, at = call(x, 4, 1)
    assert y.isnan().all() and at.item() == 9


def test_pools_of_an_empty_batch():
    x = eg.zeros(0, 3, 6, 6, requires_grad=True)
    for y in (F.max_pool2d(x, 2), F.avg_pool2d(x, 2), F.adaptive_avg_pool2d(x, 3)):
        assert y.shape == (0, 3, 3, 3)
        y.sum().backward()


def test_pools_of_integers_and_halves():
    x = eg.arange(16, dtype=eg.int64).reshape(1, 4, 4)
    assert F.max_pool2d(x, 2).tolist() == [[[5, 7], [13, 15]]]
    y = F.avg_pool2d(x.to(eg.bfloat16), 2)
    assert y.dtype == eg.bfloat16
    assert y.tolist() == [[[2.5, 4.5], [10.5, 12.5]]]


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda: F.max_pool2d(eg.zeros(1, 1, 3, 3), 5), "larger than the padded input"),
        (lambda: F.max_pool2d(eg.zeros(1, 1, 3, 3), 2, padding=2), "half"),
        (lambda: F.max_pool2d(eg.zeros(3, 3), 2), "unbatched"),
        (lambda: F.max_pool2d(eg.zeros(1, 1, 3, 3), 0), "kernel_size"),
        (lambda: F.avg_pool2d(eg.zeros(1, 1, 3, 3), 2, stride=0), "stride"),
        (lambda: F.avg_pool2d(eg.zeros(1, 1, 3, 3), 2, divisor_override=0), "divisor"),
        (lambda: F.adaptive_avg_pool2d(eg.zeros(1, 1, 3, 3), (2, 2, 2)), "output sizes"),
        (lambda: F.unfold(eg.zeros(1, 1, 3, 3), 5), "larger than the padded image"),
        (lambda: F.fold(eg.zeros(1, 5, 4), (3, 3), 2), "multiple"),
        (lambda: F.fold(eg.zeros(1, 4, 3), (3, 3), 2), "blocks"),
        (lambda: F.pixel_shuffle(eg.zeros(1, 3, 2, 2), 2), "multiple"),
        (lambda: F.grid_sample(eg.zeros(1, 1, 3, 3), eg.zeros(1, 2, 2, 3)), "grid"),
    ],
)
def test_errors_name_what_came(call, match):
    with pytest.raises(RuntimeError, match=match):
        call()


# -- blocks, pixels ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kw",
    [
        {"kernel_size": 2},
        {"kernel_size": (3, 2), "padding": (1, 2), "stride": 2, "dilation": (2, 1)},
    ],
    ids=str,
)
def test_unfold_and_fold(kw):
    both(lambda f, x: f.unfold(x, **kw), draw(2, 3, 7, 8))
    both(lambda f, x: f.fold(f.unfold(x, **kw), (7, 8), **kw), draw(2, 3, 7, 8))
    both(lambda f, x: f.unfold(x, **kw), draw(3, 7, 8))


def test_pixel_shuffle_and_back():
    both(lambda f, x: f.pixel_shuffle(x, 3), draw(2, 18, 2, 3))
    both(lambda f, x: f.pixel_unshuffle(x, 2), draw(2, 3, 4, 6))
    both(lambda f, x: f.pixel_shuffle(x, 2), draw(8, 2, 3))


# -- padding -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("batch", [(2, 3), (3,)])
def test_pad_modes(mode, dims, batch):
    pad = (1, 2, 0, 3, 2, 1)[: 2 * dims]
    both(lambda f, x: f.pad(x, pad, mode=mode), draw(*batch, *(4, 5, 6)[3 - dims :]))


def test_negative_padding_crops_in_every_mode():
    for mode in ("replicate", "circular", "constant"):
        both(lambda f, x, m=mode: f.pad(x, (-1, 2), mode=m), draw(2, 3, 6))


@pytest.mark.parametrize("pad", [(1, 2), (0, 0, 2, 1), (-1, 2, 1, -1), (1, 1, 1, 1, 1, 1), ()])
def test_constant_padding(pad):
    both(lambda f, x: f.pad(x, pad, value=1.5), draw(2, 3, 4))


def test_padding_keeps_the_dtype():
    x = eg.tensor([[True, False]])
    assert F.pad(x, (1, 1)).tolist() == [[False, True, False, False]]
    x = eg.tensor([[1, 2, 3]])
    assert F.pad(x, (2, 0), mode="reflect").tolist() == [[3, 2, 1, 2, 3]]
    assert F.pad(x, (1, 0), value=7).tolist() == [[7, 1, 2, 3]]


def test_padding_errors():
    with pytest.raises(RuntimeError, match="smaller than the dimension"):
        F.pad(eg.zeros(1, 1, 3), (3, 0), mode="reflect")
    with pytest.raises(RuntimeError, match="at most once"):
        F.pad(eg.zeros(1, 1, 3), (4, 0), mode="circular")
    with pytest.raises(NotImplementedError, match="padding numbers"):
        F.pad(eg.zeros(2, 2, 2, 2, 2), (1, 1), mode="reflect")
    with pytest.raises(RuntimeError, match="even"):
        F.pad(eg.zeros(2, 2), (1,))
    with pytest.raises(NotImplementedError, match="mirror"):
        F.pad(eg.zeros(2, 2), (1, 1), mode="mirror")
    with pytest.raises(RuntimeError, match="negative size"):
        F.pad(eg.zeros(2, 2), (-2, -1))


# -- resizing ------------------------------------------------------------------------------------------

RESIZES = [
    {"size": 7},
    {"size": 3},
    {"scale_factor": 2},
    {"scale_factor": 1.7},
    {"scale_factor": 0.6},
    {"scale_factor": 0.6, "recompute_scale_factor": True},
]
MODES = {
    1: ["nearest", "nearest-exact", "linear", "area"],
    2: ["nearest", "nearest-exact", "bilinear", "bicubic", "area"],
    3: ["nearest", "nearest-exact", "trilinear", "area"],
}


@pytest.mark.parametrize("dims, mode", [(d, m) for d in MODES for m in MODES[d]])
@pytest.mark.parametrize("kw", RESIZES, ids=str)
def test_interpolate(dims, mode, kw):
    x = draw(2, 3, *(5, 6, 4)[:dims])
    both(lambda f, x: f.interpolate(x, mode=mode, **kw), x)
    if mode not in ("nearest", "nearest-exact", "area"):
        both(lambda f, x: f.interpolate(x, mode=mode, align_corners=True, **kw), x)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    "kw", [{"size": (3, 4)}, {"size": (13, 5)}, {"scale_factor": 0.4}], ids=str
)
@pytest.mark.parametrize("corners", [False, True])
def test_antialiased_interpolation(mode, kw, corners):
    both(
        lambda f, x: f.interpolate(x, mode=mode, antialias=True, align_corners=corners, **kw),
        draw(2, 3, 9, 10),
    )


def test_interpolation_of_bytes():
    x = np.arange(12, dtype=np.uint8).reshape(1, 1, 3, 4) * 20
    both(lambda f, x: f.interpolate(x, scale_factor=2), x)
    both(lambda f, x: f.interpolate(x, size=(6, 8), mode="bilinear"), x)


def test_interpolate_errors():
    x = eg.zeros(1, 1, 4, 4)
    for kw in (
        {},
        {"size": 3, "scale_factor": 2},
        {"size": (3, 3, 3)},
        {"size": 3, "align_corners": True},
        {"size": 3, "recompute_scale_factor": True},
        {"size": 3, "antialias": True},
    ):
        with pytest.raises(ValueError):
            F.interpolate(x, **kw)
    with pytest.raises(NotImplementedError):
        F.interpolate(x, 3, mode="linear")
    with pytest.raises(RuntimeError, match="greater than 0"):
        F.interpolate(x, scale_factor=0.1)


# -- sampling --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [False, True])
def test_grid_sample(mode, padding, corners):
    x, grid = draw(2, 20, 5, 6), draw(2, 4, 3, 2, seed=3) * 0.9
    both(lambda f, x, g: f.grid_sample(x, g, mode, padding, corners), x, grid, rtol=1e-8)
    if mode != "bicubic":
        x, grid = draw(1, 2, 4, 5, 6), draw(1, 2, 3, 3, 3, seed=4) * 0.9
        both(lambda f, x, g: f.grid_sample(x, g, mode, padding, corners), x, grid, rtol=1e-8)


@pytest.mark.parametrize("n", [7, 16, 28, 84])
def test_gradients_at_the_identity_are_of_pytorchs_side(n):
    """Every tap lies on a pixel or an ulp beside it, where the gradient jumps."""
    torch = pytest.importorskip("torch")
    if eg.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("without fused multiplication and addition, taps are an ulp elsewhere")
    x = np.random.default_rng(n).standard_normal((1, 2, n, n + 3)).astype(np.float32)
    thetas = []
    for lib in (eg, torch):
        theta = lib.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], requires_grad=True)
        grid = lib.nn.functional.affine_grid(theta, x.shape, align_corners=False)
        lib.nn.functional.grid_sample(lib.tensor(x), grid, align_corners=False).sum().backward()
        thetas.append(theta.grad.numpy())
    assert np.allclose(*thetas, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("corners", [False, True])
def test_affine_grid(corners):
    both(lambda f, t: f.affine_grid(t, (2, 3, 4, 5), align_corners=corners), draw(2, 2, 3))
    both(lambda f, t: f.affine_grid(t, (2, 3, 4, 5, 1), align_corners=corners), draw(2, 3, 4))
    with pytest.raises(RuntimeError, match="3 maps"):
        eg.nn.functional.affine_grid(eg.zeros(2, 2, 3), (3, 1, 4, 5), align_corners=corners)


# -- gradients -------------------------------------------------------------------------------------------

LINEAR_AND_POOLS = {
    "max_pool1d": (lambda x: F.max_pool1d(x, 3, 2, 1), (2, 2, 7)),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2, 1), (1, 2, 4, 5)),
    "max_pool3d": (lambda x: F.max_pool3d(x, 2), (1, 1, 4, 4, 4)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), (1, 2, 5, 5)),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (2, 3)), (1, 2, 5, 5)),
    "adaptive_max_pool1d": (lambda x: F.adaptive_max_pool1d(x, 3), (1, 2, 7)),
    "unfold": (lambda x: F.unfold(x, 2, padding=1, stride=2), (1, 2, 4, 5)),
    "fold": (lambda x: F.fold(x, (3, 4), 2), (1, 8, 6)),
    "reflect": (lambda x: F.pad(x, (2, 1, 1, 0), mode="reflect"), (1, 2, 4, 4)),
    "constant": (lambda x: F.pad(x, (2, -1, 1, 0)), (1, 2, 4, 4)),
    "bilinear": (lambda x: F.interpolate(x, (5, 7), mode="bilinear"), (1, 2, 3, 4)),
    "bicubic": (lambda x: F.interpolate(x, scale_factor=1.5, mode="bicubic"), (1, 2, 4, 4)),
    "nearest": (lambda x: F.interpolate(x, scale_factor=2), (1, 2, 3)),
    "antialias": (
        lambda x: F.interpolate(x, (2, 3), mode="bilinear", antialias=True),
        (1, 1, 5, 6),
    ),
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), (1, 8, 2, 3)),
}


@pytest.mark.parametrize("name", LINEAR_AND_POOLS)
def test_gradients_of_first_and_second_order(name):
    f, shape = LINEAR_AND_POOLS[name]
    check_gradients(lambda x: f(x) ** 3, [eg.tensor(draw(*shape))], order=2)


# -- layers ----------------------------------------------------------------------------------------------

LAYERS = [
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1}, 1),
    ("MaxPool2d", ((2, 3),), {"ceil_mode": True}, 2),
    ("MaxPool3d", (2,), {}, 3),
    ("AvgPool1d", (2,), {}, 1),
    ("AvgPool2d", (2,), {"divisor_override": 3}, 2),
    ("AvgPool3d", (2,), {"count_include_pad": False}, 3),
    ("LPPool1d", (2, 2), {}, 1),
    ("LPPool2d", (2, (2, 3)), {"stride": 1}, 2),
    ("LPPool3d", (2, 2), {"ceil_mode": True}, 3),
    ("AdaptiveAvgPool1d", (3,), {}, 1),
    ("AdaptiveAvgPool2d", ((3, None),), {}, 2),
    ("AdaptiveAvgPool3d", (2,), {}, 3),
    ("AdaptiveMaxPool1d", (3,), {}, 1),
    ("AdaptiveMaxPool2d", ((3, 2),), {}, 2),
    ("AdaptiveMaxPool3d", (2,), {}, 3),
    ("Upsample", (), {"scale_factor": 2}, 2),
    ("Upsample", (), {"size": (3, 5), "mode": "bilinear", "align_corners": True}, 2),
    ("UpsamplingNearest2d", (), {"scale_factor": 2}, 2),
    ("UpsamplingBilinear2d", (), {"size": 4}, 2),
    ("ZeroPad1d", (1,), {}, 1),
    ("ZeroPad2d", ((1, 2, 0, 1),), {}, 2),
    ("ZeroPad3d", (1,), {}, 3),
    ("ConstantPad1d", (1, 2.5), {}, 1),
    ("ConstantPad2d", (1, 2.5), {}, 2),
    ("ConstantPad3d", (1, -1), {}, 3),
    ("ReflectionPad1d", (2,), {}, 1),
    ("ReflectionPad2d", ((1, 2, 0, 1),), {}, 2),
    ("ReflectionPad3d", (1,), {}, 3),
    ("ReplicationPad1d", (2,), {}, 1),
    ("ReplicationPad2d", (2,), {}, 2),
    ("ReplicationPad3d", (2,), {}, 3),
    ("CircularPad1d", (2,), {}, 1),
    ("CircularPad2d", (2,), {}, 2),
    ("CircularPad3d", (2,), {}, 3),
    ("Unfold", (2,), {"padding": 1}, 2),
]


@pytest.mark.parametrize("name, args, kw, dims", LAYERS, ids=lambda v: str(v))
def test_layers_agree_with_torch(name, args, kw, dims):
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(nn, name)(*args, **kw), getattr(torch.nn, name)(*args, **kw)
    assert repr(ours) == repr(theirs)
    x = np.abs(draw(2, 4, *(6, 4, 5)[:dims])) + 0.1
    np.testing.assert_allclose(
        ours(eg.tensor(x)).numpy(), theirs(torch.tensor(x)).numpy(), rtol=1e-9
    )


@pytest.mark.parametrize(
    "name, args, shape",
    [
        ("Fold", ((4, 5), 2), (2, 12, 12)),
        ("PixelShuffle", (2,), (2, 8, 3, 3)),
        ("PixelUnshuffle", (2,), (2, 2, 4, 6)),
    ],
)
def test_rearranging_layers_agree_with_torch(name, args, shape):
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    assert repr(ours) == repr(theirs)
    x = draw(*shape)
    np.testing.assert_allclose(ours(eg.tensor(x)).numpy(), theirs(torch.tensor(x)).numpy())


def test_unpooling_layers():
    for dims in (1, 2, 3):
        x = eg.tensor(draw(1, 2, *(4, 6, 2)[:dims]))
        pooled, at = getattr(nn, f"MaxPool{dims}d")(2, return_indices=True)(x)
        back = getattr(nn, f"MaxUnpool{dims}d")(2)(pooled, at)
        assert back.shape == x.shape
        assert eg.equal(back.flatten()[back.flatten() != 0].sort()[0], pooled.flatten().sort()[0])


def test_fractional_layers():
    assert nn.FractionalMaxPool2d(2, output_ratio=0.5)(eg.rand(1, 2, 8, 8)).shape == (1, 2, 4, 4)
    assert nn.FractionalMaxPool3d(2, output_size=3)(eg.rand(1, 2, 8, 8, 8)).shape == (1, 2, 3, 3, 3)
    with pytest.raises(ValueError, match="exactly one"):
        nn.FractionalMaxPool2d(2)


@pytest.mark.parametrize("number", [2**31, 2**62, 2**63 - 1])
@pytest.mark.parametrize("what", ["stride", "padding", "dilation"])
def test_windows_of_enormous_sizes_are_refused(what, number):
    x, w = eg.zeros(1, 1, 9, 9), eg.zeros(1, 1, 2, 2)
    for call in (
        lambda: F.conv2d(x, w, **{what: number}),
        lambda: F.conv_transpose2d(x, w, **{"stride": 2, what: number}),
        lambda: F.max_pool2d(x, 2, **{what: number}),
        lambda: F.unfold(x, 2, **{what: number}),
    ):
        with pytest.raises(RuntimeError, match=f"{what} should be at most 2147483647"):
            call()
    with pytest.raises(RuntimeError, match="should be at most"):
        F.conv2d(x, w, padding="same", dilation=number)


@pytest.mark.parametrize("size", [0, -1, -(2**31)])
def test_fractional_pools_refuse_sizes_that_are_not_positive(size):
    for kernel, output in ((size, 2), (2, size)):
        with pytest.raises(RuntimeError, match="expected positive sizes"):
            F.fractional_max_pool2d(eg.zeros(1, 3, 9, 9), kernel, output_size=output)
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        F.fractional_max_pool2d(
            eg.zeros(1, 1, 9, 9), 2, output_size=2, _random_samples=eg.full((1, 1, 2), 7.0)
        )
