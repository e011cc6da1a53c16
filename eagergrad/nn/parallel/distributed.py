"""One model trained by several processes, each with its part of the batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import eagergrad as eg
from eagergrad.distributed import _group as _g
from eagergrad.distributed import distributed_c10d as dist
from eagergrad.distributed._world import find_group
from eagergrad.distributed.algorithms.join import Join, Joinable, JoinHook

from ..modules.module import Module
from ..modules.sparse import Embedding, EmbeddingBag
from ..parameter import UninitializedParameter
from .reducer import Reducer, broadcast_coalesced

__all__ = ["DistributedDataParallel"]

_FIRST_BUCKET = 1 << 20  # small, so that the exchange begins early


class _Hook(JoinHook):
    def __init__(self, ddp: DistributedDataParallel) -> None:
        self.ddp = ddp

    def main_hook(self) -> None:
        self.ddp._shadow()

    def post_hook(self, is_last_joiner: bool) -> None:
        root = self.ddp._common_rank(is_last_joiner)
        broadcast_coalesced(self.ddp._state(), self.ddp.process_group, root)


class DistributedDataParallel(Module, Joinable):
    """Holds `module` under its name and calls it; after backward all ranks have the average of their gradients.

    At construction all ranks get the first rank's parameters and buffers, before each forward that records its buffers
    (`broadcast_buffers`). Parameters may be used on some ranks alone, or on none: `find_unused_parameters` and
    `static_graph` change nothing. Gradients of `sparse=True` embeddings stay row-sparse. With `gradient_as_bucket_view`
    they are views of the memory by which they travel.

    Raises:
        ValueError: there is no process group.
        RuntimeError: the module has no parameter that needs a gradient, or another rank's has other parameters.

    >>> import eagergrad as eg
    >>> eg.distributed.init_process_group("gloo", rank=0, world_size=1)
    >>> model = eg.nn.parallel.DistributedDataParallel(eg.nn.Linear(2, 1))
    >>> list(model.state_dict())
    ['module.weight', 'module.bias']
    >>> eg.distributed.destroy_process_group()
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool | None = None,
        init_sync: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        **tuning: Any,
    ) -> None:
        super().__init__()
        Joinable.__init__(self)
        group = find_group(process_group)
        if not any(p.requires_grad for p in module.parameters()):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter that requires a gradient."
            )
        if device_ids is not None and len(device_ids) > 1:
            raise ValueError("device_ids can only be None or contain a single element.")
        if any(isinstance(p, UninitializedParameter) for p in module.parameters()):
            raise RuntimeError(
                "Modules with uninitialized parameters can't be used with `DistributedDataParallel`. "
                "Run a dummy forward pass to correctly initialize the modules"
            )
        if group is None:
            raise ValueError("[DistributedDataParallel] expected a group that this process is in")
        self.module = module
        self.device_ids = device_ids
        self.output_device = output_device
        self.dim = dim
        self.process_group = group
        self.broadcast_buffers = True if broadcast_buffers is None else broadcast_buffers
        self.find_unused_parameters = find_unused_parameters
        self.gradient_as_bucket_view = gradient_as_bucket_view
        self.static_graph = static_graph
        self.bucket_cap_mb = 25.0 if bucket_cap_mb is None else float(bucket_cap_mb)
        self.device = next(module.parameters()).device
        self.require_backward_grad_sync = True
        self.require_forward_param_sync = True
        self.parameters_to_ignore = set(getattr(module, "_ddp_params_and_buffers_to_ignore", ()))
        self._divide_by_initial_world_size = True
        self._active: Any = None  # under Join: the handle of the number of ranks that are not done
        named = self._named_parameters()
        self._check_same_model(named)
        if init_sync:
            broadcast_coalesced(self._state(), group, 0)
        self._first_cap = _FIRST_BUCKET if bucket_cap_mb is None else float("inf")
        self._make_reducer(named)

    def _named_parameters(self) -> list:
        ignored = self.parameters_to_ignore
        named = self.module.named_parameters()
        return [(n, p) for n, p in named if p.requires_grad and n not in ignored]

    def _make_reducer(self, named: list) -> None:
        sparse, cap = self._sparse_parameters(), self.bucket_cap_mb * (1 << 20)
        self.reducer = Reducer(
            named,
            {i for i, (_, p) in enumerate(named) if id(p) in sparse},
            self.process_group,
            min(self._first_cap, cap),
            cap,
            self.gradient_as_bucket_view,
        )

    def __getstate__(self) -> dict[str, Any]:
        """What can be copied and saved: everything but the group and the exchange."""
        state = self.__dict__.copy()
        for name in ("process_group", "reducer"):
            del state[name]
        return {**state, "_active": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy works in the group of all processes; all ranks make it alike."""
        super().__setstate__(state)
        world = find_group(None)
        assert world is not None
        self.process_group = world
        self._make_reducer(self._named_parameters())

    # -- what travels ------------------------------------------------------------------------------------------

    def _check_same_model(self, named: list) -> None:
        text = "; ".join(f"{n} {_g.describe(p)}" for n, p in named)
        mark = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        shown = text if len(text) < 400 else f"{named[0][0]} to {named[-1][0]} ({mark})"
        what = f"DistributedDataParallel of {len(named)} parameters: {shown}"
        _g.Collective(self.process_group, what).run(_g.Collective.meet)

    def _sparse_parameters(self) -> set[int]:
        return {
            id(m.weight)
            for m in self.module.modules()
            if isinstance(m, (Embedding, EmbeddingBag)) and m.sparse
        }

    def _buffers_that_travel(self) -> list:
        ignored = self.parameters_to_ignore
        return [b for n, b in self.module.named_buffers() if n not in ignored]

    def _state(self) -> list:
        ignored = self.parameters_to_ignore
        params = [p for n, p in self.module.named_parameters() if n not in ignored]
        return [*params, *self._buffers_that_travel()]

    def _common_rank(self, mine: bool) -> int:
        """A rank of those that say so."""
        rank = eg.tensor([self.process_group.rank() if mine else -1])
        dist.all_reduce(rank, dist.ReduceOp.MAX, self.process_group)
        return int(rank.item())

    def _sync_buffers(self, joined: bool = False) -> None:
        if self.require_forward_param_sync and self.broadcast_buffers:
            buffers = self._buffers_that_travel()
            if buffers:
                root = self._common_rank(not joined) if self._join_config.enable else 0
                broadcast_coalesced(buffers, self.process_group, root)

    # -- forward -----------------------------------------------------------------------------------------------

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        syncs = eg.is_grad_enabled() and self.require_backward_grad_sync
        if self._join_config.enable:
            if eg.is_grad_enabled():
                self._active = Join.notify_join_context(self)
                self._sync_buffers()
                self._any_rank_syncs(syncs)
        else:
            self._sync_buffers()
        self.require_forward_param_sync = syncs
        if eg.is_grad_enabled():
            self.reducer.prepare(syncs)
            self.reducer.scale = self._scale()
        if self.device_ids:
            device = (
                eg.device("cuda", self.device_ids[0])
                if isinstance(self.device_ids[0], int)
                else self.device_ids[0]
            )
            inputs, kwargs = _move(inputs, device), _move(kwargs, device)
        return self.module(*inputs, **kwargs)

    def _scale(self) -> float:
        """What the average over all ranks is multiplied by."""
        if self._active is None or self._divide_by_initial_world_size:
            return 1.0
        self._active.wait()
        return self.process_group.size() / self._active.result()[0].item()

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within this block gradients accumulate without being exchanged; the next backward outside exchanges the sums."""
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    def register_comm_hook(self, state: object, hook: Callable[[Any, Any], Any]) -> None:
        """Exchange each bucket by ``hook(state, bucket)``, which returns a future of the averaged buffer."""
        if not callable(hook):
            raise TypeError("Communication hook must be callable.")
        if self.reducer.hook is not None:
            raise RuntimeError(
                "register_comm_hook or register_builtin_comm_hook can only be called once."
            )
        self.reducer.hook, self.reducer.hook_state = hook, state

    # -- uneven inputs -----------------------------------------------------------------------------------------

    def join(
        self,
        divide_by_initial_world_size: bool = True,
        enable: bool = True,
        throw_on_early_termination: bool = False,
    ) -> Join:
        """Within this block ranks may have different numbers of batches.

        Gradients are divided by the number of all ranks, or of those that still have batches.
        """
        return Join(
            [self],
            enable,
            throw_on_early_termination,
            divide_by_initial_world_size=divide_by_initial_world_size,
        )

    def join_hook(self, **kwargs: Any) -> JoinHook:
        """Return what this rank does while others still have batches."""
        self._divide_by_initial_world_size = kwargs.get("divide_by_initial_world_size", True)
        return _Hook(self)

    @property
    def join_device(self) -> Any:
        return self.device

    @property
    def join_process_group(self) -> Any:
        return self.process_group

    def _any_rank_syncs(self, mine: bool) -> bool:
        count = eg.tensor([1.0 if mine else 0.0])
        dist.all_reduce(count, group=self.process_group)
        return bool(count.item())

    def _shadow(self) -> None:
        """One iteration of the others, on a rank that has no more batches."""
        self._sync_buffers(joined=True)
        self.require_forward_param_sync = self._any_rank_syncs(False)
        if self.require_forward_param_sync:
            self.reducer.shadow()


def _move(x: Any, device: Any) -> Any:
    if isinstance(x, eg.Tensor):
        return x.to(device)
    if isinstance(x, dict):
        return {k: _move(v, device) for k, v in x.items()}
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*(_move(v, device) for v in x))
    return type(x)(_move(v, device) for v in x) if isinstance(x, (list, tuple)) else x
