"""Recurrent layers and cells."""

import copy
import warnings

import numpy as np
import pytest

import eagergrad as eg
from eagergrad import nn
from eagergrad.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from layers import assert_agrees, assert_same, outcome, twins
from util import check_gradients

rng = np.random.default_rng(11)
LAYERS = ("RNN", "LSTM", "GRU")


def real(*shape):
    return rng.uniform(-1, 1, shape)


def states(name, layers, batch, hidden, proj=0):
    h = real(layers, batch, proj or hidden)
    return [h, real(layers, batch, hidden)] if name == "LSTM" else [h]


def with_state(layer, x, *hx):
    if not hx:
        return layer(x)
    return layer(x, tuple(hx) if len(hx) == 2 else hx[0])


# ---- layers against PyTorch ---------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"num_layers": 2, "bidirectional": True},
        {"bidirectional": True, "bias": False},
        {"batch_first": True, "num_layers": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("hidden", [1, 7, 33])
def test_layer_agrees_with_pytorch(name, kwargs, hidden):
    layers = kwargs.get("num_layers", 1) * (2 if kwargs.get("bidirectional") else 1)
    x = real(3, 5, 4) if kwargs.get("batch_first") else real(5, 3, 4)
    assert_agrees(name, [x, *states(name, layers, 3, hidden)], 4, hidden, call=with_state, **kwargs)


@pytest.mark.parametrize("name", LAYERS)
def test_state_defaults_to_zero(name):
    assert_agrees(name, [real(4, 2, 3)], 3, 5)


def test_rnn_with_relu():
    assert_agrees("RNN", [real(4, 2, 3)], 3, 70, nonlinearity="relu", num_layers=2)


@pytest.mark.parametrize("kwargs", [{}, {"bidirectional": True, "num_layers": 2}], ids=str)
def test_lstm_with_projection(kwargs):
    layers = kwargs.get("num_layers", 1) * (2 if kwargs.get("bidirectional") else 1)
    inputs = [real(4, 3, 5), *states("LSTM", layers, 3, 9, 4)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_agrees("LSTM", inputs, 5, 9, proj_size=4, call=with_state, **kwargs)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("state", [False, True])
def test_unbatched_input(name, state):
    hx = [s[:, 0] for s in states(name, 2, 1, 6)] if state else []
    assert_agrees(name, [real(4, 3), *hx], 3, 6, num_layers=2, call=with_state)


@pytest.mark.parametrize("name", LAYERS)
def test_float32_over_many_rows_and_steps(name):
    x = real(20, 37, 10).astype(np.float32)
    assert_agrees(name, [x], 10, 40, dtype="float32", tol=2e-4)


@pytest.mark.parametrize("name", LAYERS)
def test_input_too_wide_for_the_cache(name):
    assert_agrees(name, [real(3, 2, 3000)], 3000, 24, tol=1e-8)


# ---- lengths ------------------------------------------------------------------------------------


def packed_call(lib_rnn, lengths, batch_first=False, sort=True):
    def call(layer, x, *hx):
        packed = lib_rnn.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=sort)
        out, state = with_state(layer, packed, *hx)
        padded, _n = lib_rnn.pad_packed_sequence(out, batch_first)
        return padded, state

    return call


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("lengths", [[5, 3, 3, 1], [2, 5, 1, 4]], ids=str)
def test_packed_sequences_agree_with_pytorch(name, lengths):
    torch, theirs, ours = twins(name, 3, 6, num_layers=2, bidirectional=True)
    inputs = [real(5, 4, 3), *states(name, 4, 4, 6)]
    found = []
    for lib, layer in ((eg, ours), (torch, theirs)):
        call = packed_call(lib.nn.utils.rnn, lengths, sort=lengths == sorted(lengths)[::-1])
        found.append(
            outcome(lib, lambda *xs, c=call, m=layer: c(m, *xs), inputs, list(layer.parameters()))
        )
    assert_same(*found)


@pytest.mark.ours
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_lengths_do_what_packing_does(name, batch_first):
    layer = getattr(nn, name)(3, 6, bidirectional=True, batch_first=batch_first)
    x = eg.randn(4, 5, 3) if batch_first else eg.randn(5, 4, 3)
    lengths = [2, 4, 1, 3]
    out, state = layer(x, lengths=lengths)
    packed = pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
    expected, last = layer(packed)
    expected, _ = pad_packed_sequence(expected, batch_first, total_length=5)
    assert out.tolist() == expected.tolist()
    pair = zip(state, last, strict=True) if name == "LSTM" else [(state, last)]
    assert all(a.tolist() == b.tolist() for a, b in pair)


@pytest.mark.ours
def test_padding_reaches_neither_output_nor_state():
    layer = nn.GRU(2, 3, bidirectional=True)
    x = eg.randn(4, 2, 2)
    y = x.clone()
    y[2:, 1] = 100.0
    for a, b in zip(layer(x, lengths=[4, 2]), layer(y, lengths=eg.tensor([4, 2])), strict=True):
        assert a.tolist() == b.tolist()
    assert layer(x, lengths=[4, 2])[0][2:, 1].abs().sum() == 0


@pytest.mark.ours
@pytest.mark.parametrize("lengths", [[5, 1], [0, 2], [2, 2, 2], [-1, 2]], ids=str)
def test_bad_lengths_are_refused(lengths):
    with pytest.raises(RuntimeError):
        nn.LSTM(2, 3)(eg.zeros(4, 2, 2), lengths=lengths)


# ---- cells --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
@pytest.mark.parametrize("batch", [0, 1, 5])
@pytest.mark.parametrize("bias", [True, False])
def test_cell_agrees_with_pytorch(name, batch, bias):
    shape = (batch, 20) if batch else (20,)
    inputs = [real(*shape[:-1], 3), real(*shape)]
    if name == "LSTMCell":
        inputs.append(real(*shape))
    assert_agrees(name, inputs, 3, 20, bias=bias, call=with_state)


def test_relu_cell():
    assert_agrees("RNNCell", [real(4, 3)], 3, 70, nonlinearity="relu")


@pytest.mark.parametrize("name", LAYERS)
def test_cell_in_a_loop_is_the_layer(name):
    layer, cell = getattr(nn, name)(3, 6), getattr(nn, name + "Cell")(3, 6)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x = eg.randn(5, 2, 3)
    state = None
    for step, expected in zip(x, layer(x)[0], strict=True):
        state = cell(step, state)
        h = state[0] if name == "LSTM" else state
        np.testing.assert_allclose(h.detach().numpy(), expected.detach().numpy(), atol=1e-6)


def test_lstm_cell_by_hand():
    cell = nn.LSTMCell(1, 1)
    with eg.no_grad():
        for p in cell.parameters():
            p.fill_(0.5)
    h, c = cell(eg.tensor([[1.0]]), (eg.tensor([[0.0]]), eg.tensor([[1.0]])))
    gate, cand = 1 / (1 + np.exp(-1.5)), np.tanh(1.5)
    assert c.item() == pytest.approx(gate + gate * cand, rel=1e-6)
    assert h.item() == pytest.approx(gate * np.tanh(gate + gate * cand), rel=1e-6)


# ---- gradients ----------------------------------------------------------------------------------


def double(*shape):
    return eg.tensor(real(*shape))


def cell_weights(gates, inputs, hidden):
    rows = gates * hidden
    return [double(rows, inputs), double(rows, hidden), double(rows), double(rows)]


@pytest.mark.parametrize("gates,cell", [(3, "gru_cell"), (1, "rnn_tanh_cell")])
def test_cell_gradients_of_first_and_second_order(gates, cell):
    xs = [double(2, 3), double(2, 4), *cell_weights(gates, 3, 4)]
    check_gradients(getattr(eg, cell), xs, order=2)


def test_lstm_cell_gradients_of_first_and_second_order():
    xs = [double(2, 3), double(2, 4), double(2, 4), *cell_weights(4, 3, 4)]
    check_gradients(lambda x, h, c, *w: eg.lstm_cell(x, (h, c), *w), xs, order=2)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_gradients_of_first_and_second_order(name):
    layer = getattr(nn, name)(2, 3, bidirectional=True).double()
    check_gradients(lambda x: layer(x)[0], [double(3, 2, 2)], order=2)


@pytest.mark.parametrize("name", LAYERS)
def test_second_order_through_packed_sequences(name):
    layer = getattr(nn, name)(2, 3).double()
    check_gradients(
        lambda x: layer(pack_padded_sequence(x, [3, 1]))[0].data, [double(3, 2, 2)], order=2
    )


def test_state_that_depends_on_the_weights_gets_the_partial_derivative():
    w = double(8, 3)

    def f(x, w):
        h = (x @ w[:2].t()).tanh()
        return eg.lstm_cell(x, (h, h), w, eg.ones(8, 2, dtype=eg.float64))[0]

    check_gradients(f, [double(2, 3), w], order=2)


def test_backward_twice_over_a_retained_graph():
    layer = nn.LSTM(3, 4)
    x = eg.randn(5, 2, 3)
    out = layer(x)[0].sum()
    out.backward(retain_graph=True)
    once = layer.weight_hh_l0.grad.clone()
    out.backward()
    np.testing.assert_allclose(layer.weight_hh_l0.grad.numpy(), 2 * once.numpy(), rtol=1e-5)


def test_only_what_requires_a_gradient_gets_one():
    layer = nn.GRU(3, 4)
    for p in layer.parameters():
        p.requires_grad_(False)
    x = eg.randn(5, 2, 3, requires_grad=True)
    layer(x)[0].sum().backward()
    assert x.grad is not None and all(p.grad is None for p in layer.parameters())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["rnn_tanh", "gru", "lstm"])
