"""The wrapper of distributed training, for a world of one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..modules.module import Module

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """Holds `module` under its name and calls it; in a world of one process no gradient has to travel.

    RuntimeError in a larger world, where silence would mean ranks that drift apart, and for a module without
    a parameter that needs a gradient. Options that tune communication are kept and change nothing.

    >>> import eagergrad as eg
    >>> model = eg.nn.parallel.DistributedDataParallel(eg.nn.Linear(2, 1))
    >>> list(model.state_dict())
    ['module.weight', 'module.bias']
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        **communication: Any,
    ) -> None:
        super().__init__()
        if not any(p.requires_grad for p in module.parameters()):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter that "
                "requires a gradient."
            )
        if _world_size() > 1:
            raise RuntimeError(
                f"[DistributedDataParallel] the world has {_world_size()} processes, but gradients are "
                "exchanged only by eagergrad.distributed itself"
            )
        self.module = module
        self.device_ids = device_ids
        self.output_device = output_device
        self.dim = dim
        self.broadcast_buffers = broadcast_buffers
        self.find_unused_parameters = find_unused_parameters
        self.require_backward_grad_sync = True

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within this block gradients accumulate without being exchanged."""
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    @contextmanager
    def join(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        """Within this block ranks may have different numbers of batches: one rank always may."""
        yield


def _world_size() -> int:
    from eagergrad import distributed

    return distributed.get_world_size() if distributed.is_initialized() else 1
