"""NaN and infinity are reported where they are made, as seterr asks."""

import warnings

import numpy as np
import pytest

import eagergrad as eg
from eagergrad import nn


@pytest.fixture(autouse=True)
def ignored_again():
    yield
    eg.seterr(all="ignore")


def test_ops_that_make_nan_raise_and_say_so():
    x = eg.tensor([[1.0, 2.0], [-1.0, -3.0]])
    with eg.errstate(nan="raise"):
        with pytest.raises(FloatingPointError, match=r"\[log\] made nan: 2 of 4") as caught:
            x.log()
        text = str(caught.value)
        assert "first at [1, 0]" in text and "float32[2, 2] from -3 to 2" in text
        assert "test_errstate.py" in text
        assert (x / 0).isinf().all()
    assert x.log().isnan().any()


def test_values_that_came_in_are_passed_on():
    x = eg.tensor([1.0, float("nan")])
    with eg.errstate(nan="raise"), pytest.raises(FloatingPointError, match="passed on nan"):
        x * 2
    with eg.errstate(nan="raise"):
        assert x.nan_to_num().tolist() == [1.0, 0.0]
        assert x[:1].tolist() == [1.0]
        assert x.isnan().tolist() == [False, True]


@pytest.mark.parametrize("dtype", [eg.float16, eg.bfloat16, eg.float32, eg.float64])
@pytest.mark.parametrize("size", [1, 63, 64, 65, 1000])
def test_one_bad_value_is_found_anywhere(dtype, size):
    with eg.errstate(all="raise"):
        for at in {0, size // 2, size - 1}:
            x = eg.ones(size, dtype=dtype)
            assert (x + x).sum() == 2 * size
            x[at] = 0
            with pytest.raises(
                FloatingPointError, match=rf"1 of {size} values .*first at \[{at}\]"
            ):
                1 / x
            with pytest.raises(FloatingPointError, match="made nan"):
                x / x


def test_operators_methods_and_writes_are_looked_at():
    zero, one = eg.zeros(3), eg.ones(3)
    with eg.errstate(all="raise"):
        for call in (
            lambda: zero / zero,
            lambda: zero.clone().div_(zero),
            lambda: one.clone().__itruediv__(zero),
            lambda: eg.div(one, zero),
            lambda: eg.div(one, zero, out=eg.empty(3)),
            lambda: (-one).sqrt(),
            lambda: (-one).sqrt_(),
            lambda: eg.stack([one, one]).std(0).log(),
            lambda: eg.zeros(2, 0).mean(),
            lambda: (one * 1e30) ** 2,
            lambda: nn.functional.softmax(eg.full((2,), float("-inf")), 0),
        ):
            with pytest.raises(FloatingPointError):
                call()
        eg.empty(3)
        eg.full((2,), float("nan"))


def test_infinity_alone():
    x = eg.zeros(2)
    with eg.errstate(inf="raise"):
        assert (x / x).isnan().all()
        with pytest.raises(FloatingPointError, match=r"\[reciprocal\] made inf"):
            x.reciprocal()


def test_warnings_and_the_line_they_point_at():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with eg.errstate(nan="warn"):
            y = eg.tensor([-1.0]).log()
    assert y.isnan().all()
    assert [w.filename for w in seen] == [__file__]
    assert "[log] made nan" in str(seen[0].message)


def test_gradients_name_the_forward_line():
    x = eg.zeros(3, requires_grad=True)
    y = x.sqrt()
    with eg.errstate(all="raise"):
        with pytest.raises(FloatingPointError, match=r"backward of SqrtBackward0\] made inf") as e:
            y.sum().backward()
        assert "test_errstate.py" in str(e.value)
    w = eg.ones(2, requires_grad=True)
    loss = (w * 1e30).sum() + (w * 1e38 * 3).sum()
    with eg.errstate(all="raise"):
        loss.backward()


def test_a_step_of_an_optimizer_is_looked_at():
    w = eg.ones(2, requires_grad=True)
    optimizer = eg.optim.SGD([w], lr=1e38)
    w.grad = eg.full((2,), 10.0)
    with eg.errstate(inf="raise"), pytest.raises(FloatingPointError, match=r"\[SGD.step\]"):
        optimizer.step()
    optimizer.step()


def test_row_sparse_gradients_are_looked_at():
    table = nn.Embedding(5, 3, sparse=True)
    out = table(eg.tensor([1, 1]))
    with eg.errstate(nan="raise"), pytest.raises(FloatingPointError, match="backward of"):
        out.backward(eg.full((2, 3), float("nan")))


def test_settings_nest_and_come_back():
    assert eg.geterr() == {"nan": "ignore", "inf": "ignore"}
    assert eg.seterr("warn") == {"nan": "ignore", "inf": "ignore"}
    with eg.errstate(nan="raise"):
        assert eg.geterr() == {"nan": "raise", "inf": "warn"}
        with pytest.raises(ZeroDivisionError), eg.errstate("ignore"):
            raise ZeroDivisionError
        assert eg.geterr() == {"nan": "raise", "inf": "warn"}
    assert eg.geterr() == {"nan": "warn", "inf": "warn"}
    with pytest.raises(ValueError, match="'ignore', 'warn' or 'raise', got 'stop'"):
        eg.seterr(nan="stop")
    assert eg.geterr() == {"nan": "warn", "inf": "warn"}

    @eg.errstate(all="raise")
    def careful():
        return eg.geterr()["inf"]

    assert careful() == "raise"
    assert eg.geterr()["inf"] == "warn"


def test_a_whole_net_trains_under_it():
    rng = np.random.RandomState(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3))
    optimizer = eg.optim.Adam(net.parameters(), lr=1e-2)
    x, t = eg.tensor(rng.randn(16, 4).astype("f4")), eg.tensor(rng.randint(0, 3, 16))
    with eg.errstate(all="raise"):
        for _ in range(5):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), t).backward()
            optimizer.step()