def test_layers_as_functions_agree_with_pytorch(name, packed):
    torch = pytest.importorskip("torch")
    layer = getattr(torch.nn, name.upper().removesuffix("_TANH"))(3, 6, 2, bidirectional=True)
    weights = [p.detach().double().numpy() for p in layer.parameters()]
    hx = states(name.upper(), 4, 3, 6)
    found = []
    for lib in (eg, torch):
        x, *args = [lib.tensor(t) for t in (real(0), *hx)]
        state = tuple(args) if name == "lstm" else args[0]
        params = [lib.tensor(w) for w in weights]
        rng_x = np.linspace(-1, 1, 6 * 3 * 3)
        if packed:
            x, sizes = lib.tensor(rng_x[:27].reshape(9, 3)), lib.tensor([3, 3, 2, 1])
            out = getattr(lib, name)(x, sizes, state, params, True, 2, 0.0, True, True)
        else:
            x = lib.tensor(rng_x.reshape(3, 6, 3))
            out = getattr(lib, name)(x, state, params, True, 2, 0.0, True, True, True)
        found.append(out)
    assert_same(*found)


# ---- modules ------------------------------------------------------------------------------------


def test_names_and_shapes_of_the_weights():
    layer = nn.LSTM(3, 5, num_layers=2, bidirectional=True, proj_size=2)
    shapes = {k: tuple(v.shape) for k, v in layer.named_parameters()}
    assert shapes["weight_ih_l0"] == (20, 3) and shapes["weight_ih_l1_reverse"] == (20, 4)
    assert shapes["weight_hh_l0"] == (20, 2) and shapes["weight_hr_l1"] == (2, 5)
    assert len(layer._flat_weights) == len(shapes) == 20
    assert [len(w) for w in layer.all_weights] == [5, 5, 5, 5]
    layer.flatten_parameters()


