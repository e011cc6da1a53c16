"""Attention and connectionist temporal classification on the GPU: the same as on the CPU."""

from __future__ import annotations

import pytest

import eagergrad as eg
import emulated_gpu
import interpreter
from cuda_pairs import check, derivatives, draw, gpu  # noqa: F401 (a fixture)
from eagergrad.nn import functional as F


def heads(*shapes, dtype=eg.float32):
    return [draw(*s, seed=i, dtype=dtype) for i, s in enumerate(shapes)]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("width", [5, 64])
def test_attention(causal, width):
    check(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal),
        *heads((2, 2, 70, width), (2, 2, 67, width), (2, 2, 67, width)),
    )


@pytest.mark.parametrize("causal", [False, True])
def test_several_tiles(causal):
    """Tiles that are whole, that end early, that are seen in part, and, with `causal`, that nobody sees."""
    check(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True),
        *heads((1, 2, 200, 24), (1, 1, 270, 24), (1, 1, 270, 24)),
    )


def test_rows_off_the_alignment_of_four():
    def f(q, k, v):
        return F.scaled_dot_product_attention(q[..., 1:], k[..., 1:], v[..., 2:])

    check(f, *heads((1, 1, 18, 9), (1, 1, 8, 9), (1, 1, 8, 10)))


def test_wide_heads_and_other_widths_of_values():
    check(F.scaled_dot_product_attention, *heads((1, 1, 18, 20), (1, 1, 5, 20), (1, 1, 5, 130)))


def test_float64():
    shapes = (1, 2, 35, 9), (1, 2, 33, 9), (1, 2, 33, 7)
    check(F.scaled_dot_product_attention, *heads(*shapes, dtype=eg.float64), tolerance=1e-12)


# --- few queries --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [eg.float32, eg.float16, eg.bfloat16, eg.float64])
@pytest.mark.parametrize("width", [5, 64, 72, 200])
def test_one_query(dtype, width):
    """Its keys are split: several blocks have a part each."""
    shapes = (1, 1, 1, width), (1, 1, 300, width), (1, 1, 300, width - 1)
    check(F.scaled_dot_product_attention, *heads(*shapes, dtype=dtype), order=int(width == 72))


@pytest.mark.parametrize("dtype", [eg.float32, eg.float16])
@pytest.mark.parametrize(("heads_of_query", "queries"), [(2, 1), (8, 3), (2, 5), (4, 4)])
def test_few_queries_of_heads_that_share_keys(dtype, heads_of_query, queries):
    # With tensor cores, so many of more rows than four.
    keys = 1030 if dtype == eg.float16 and heads_of_query == 8 else 190
    keep = draw(2, heads_of_query, queries, keys, seed=5) > 0
    keep[0, 0, 0] = False  # a query that sees nothing
    keep[1, :, :, :150] = False  # nothing of the first part
    added = draw(heads_of_query, 1, keys, seed=6)

    def f(q, k, v):
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        return [
            F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, enable_gqa=True)
            for mask, causal in (
                (keep.to(q.device), False),
                (added.to(q.device), False),
                (None, True),
            )
        ]

    shapes = (2, queries, heads_of_query, 8), (2, keys, 2, 8), (2, keys, 2, 8)
    check(f, *heads(*shapes, dtype=dtype), order=int(heads_of_query == 4))


def test_one_query_of_extreme_numbers():
    q, k, v = heads((1, 1, 1, 16), (1, 1, 200, 16), (1, 1, 200, 16))
    check(F.scaled_dot_product_attention, 100 * q, 100 * k, v, order=0)
    v[0, 0, 3, 2], v[0, 0, 150, 5] = float("nan"), float("inf")
    check(F.scaled_dot_product_attention, q, k, v, order=0)
    k[0, 0, 150, 1] = float("inf")
    check(F.scaled_dot_product_attention, q, k, v, order=0)


# --- halves on tensor cores -----------------------------------------------------------------------

HALVES = pytest.mark.parametrize("dtype", [eg.float16, eg.bfloat16])


@HALVES
@pytest.mark.parametrize("width", [9, 64, 90, 128, 150, 250, 260])
def test_halves(dtype, width):
    """Widths that fill their tile and that do not, and one that no tile takes. Many heads take tiles of 128 rows."""
    shapes = (1, 4 if width == 64 else 1, 70, width), (1, 1, 83, width), (1, 1, 83, width - 1)
    check(F.scaled_dot_product_attention, *heads(*shapes, dtype=dtype))


@HALVES
@pytest.mark.parametrize("width", [24, 136])
def test_halves_in_several_tiles(dtype, width):
    """Tiles that are whole, that end early, that are seen in part and that nobody sees; groups of heads; strides."""

    def f(q, k, v):
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True, scale=-0.3)

    shapes = (1, 70, 4, width), (1, 150, 2, width), (1, 150, 2, width)
    check(f, *heads(*shapes, dtype=dtype))


def test_halves_that_see_part_of_the_keys():
    q, k, v = heads((2, 2, 6, 8), (2, 2, 70, 8), (2, 2, 70, 8), dtype=eg.float16)
    keep = draw(2, 1, 6, 70, seed=5) > 0
    keep[0, 0, 2] = False  # a query that sees nothing
    keep[1, 0, 3, :64] = False  # nothing of the first tile
    for mask in (keep, draw(6, 70, seed=6), draw(2, 6, 70, seed=7, dtype=eg.float16)):
        check(
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.device)),
            q,
            k,
            v,
        )


