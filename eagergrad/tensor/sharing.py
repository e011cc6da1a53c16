"""Tensors in memory that several processes see: `share_memory_`, and their way through multiprocessing's pickles."""

from __future__ import annotations

import mmap
import os
import weakref
from typing import Any

import numpy as np

from eagergrad import _C
from eagergrad.tensor.dtype import bfloat16

__all__ = ["is_shared", "share_memory_"]


class _Block(mmap.mmap):
    """Shared memory; where the system knows memory files, processes that were not forked can open it too."""

    fd: int | None


# The blocks in use, by their address. A block leaves with the last tensor in it, before the address can be used again.
_blocks: weakref.WeakValueDictionary[int, _Block] = weakref.WeakValueDictionary()


def _new_block(nbytes: int) -> tuple[_Block, np.ndarray]:
    if not hasattr(os, "memfd_create"):
        block = _Block(-1, nbytes)
        block.fd = None
        return block, _bytes_of(block)
    fd = os.memfd_create("eagergrad")
    os.ftruncate(fd, nbytes)
    return _open_block(fd, nbytes)


def _open_block(fd: int, nbytes: int) -> tuple[_Block, np.ndarray]:
    block = _Block(fd, nbytes)
    block.fd = fd
    weakref.finalize(block, os.close, fd)
    return block, _bytes_of(block)


def _bytes_of(block: _Block) -> np.ndarray:
    memory = np.frombuffer(block, dtype=np.uint8)
    _blocks[memory.ctypes.data] = block
    return memory


def _tensor_in(memory: np.ndarray, shape: Any, dtype: Any) -> Any:
    count = int(np.prod(shape, dtype=np.int64))
    kind = np.int16 if dtype is bfloat16 else dtype._numpy  # NumPy has no bfloat16: same bits
    values = memory[: count * dtype.itemsize].view(kind).reshape(tuple(shape))
    t = _C.from_array(values)
    return t.view(dtype) if dtype is bfloat16 else t


def _block_of(t: Any) -> _Block | None:
    if t.device.type != "cpu" or t.numel() == 0:
        return None
    return _blocks.get(t.data_ptr() - t.storage_offset() * t.element_size())


def is_shared(t: Any) -> bool:
    """Whether the tensor lies in memory that processes share."""
    return t.device.type != "cpu" or _block_of(t) is not None


def share_memory_(t: Any) -> Any:
    """Move the values to memory that other processes see, in place; other views of the old memory stay there."""
    if t.numel() == 0 or is_shared(t):
        return t
    _register(type(t))
    _, memory = _new_block(t.numel() * t.element_size())
    shared = _tensor_in(memory, t.shape, t.dtype)
    shared.copy_(t.detach())
    t.data = shared
    return t


# ---- to processes that were not forked, and through queues -----------------------------------------------------------


def _register(kind: type) -> None:
    from multiprocessing.reduction import ForkingPickler

    ForkingPickler.register(kind, _reduce)


def _reduce(t: Any) -> Any:
    block = _block_of(t)
    if block is None or block.fd is None:
        return t.__reduce_ex__(2)
    from multiprocessing.reduction import DupFd

    layout = (tuple(t.shape), t.stride(), t.storage_offset())
    return _open, (type(t), DupFd(block.fd), len(block), t.dtype, layout, t.requires_grad)


def _open(kind: type, handle: Any, nbytes: int, dtype: Any, layout: Any, grad: bool) -> Any:
    shape, stride, offset = layout
    _, memory = _open_block(handle.detach(), nbytes)
    _register(kind)
    whole = _tensor_in(memory, (nbytes // dtype.itemsize,), dtype)
    t = whole.as_strided(shape, stride, offset)
    t = t if type(t) is kind else t.as_subclass(kind)
    return t.requires_grad_(grad)
