"""export_numpy: what is written computes what the model does, with NumPy alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import eagergrad as eg
from eagergrad import nn
from eagergrad.export import ExportError, export_numpy
from eagergrad.export._write import Functions
from eagergrad.nn import functional as F
from samples import ROWS
from table import Row
from util import as_function, make

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.host("NumPy"),
]


def load(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_same(found: Any, expected: Any, where: str) -> None:
    if isinstance(expected, (tuple, list)):
        assert len(found) == len(expected), where
        for x, y in zip(found, expected, strict=True):
            assert_same(x, y, where)
        return
    expected = expected.detach().numpy()
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype), where
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True), where


SKIPPED = {"empty", "empty_like", "empty_strided", "new_empty"}  # values are whatever was there
# What models are made of: these must have a form.
NEEDED = """add sub mul div pow neg exp log sqrt rsqrt tanh sigmoid relu gelu_erf gelu_tanh silu elu selu leaky_relu hardswish hardsigmoid
softplus mish erf abs clamp maximum minimum where masked_fill eq lt gt logical_and sum mean var std amax amin max argmax prod cumsum
softmax log_softmax logsumexp sort topk matmul linear bmm addmm _tensordot _vector_norm conv1d conv2d conv3d conv_transpose2d max_pool1d
max_pool2d avg_pool2d adaptive_avg_pool adaptive_max_pool upsample constant_pad_nd pad_mode pixel_shuffle im2col col2im batch_norm
layer_norm group_norm rms_norm embedding embedding_bag scaled_dot_product_attention _rnn_layer lstm_cell gru_cell rnn_tanh_cell cat
stack split chunk unbind view reshape flatten permute transpose squeeze unsqueeze expand repeat select narrow flip roll tril triu gather
index_select scatter index_add one_hot to clone contiguous""".split()


@pytest.mark.parametrize("name", NEEDED)
def test_what_models_are_made_of_has_a_form(name: str) -> None:
    assert Functions().add(name) is not None


@pytest.mark.parametrize(
    "row", [r for r in ROWS if r.function and r.name not in SKIPPED], ids=lambda r: r.name
)
def test_numpys_form_of_an_op_gives_what_the_op_gives(row: Row, tmp_path: Path) -> None:
    dtype = "float32" if "float32" in row.dtypes else row.dtypes[0]
    compared, reason = 0, "no call with a tensor"
    for k, call in enumerate(row.calls):
        args, kwargs = make(row, call, dtype, "cpu")
        f, given = as_function(row, args, kwargs)
        if not given or "out" in kwargs or any(t.dtype == eg.bfloat16 for t in given):
            continue
        expected = f(*given)
        try:
            file = export_numpy(f, tuple(given), tmp_path / f"op{k}", batch=None, check=False)
        except ExportError as error:
            reason = str(error).partition(": ")[2]
            continue
        found = load(file).predict(*(t.detach().numpy() for t in given))
        assert_same(found, expected, f"{row.name}{call}")
        compared += 1
    if not compared:
        pytest.skip(reason)


# ---- models -----------------------------------------------------------------------------------------------------------


class Tagger(nn.Module):
    """Embeddings, a recurrent layer whose first state it makes itself, attention over the words."""

    def __init__(self, kind: Any, **options: Any) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.rnn = kind(6, 5, batch_first=True, **options)
        self.out = nn.LazyLinear(4)

    def forward(self, words: Any) -> Any:
        y, _ = self.rnn(self.embed(words))
        weight = F.softmax(y @ y.transpose(1, 2) / y.shape[-1] ** 0.5, -1)
        return F.log_softmax(self.out(weight @ y), -1)


class Loop(nn.Module):
    """A cell in a loop of Python, which writes its steps into a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 4)

    def forward(self, x: Any) -> Any:
        steps, states = x.new_zeros(len(x), x.shape[1], 4), []
        h = c = eg.zeros(x.shape[0], 4)
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
            steps[:, t] = h
            states.append(c)
        return {"steps": steps, "last": (h, eg.stack(states, 1).mean(1))}


class Gpt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(9, 8), nn.Embedding(12, 8)
        layer = nn.TransformerEncoderLayer(
            8, 2, 16, activation="gelu", batch_first=True, norm_first=True
        )
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(8)

    def forward(self, words: Any) -> Any:
        t = words.shape[1]
        x = self.embed(words) + self.place(eg.arange(t).expand(len(words), t))
        mask = nn.Transformer.generate_square_subsequent_mask(t)
        return self.norm(self.body(x, mask=mask, is_causal=True)) @ self.embed.weight.T


class Unet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.GroupNorm(2, 8), nn.SiLU())
        self.deep = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding="same", groups=8),
            nn.BatchNorm2d(8),
            nn.Hardswish(inplace=True),
        )
        self.up = nn.ConvTranspose2d(16, 3, 4, 2, 1)

    def forward(self, x: Any) -> Any:
        a = self.down(x)
        b = F.interpolate(self.deep(F.avg_pool2d(a, 2)), scale_factor=2, mode="bilinear")
        return x + self.up(eg.cat([a, b], 1)), a.mean((2, 3)), a.flatten(1).argmax(1)