@pytest.mark.parametrize("dtype", [eg.float32, eg.float16])
def test_gradients_of_one_input_alone(dtype):
    inputs = [x.cuda() for x in heads((1, 2, 9, 8), (1, 2, 11, 8), (1, 2, 11, 8), dtype=dtype)]
    together = derivatives(F.scaled_dot_product_attention, inputs, 1)[1:]
    for i, expected in enumerate(together):
        alone = [x.detach().requires_grad_(i == j) for j, x in enumerate(inputs)]
        y = F.scaled_dot_product_attention(*alone)
        (found,) = eg.autograd.grad(
            (y.double() * draw(*y.shape, dtype=eg.float64).cuda()).sum(), alone[i]
        )
        assert (found == expected).all()


def test_halves_of_extreme_numbers():
    """Scores far apart; values near the greatest half; NaN and infinity where they are seen, and only there."""
    q, k, v = heads((1, 1, 5, 16), (1, 1, 9, 16), (1, 1, 9, 16), dtype=eg.float16)
    check(F.scaled_dot_product_attention, 100 * q, 100 * k, v, order=0)
    great = 60000.0
    check(lambda q, k, v: F.scaled_dot_product_attention(q, k, great * v) / great, q, k, v, order=0)
    v[0, 0, 3, 2], v[0, 0, 4, 5] = float("nan"), float("inf")
    check(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), q, k, v, order=0)
    k[0, 0, 1, 1] = float("nan")
    check(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), q, k, v, order=0)


@pytest.mark.parametrize(
    ("capability", "dtypes"),
    [
        ("70", {"float"}),
        ("75", {"eg::Half", "float"}),
        ("80", {"eg::Half", "eg::BFloat16"}),
    ],
)
def test_what_a_card_has_no_tensor_cores_for_is_done_in_float32(capability, dtypes, tmp_path):
    program = """if True:
        import emulated_gpu, eagergrad as eg
        emulated_gpu.start()
        for dtype in (eg.bfloat16, eg.float16):
            x = eg.arange(20 * 16).reshape(1, 1, 20, 16).sin().to(dtype)
            f = lambda x: eg.nn.functional.scaled_dot_product_attention(x, x, x)
            assert (f(x.cuda()).cpu() - f(x)).abs().max() < 0.01
    """
    record = tmp_path / "kernels"
    interpreter.run(
        ["-c", program],
        emulated_gpu.HERE.parent,
        EAGERGRAD_EMULATED_CAPABILITY=capability,
        EAGERGRAD_CUDA_HOST_CACHE=str(emulated_gpu.cache_folder()),
        EAGERGRAD_CUDA_RECORD=str(record),
    )
    kernels = [line for line in record.read_text().splitlines() if line.startswith("attention")]
    assert {k.partition("<")[2].partition(",")[0] for k in kernels} == dtypes


def test_groups_of_heads_and_strides():
    def f(q, k, v):
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, enable_gqa=True)

    check(f, *heads((2, 9, 4, 6), (2, 11, 2, 6), (2, 11, 2, 6)))


def test_masks():
    q, k, v = heads((2, 3, 18, 8), (2, 3, 7, 8), (2, 3, 7, 8))
    keep = draw(2, 1, 18, 7, seed=5) > 0
    keep[0, 0, 2] = False  # a query that sees nothing
    added = draw(18, 7, seed=6)
    for mask in (keep, added):
        check(
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.device)),
            q,
            k,
            v,
        )


def test_gradient_of_the_gradient():
    check(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        *heads((1, 2, 5, 4), (1, 2, 5, 4), (1, 2, 5, 4), dtype=eg.float64),
        order=2,
    )


# --- connectionist temporal classification ------------------------------------------------------

TARGETS = eg.tensor([[1, 2, 2, 3], [3, 3, 1, 1], [4, 1, 4, 4]])


@pytest.mark.parametrize("dtype", [eg.float32, eg.float64])
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_ctc_loss(dtype, reduction):
    lengths = eg.tensor([9, 6, 9]), eg.tensor([4, 2, 4])
    for where in ("cpu", "cuda"):  # of targets and lengths
        check(
            lambda x: F.ctc_loss(
                x - 2,
                TARGETS.to(where) if x.device.type == "cuda" else TARGETS,
                *lengths,
                reduction=reduction,
            ),
            draw(9, 3, 5, dtype=dtype),
        )


def test_ctc_loss_of_targets_that_do_not_fit():
    for zero in (False, True):
        check(
            lambda x: F.ctc_loss(
                x, TARGETS, [9, 3, 0], [4, 4, 0], reduction="none", zero_infinity=zero
            ),
            draw(9, 3, 5) - 1.5,
        )


def test_a_mask_is_looked_at_once_whether_it_is_causal():
    layer = eg.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    net = eg.nn.TransformerEncoder(layer, 1).cuda()
    x, mask = draw(2, 3, 8).cuda(), eg.nn.Transformer.generate_square_subsequent_mask(3).cuda()
    expected = net(x, mask)
    place = eg.zeros(2, dtype=eg.int64, device="cuda")
    assert not eg.cuda.is_current_stream_capturing()
    with emulated_gpu.capturing(place):  # which nobody may wait in
        assert eg.cuda.is_current_stream_capturing()
        assert net(x, mask).shape == expected.shape
    mask[0, 1] = 0.0
    changed = net(x, mask)
    assert (changed[:, 0] != expected[:, 0]).any()
    assert (changed == net(x, mask.clone())).all()
