"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

import eagergrad as eg
from eagergrad import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements in one vector, recorded; TypeError where devices differ.

    >>> import eagergrad as eg
    >>> tuple(parameters_to_vector(eg.nn.Linear(3, 2).parameters()).shape)
    (8,)
    """
    params = list(parameters)
    _one_device(params)
    return eg.cat([p.reshape(-1) for p in params])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Put consecutive pieces of `vec` into the parameters' data; TypeError unless it is a tensor.

    >>> import eagergrad as eg
    >>> layer = eg.nn.Linear(1, 1)
    >>> vector_to_parameters(eg.tensor([2.0, 3.0]), layer.parameters())
    >>> layer.weight.item(), layer.bias.item()
    (2.0, 3.0)
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected a Tensor, but got: {type(vec).__name__}")
    params = list(parameters)
    _one_device(params)
    start = 0
    for param in params:
        stop = start + param.numel()
        param.data = vec[start:stop].view_as(param).data
        start = stop


def _one_device(params: list[Tensor]) -> None:
    if any(p.device != params[0].device for p in params):
        raise TypeError(
            "Found two parameters on different devices, this is currently not supported."
        )
