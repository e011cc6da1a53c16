"""Training in one call: the loop that everybody writes, with its pitfalls taken out."""

from eagergrad.train._loop import evaluate, fit, predict
from eagergrad.train.history import History
from eagergrad.train.metrics import accuracy
from eagergrad.train.recurrent import has_recurrent_layers, recurrent_defaults

__all__ = [
    "History",
    "accuracy",
    "evaluate",
    "fit",
    "has_recurrent_layers",
    "predict",
    "recurrent_defaults",
]
