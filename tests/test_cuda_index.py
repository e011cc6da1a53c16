"""Indexing, gathering, scattering, masks, embedding and joins on the GPU against the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import eagergrad as eg
import emulated_gpu
from cuda_pairs import assert_same, check, draw, gpu  # noqa: F401

F = eg.nn.functional


def whole(*sizes, high, low=0, seed=0):
    return draw(*sizes, dtype=eg.int64, low=low, high=high, seed=seed)


# --- x[...] -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "index",
    [
        lambda i: (i,),
        lambda i: (slice(None), i % 4),
        lambda i: (i, i % 4),
        lambda i: (i, slice(None), i % 3),  # apart
        lambda i: (slice(None), i % 4, slice(1, 3)),
        lambda i: (i[:, None], i[None] % 4),
        lambda i: (-1 - i,),
        lambda i: (i[:0],),
    ],
)
def test_integer_indices(index):
    i = eg.tensor([0, 5, 5, 2, 0])
    check(lambda x, i: x[index(i)], draw(6, 4, 3), i, order=2)


@pytest.mark.parametrize("dtype", [eg.float16, eg.float64, eg.uint8])
def test_element_sizes(dtype):
    x, i = draw(7, 3, dtype=dtype), eg.tensor([1, 6, 6])
    check(lambda x, i: (x[i], x[:, 1][i], x.t()[:, i]), x, i)


def test_indices_may_stay_on_the_host():
    x, i = draw(6, 4), eg.tensor([3, 3, 0])
    check(
        lambda x: (x[i], x[[1, 2], [0, 0]], x[i.numpy()], x[:, i > 1 if False else [True] * 4]), x
    )
    check(lambda x: (x[x.detach().cpu() > 0], x[eg.tensor([True, False] * 3)]), x)
    y = x.to("cuda")
    y[i] = 1.0
    y[eg.tensor([False] * 5 + [True])] = 2.0
    assert y[0].tolist() == y[3].tolist() == [1.0] * 4
    assert y[5].tolist() == [2.0] * 4
    with pytest.raises(RuntimeError, match="same device"):
        x[i.to("cuda")]


def test_masks():
    x = draw(5, 6, 2)
    check(lambda x: (x[x > 0.2], x[x[:, :, 0] > 0], x[:, x[0, :, 1] > 0], x[x > 9]), x, order=2)
    check(lambda x: (x.masked_select(x > 0), x.masked_fill(x > 0, 3.0)), x, order=2)
    check(lambda x: x.masked_fill((x > 0)[:, :1], x.detach().amax()), x)
    check(lambda x, s: x.masked_scatter(x > 0, s), x, draw(60, seed=1), order=2)
    check(
        lambda x, s: (x.masked_scatter(x[:, :, :1] > 0, s), x.masked_scatter(x > 9, s[:0])),
        x,
        draw(60),
    )
    short = x.to("cuda").masked_scatter(x.to("cuda") > 0, eg.ones(3, device="cuda"))
    with pytest.raises(RuntimeError, match=r"\[masked_scatter\]"):
        short.tolist()


@pytest.mark.parametrize("n", [1, 70, 4096, 20001])
def test_nonzero(n):
    x = draw(n, dtype=eg.int32, low=0, high=2)
    check(lambda x: (x.nonzero(), x[1:].nonzero(), (x > 5).nonzero()), x)
    check(lambda x: (eg.where(x.view(-1, 1) > 0), x.view(1, n, 1).argwhere()), x)


def test_assignment():
    def assign(x, v, i):
        y = x * 1
        y[i] = v
        y[1, ::2] = v[0, :2]
        y[y > 1] = 0.5
        y[y[:, 0] > 0] = 0.25
        y[:, i % 3] = v[:1, :3].sum()
        return y

    check(assign, draw(6, 4), draw(3, 4, seed=1) * 2, eg.tensor([5, 0, 3]), order=2)


def test_the_last_of_equal_indices_wins():
    i = whole(3000, high=40)
    v = eg.arange(3000.0)
    check(lambda x, i, v: x.index_put((i,), v), eg.zeros(40), i, v)
    check(lambda x, i, v: x.index_copy(0, i, v), eg.zeros(40), i, v)
    check(lambda x, i, v: x.scatter(0, i, v), eg.zeros(40), i, v)
    check(lambda x, i: x.index_fill(0, i % 7, 2.0), eg.zeros(40), i)


# --- accumulation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "n", "width"),
    [(5, 20, 3), (5, 40, 7), (50, 3000, 3), (3, 5000, 1), (1, 4000, 2), (9000, 3000, 2)],
)
def test_added_rows(rows, n, width):
    i = whole(n, high=rows)
    check(
        lambda x, i, v: x.index_add(0, i, v), draw(rows, width), i, draw(n, width), tolerance=1e-4
    )
    check(lambda x, i: x[i], draw(rows, width, dtype=eg.float64), i)


def test_added_along_other_dimensions():
    i, x, v = whole(80, high=5), draw(4, 5, 3), draw(4, 80, 3, seed=1)
    check(lambda x, i, v: x.index_add(1, i, v, alpha=0.5), x, i, v, order=2, tolerance=1e-4)
    strided = draw(3, 4, 5)
    check(lambda x, i: x.permute(1, 2, 0).index_select(1, i), strided, i)
    check(lambda x, i, v: x.permute(1, 2, 0).index_add(1, i, v), strided, i, v, tolerance=1e-4)


def test_sums_are_the_same_every_time():
    i, v = whole(40000, high=30), draw(40000)
    i, v = i.to("cuda"), v.to("cuda")
    first = eg.zeros(30, device="cuda").index_add(0, i, v)
    again = eg.zeros(30, device="cuda").index_add(0, i, v)
    assert first.tolist() == again.tolist()


@pytest.mark.parametrize("dtype", [eg.int64, eg.uint8, eg.bool, eg.bfloat16])
def test_other_types_are_added(dtype):
    x, v = draw(4, 2, dtype=dtype, low=0, high=3), draw(50, 2, dtype=dtype, low=0, high=3)
    i = whole(50, high=4)
    check(lambda x, i, v: x.index_add(0, i, v), x, i, v, order=0, tolerance=0.1)
    check(lambda x, i, v: x.index_put((i,), v, accumulate=True), x, i, v, order=0, tolerance=0.1)


# --- gather and scatter ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "dim"), [((3, 5), 1), ((5, 40), 0), ((4, 300, 2), 1), ((90,), 0)]
)
def test_gather_and_scatter(sizes, dim):
    n = sizes[dim]
    x, src, i = draw(*sizes), draw(*sizes, seed=1), whole(*sizes, high=n)
    check(lambda x, i: x.gather(dim, i), x, i, order=2, tolerance=1e-4)
    check(lambda x, i, s: x.scatter_add(dim, i, s), x, i, src, order=2, tolerance=1e-4)
    check(lambda x, i, s: (x.scatter(dim, i, s), x.scatter(dim, i, 2.0)), x, i, src)
    check(lambda x, i: x.transpose(0, -1).gather(-1 - dim, i.transpose(0, -1)), x, i, order=0)


@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
def test_scatter_reduce(reduce):
    x, src, i = draw(3, 6), draw(3, 50, seed=1), whole(3, 50, high=6)
    for include in (True, False):
        check(
            lambda x, i, s, k=include: x.scatter_reduce(1, i, s, reduce, include_self=k),
            *(x, i, src),
            tolerance=1e-4,
        )


def test_integers_are_scattered():
    x, i = eg.zeros(3, 4, dtype=eg.int64), whole(3, 60, high=4)
    check(lambda x, i: x.scatter_add(1, i, i), x, i, order=0)
    check(lambda i: (F.one_hot(i), eg.bincount(i.flatten(), minlength=9)), i, order=0)
    check(lambda x, i: eg.take_along_dim(x, i[:, :2], 1), x, i, order=0)
    check(lambda x, i: x.put(i[0], i[0]).take(i[1]), x, i, order=0)
    check(lambda i: eg.unravel_index(i, (2, 3)), i, order=0)


def test_indices_out_of_range_are_refused():
    x, i = draw(3, 4).to("cuda"), eg.tensor([0, 3], device="cuda")
    for error, op in [
        (IndexError, lambda: x[i]),
        (RuntimeError, lambda: x.gather(0, i[:, None])),
        (IndexError, lambda: F.embedding(i, x)),
        (RuntimeError, lambda: x.scatter(0, -i[:, None], 1.0)),
    ]:
        found = op()  # no op waits for its check
        with pytest.raises(
            error, match=r"\] index -?3 is out of bounds.*size 3.*test_cuda_index.py"
        ):
            found.tolist()
        assert x.tolist() == draw(3, 4).tolist(), "it is raised once"
    with pytest.raises(IndexError, match="size 0"):
        x[:0][i]


def test_errors_come_at_once_where_launches_block():
    program = """if True:
        import eagergrad as eg, emulated_gpu
        with emulated_gpu.running():
            try:
                eg.ones(3, device="cuda")[eg.tensor([5], device="cuda")]
            except IndexError as error:
                print(error)
        """
    env = {
        **os.environ,
        "CUDA_LAUNCH_BLOCKING": "1",
        "EAGERGRAD_CUDA_HOST_CACHE": str(emulated_gpu.cache_folder()),
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=env,
        cwd=Path(eg.__file__).parents[1],
    )
    assert "index 5 is out of bounds" in done.stdout, done.stderr


def test_checks_can_be_captured():
    table, t = draw(5, 7).to("cuda").requires_grad_(), eg.tensor([6, -100, 0], device="cuda")
    i, place = eg.tensor([4, 0, 4], device="cuda"), eg.zeros(2, dtype=eg.int64, device="cuda")
    with emulated_gpu.capturing(place):
        F.cross_entropy(F.embedding(i, table), t).backward()
    check(lambda w, i, t: F.cross_entropy(F.embedding(i, w), t), table, i, t, order=2)


def test_a_bad_index_is_found_before_backward_and_when_the_host_waits():
    table, i = draw(3, 4).to("cuda").requires_grad_(), eg.tensor([0, 9], device="cuda")
    loss = F.embedding(i, table).sum()
    with pytest.raises(IndexError, match=r"\[embedding\] index 9"):
        loss.backward()
    assert table.grad is None
    F.embedding(i, table)
    with pytest.raises(IndexError, match=r"\[embedding\] index 9"):
        eg.cuda.synchronize()
    with eg.no_grad():
        table[i, :1] = 7.0  # what is wrong counts as row 0
    with pytest.raises(IndexError, match=r"index 9 is out of bounds for dimension 0"):
        table.tolist()
    assert table[1:].tolist() == draw(3, 4)[1:].tolist()


# --- embedding ----------------------------------------------------------------------------------------------------------


def test_embedding():
    w, i = draw(11, 5), whole(4, 9, high=11)
    check(lambda w, i: F.embedding(i, w), w, i, order=2)
    check(lambda w, i: F.embedding(i, w, padding_idx=3, scale_grad_by_freq=True), w, i)
    check(lambda w, i: F.embedding(i, w), draw(500, 2), whole(3000, high=500), tolerance=1e-4)
    check(lambda w, i: F.embedding(i.int(), w), draw(11, 6, dtype=eg.bfloat16), i, tolerance=0.1)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(mode):
    w, i, offsets = draw(11, 5), whole(60, high=11), eg.tensor([0, 3, 3, 40])
    check(lambda w, i, o: F.embedding_bag(i, w, o, mode=mode), w, i, offsets, tolerance=1e-4)


def test_weighted_embedding_bag():
    w, i, s = draw(11, 5), whole(6, 8, high=11), draw(6, 8, seed=2)
    check(
        lambda w, i, s: F.embedding_bag(i, w, mode="sum", per_sample_weights=s),
        *(w, i, s),
        order=2,
        tolerance=1e-4,
    )


# --- joins and shapes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [eg.float32, eg.uint8])
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_joins(dim, dtype):
    x, y = draw(2, 3, 5, dtype=dtype), draw(2, 3, 5, dtype=dtype, seed=1)
    check(lambda x, y: (eg.cat([x, y, x], dim), eg.stack([x, y], dim)), x, y, order=2)
    check(lambda x, y: eg.cat([x.transpose(0, 1), y.transpose(0, 1)], dim), x, y)
    check(lambda x: [part * 2 for part in x.split(2, dim)], x)


def test_many_are_joined():
    parts = [draw(2, 1 + k % 3, seed=k) for k in range(70)]
    check(lambda *parts: eg.cat(parts, 1), *parts)


def test_shapes():
    x = draw(4, 3, 5)
    check(lambda x: (x.flip(0, 2), x.roll((1, -2), (0, 2)), x.roll(7)), x, order=2)
    check(lambda x: (x.tril(-1), x.triu(1), x.rot90(1, (0, 2))), x, order=2)
    check(lambda x: (x.repeat(2, 1, 3), x.tile(2), x.repeat_interleave(2, 1)), x, order=2)
    check(lambda x: (x.diagonal(1, 0, 2), eg.diag_embed(x[0]), eg.diag(x[0, 0])), x, order=2)
    check(lambda x: (x.as_strided((3, 2), (1, 1)), x.unfold(2, 3, 1)), x, order=2)
    check(lambda x: (eg.block_diag(x[0], x[1]), x.narrow_copy(0, 1, 2), x.sum_to_size(3, 1)), x)
    check(lambda x, n: x.repeat_interleave(n, 1), x, eg.tensor([2, 0, 3]))
    check(lambda x, n: x.repeat_interleave(n, 1, output_size=5), x, eg.tensor([2, 0, 3]))
    for counts, size in [([2, -1, 3], None), ([2, 0, 3], 7), ([2, -1, 4], 5)]:
        n = eg.tensor(counts, device="cuda")
        with pytest.raises(RuntimeError, match=r"\[repeat_interleave\]"):
            eg.repeat_interleave(n, output_size=size).tolist()
    check(lambda x: eg.combinations(x[0, 0], 2), x)
    check(lambda x: eg.nonzero_static(x, size=100), x, order=0)


def test_made_on_the_gpu():
    for f in (eg.tril_indices, eg.triu_indices):
        assert_same(f(4, 5, 1, device="cuda"), f(4, 5, 1))
    x = eg.zeros(5, 3, device="cuda")
    x.fill_diagonal_(2.0, wrap=True)
    assert_same(x, eg.zeros(5, 3).fill_diagonal_(2.0, wrap=True))


def test_a_large_tensor_is_printed_from_its_ends(monkeypatch):
    x = eg.arange(15000.0).view(3, 5000)
    printed = repr(x.to("cuda"))
    assert printed.replace(", device='cuda:0'", "") == repr(x)
    copied = []
    to_host = eg.Tensor.cpu
    monkeypatch.setattr(eg.Tensor, "cpu", lambda t: copied.append(t.numel()) or to_host(t))
    repr(x.to("cuda"))
    assert copied == [3 * 7]


def test_empty_tensors():
    x, none = draw(4, 3), eg.zeros(0, dtype=eg.int64)
    check(lambda x, i: (x[i], x.index_select(1, i), x.index_add(0, i, x[:0])), x, none)
    check(lambda x, i: (x[:0].nonzero(), x[:0][x[:0] > 0], eg.cat([x[:0], x[:0]])), x, none)
    check(lambda x, i: (x.gather(0, i.view(0, 3)), x.flip(0)[:0].flip(0)), x, none)
    assert np.array_equal(x.to("cuda")[none.to("cuda")].cpu().numpy(), np.zeros((0, 3)))
