"""Averages of gradients, as they are or in 16 bits on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import eagergrad as eg
from eagergrad.distributed import distributed_c10d as dist
from eagergrad.futures import Future

__all__ = [
    "allreduce_hook",
    "bf16_compress_hook",
    "bf16_compress_wrapper",
    "fp16_compress_hook",
    "fp16_compress_wrapper",
]


def allreduce_hook(process_group: Any, bucket: Any) -> Future:
    """Average the bucket over the group."""
    work = dist.all_reduce(bucket.buffer(), dist.ReduceOp.AVG, process_group, async_op=True)
    return work.get_future().then(lambda done: done.value()[0])  # type: ignore[union-attr]


def _compress(dtype: Any, process_group: Any, bucket: Any) -> Future:
    buffer = bucket.buffer()
    # divided first: sums of float16 overflow early
    small = buffer.to(dtype).div_(dist.get_world_size(process_group))
    work = dist.all_reduce(small, group=process_group, async_op=True)
    return work.get_future().then(lambda done: buffer.copy_(done.value()[0]))  # type: ignore[union-attr]


def fp16_compress_hook(process_group: Any, bucket: Any) -> Future:
    """Average the bucket over the group as float16."""
    return _compress(eg.float16, process_group, bucket)


def bf16_compress_hook(process_group: Any, bucket: Any) -> Future:
    """Average the bucket over the group as bfloat16."""
    return _compress(eg.bfloat16, process_group, bucket)


def _wrapper(dtype: Any, hook: Callable[[Any, Any], Future]) -> Callable[[Any, Any], Future]:
    def wrapped(state: Any, bucket: Any) -> Future:
        buffer = bucket.buffer()
        bucket.set_buffer(buffer.to(dtype))
        return hook(state, bucket).then(lambda done: buffer.copy_(done.value()))

    return wrapped


def fp16_compress_wrapper(hook: Callable[[Any, Any], Future]) -> Callable[[Any, Any], Future]:
    """Return a hook that gives the bucket to another as float16."""
    return _wrapper(eg.float16, hook)


def bf16_compress_wrapper(hook: Callable[[Any, Any], Future]) -> Callable[[Any, Any], Future]:
    """Return a hook that gives the bucket to another as bfloat16."""
    return _wrapper(eg.bfloat16, hook)
