"""Reductions, flips, comparisons and copies of tensors whose dimensions do not lie in their order."""

import itertools
import math

import numpy as np
import pytest

import eagergrad as eg

SHAPES = [(4, 5), (3, 4, 5), (1, 3, 4), (2, 3, 1, 4), (3, 64, 300)]


def permuted(shape, dtype):
    base = (np.random.default_rng(0).standard_normal(shape) * 3).astype(dtype)
    for order in itertools.permutations(range(len(shape))):
        yield base.transpose(order), eg.from_numpy(base).permute(*order)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_reductions(shape, dtype):
    for array, x in permuted(shape, dtype):
        for count in range(1, len(shape) + 1):
            for dims in itertools.combinations(range(len(shape)), count):
                np.testing.assert_allclose(x.sum(dims).numpy(), array.sum(dims), rtol=1e-9)
                np.testing.assert_array_equal(x.amax(dims).numpy(), array.max(dims))
                if dtype == "float64":
                    np.testing.assert_allclose(
                        x.var(dims, unbiased=False).numpy(), array.var(dims), rtol=1e-9, atol=1e-15
                    )
                    np.testing.assert_allclose(
                        x.logsumexp(dims).numpy(), np.log(np.exp(array).sum(dims)), rtol=1e-9
                    )
        for d in range(len(shape)):
            np.testing.assert_array_equal(x.argmin(d).numpy(), array.argmin(d))
            values, places = x.max(d)
            np.testing.assert_array_equal(values.numpy(), array.max(d))
            np.testing.assert_array_equal(places.numpy(), array.argmax(d))


@pytest.mark.parametrize("shape", SHAPES)
def test_flips_keep_the_order(shape):
    for array, x in permuted(shape, "float32"):
        for count in range(1, len(shape) + 1):
            for dims in itertools.combinations(range(len(shape)), count):
                y = x.flip(dims)
                np.testing.assert_array_equal(y.numpy(), np.flip(array, dims))
                if 1 not in shape:
                    assert y.stride() == x.stride()


def test_losses_of_operands_that_lie_differently():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((30, 20)), rng.standard_normal((20, 30))
    wanted = ((a.T - b) ** 2).mean()
    x, y = eg.tensor(a).t(), eg.tensor(b)
    turned = y.t().contiguous().t()
    for left, right in ((x, y), (y, x), (x, turned), (turned, x)):
        loss = eg.nn.functional.mse_loss(left, right)
        np.testing.assert_allclose(loss.item(), wanted, rtol=1e-12)


def test_comparisons_see_every_element():
    x = eg.rand(300, 200).t()
    y = x.clone()
    assert eg.equal(x, y) and eg.equal(x[::2], y[::2]) and eg.equal(x, y.contiguous())
    for place in ((0, 0), (199, 299), (100, 1)):
        z = y.clone()
        z[place] += 1
        assert not eg.equal(x, z)
    y[0, 0] = float("nan")
    assert not eg.equal(y, y.clone())


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32", "float64"])
@pytest.mark.parametrize("step", [2, 3, 4, 5])
def test_copies_of_every_so_many_elements(dtype, step):
    for n in (1, 2, 7, 16, 17, 33, 100):
        a = (np.random.default_rng(n).standard_normal(n * step) * 9).astype(dtype)
        x = eg.from_numpy(a)[::step]
        np.testing.assert_array_equal(x.contiguous().numpy(), a[::step])
        np.testing.assert_array_equal((x + x).numpy(), a[::step] + a[::step])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
