"""A recurrent net in under twenty lines: which of two frequencies is in a noisy signal?

    python examples/fit_rnn.py

`fit` brings batches, progress, validation, clipping, sensible starting weights for recurrent layers,
early stopping and the history; Ctrl-C ends training and keeps what was learnt.
"""

import sys

import eagergrad as eg
from eagergrad import nn
from eagergrad.train import fit

tiny = "--tiny" in sys.argv
eg.manual_seed(0)
count, steps = (64, 20) if tiny else (2000, 60)
label = eg.randint(0, 2, (count,))
time = eg.arange(steps) + 20 * eg.rand(count, 1)
signal = eg.sin(time * (0.20 + 0.05 * label[:, None])) + 0.7 * eg.randn(count, steps)


class Listener(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.out = nn.LSTM(1, 32, batch_first=True), nn.Linear(32, 2)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])


history = fit(Listener(), (signal[..., None], label), "cross_entropy", epochs=1 if tiny else 15,
              lr=5e-3, validation=0.2, metrics="accuracy", early_stopping=4)  # fmt: skip
print(f"best validation accuracy: {max(history['val_accuracy']):.1%}")
