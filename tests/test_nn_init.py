"""Initialisers: ranges, moments, structure and errors."""

import math

import pytest

import eagergrad as eg
from eagergrad import nn
from eagergrad.nn import init


@pytest.fixture(autouse=True)
def seeded():
    eg.manual_seed(0)


def moments(t):
    return float(t.mean()), float(t.std())


def test_every_initialiser_returns_its_tensor_unrecorded():
    for fill in (
        init.uniform_, init.normal_, init.trunc_normal_, init.ones_, init.zeros_, init.eye_,
        init.xavier_uniform_, init.xavier_normal_, init.kaiming_uniform_, init.kaiming_normal_,
        init.orthogonal_,
    ):  # fmt: skip
        p = nn.Parameter(eg.empty(4, 3))
        assert fill(p) is p and p.grad_fn is None and p.requires_grad


def test_constants():
    assert init.constant_(eg.empty(2), 3.0).tolist() == [3.0, 3.0]
    assert init.ones_(eg.empty(2)).tolist() == [1.0, 1.0]
    assert init.zeros_(eg.ones(2)).tolist() == [0.0, 0.0]
    assert eg.equal(init.eye_(eg.empty(3, 2)), eg.eye(3, 2))


def test_uniform_and_normal():
    u = init.uniform_(eg.empty(200, 100), -3.0, 1.0)
    assert -3 <= float(u.min()) < -2.99 and 0.99 < float(u.max()) <= 1
    mean, std = moments(init.normal_(eg.empty(200, 100), 2.0, 0.5))
    assert abs(mean - 2) < 0.02 and abs(std - 0.5) < 0.02


def test_trunc_normal_stays_inside():
    w = init.trunc_normal_(eg.empty(200, 100), 0.0, 1.0, -1.0, 1.0)
    mean, std = moments(w)
    assert float(w.abs().max()) <= 1 and abs(mean) < 0.02 and abs(std - 0.5396) < 0.01
    with pytest.warns(UserWarning, match="2 std"):
        init.trunc_normal_(eg.empty(3), 10.0)


@pytest.mark.parametrize(
    "fill,std",
    [
        (init.xavier_uniform_, math.sqrt(2 / 300)),
        (init.xavier_normal_, math.sqrt(2 / 300)),
        (lambda w: init.xavier_normal_(w, gain=2.0), 2 * math.sqrt(2 / 300)),
        (lambda w: init.kaiming_uniform_(w, a=math.sqrt(5)), math.sqrt(1 / 300)),
        (lambda w: init.kaiming_normal_(w, nonlinearity="relu"), math.sqrt(2 / 100)),
        (lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="tanh"),
         5 / 3 / math.sqrt(200)),
    ],
)  # fmt: skip
def test_scaled_initialisers_have_their_spread(fill, std):
    mean, got = moments(fill(eg.empty(200, 100)))
    assert abs(mean) < std / 20 and abs(got / std - 1) < 0.03


def test_fans_count_the_receptive_field():
    w = init.kaiming_uniform_(eg.empty(30, 20, 3, 3), a=0)
    bound = math.sqrt(6 / (20 * 9))
    assert 0.98 * bound < float(w.abs().max()) <= bound


def test_orthogonal():
    for shape in ((4, 7), (7, 4), (5, 5), (4, 2, 3)):
        w = init.orthogonal_(eg.empty(*shape), gain=2.0).reshape(shape[0], -1)
        gram = w @ w.t() if w.shape[0] <= w.shape[1] else w.t() @ w
        assert eg.allclose(gram, 4 * eg.eye(gram.shape[0]), atol=1e-4)


def test_dirac_passes_its_input_through():
    conv = nn.Conv1d(4, 4, 3, padding=1, groups=2, bias=False)
    init.dirac_(conv.weight, groups=2)
    x = eg.randn(2, 4, 5)
    assert eg.allclose(conv(x), x)


def test_sparse_zeroes_a_fraction_of_each_column():
    w = init.sparse_(eg.empty(10, 6), 0.35)
    assert (w == 0).sum(0).tolist() == [4] * 6


def test_gains():
    gain = init.calculate_gain
    assert gain("linear") == gain("conv2d") == gain("sigmoid") == 1
    assert gain("tanh") == 5 / 3 and gain("relu") == math.sqrt(2) and gain("selu") == 0.75
    assert gain("leaky_relu", 2.0) == math.sqrt(2 / 5) and gain("leaky_relu") == math.sqrt(
        2 / 1.0001
    )
    with pytest.raises(ValueError):
        gain("nope")
    with pytest.raises(ValueError):
        gain("leaky_relu", True)


def test_old_names_warn():
    with pytest.warns(FutureWarning, match="xavier_uniform_"):
        init.xavier_uniform(eg.empty(2, 2))
    with pytest.warns(FutureWarning):
        assert init.constant(eg.empty(1), 2.0).item() == 2


@pytest.mark.parametrize(
    "bad",
    [
        lambda: init.xavier_uniform_(eg.empty(3)),
        lambda: init.kaiming_normal_(eg.empty(3, 3), mode="nope"),
        lambda: init.orthogonal_(eg.empty(3)),
        lambda: init.eye_(eg.empty(3)),
        lambda: init.dirac_(eg.empty(3, 3)),
        lambda: init.dirac_(eg.empty(3, 3, 3), groups=2),
        lambda: init.sparse_(eg.empty(3), 0.5),
    ],
)
def test_wrong_shapes_are_refused(bad):
    with pytest.raises(ValueError):
        bad()


def test_empty_tensors_are_left_alone():
    with pytest.warns(UserWarning, match="no-op"):
        init.kaiming_uniform_(eg.empty(0, 3))


def test_layers_start_where_pytorch_starts_them():
    layer = nn.Linear(100, 400)
    bound = 1 / math.sqrt(100)
    for t in (layer.weight, layer.bias):
        assert 0.95 * bound < float(t.abs().max()) <= bound
    mean, std = moments(nn.Embedding(200, 50).weight)
    assert abs(mean) < 0.03 and abs(std - 1) < 0.03
    pair = nn.Bilinear(25, 10, 8)
    assert 0.9 / 5 < float(pair.weight.abs().max()) <= 1 / 5


def test_a_generator_decides_alone():
    def draw(seed):
        return init.normal_(eg.empty(4), generator=eg.Generator().manual_seed(seed))

    assert eg.equal(draw(1), draw(1)) and not eg.equal(draw(1), draw(2))
