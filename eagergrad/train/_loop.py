"""fit, evaluate and predict."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import eagergrad as eg
from eagergrad.tensor.foreign import is_scipy_sparse
from eagergrad.train._progress import Progress
from eagergrad.train.history import History
from eagergrad.train.metrics import loss_by_name, metrics_by_name
from eagergrad.train.recurrent import has_recurrent_layers, recurrent_defaults, untouched

__all__ = ["evaluate", "fit", "predict"]

_CLIP = 1.0  # the norm to which recurrent nets' gradients are clipped
_PER_STEP = ("OneCycleLR", "CyclicLR")  # schedules that count steps, not epochs

# ---- data ---------------------------------------------------------------------------------------


def _tensors(x: Any) -> Any:
    return eg.as_tensor(x) if isinstance(x, np.ndarray) else x


def _has_rows(x: Any) -> bool:
    """An array, a tensor (sparse ones too), a SciPy matrix or a sparse matrix on disk."""
    return (
        isinstance(x, eg.Tensor | np.ndarray)
        or is_scipy_sparse(x)
        or getattr(type(x), "takes_index_tensor", False)
    )


def _loader(data: Any, batch_size: int, shuffle: bool, num_workers: int) -> Iterable:
    """Batches from a loader, a dataset, a tuple of arrays, or any iterable of batches."""
    from eagergrad.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

    if _has_rows(data):
        data = (data,)
    if isinstance(data, tuple) and all(map(_has_rows, data)):
        data = TensorDataset(*map(_tensors, data))
    if isinstance(data, IterableDataset):
        return DataLoader(data, batch_size, num_workers=num_workers)
    if isinstance(data, Dataset):
        return DataLoader(data, batch_size, shuffle, num_workers=num_workers)
    if not isinstance(data, Iterable):
        raise TypeError(
            "[fit] data expected a DataLoader, a Dataset, a tuple of arrays or an iterable of "
            f"batches, got {type(data).__name__}"
        )
    return data


def _split(data: Any, fraction: float) -> tuple[Any, Any]:
    """Training and validation part of a dataset or a tuple of arrays."""
    from eagergrad.utils.data import Dataset, TensorDataset, random_split

    if isinstance(data, tuple):
        data = TensorDataset(*map(_tensors, data))
    if not isinstance(data, Dataset) or not 0 < fraction < 1:
        raise ValueError(
            "[fit] validation as a number expected a fraction of a Dataset or of arrays, got "
            f"{fraction} of {type(data).__name__}"
        )
    held = max(1, round(len(data) * fraction))  # type: ignore[arg-type]
    train, valid = random_split(data, [len(data) - held, held])  # type: ignore[arg-type]
    return train, valid


def _moved(x: Any, device: Any) -> Any:
    if isinstance(x, np.ndarray):
        x = eg.as_tensor(x)
    if device is not None and isinstance(x, eg.Tensor):
        return x.to(device)
    if isinstance(x, list | tuple) and not hasattr(x, "_fields"):
        return type(x)(_moved(v, device) for v in x)
    return {k: _moved(v, device) for k, v in x.items()} if isinstance(x, dict) else x


def _parts(batch: Any, device: Any) -> tuple[tuple, Any]:
    """Inputs and target: the last of several is the target, one alone is its own target."""
    batch = _moved(batch, device)
    if not isinstance(batch, list | tuple):
        return (batch,), batch
    return (tuple(batch[:-1]), batch[-1]) if len(batch) > 1 else ((batch[0],), batch[0])


def _size(x: Any) -> int:
    """Number of samples of a batch."""
    while not isinstance(x, eg.Tensor):
        x = next(iter(x.values())) if isinstance(x, dict) else x[0]
    return x.shape[0] if x.dim() else 1


def _first(output: Any) -> Any:
    """A recurrent layer's output without its state."""
    return output[0] if isinstance(output, tuple) else output


