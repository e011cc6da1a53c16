"""Logging for TensorBoard, by whichever library writes its files."""

from __future__ import annotations

from typing import Any

import numpy as np

import eagergrad as eg

__all__ = ["SummaryWriter"]


def _library() -> Any:
    try:
        from tensorboardX import SummaryWriter as writer
    except ImportError:
        raise ImportError(
            "SummaryWriter needs tensorboardX to write its files: pip install tensorboardX"
        ) from None
    return writer


def _plain(value: Any) -> Any:
    """Tensors as arrays, anywhere in the arguments."""
    if isinstance(value, eg.Tensor):
        value = value.detach().cpu()
        return np.asarray((value.float() if value.dtype == eg.bfloat16 else value).numpy())
    if isinstance(value, list | tuple):
        return type(value)(_plain(v) for v in value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value


class SummaryWriter:
    """Writes scalars, histograms, images and more for TensorBoard.

    All ``add_*`` methods of tensorboardX take eagergrad tensors here.

    Raises:
        ImportError: tensorboardX is not installed.
    """

    def __init__(self, log_dir: Any = None, comment: str = "", **options: Any) -> None:
        logdir = None if log_dir is None else str(log_dir)
        self._writer = _library()(logdir, comment, **options)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._writer, name)
        if not callable(attribute):
            return attribute
        return lambda *args, **kwargs: attribute(*_plain(args), **_plain(kwargs))

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exc: Any) -> None:
        self._writer.close()
