"""What layers and losses refuse, with the exceptions PyTorch raises, and values at the edges of their arguments."""

import inspect
import math
import warnings

import pytest

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import nn


@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"bias": 1}, TypeError, "bias should be of type bool, got: int"),
        ({"bias": "yes"}, TypeError, "bias should be of type bool, got: str"),
        ({"batch_first": 0}, TypeError, "batch_first should be of type bool, got: int"),
        ({"input_size": 2.0}, TypeError, "input_size should be of type int, got: float"),
        ({"hidden_size": "4"}, TypeError, "hidden_size should be of type int, got: str"),
        ({"input_size": 0}, ValueError, "input_size must be greater than zero"),
        ({"input_size": -1}, ValueError, "input_size must be greater than zero"),
        ({"hidden_size": 0}, ValueError, "hidden_size must be greater than zero"),
        ({"num_layers": 0}, ValueError, "num_layers must be greater than zero"),
        ({"dropout": 1.5}, ValueError, "dropout should be a number in range"),
        ({"dropout": True}, ValueError, "dropout should be a number in range"),
    ],
)
def test_recurrent_layers_refuse(layer, kwargs, error, match):
    with pytest.raises(error, match=match):
        layer(**{"input_size": 3, "hidden_size": 4, **kwargs})


@pytest.mark.parametrize(("eps", "training"), [(0.0, True), (-1.0, True), (-1.0, False)])
def test_batch_norm_needs_a_positive_eps(eps, training):
    layer = nn.BatchNorm1d(3, eps=eps).train(training)
    with pytest.raises(ValueError, match="eps must be positive"):
        layer(eg.randn(2, 3))


def test_batch_norm_takes_no_eps_at_evaluation():
    layer = nn.BatchNorm1d(2, eps=0.0).eval()
    layer.running_var.copy_(eg.tensor([4.0, 16.0]))
    assert layer(eg.ones(1, 2)).tolist() == [[0.5, 0.25]]


@pytest.mark.parametrize("shapes", [((4, 2), (5,)), ((4, 2), (5, 2)), ((4, 2, 3), (5, 3))])
def test_cross_entropy_of_another_number_of_targets(shapes):
    scores, target = shapes
    with pytest.raises(ValueError, match="to match target batch_size"):
        F.cross_entropy(eg.zeros(scores), eg.zeros(target, dtype=eg.int64))


@pytest.mark.parametrize("size", [2.0, 0.5, "a", float("nan"), (2, 1.5)])
def test_adaptive_pools_take_whole_sizes(size):
    for layer in (nn.AdaptiveAvgPool2d(size), nn.AdaptiveMaxPool2d(size)):
        with pytest.raises((TypeError, RuntimeError), match="adaptive_pool2d"):
            layer(eg.zeros(1, 4, 4))


def test_multi_margin_loss_takes_its_power_as_a_float():
    x, y = eg.randn(3, 4), eg.tensor([0, 1, 2])
    assert eg.equal(nn.MultiMarginLoss(p=2.0)(x, y), nn.MultiMarginLoss(p=2)(x, y))


def test_losses_refuse():
    with pytest.raises(TypeError, match="delta must be a float or int"):
        nn.HuberLoss(delta=1j)
    with pytest.raises(RuntimeError, match="weight shape"):
        nn.LinearCrossEntropyLoss(4, 2, weight=eg.ones(3))
    with pytest.raises(RuntimeError, match="label_smoothing"):
        nn.LinearCrossEntropyLoss(4, 2, label_smoothing=2.0)
    probabilities = eg.full((2, 3), 1 / 3)
    with pytest.raises(RuntimeError, match="ignore_index is not supported for floating point"):
        nn.CrossEntropyLoss(ignore_index=1)(eg.zeros(2, 3), probabilities)


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_class_weights_have_the_dtype_of_the_scores(loss):
    with pytest.raises(RuntimeError, match="expected scalar type float32 but found float64"):
        loss(eg.zeros(2, 3), eg.tensor([0, 1]), eg.ones(3, dtype=eg.float64))


def test_an_ignored_class_may_lie_outside_the_classes():
    # With smoothing and weights: only the first row counts. -log p = log 2 for both classes.
    scores = eg.zeros(2, 2, requires_grad=True)
    weight = eg.tensor([1.0, 3.0])
    loss = F.cross_entropy(scores, eg.tensor([1, 9]), weight, ignore_index=9, label_smoothing=0.5)
    hard, soft = 3.0, (1.0 + 3.0) / 2
    assert math.isclose(float(loss), math.log(2) * (hard + soft) / 2 / 3, rel_tol=1e-6)
    loss.backward()
    assert scores.grad[1].tolist() == [0.0, 0.0]