def test_initial_weights_are_uniform_within_the_bound():
    layer = nn.GRU(10, 25)
    assert all(p.abs().max() <= 0.2 for p in layer.parameters())
    assert layer.weight_ih_l0.abs().max() > 0.19


def test_dropout_between_layers_in_training_only():
    layer = nn.LSTM(3, 50, num_layers=2, dropout=0.5)
    x = eg.randn(4, 2, 3)
    assert layer(x)[0].tolist() != layer(x)[0].tolist()
    layer.eval()
    assert layer(x)[0].tolist() == layer(x)[0].tolist()


def test_a_copy_has_weights_of_its_own():
    layer = nn.GRU(3, 4)
    other = copy.deepcopy(layer)
    with eg.no_grad():
        other.weight_ih_l0.zero_()
    assert layer.weight_ih_l0.abs().sum() > 0
    assert other._flat_weights[0] is other.weight_ih_l0


@pytest.mark.parametrize("dtype", [eg.float32, eg.bfloat16], ids=str)
def test_results_do_not_depend_on_the_number_of_threads(dtype):
    layer = nn.LSTM(16, 48, bidirectional=True).to(dtype)
    x = eg.randn(30, 133, 16).to(dtype)
    before = eg.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            eg.set_num_threads(threads)
            layer.zero_grad()
            out, _ = layer(x)
            out.sum().backward()
            found.append(
                (out.detach().float().numpy(), layer.weight_hh_l0.grad.float().numpy().copy())
            )
    finally:
        eg.set_num_threads(before)
    for out, grad in found[1:]:
        assert np.array_equal(out, found[0][0]) and np.array_equal(grad, found[0][1])


