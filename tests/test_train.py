"""fit: learning, validation, stopping, checkpoints, interrupts, recurrent defaults."""

import os
import signal
import sys

import numpy as np
import pytest

import eagergrad as eg
from eagergrad import nn
from eagergrad.train import (
    History,
    evaluate,
    fit,
    predict,
    recurrent_defaults,
)
from eagergrad.utils.data import DataLoader, TensorDataset


@pytest.fixture(autouse=True)
def _seed():
    eg.manual_seed(0)


def line(n=64):
    x = eg.linspace(-1, 1, n).unsqueeze(1)
    return x, 2 * x + 1


def test_fit_learns_a_line():
    model = nn.Linear(1, 1)
    history = fit(model, line(), "mse", lr=0.1, epochs=30, progress=False)
    assert history["loss"][-1] < 0.01 < history["loss"][0]
    assert model.weight.item() == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("kind", ["arrays", "dataset", "loader", "batches"])
def test_data_in_any_form(kind):
    x, y = line(8)
    data = {
        "arrays": (x.numpy(), y.numpy()),
        "dataset": TensorDataset(x, y),
        "loader": DataLoader(TensorDataset(x, y), batch_size=4),
        "batches": [(x[:4], y[:4]), (x[4:], y[4:])],
    }[kind]
    history = fit(nn.Linear(1, 1), data, nn.MSELoss(), epochs=2, progress=False)
    assert len(history) == 2


def test_validation_metrics_and_a_learning_recurrent_net(capsys):
    x = eg.randn(128, 6, 2)
    y = (x[:, :, 0].sum(1) > 0).long()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(2, 16, batch_first=True)
            self.out = nn.Linear(16, 2)

        def forward(self, x):
            return self.out(self.rnn(x)[0][:, -1])

    history = fit(Net(), (x, y), "cross_entropy", validation=0.25, metrics="accuracy", lr=0.02)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history["val_accuracy"][-1] > 0.8
    assert "epoch 10/10: loss" in capsys.readouterr().err


def test_early_stopping_restores_the_best_weights():
    model = nn.Linear(1, 1)
    x, y = line(16)
    history = fit(
        model, (x, y), "mse", validation=(x, -y), epochs=50, lr=0.1, early_stopping=3,
        progress=False,
    )  # fmt: skip
    assert history.stopped_early and len(history) < 50
    best = history.best("val_loss")
    assert evaluate(model, (x, -y), "mse")["loss"] == pytest.approx(history["val_loss"][best])


def test_resumed_run_equals_an_uninterrupted_one(tmp_path):
    def run(path, *stages):
        eg.manual_seed(3)
        np.random.seed(3)
        model = nn.Linear(1, 1)
        for epochs in stages:
            history = fit(
                model, line(), "mse", epochs=epochs, checkpoint=path, resume=True, lr=0.05,
                schedule=lambda o: eg.optim.lr_scheduler.StepLR(o, 2), progress=False,
            )  # fmt: skip
        return history["loss"], model.weight.item()

    assert run(tmp_path / "a.pt", 6) == run(tmp_path / "b.pt", 2, 6)
    assert set(eg.load(tmp_path / "a.pt")) >= {"model", "best", "optimizer", "epoch"}


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupt_ends_after_the_step_and_returns_the_history():
    steps = []

    class Net(nn.Linear):
        def forward(self, x):
            steps.append(1)
            if len(steps) == 7:
                os.kill(os.getpid(), signal.SIGINT)
            return super().forward(x)

    before = signal.getsignal(signal.SIGINT)
    history = fit(Net(1, 1), line(), "mse", batch_size=16, progress=False)
    assert history.interrupted and len(history) == 1 and len(steps) == 7
    assert signal.getsignal(signal.SIGINT) is before


def test_clipping_bounds_the_step():
    model = nn.Linear(1, 1, bias=False)
    start = model.weight.item()
    x = eg.ones(4, 1)
    fit(model, (x, 1000 * x), "mse", optimizer="sgd", lr=1.0, clip=0.5, epochs=1, progress=False)
    assert abs(model.weight.item() - start) == pytest.approx(0.5, rel=1e-3)


def test_schedules_by_step_and_by_plateau():
    model = nn.Linear(1, 1)
    sgd = eg.optim.SGD(model.parameters(), lr=1.0)
    plateau = eg.optim.lr_scheduler.ReduceLROnPlateau(sgd, patience=0, threshold=2.0)
    fit(model, line(), "mse", optimizer=sgd, schedule=plateau, epochs=3, progress=False)
    assert sgd.param_groups[0]["lr"] < 1.0
    adam = eg.optim.Adam(model.parameters(), lr=0.1)
    cycle = eg.optim.lr_scheduler.OneCycleLR(adam, max_lr=0.1, total_steps=8)
    fit(model, line(), "mse", optimizer=adam, schedule=cycle, epochs=4, progress=False)
    assert cycle.last_epoch == 8


def test_mistakes_are_explained():
    x, y = line(8)
    with pytest.raises(ValueError, match="one shape"):
        fit(nn.Linear(1, 1), (x, y.squeeze(1)), "mse", progress=False)
    with pytest.raises(FloatingPointError, match="smaller lr"):
        fit(nn.Linear(1, 1), (x * float("nan"), y), "mse", progress=False)
    with pytest.raises(ValueError, match="loss expected"):
        fit(nn.Linear(1, 1), (x, y), "quadratic", progress=False)
    with pytest.raises(ValueError, match="optimizer expected"):
        fit(nn.Linear(1, 1), (x, y), "mse", optimizer="magic", progress=False)
    with pytest.raises(TypeError, match="data expected"):
        fit(nn.Linear(1, 1), 3, "mse", progress=False)


def test_predict_joins_batches_and_keeps_the_mode():
    model = nn.Sequential(nn.Linear(1, 2), nn.Dropout(0.5))
    out = predict(model, eg.ones(5, 1), batch_size=2)
    assert out.shape == (5, 2) and eg.equal(out[0], out[4]) and model.training


def test_recurrent_defaults():
    lstm = recurrent_defaults(nn.LSTM(3, 4, num_layers=2, bidirectional=True))
    for block in lstm.weight_hh_l1_reverse.split(4):
        assert eg.allclose(block @ block.t(), eg.eye(4), atol=1e-5)
    assert lstm.bias_ih_l0[4:8].tolist() == [1.0] * 4
    assert lstm.bias_hh_l0[4:8].tolist() == [0.0] * 4
    gru = recurrent_defaults(nn.GRUCell(3, 4))
    assert eg.allclose(gru.weight_hh[4:8] @ gru.weight_hh[4:8].t(), eg.eye(4), atol=1e-5)


def test_history_plots_itself(tmp_path):
    pytest.importorskip("matplotlib")
    history = History({"loss": [2.0, 1.0], "val_loss": [3.0, 2.0], "accuracy": [0.1, 0.5]})
    figure = history.plot(tmp_path / "h.png")
    assert len(figure.axes) == 2 and (tmp_path / "h.png").stat().st_size > 1000
