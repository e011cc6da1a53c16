"""Collectives that are recorded: the gradient goes back the way that the value came."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad.distributed import distributed_c10d as dist

__all__ = ["all_gather", "all_reduce", "broadcast", "reduce_scatter"]


class _AllReduce(eg.autograd.Function):
    @staticmethod
    def forward(ctx: Any, op: Any, group: Any, tensor: Tensor) -> Tensor:
        ctx.op, ctx.group = op, group
        total = tensor.detach().clone(memory_format=eg.contiguous_format)
        dist.all_reduce(total, op, group)
        return total

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple:
        return None, None, _AllReduce.apply(ctx.op, ctx.group, g)


class _AllGather(eg.autograd.Function):
    @staticmethod
    def forward(ctx: Any, group: Any, tensor: Tensor) -> tuple[Tensor, ...]:
        ctx.group = group
        tensor = tensor.detach().contiguous()
        parts = [eg.empty_like(tensor) for _ in range(dist.get_world_size(group))]
        dist.all_gather(parts, tensor, group)
        return tuple(parts)

    @staticmethod
    def backward(ctx: Any, *gs: Tensor) -> tuple:
        return None, _ReduceScatter.apply(dist.ReduceOp.SUM, ctx.group, *gs)


class _ReduceScatter(eg.autograd.Function):
    @staticmethod
    def forward(ctx: Any, op: Any, group: Any, *parts: Tensor) -> Tensor:
        ctx.group = group
        parts = tuple(p.detach().contiguous() for p in parts)
        out = eg.empty_like(parts[dist.get_rank(group)])
        dist.reduce_scatter(out, list(parts), op, group)
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple:
        return None, None, *_AllGather.apply(ctx.group, g)


class _Broadcast(eg.autograd.Function):
    @staticmethod
    def forward(ctx: Any, src: int, group: Any, tensor: Tensor) -> Tensor:
        ctx.src, ctx.group = src, group
        value = tensor.detach().clone(memory_format=eg.contiguous_format)
        dist.broadcast(value, src, group)
        return value

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple:
        total = g.detach().clone(memory_format=eg.contiguous_format)
        dist.reduce(total, ctx.src, group=ctx.group)
        here = dist.get_rank() == ctx.src
        return None, None, total if here else eg.zeros_like(total)


def all_reduce(tensor: Tensor, op: Any = dist.ReduceOp.SUM, group: Any = None) -> Tensor:
    """Return the tensor combined over all processes; the gradient is combined likewise."""
    return _AllReduce.apply(op, group, tensor)


def all_gather(tensor: Tensor, group: Any = None) -> tuple[Tensor, ...]:
    """Return all processes' tensors; the gradients of each are added up where it came from."""
    return _AllGather.apply(group, tensor)


def reduce_scatter(
    output: Tensor, input_list: list[Tensor], op: Any = dist.ReduceOp.SUM, group: Any = None
) -> Tensor:
    """Return this process's part of the combined lists."""
    return _ReduceScatter.apply(op, group, *input_list)


def broadcast(tensor: Tensor, src: int, group: Any = None) -> Tensor:
    """Return the tensor of ``src``; its gradients are added up there."""
    return _Broadcast.apply(src, group, tensor)