@pytest.mark.parametrize("name", LAYERS)
def test_half_precision_follows_float32(name):
    layer = getattr(nn, name)(4, 8)
    x = eg.randn(3, 2, 4)
    expected = layer(x)[0].detach().numpy()
    half = copy.deepcopy(layer).bfloat16()
    out = half(x.bfloat16())[0]
    assert out.dtype == eg.bfloat16
    np.testing.assert_allclose(out.detach().float().numpy(), expected, atol=3e-2)


@pytest.mark.parametrize("name", [*LAYERS, "LSTMCell", "GRUCell", "RNNCell"])
@pytest.mark.parametrize("inputs, hidden, batch", [(33, 17, 35), (64, 32, 32), (1, 70, 3)])
def test_bfloat16_rounds_products_only(name, inputs, hidden, batch):
    """Results and gradients are within the roundings of the state and of the gates' gradients."""
    cell = name.endswith("Cell")
    layer = getattr(nn, name)(inputs, hidden, **({} if cell else {"bidirectional": True}))
    layer.bfloat16()
    exact = copy.deepcopy(layer).float()
    x = eg.tensor(real(*(() if cell else (5,)), batch, inputs)).bfloat16()
    lengths = [5] * (batch // 2) + [4] * (batch - batch // 2 - 1) + [1]

    def run(layer, x):
        x = x.detach().requires_grad_()
        if cell:
            out = layer(x)
            out = out[0] if name == "LSTMCell" else out
        else:
            out = pad_packed_sequence(layer(pack_padded_sequence(x, lengths))[0])[0]
        g = eg.tensor(np.random.default_rng(0).standard_normal(out.shape))
        out.backward(g.bfloat16().to(out.dtype))
        return [out.detach(), x.grad, *(p.grad for p in layer.parameters())]

    for ours, expected in zip(run(layer, x), run(exact, x.float()), strict=True):
        assert ours.dtype == eg.bfloat16
        scale = expected.abs().max().item()
        np.testing.assert_allclose(ours.float().numpy(), expected.numpy(), atol=0.02 * scale)


@pytest.mark.parametrize("name", LAYERS)
def test_autocast_region_takes_half_and_float_inputs(name):
    layer, cell = getattr(nn, name)(4, 8, 2), getattr(nn, name + "Cell")(4, 8)
    x = eg.randn(3, 2, 4)
    with eg.autocast(eg.get_default_device().type, dtype=eg.bfloat16):
        out, _ = layer(x.bfloat16())
        step = cell(x[0].bfloat16(), cell(x[0]))
    h = step[0] if name == "LSTM" else step
    np.testing.assert_allclose(
        out.detach().float().numpy(), layer(x)[0].detach().numpy(), atol=3e-2
    )
    (out.sum() + h.sum()).backward()
    assert layer.weight_hh_l0.grad.dtype == eg.float32


# ---- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make,error",
    [
        (lambda: nn.RNN(3, 4, nonlinearity="sine"), ValueError),
        (lambda: nn.LSTM(3, 0), ValueError),
        (lambda: nn.LSTM(3, 4.0), TypeError),
        (lambda: nn.LSTM(3, 4, num_layers=0), ValueError),
        (lambda: nn.LSTM(3, 4, dropout=1.5), ValueError),
        (lambda: nn.LSTM(3, 4, proj_size=4), ValueError),
        (lambda: nn.GRU(3, 4, proj_size=2), ValueError),
        (lambda: nn.RNN(3, 4)(eg.zeros(2, 2, 5)), RuntimeError),
        (lambda: nn.RNN(3, 4)(eg.zeros(2, 2, 2, 3)), ValueError),
        (lambda: nn.RNN(3, 4)(eg.zeros(2, 2, 3), eg.zeros(1, 3, 4)), RuntimeError),
        (lambda: nn.RNN(3, 4)(eg.zeros(2, 2, 3), eg.zeros(2, 4)), RuntimeError),
        (lambda: nn.LSTM(3, 4)(eg.zeros(2, 2, 3), (eg.zeros(1, 2, 4), eg.zeros(1, 2, 5))), RuntimeError),
        (lambda: nn.RNN(3, 4)(eg.zeros(2, 2, 3, dtype=eg.float64)), ValueError),
        (lambda: nn.RNN(3, 4)(eg.zeros(0, 2, 3)), RuntimeError),
        (lambda: nn.LSTMCell(3, 4)(eg.zeros(2, 5)), RuntimeError),
        (lambda: nn.LSTMCell(3, 4)(eg.zeros(2, 2, 3)), ValueError),
        (lambda: nn.GRUCell(3, 4)(eg.zeros(2, 3), eg.zeros(3, 4)), RuntimeError),
    ],
)  # fmt: skip
def test_bad_arguments_raise(make, error):
    with pytest.raises(error):
        make()


