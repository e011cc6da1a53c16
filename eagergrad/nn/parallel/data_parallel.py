"""Data parallelism over the devices of one process, of which there is one."""

from __future__ import annotations

from typing import Any

from eagergrad import Tensor

from ..modules.module import Module

__all__ = ["DataParallel", "data_parallel"]


def _one_device(device_ids: Any, output_device: Any) -> None:
    if device_ids is not None and len(device_ids) > 1:
        raise ValueError(
            f"[DataParallel] expected one device, came {list(device_ids)}: eagergrad does not split a "
            "batch over several. Leave device_ids out"
        )


class DataParallel(Module):
    """Holds `module` under its name and calls it: one device works on the whole batch; state dict keys are PyTorch's.

    ValueError for more than one device.

    >>> import eagergrad as eg
    >>> model = eg.nn.DataParallel(eg.nn.Linear(2, 1))
    >>> tuple(model(eg.zeros(3, 2)).shape), list(model.state_dict())
    ((3, 1), ['module.weight', 'module.bias'])
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        _one_device(device_ids, output_device)
        self.module = module
        self.device_ids = list(device_ids) if device_ids is not None else []
        self.output_device = output_device
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Any = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Tensor:
    """`module(*inputs, **module_kwargs)` on one device; ValueError for more.

    >>> import eagergrad as eg
    >>> tuple(data_parallel(eg.nn.Linear(2, 1), eg.zeros(3, 2)).shape)
    (3, 1)
    """
    _one_device(device_ids, output_device)
    args = inputs if isinstance(inputs, tuple) else (inputs,) if inputs is not None else ()
    return module(*args, **(module_kwargs or {}))
