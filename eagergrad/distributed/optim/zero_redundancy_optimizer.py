"""An optimizer whose state is spread over the processes."""

from __future__ import annotations

from typing import Any

from eagergrad.distributed import _messages as messages
from eagergrad.distributed._world import find_group
from eagergrad.distributed.algorithms.join import Join, Joinable, JoinHook
from eagergrad.nn.parallel.reducer import broadcast_coalesced
from eagergrad.optim import Optimizer

__all__ = ["ZeroRedundancyOptimizer"]


class _Hook(JoinHook):
    def __init__(self, zero: ZeroRedundancyOptimizer) -> None:
        self.zero = zero

    def main_hook(self) -> None:
        self.zero.step()


class ZeroRedundancyOptimizer(Optimizer, Joinable):
    """Each process makes the steps of its share of the parameters, of about one size, and sends them to the others.

    `optimizer_class(params, **defaults)` makes them, with the state of that share alone; it is `self.optim`. Gradients must be
    the same on all ranks, as after DistributedDataParallel's backward. `parameters_as_bucket_view` changes nothing. ValueError for
    `overlap_with_ddp`.

    >>> import eagergrad as eg
    >>> eg.distributed.init_process_group("gloo", rank=0, world_size=1)
    >>> layer = eg.nn.Linear(2, 1)
    >>> optimizer = ZeroRedundancyOptimizer(layer.parameters(), eg.optim.Adam, lr=0.1)
    >>> layer(eg.ones(1, 2)).sum().backward(); optimizer.step()
    >>> optimizer.consolidate_state_dict(); len(optimizer.state_dict()["state"])
    2
    >>> eg.distributed.destroy_process_group()
    """

    def __init__(
        self,
        params: Any,
        optimizer_class: type[Optimizer],
        process_group: Any = None,
        parameters_as_bucket_view: bool = False,
        overlap_with_ddp: bool = False,
        **defaults: Any,
    ) -> None:
        if overlap_with_ddp:
            raise ValueError(
                "[ZeroRedundancyOptimizer] expected overlap_with_ddp=False: steps are made by step()"
            )
        group = find_group(process_group)
        if group is None:
            raise ValueError("[ZeroRedundancyOptimizer] expected a group that this process is in")
        self.process_group = group
        self._class = optimizer_class
        self._shares: list[list[Any]] = [[] for _ in range(group.size())]
        self._sizes = [0] * group.size()
        self.optim: Any = None
        self._collected: dict[str, Any] | None = None
        super().__init__(params, defaults)
        Joinable.__init__(self)
        self.optim = optimizer_class([self._own(g) for g in self.param_groups], **defaults)
        self._fill_options()

    # -- who has which ---------------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; its parameters go to the processes that have the least."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for p in sorted(group["params"], key=lambda p: -p.numel()):
            rank = self._sizes.index(min(self._sizes))
            self._shares[rank].append(p)
            self._sizes[rank] += p.numel()
        if self.optim is not None:
            self.optim.add_param_group(self._own(group))
            self._fill_options()

    def _own(self, group: dict[str, Any]) -> dict[str, Any]:
        """A group with this process's parameters alone."""
        mine = {id(p) for p in self._shares[self.process_group.rank()]}
        return {**group, "params": [p for p in group["params"] if id(p) in mine]}

    def _fill_options(self) -> None:
        """Options that the class has by itself show here too."""
        for group, own in zip(self.param_groups, self.optim.param_groups, strict=True):
            for name, value in own.items():
                if name != "params":
                    group.setdefault(name, value)

    # -- steps -----------------------------------------------------------------------------------------------------------

    def step(self, closure: Any = None, **kwargs: Any) -> Any:
        """One step of all parameters; returns what the closure gives."""
        Join.notify_join_context(self)
        for group, own in zip(self.param_groups, self.optim.param_groups, strict=True):
            own.update({k: v for k, v in group.items() if k != "params"})
        loss = self.optim.step(**kwargs) if closure is None else self.optim.step(closure, **kwargs)
        for rank, share in enumerate(self._shares):
            if share:
                broadcast_coalesced(share, self.process_group, rank)
        return loss

    # -- state -----------------------------------------------------------------------------------------------------------

    def consolidate_state_dict(self, to: int = 0) -> None:
        """Collect the state of all processes at one, whose `state_dict` can be called then."""
        numbers = {id(p): i for i, p in enumerate(self._all_params())}
        own = {numbers[id(p)]: state for p, state in self.optim.state.items()}
        me, size = self.process_group.rank(), self.process_group.size()
        parts: list[Any] | None = [None] * size if me == to else None
        messages.gather_object(own, parts, group=self.process_group, group_dst=to)
        self._collected = None
        if parts is not None:
            self._collected = {k: v for part in parts for k, v in sorted(part.items())}

    def _all_params(self) -> list[Any]:
        return [p for group in self.param_groups for p in group["params"]]

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all parameters, with the numbers that the plain optimizer's has.

        RuntimeError where `consolidate_state_dict` did not collect it.
        """
        if self._collected is None:
            raise RuntimeError(
                "Optimizer state has not been consolidated on this rank. Please call "
                f"`consolidate_state_dict(to={self.process_group.rank()})` on all ranks beforehand if you meant to save "
                "the global state."
            )
        groups, start = [], 0
        for group in self.param_groups:
            end = start + len(group["params"])
            groups.append({**group, "params": list(range(start, end))})
            start = end
        return {"state": dict(sorted(self._collected.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of all parameters, of which this process keeps its share."""
        super().load_state_dict(state_dict)
        mine = {id(p) for p in self._shares[self.process_group.rank()]}
        self.optim.state.clear()
        for p in list(self.state):
            state = self.state.pop(p)
            if id(p) in mine:
                self.optim.state[p] = state
        self._collected = None

    # -- Join ------------------------------------------------------------------------------------------------------------

    def join_hook(self, **kwargs: Any) -> JoinHook:
        """Return what this process does while others still have batches: its share of their steps."""
        return _Hook(self)

    @property
    def join_device(self) -> Any:
        return self.param_groups[0]["params"][0].device

    @property
    def join_process_group(self) -> Any:
        return self.process_group