def test_dropout_on_one_layer_warns():
    with pytest.warns(UserWarning, match="dropout"):
        nn.LSTM(3, 4, dropout=0.1)


def test_empty_batch_gives_empty_results():
    out, (h, c) = nn.LSTM(3, 4)(eg.zeros(2, 0, 3))
    assert tuple(out.shape) == (2, 0, 4) and tuple(h.shape) == tuple(c.shape) == (1, 0, 4)


PACKED = nn.utils.rnn.pack_padded_sequence(eg.ones(4, 2, 3), [4, 2])


@pytest.mark.parametrize(
    ("layer", "x", "dtypes"),
    [
        (nn.RNN(3, 4), eg.ones(4, 2, 3), ("bfloat16", "bfloat16")),
        (nn.LSTM(3, 4), eg.ones(4, 2, 3), ("bfloat16", "bfloat16", "bfloat16")),
        (nn.LSTM(3, 4, proj_size=2), eg.ones(4, 2, 3), ("bfloat16", "bfloat16", "float32")),
        (nn.LSTM(3, 4), PACKED, ("float32", "float32", "float32")),
        (nn.GRU(3, 4, 2, bidirectional=True), eg.ones(4, 2, 3), ("float32", "float32")),
        (nn.GRU(3, 4), eg.ones(4, 2, 3).bfloat16(), ("bfloat16", "bfloat16")),
        (nn.GRUCell(3, 4), eg.ones(2, 3), ("float32",)),
        (nn.GRUCell(3, 4), eg.ones(2, 3).bfloat16(), ("bfloat16",)),
        (nn.LSTMCell(3, 4), eg.ones(2, 3).bfloat16(), ("bfloat16", "bfloat16")),
    ],
)  # fmt: skip
@pytest.mark.host("the CPU's autocast")
def test_dtypes_in_an_autocast_region(layer, x, dtypes):
    def tensors(value):
        if isinstance(value, eg.Tensor):
            return [value]
        if isinstance(value, nn.utils.rnn.PackedSequence):
            return [value.data]
        return [t for part in value for t in tensors(part)]

    with eg.autocast("cpu"):
        results = tensors(layer(x))
    assert [t.dtype for t in results] == [getattr(eg, d) for d in dtypes]
    plain = x.to(eg.float32) if isinstance(x, eg.Tensor) else x
    for narrow, full in zip(results, tensors(layer(plain))):
        assert (narrow.float() - full).abs().max() < 0.05
    results[0].float().sum().backward()
    assert all(p.grad.dtype == eg.float32 for p in layer.parameters())
