"""Training on different numbers of batches: who is done takes part in the others' collectives."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import eagergrad as eg
from eagergrad.distributed import distributed_c10d as dist

__all__ = ["Join", "JoinHook", "Joinable"]

_MANY = 1000  # iterations more than this process had: worth a warning


class JoinHook:
    """What a process that is done does for the others: `main_hook` in each of their iterations, `post_hook` at the end."""

    def main_hook(self) -> None:
        """Take part in the collectives of one iteration of the others."""

    def post_hook(self, is_last_joiner: bool) -> None:
        """After all are done; ``is_last_joiner`` on those that ended last."""


class _JoinConfig(NamedTuple):
    enable: bool = False
    throw_on_early_termination: bool = False
    is_first_joinable: bool = False


class Joinable(ABC):
    """What can be given to `Join`; it calls `Join.notify_join_context` before each iteration's collectives."""

    def __init__(self) -> None:
        super().__init__()
        self._join_config = _JoinConfig()

    @abstractmethod
    def join_hook(self, **kwargs: Any) -> JoinHook:
        """Return what a process does when it is done; ``kwargs`` are those of `Join`."""

    @property
    @abstractmethod
    def join_device(self) -> Any:
        """The device of the tensors by which processes tell that they are not done."""

    @property
    @abstractmethod
    def join_process_group(self) -> Any:
        """The group that is joined."""


class Join:
    """Within the block processes may have different numbers of iterations.

    Raises:
        RuntimeError: with ``throw_on_early_termination``, on all ranks when one is done before others.
    """

    def __init__(
        self,
        joinables: list[Joinable],
        enable: bool = True,
        throw_on_early_termination: bool = False,
        **kwargs: Any,
    ) -> None:
        if not joinables:
            raise ValueError("The join context manager requires at least one joinable")
        groups = {id(j.join_process_group) for j in joinables}
        if len(groups) > 1:
            raise ValueError("Using join context manager with multiple process groups")
        self._joinables = joinables
        self._hooks = [j.join_hook(**kwargs) for j in joinables]
        self._enable, self._throw = enable, throw_on_early_termination
        self._group, self._device = joinables[0].join_process_group, joinables[0].join_device
        for i, j in enumerate(joinables):
            j._join_config = _JoinConfig(enable, throw_on_early_termination, i == 0)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        if not self._enable or kind:
            return
        rounds = 0
        while self._active():
            if self._throw:
                _sum(1, self._group, self._device)
                raise RuntimeError(f"Rank {dist.get_rank(self._group)} exhausted all inputs.")
            for hook in self._hooks:
                hook.main_hook()
            rounds += 1
            if rounds == _MANY:
                warnings.warn(f"other ranks have {_MANY} batches more than this one", stacklevel=2)
        for hook in self._hooks:
            hook.post_hook(rounds == 0)
        for j in self._joinables:
            j._join_config = _JoinConfig()

    def _active(self) -> int:
        """How many processes are not done."""
        return _sum(0, self._group, self._device)

    @staticmethod
    def notify_join_context(joinable: Joinable) -> Any:
        """Tell those that are done of one more iteration; return the handle of a sum that counts who is not done."""
        config = joinable._join_config
        if not config.enable or not config.is_first_joinable:
            return None
        group, device = joinable.join_process_group, joinable.join_device
        work = dist.all_reduce(eg.ones(1, device=device), group=group, async_op=True)
        if config.throw_on_early_termination:
            work.wait()  # type: ignore[union-attr]
            everybody = work.result()[0].item() == dist.get_world_size(group)  # type: ignore[union-attr]
            if not everybody:
                _sum(0, group, device)
                raise RuntimeError("Detected at least one rank that exhausted inputs.")
        return work


def _sum(value: int, group: Any, device: Any) -> int:
    total = eg.tensor([float(value)], device=device)
    dist.all_reduce(total, group=group)
    return int(total.item())
