"""Batches from a worker to the loader: arrays through shared memory, the rest as a small pickle.

Note [Slots]
A worker writes into numbered slots, each an unnamed memory file that both sides map. The loader
hands out a free slot with every task and copies the arrays out as soon as the message is there, so
memory is recycled, at most prefetch_factor slots exist a worker, nothing is left behind when a
process is killed, and no file descriptors pile up. Messages stay below a pipe's buffer, so that
neither side ever waits for the other to read.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import tempfile
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

import eagergrad as eg
from eagergrad.utils._arrays import array_to_tensor, dtype_name, tensor_to_array

_INLINE = 8 * 1024  # bytes that travel in the message itself
_ALIGN = 64


def _memory_file(size: int) -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("eagergrad-batch")
    else:
        with tempfile.TemporaryFile() as f:
            fd = os.dup(f.fileno())
    os.ftruncate(fd, size)
    return fd


class _Pickler(pickle.Pickler):
    """Takes tensors and arrays out of the stream; `blobs` collects them."""

    def __init__(self, file: Any) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.blobs: list[np.ndarray] = []

    def persistent_id(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is eg.Tensor:
            tag, array = dtype_name(obj.dtype), tensor_to_array(obj)
        elif kind is np.ndarray and not obj.dtype.hasobject:
            tag, array = None, obj
        else:
            return None
        self.blobs.append(np.ascontiguousarray(array))
        return len(self.blobs) - 1, tag, array.dtype, array.shape


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, blobs: list[memoryview]) -> None:
        super().__init__(file)
        self._blobs = blobs

    def persistent_load(self, pid: Any) -> Any:
        number, tag, dtype, shape = pid
        source = np.frombuffer(self._blobs[number], dtype).reshape(shape)
        if tag is None or tag == "bfloat16":
            copy = source.copy()
            return copy if tag is None else array_to_tensor(copy, tag)
        out = eg.empty(shape, dtype=getattr(eg, tag), device="cpu")
        if source.size:
            out.numpy()[...] = source
        return out


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


class Sender:
    """The worker's end: `send` writes an object for the loader."""

    def __init__(self, connection: Connection, receiver_pid: int) -> None:
        self._connection = connection
        self._pid = receiver_pid
        self._slots: dict[int, tuple[mmap.mmap, int]] = {}

    def send(self, header: tuple, slot: int, obj: Any) -> None:
        stream = io.BytesIO()
        pickler = _Pickler(stream)
        pickler.dump(obj)
        blobs = [np.frombuffer(stream.getbuffer(), np.uint8)]
        blobs += [b.reshape(-1).view(np.uint8) for b in pickler.blobs]
        sizes = [b.size for b in blobs]
        if sum(sizes) <= _INLINE:
            inline = [b.tobytes() for b in blobs]
            self._connection.send_bytes(pickle.dumps((header, slot, sizes, inline, 0)))
            return
        fd = self._write(slot, blobs, sum(map(_aligned, sizes)))
        capacity = len(self._slots[slot][0]) if fd is not None else 0
        self._connection.send_bytes(pickle.dumps((header, slot, sizes, None, capacity)))
        if fd is not None:
            reduction.send_handle(self._connection, fd, self._pid)
            os.close(fd)

    def _write(self, slot: int, blobs: list[np.ndarray], size: int) -> int | None:
        fd = None
        if slot not in self._slots or len(self._slots[slot][0]) < size:
            fd = _memory_file(size)
            self._slots[slot] = (mmap.mmap(fd, size), size)
        memory = np.frombuffer(self._slots[slot][0], np.uint8)
        offset = 0
        for blob in blobs:
            memory[offset : offset + blob.size] = blob
            offset += _aligned(blob.size)
        return fd


class Receiver:
    """The loader's end for one worker."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._slots: dict[int, mmap.mmap] = {}

    def receive(self) -> tuple[tuple, int, Any]:
        """Return (header, slot, object); the slot is free again."""
        message = pickle.loads(self._connection.recv_bytes())
        header, slot, sizes, inline, capacity = message
        if capacity:
            fd = reduction.recv_handle(self._connection)
            self._slots[slot] = mmap.mmap(fd, capacity)
            os.close(fd)
        blobs = self._views(slot, sizes) if inline is None else [memoryview(b) for b in inline]
        return header, slot, _Unpickler(io.BytesIO(blobs[0]), blobs[1:]).load()

    def _views(self, slot: int, sizes: list[int]) -> list[memoryview]:
        memory, offset, views = memoryview(self._slots[slot]), 0, []
        for size in sizes:
            views.append(memory[offset : offset + size])
            offset += _aligned(size)
        return views