class _Means:
    """Running means, weighted by batch size."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, values: dict[str, float], n: int) -> None:
        self._count += n
        for name, v in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + v * n

    def values(self, prefix: str = "") -> dict[str, float]:
        return {prefix + name: v / max(1, self._count) for name, v in self._sums.items()}


# ---- the parts of a run -------------------------------------------------------------------------


def _optimizer(optimizer: Any, model: Any, lr: float) -> Any:
    if hasattr(optimizer, "step"):
        return optimizer
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError("[fit] the model has no parameters that require gradients")
    if callable(optimizer):
        return optimizer(parameters, lr=lr)
    known = {"adam": eg.optim.Adam, "adamw": eg.optim.AdamW, "sgd": eg.optim.SGD}
    known["rmsprop"] = eg.optim.RMSprop
    if optimizer not in known:
        raise ValueError(
            f"[fit] optimizer expected an optimizer, its class or one of {sorted(known)}, "
            f"got {optimizer!r}"
        )
    return known[optimizer](parameters, lr=lr)


class _Schedule:
    """Calls a scheduler where it belongs: after each step or after each epoch."""

    def __init__(self, schedule: Any, optimizer: Any) -> None:
        made = schedule is None or hasattr(schedule, "step")
        self.scheduler = schedule if made else schedule(optimizer)
        kind = type(self.scheduler).__name__
        self._per_step = kind in _PER_STEP
        self._on_plateau = kind == "ReduceLROnPlateau"

    def after_step(self) -> None:
        if self._per_step:
            self.scheduler.step()

    def after_epoch(self, value: float) -> None:
        if self.scheduler is None or self._per_step:
            return
        if self._on_plateau:
            self.scheduler.step(value)
        else:
            self.scheduler.step()


class _Interrupt:
    """The first Ctrl-C asks for an end after the step; the second one interrupts at once."""

    def __init__(self) -> None:
        self.asked = False

    def _handle(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    @contextmanager
    def watching(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = signal.signal(signal.SIGINT, self._handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)


def _copied(state: dict) -> dict:
    return {k: v.detach().clone() if isinstance(v, eg.Tensor) else v for k, v in state.items()}


class _Run:
    """One call of `fit`."""

    def __init__(
        self, model: Any, loss: Callable, metrics: dict[str, Callable], optimizer: Any,
        schedule: _Schedule, clip: float | None, device: Any, progress: Progress,
    ) -> None:  # fmt: skip
        self.model, self.loss, self.metrics = model, loss, metrics
        self.optimizer, self.schedule = optimizer, schedule
        self.clip, self.device, self.progress = clip, device, progress
        self.history = History()
        self.interrupt = _Interrupt()
        self.epoch = 0
        self.best_value = math.inf
        self.best_epoch = -1
        self.best_state: dict | None = None

    # ---- steps ----

    def _measure(self, output: Any, target: Any) -> dict[str, float]:
        with eg.no_grad():
            return {name: float(f(output.detach(), target)) for name, f in self.metrics.items()}

    def _step(self, batch: Any, means: _Means) -> None:
        inputs, target = _parts(batch, self.device)
        output = _first(self.model(*inputs))
        value = self.loss(output, target)
        number = float(value.detach())
        if not math.isfinite(number):
            raise FloatingPointError(
                f"[fit] the loss is {number} in epoch {self.epoch + 1}; try a smaller lr, clip=1.0, "
                "or look at the inputs"
            )
        self.optimizer.zero_grad()
        value.backward()
        if self.clip is not None:
            eg.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        self.schedule.after_step()
        means.add({"loss": number, **self._measure(output, target)}, _size(inputs[0]))

    def _train_epoch(self, batches: Iterable) -> dict[str, float]:
        means = _Means()
        total = len(batches) if hasattr(batches, "__len__") else None
        self.model.train()
        for batch in self.progress.show(batches, total, self.epoch, means.values):
            self._step(batch, means)
            if self.interrupt.asked:
                break
        return means.values()

    def validate(self, batches: Iterable, prefix: str = "val_") -> dict[str, float]:
        means = _Means()
        self.model.eval()
        with eg.no_grad():
            for batch in batches:
                inputs, target = _parts(batch, self.device)
                output = _first(self.model(*inputs))
                values = {"loss": float(self.loss(output, target))}
                means.add({**values, **self._measure(output, target)}, _size(inputs[0]))
        return means.values(prefix)

    # ---- epochs ----

    def _keep_best(self, values: dict[str, float], monitor: str) -> bool:
        if values[monitor] >= self.best_value:
            return False
        self.best_value, self.best_epoch = values[monitor], self.epoch
        self.best_state = _copied(self.model.state_dict())
        return True

    def run(
        self, train: Iterable, valid: Iterable | None, epochs: int, patience: int | None,
        monitor: str, checkpoint: Any, callbacks: Iterable[Callable],
    ) -> None:  # fmt: skip
        while self.epoch < epochs:
            values = self._train_epoch(train)
            if self.interrupt.asked:
                self.history.interrupted = True
                return
            if valid is not None:
                values |= self.validate(valid)
            if monitor not in values:
                raise ValueError(f"[fit] monitor expected one of {sorted(values)}, got {monitor!r}")
            self.history.add(values)
            better = self._keep_best(values, monitor)
            self.schedule.after_epoch(values[monitor])
            self.progress.line(self.epoch, values, " *" if better and valid is not None else "")
            self.epoch += 1
            if checkpoint is not None:
                self.save(checkpoint)
            for callback in callbacks:
                callback(self.epoch, values)
            if patience is not None and self.epoch - 1 - self.best_epoch >= patience:
                self.history.stopped_early = True
                return

    # ---- checkpoints ----

    def save(self, path: Any) -> None:
        scheduler = self.schedule.scheduler
        eg.save(
            {
                "model": self.model.state_dict(),
                "best": self.best_state,
                "optimizer": self.optimizer.state_dict(),
                "schedule": None if scheduler is None else scheduler.state_dict(),
                "epoch": self.epoch,
                "best_value": self.best_value,
                "best_epoch": self.best_epoch,
                "history": self.history.history,
                "rng": eg.get_rng_state(),
            },
            path,
        )

    def resume(self, path: Any) -> None:
        saved = eg.load(path, map_location=self.device or "cpu")
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.schedule.scheduler is not None and saved["schedule"] is not None:
            self.schedule.scheduler.load_state_dict(saved["schedule"])
        self.epoch, self.best_epoch = saved["epoch"], saved["best_epoch"]
        self.best_value, self.best_state = saved["best_value"], saved["best"]
        self.history = History(saved["history"])
        eg.set_rng_state(saved["rng"].cpu())


# ---- the public functions -----------------------------------------------------------------------


def fit(
    model: Any,
    data: Any,
    loss: Any,
    *,
    epochs: int = 10,
    optimizer: Any = "adam",
    lr: float = 1e-3,
    batch_size: int = 32,
    validation: Any = None,
    metrics: Any = None,
    early_stopping: int | None = None,
    monitor: str | None = None,
    restore_best: bool | None = None,
    checkpoint: Any = None,
    resume: bool = False,
    clip: float | str | None = "auto",
    schedule: Any = None,
    safe_recurrent: bool = True,
    shuffle: bool = True,
    num_workers: int = 0,
    device: Any = None,
    progress: bool = True,
    callbacks: Iterable[Callable[[int, dict], Any]] = (),
) -> History:
    """Train a model and return the `History` of what was measured.

    Args:
        data: a DataLoader, a Dataset, a tuple of arrays or tensors (sparse ones and SciPy matrices
            too), or an iterable of batches. The last part of a batch is the target; a batch of one
            part is its own target.
        loss: function of output and target, or ``"cross_entropy"`` (classes in the last
            dimension), ``"mse"``, ``"l1"`` or ``"bce"`` (of log-odds). A recurrent layer's output
            is passed without its state.
        optimizer: ``"adam"``, ``"adamw"``, ``"sgd"``, ``"rmsprop"``, a class, or an optimizer.
        validation: data of the same forms, or the fraction of ``data`` to hold out.
        metrics: ``"accuracy"``, functions of output and target, or a dict of them.
        early_stopping: epochs without improvement of ``monitor`` after which to stop.
        monitor: what to minimise: by default ``"val_loss"``, without validation ``"loss"``.
        restore_best: end with the best epoch's weights; by default with early stopping.
        checkpoint: file written after each epoch, atomically: last and best weights, optimizer,
            schedule, history and random state.
        resume: continue from the checkpoint if it is there.
        clip: norm to clip gradients to; ``"auto"`` is 1.0 for recurrent models, None for others.
        schedule: a scheduler, or a function of the optimizer that makes one.
        safe_recurrent: start new recurrent layers by `recurrent_defaults`; layers whose weights
            somebody has written since they were made are left alone.
        callbacks: functions called after each epoch with its number and values.

    Ctrl-C ends training after the current step and returns the history; a second one interrupts.

    Raises:
        FloatingPointError: the loss is not finite.

    >>> import eagergrad as eg
    >>> x = eg.linspace(-1, 1, 64).unsqueeze(1)
    >>> history = fit(eg.nn.Linear(1, 1), (x, 3 * x), "mse", lr=0.1, epochs=50, progress=False)
    >>> history["loss"][-1] < 0.01
    True
    """
    if resume and checkpoint is None:
        raise ValueError("[fit] resume=True needs a checkpoint file")
    if isinstance(validation, float):
        data, validation = _split(data, validation)
    train = _loader(data, batch_size, shuffle, num_workers)
    valid = None if validation is None else _loader(validation, batch_size, False, num_workers)
    if device is not None:
        model.to(device)
    again = resume and os.path.exists(checkpoint)
    recurrent = has_recurrent_layers(model)
    if recurrent and safe_recurrent and not again and untouched(model):
        recurrent_defaults(model)
    if clip == "auto":
        clip = _CLIP if recurrent else None
    chosen = _optimizer(optimizer, model, lr)
    run = _Run(
        model, loss_by_name(loss), metrics_by_name(metrics), chosen, _Schedule(schedule, chosen),
        clip, device, Progress(progress, epochs),
    )  # fmt: skip
    if again:
        run.resume(checkpoint)
    monitor = monitor or ("loss" if valid is None else "val_loss")
    training = model.training
    with run.interrupt.watching():
        try:
            run.run(train, valid, epochs, early_stopping, monitor, checkpoint, callbacks)
        except KeyboardInterrupt:
            if not run.interrupt.asked:  # a worker that ended by Ctrl-C before this process saw it
                raise
            run.history.interrupted = True
        finally:
            model.train(training)
    best = early_stopping is not None if restore_best is None else restore_best
    if best and run.best_state is not None:
        model.load_state_dict(run.best_state)
    return run.history


def evaluate(
    model: Any,
    data: Any,
    loss: Any,
    *,
    metrics: Any = None,
    batch_size: int = 32,
    num_workers: int = 0,
    device: Any = None,
) -> dict[str, float]:
    """Return the mean loss and metrics over data of the forms that `fit` takes, in eval mode.

    >>> import eagergrad as eg
    >>> evaluate(eg.nn.Identity(), (eg.ones(4), eg.zeros(4)), "mse")
    {'loss': 1.0}
    """
    run = _Run(
        model, loss_by_name(loss), metrics_by_name(metrics), None, _Schedule(None, None),
        None, device, Progress(False, 0),
    )  # fmt: skip
    training = model.training
    try:
        return run.validate(_loader(data, batch_size, False, num_workers), prefix="")
    finally:
        model.train(training)


def predict(model: Any, data: Any, *, batch_size: int = 32, device: Any = None) -> Any:
    """Return the model's outputs for inputs (no targets), joined over batches, in eval mode.

    >>> import eagergrad as eg
    >>> predict(eg.nn.Identity(), eg.arange(3.0))
    tensor([0., 1., 2.])
    """
    training = model.training
    model.eval()
    try:
        with eg.no_grad():
            outputs = []
            for batch in _loader(data, batch_size, False, 0):
                inputs = batch if isinstance(batch, list | tuple) else (batch,)
                outputs.append(_first(model(*_moved(tuple(inputs), device))))
            return eg.cat(outputs)
    finally:
        model.train(training)