@pytest.mark.parametrize(
    "shape, part",
    [
        ((300, 200), np.s_[:, 3:150]),
        ((20, 30, 100), np.s_[:, :, :77]),
        ((40, 30, 100), np.s_[:, :, 5:90]),
        ((30, 5000), np.s_[:, :4999]),
        ((4, 5, 6, 300), np.s_[..., 1:-1]),
    ],
)
def test_reductions_of_rows_apart_from_each_other(shape, part, dtype):
    array = (np.random.default_rng(0).standard_normal(shape) * 3).astype(dtype)
    wanted, x = array[part], eg.from_numpy(array)[part]
    rtol = 1e-4 if dtype == "float32" else 1e-9
    for count in range(1, len(shape) + 1):
        for dims in itertools.combinations(range(len(shape)), count):
            exact = wanted.astype("float64").sum(dims)
            np.testing.assert_allclose(x.sum(dims).numpy(), exact, rtol=rtol, atol=1e-2)
            np.testing.assert_array_equal(x.amax(dims).numpy(), wanted.max(dims))
            np.testing.assert_array_equal(
                x.count_nonzero(dims).numpy(), np.count_nonzero(wanted, dims)
            )


@pytest.mark.parametrize("rows", [100, 20000])
def test_reductions_of_rows_that_share_memory(rows):
    line = eg.arange(80.0, dtype=eg.float64)
    for x in (
        line.expand(rows, 80),
        line.as_strided((rows, 40), (0, 1)),
        eg.arange(rows + 79.0, dtype=eg.float64).unfold(0, 80, 1),
    ):
        wanted = np.ascontiguousarray(x.numpy())
        for dims in (0, 1, (0, 1)):
            np.testing.assert_allclose(x.sum(dims).numpy(), wanted.sum(dims), rtol=1e-5)
            np.testing.assert_array_equal(x.amax(dims).numpy(), wanted.max(dims))
    w = eg.zeros(2, requires_grad=True)
    (w + eg.ones(rows, 2)).mean(0).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), [1.0, 1.0], rtol=1e-5)


@pytest.mark.parametrize("dtype", [eg.float32, eg.float64, eg.float16, eg.int8])
@pytest.mark.parametrize("sizes", [(3, 9, 11, 10), (2, 20, 17, 33), (5, 4, 3, 1), (2, 3, 4, 7)])
def test_copies_in_every_order(sizes, dtype):
    n = math.prod(sizes)
    a = np.arange(n).reshape(sizes).astype("int8" if dtype == eg.int8 else "float64") % 97
    x = eg.tensor(a).to(dtype)
    for order in itertools.permutations(range(4)):
        y, wanted = x.permute(order), a.transpose(order)
        assert np.array_equal(y.contiguous().numpy().astype(a.dtype), wanted)
        wide = eg.zeros(*(m + 1 for m in y.shape), dtype=dtype)
        inner = tuple(slice(0, m) for m in y.shape)
        wide[inner] = y
        assert np.array_equal(wide[inner].numpy().astype(a.dtype), wanted)
        assert wide.count_nonzero() == np.count_nonzero(wanted)


@pytest.mark.parametrize("dtype", [eg.float32, eg.float64, eg.float16, eg.bfloat16, eg.int64])
@pytest.mark.parametrize("length", [2, 7, 8, 16, 50, 127, 199, 200])
def test_short_lines(length, dtype):
    rng = np.random.default_rng(length)
    a = rng.integers(-9, 9, (3, 40, 2 * length)).astype("float64")
    x = eg.tensor(a).to(dtype)
    left, right, row = a[..., :length], a[..., length:], a[1, 3, :length]
    y, z, r = x[..., :length], x[..., length:], x[1, 3, :length]
    column, c = a[:, :, :1], x[:, :, :1]
    dense, d = np.ascontiguousarray(left), y.contiguous()
    cases = [
        (y * 2, left * 2),
        (y - z, left - right),
        (d + r, dense + row),
        (d - c, dense - column),
        (c - d, column - dense),
        (d * r - c, dense * row - column),
        (y.abs(), abs(left)),
        (d + x[0, :, :length], dense + a[0, :, :length]),
        (d > c, dense > column),
        (eg.where(y > 0, y, r), np.where(left > 0, left, row)),
        (d[:, 1:, 1:] + c[:, 1:], dense[:, 1:, 1:] + column[:, 1:]),
    ]
    for got, wanted in cases:
        assert np.array_equal(got.to(eg.float64).numpy(), wanted)
    assert np.array_equal(d.add_(r).to(eg.float64).numpy(), dense + row)
    assert np.array_equal(d.sub_(c).to(eg.float64).numpy(), dense + row - column)