# What the functions that look at an argument which is no tensor first need to get so far.
_OPTIONS = {
    "layer_norm": {"normalized_shape": (2,)},
    "rms_norm": {"normalized_shape": (2,)},
    "pad": {"pad": (1, 1)},
    **{
        f"fractional_max_pool{n}d{end}": {"output_size": 2}
        for n in (2, 3)
        for end in ("", "_with_indices")
    },
}
FUNCTIONS = sorted(
    name
    for name, function in vars(F).items()
    if inspect.isfunction(function)
    and not name.startswith("_")
    and function.__module__.startswith(F.__name__)
    and name != "legacy_reduction"
)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_none_for_a_tensor_is_a_type_error(name):
    parameters = inspect.signature(getattr(F, name)).parameters
    needed = {n: p.annotation for n, p in parameters.items() if p.default is p.empty}
    given = {n: None if kind == "Tensor" else 1 for n, kind in needed.items()}
    with pytest.raises(TypeError, match=r"argument '\w+' .*must be Tensor.*, not NoneType"):
        getattr(F, name)(**{**given, **_OPTIONS.get(name, {})})


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout", "feature_alpha_dropout"])
def test_dropout_of_nothing_is_refused_outside_training_too(name):
    with pytest.raises(TypeError, match=r"argument 'input' .*must be Tensor, not NoneType"):
        getattr(F, name)(None, training=False)


def test_lengths_of_none_are_a_type_error():
    with pytest.raises(TypeError, match="argument 'input_lengths' must be Tensor or tuple of ints"):
        F.ctc_loss(eg.zeros(2, 1, 3), eg.ones(1, 1, dtype=eg.int64), None, [1])


def test_warnings_point_at_the_line_outside_the_package():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        F.softmax(eg.ones(2))
        F.dropout2d(eg.ones(2, 3, 4))
        F.mse_loss(eg.ones(2), eg.ones(1))
        F.l1_loss(eg.ones(2), eg.ones(2), size_average=True)
        nn.Softmax()(eg.ones(2))
    assert {w.filename for w in seen} == {__file__}


def test_fractional_pooling_takes_no_images():
    assert F.fractional_max_pool2d(eg.ones(0, 2, 6, 6), 2, output_size=2).shape == (0, 2, 2, 2)
    assert F.fractional_max_pool3d(eg.ones(0, 2, 6, 6, 6), 2, 2).shape == (0, 2, 2, 2, 2)


def test_fractional_pooling_draws_one_sample_a_plane_and_takes_no_fewer():
    x, samples = eg.randn(2, 5, 5, 5), eg.rand(2, 2, 3)
    alone = F.fractional_max_pool3d(x, 2, output_size=2, _random_samples=samples)
    batch = F.fractional_max_pool3d(x[None], 2, output_size=2, _random_samples=samples[:1])
    assert alone.tolist() == batch[0].tolist()
    with pytest.raises(RuntimeError, match="_random_samples of shape"):
        F.fractional_max_pool3d(x, 2, output_size=2, _random_samples=eg.rand(2, 1, 3))


def test_relu_passes_the_gradient_of_nan():
    x = eg.tensor([math.nan, -1.0, 0.0, 2.0], requires_grad=True)
    eg.relu(x).sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 0.0, 1.0]


def test_optimizer_groups_are_printed_apart():
    first, second = nn.Parameter(eg.ones(1)), nn.Parameter(eg.ones(1))
    sgd = eg.optim.SGD([{"params": [first]}, {"params": [second], "lr": 0.5}], lr=0.25)
    lines = repr(sgd).splitlines()
    assert lines[:2] == ["SGD (", "Parameter Group 0"]
    assert lines[lines.index("Parameter Group 1") - 1] == ""
    assert lines[-1] == ")"


@pytest.mark.parametrize("number", [int, float])
@pytest.mark.parametrize("shape", [(2,), (0,)])
def test_a_number_needs_a_tensor_of_one_element(number, shape):
    with pytest.raises(ValueError, match="only one element tensors"):
        number(eg.ones(*shape))
    with pytest.raises(RuntimeError, match="cannot be converted to Scalar"):
        eg.ones(*shape).item()


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (RuntimeError, lambda: nn.Dropout(0.5)(eg.ones(3, dtype=eg.int64))),
        (RuntimeError, lambda: nn.BCELoss()(eg.rand(3), eg.rand(3, dtype=eg.float64))),
        (RuntimeError, lambda: nn.BCEWithLogitsLoss()(eg.rand(3), eg.ones(3, dtype=eg.int64))),
        (RuntimeError, lambda: nn.KLDivLoss(reduction="sum")(eg.rand(3), eg.ones(3).long())),
        (RuntimeError, lambda: nn.PReLU()(eg.ones(2, 2).long())),
        (RuntimeError, lambda: nn.MultiMarginLoss(weight=eg.rand(3))(eg.rand(2, 4), eg.ones(2).long())),
        (RuntimeError, lambda: nn.CrossEntropyLoss()(eg.rand(2, 4), eg.ones(2).int())),
        (RuntimeError, lambda: nn.NLLLoss()(eg.rand(2, 4), eg.ones(2).short())),
        (RuntimeError, lambda: nn.functional.pad(eg.rand(3, 3), (1, 1), "reflect", 1.0)),
        (RuntimeError, lambda: nn.Conv2d(3, 4, (3,))),
    ],
)  # fmt: skip
def test_dtypes_and_sizes_that_do_not_fit_are_refused(error, call):
    with pytest.raises(error):
        call()


def test_one_score_vector_with_one_target():
    x = eg.tensor([0.1, 0.7, 0.2])
    expected = nn.functional.cross_entropy(x, eg.tensor(1))
    assert nn.functional.cross_entropy(x, eg.tensor([1])).equal(expected)
    assert nn.functional.cross_entropy(x, eg.tensor([1]), reduction="none").shape == ()
