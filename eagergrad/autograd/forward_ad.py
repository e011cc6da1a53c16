"""Forward mode under PyTorch's names: tensors that carry a tangent inside a level.

A dual tensor is its primal on the tape, tied to a seed; `unpack_dual` asks backward twice for the product of the Jacobian with the
tangents, so every op with a second derivative has a tangent, and custom Functions need no ``jvp``. What no_grad keeps off the tape has
none: making and unpacking dual tensors is refused there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import eagergrad as eg
from eagergrad.autograd.graph import leaves_of

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` gives: the value, and its tangent or None."""

    primal: Any
    tangent: Any


class _Level:
    def __init__(self) -> None:
        self.seeds: list[Any] = []
        self.tangents: list[Any] = []


_levels: list[_Level] = []


def enter_dual_level() -> int:
    """Opens a level and returns its number; `dual_level` does it for a block.

    Raises:
        RuntimeError: a level is open.
    """
    if _levels:
        raise RuntimeError(
            "Nested forward mode AD is not supported at the moment; nest func.jvp instead"
        )
    _levels.append(_Level())
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Closes the level: its tensors carry no tangents any more.

    Raises:
        RuntimeError: it is not the open one.
    """
    if not _levels or level not in (None, 0):
        raise RuntimeError(
            f"Trying to exit a forward AD level that was not the last one that was entered: {level}"
        )
    _levels.pop()


class dual_level:
    """A block in which tensors may carry tangents.

    >>> with dual_level():
    ...     x = make_dual(eg.tensor([1.0, 2.0]), eg.tensor([1.0, 0.0]))
    ...     unpack_dual(x * x).tangent
    tensor([2., 0.])
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exception: object) -> None:
        exit_dual_level()


def _open_level(what: str, level: int | None) -> _Level:
    if not _levels or level not in (None, 0):
        raise RuntimeError(
            f"Trying to {what} a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    return _levels[-1]


def _refuse_unrecorded(what: str) -> None:
    if not eg.is_grad_enabled():
        raise RuntimeError(
            f"[{what}] expected recording to be on: tangents follow the tape; leave no_grad or inference_mode first"
        )


def make_dual(tensor: Any, tangent: Any, *, level: int | None = None) -> Any:
    """The tensor with a tangent of its shape and dtype, for the open level.

    Raises:
        RuntimeError: no level is open, the tangent is of another shape, or recording is off.
        ValueError: one of them is not floating point.
    """
    here = _open_level("create", level)
    _refuse_unrecorded("make_dual")
    for name, x in (("primal", tensor), ("tangent", tangent)):
        if not x.is_floating_point():
            raise ValueError(f"Expected {name} to be floating point or complex, but got: {x.dtype}")
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            f"Expected tangent of shape {list(tensor.shape)} like the primal, got {list(tangent.shape)}"
        )
    seed = eg.zeros_like(tensor, requires_grad=True)
    here.seeds.append(seed)
    here.tangents.append(tangent)
    with eg.enable_grad():
        return _Seeded.apply(tensor, seed)


class _Seeded(eg.autograd.Function):
    """The tensor; to the tape it is the sum with the seed."""

    @staticmethod
    def forward(ctx: Any, tensor: Any, seed: Any) -> Any:
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g, g


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """The value of a tensor and its tangent; None where it depends on no dual tensor of the level."""
    if not _levels or level not in (None, 0):
        return UnpackedDualTensor(tensor, None)
    here = _levels[-1]
    _refuse_unrecorded("unpack_dual")
    if not here.seeds or not tensor.requires_grad:
        return UnpackedDualTensor(tensor, None)
    with eg.enable_grad():
        cotangent = eg.zeros_like(tensor, requires_grad=True)
        pulled = eg.autograd.grad(
            tensor, here.seeds, cotangent, create_graph=True, allow_unused=True
        )
        pairs = [(p, t) for p, t in zip(pulled, here.tangents, strict=True) if p is not None]
        if not pairs:
            return UnpackedDualTensor(tensor, None)
        seeds = {id(seed) for seed in here.seeds}
        recorded = any(id(leaf) not in seeds for leaf in leaves_of([tensor]))
        primal = tensor if recorded else tensor.detach()
        reached = [(p, t) for p, t in pairs if p.requires_grad]
        tangent = None
        if reached:
            products, tangents = zip(*reached, strict=True)
            (tangent,) = eg.autograd.grad(
                products,
                cotangent,
                tangents,
                create_graph=recorded or any(t.requires_grad for t in tangents),
                retain_graph=True,
                allow_unused=True,
            )
        if tangent is None:
            tangent = eg.zeros_like(tensor)
    return UnpackedDualTensor(primal, tangent)