@pytest.mark.parametrize("dtype", [eg.float32, eg.float64, eg.float16, eg.uint8])
def test_writes_of_numbers_and_rows_into_slices(dtype):
    for length in (1, 3, 32, 600):
        a = np.zeros((4, 9, length + 2))
        x = eg.tensor(a).to(dtype)
        row = np.arange(length) % 50
        for part, value in [
            (np.s_[:, 1:4, 1 : length + 1], 3),
            (np.s_[:, ::2, :length], row),
            (np.s_[1:3, :, 1], 7),
            (np.s_[..., 2:], 9),
            (np.s_[:2, :, :length], row.reshape(1, 1, -1).repeat(9, 1)),
        ]:
            a[part] = value
            x[part] = value if isinstance(value, int) else eg.tensor(value).to(dtype)
            assert np.array_equal(x.double().numpy(), a)
        x.permute(2, 0, 1).fill_(5)
        assert (x == 5).all()


LIKE_THE_INPUT = {
    "rand_like": lambda x: eg.rand_like(x),
    "randn_like": lambda x: eg.randn_like(x, dtype=eg.float64),
    "randint_like": lambda x: eg.randint_like(x, 3, 9),
    "sort": lambda x: x.sort(1, descending=True).values,
    "argsort": lambda x: x.argsort(0),
    "msort": lambda x: x.msort(),
    "index_fill": lambda x: x.index_fill(1, eg.tensor([0, 2]), 7.0),
    "index_put": lambda x: x.index_put((eg.tensor([0, 1]),), eg.tensor(2.0)),
    "select_scatter": lambda x: x.select_scatter(x[:, 0], 1, 2),
    "slice_scatter": lambda x: x.slice_scatter(x[:1], 0, 1, 2),
    "diagonal_scatter": lambda x: x.diagonal_scatter(eg.zeros(4, 5, 2)),
}


@pytest.mark.parametrize("name", LIKE_THE_INPUT)
@pytest.mark.parametrize("order", [(0, 2, 3, 1), (3, 0, 2, 1), (1, 0, 2, 3)])
def test_results_lie_in_memory_as_the_input(name, order):
    f, back = LIKE_THE_INPUT[name], [order.index(d) for d in range(4)]
    plain = eg.randn(2, 3, 4, 5)
    lies = plain.permute(order).contiguous().permute(back)
    y = f(lies)
    assert y.stride() == lies.stride()
    if "rand" not in name:
        assert y.tolist() == f(plain).tolist()


@pytest.mark.parametrize("dim", [0, 1])
def test_sorting_columns_gives_their_gradients(dim):
    x = eg.randn(4, 3, dtype=eg.float64).t().requires_grad_()
    assert eg.autograd.gradcheck(lambda x: x.sort(dim).values, (x,))
    assert (x[::2].sort(dim).values == x[::2].contiguous().sort(dim).values).all()


def test_random_numbers_like_an_input_repeat_and_fill_the_range():
    x = eg.ones(300, 200).t()
    eg.manual_seed(0)
    y = eg.rand_like(x)
    eg.manual_seed(0)
    assert eg.equal(y, eg.rand_like(x)) and y.is_contiguous() is False
    assert abs(y.mean().item() - 0.5) < 0.01 and y.unique().numel() > 50000
    wide = eg.randn_like(eg.ones(1, 3).expand(4, 3))  # not dense: row by row
    assert wide.is_contiguous() and wide.unique().numel() == 12