MODELS: dict[str, tuple[Any, Any]] = {
    "perceptron": (lambda: nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Dropout(0.5), nn.Linear(7, 2)), (4, 5)),
    "LeNet": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10)), (2, 1, 12, 12)),
    "LSTM": (lambda: Tagger(nn.LSTM, num_layers=2, bidirectional=True), "words"),
    "projected LSTM": (lambda: Tagger(nn.LSTM, proj_size=3), "words"),
    "GRU": (lambda: Tagger(nn.GRU, bidirectional=True), "words"),
    "RNN": (lambda: Tagger(nn.RNN, nonlinearity="relu"), "words"),
    "loop over cells": (Loop, (3, 5, 3)),
    "GPT": (Gpt, "words"),
    "U-Net": (Unet, (2, 3, 8, 8)),
    "attention": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), "query"),
    "sequence": (lambda: nn.Sequential(nn.Conv1d(2, 4, 3, dilation=2), nn.PReLU(), nn.AdaptiveMaxPool1d(3)), (2, 2, 9)),
    "video": (lambda: nn.Sequential(nn.Conv3d(1, 2, 2), nn.InstanceNorm3d(2), nn.AdaptiveAvgPool3d(2)), (2, 1, 4, 4, 4)),
}  # fmt: skip


def model_and_example(name: str, batch: int | None = None) -> tuple[Any, tuple[Any, ...]]:
    eg.manual_seed(0)
    make_model, shape = MODELS[name]
    n = batch or 3
    if shape == "words":
        example: tuple[Any, ...] = (eg.randint(0, 9, (n, 6)),)
    elif shape == "query":
        example = tuple(eg.randn(n, 4, 8) for _ in range(3))
    else:
        example = (eg.randn(batch or shape[0], *shape[1:]),)
    model = make_model()
    model(*example)  # running means, and lazy layers
    return model, example


@pytest.mark.parametrize("name", list(MODELS))
def test_a_model_for_any_size_of_the_batch(name: str, tmp_path: Path) -> None:
    model, example = model_and_example(name)
    file = export_numpy(model, example, tmp_path / "net", check=name in ("LeNet", "LSTM"))
    assert model.training
    model.eval()
    predict = load(file).predict
    for n in (1, 3, 8):
        _, example = model_and_example(name, n)
        found, expected = predict(*(x.numpy() for x in example)), model(*example)
        if isinstance(expected, dict):
            assert list(found) == list(expected)
            found, expected = tuple(found.values()), tuple(expected.values())
        assert_same(found, expected, f"{name} of {n}")


def test_what_is_written_names_weights_and_refuses_other_inputs(tmp_path: Path) -> None:
    model, (x,) = model_and_example("LeNet")
    text = export_numpy(model, x, tmp_path / "lenet.py").read_text()
    assert (
        "W['0.weight']" in text and "# 4\n" in text and "eagergrad" not in text.split('"""', 2)[2]
    )
    predict = load(tmp_path / "lenet.py").predict
    given = x.numpy().copy()
    predict(given)
    assert np.array_equal(given, x.numpy())  # though ReLU writes in place
    with pytest.raises(
        ValueError, match=r"input: expected shape \(None, 1, 12, 12\).* got \(2, 12, 12\)"
    ):
        predict(given[:, 0])
    with pytest.raises(ValueError, match="expected float32, got float64"):
        predict(given.astype(np.float64))


def test_arguments_by_name_nested_and_fixed(tmp_path: Path) -> None:
    def f(x: Any, state: Any, scale: float = 1.0, mask: Any = None) -> Any:
        h, c = state
        y = x * scale + h
        return y if mask is None else y.masked_fill(mask, 0.0), c * 2

    x, h, c, mask = (
        eg.randn(2, 3),
        eg.randn(2, 3),
        eg.randn(4, 2),
        eg.tensor([[True, False, True]] * 2),
    )
    example = {"x": x, "state": (h, c), "scale": 0.5, "mask": mask}
    file = export_numpy(f, example, tmp_path / "f", batch=(0, 0, 1, 0))
    found = load(file).predict(x.numpy(), (h.numpy(), c.numpy()), mask.numpy())
    assert_same(found, f(**example), "f")
    with pytest.raises(TypeError, match="no call of the model"):
        export_numpy(f, x, tmp_path / "g")
    with pytest.raises(ValueError, match=r"batches of \[2, 4\]"):
        export_numpy(f, example, tmp_path / "g")
    with pytest.raises(ValueError, match="identifier"):
        export_numpy(f, example, tmp_path / "1-2")
    with pytest.raises(ValueError, match="a tensor at least"):
        export_numpy(lambda a: a, (1,), tmp_path / "g")


@pytest.mark.parametrize(
    ("f", "said"),
    [
        (lambda x: x if x.sum() > 0 else -x, "truth of a value"),
        (lambda x: x * x.max().item(), "number of a value"),
        (lambda x: eg.from_numpy(np.tanh(x.numpy())), "memory of a value"),
        (lambda x: eg.zeros(3, 2).copy_(x), "new_zeros"),
        (lambda x: x + eg.rand_like(x), "rand_like has no form"),
        (lambda x: x.unique(), "unique has no form"),
        (
            lambda x: x.reshape(x.shape[0] ** 2, -1) if x.shape[0] < 2 else x * x.shape[0] ** 2,
            "batch's size",
        ),
        (lambda x: sum(row.sum() for row in x), "calls for batches of"),
        (lambda x: x.to(eg.bfloat16), "bfloat16"),
        (lambda x: eg.ones(2), "depends on the input"),
        (lambda x: x + eg.arange(float(len(x)))[:, None], "depends? on the batch's size"),
    ],
)
def test_what_cannot_be_written_is_said_with_its_line(f: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=said) as error:
        export_numpy(f, eg.ones(3, 2), tmp_path / "net")
    assert (
        "test_export.py:" in str(error.value)
        or "calls for" in said
        or "depends on the input" in said
        or "bfloat16" in said
    )
    assert not list(tmp_path.iterdir())


def test_a_wrong_result_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from eagergrad.export import _export

    monkeypatch.setattr(_export, "_TEMPLATE", _export._TEMPLATE.replace("{lines}", "{lines} + 1"))
    with pytest.raises(ExportError, match="other results than the model"):
        export_numpy(lambda x: x * 2, eg.ones(3, 2), tmp_path / "net")
