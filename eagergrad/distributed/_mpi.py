"""The mailbox over MPI, by mpi4py: messages of a head and a body between the processes of COMM_WORLD."""

from __future__ import annotations

import os
import struct
import sys
import time
from typing import Any

from ._mailbox import FAILURE, HEADER, Arrival, Mailbox, Request

__all__ = ["MpiMailbox"]

_HEAD, _BODY = 1, 2  # MPI's tags


class MpiMailbox(Mailbox):
    """Messages through a duplicate of MPI.COMM_WORLD; MPI keeps those between two processes in order.

    RuntimeError without mpi4py or a runtime, and where MPI's world is not the one asked for: never in silence a world of
    one.
    """

    def __init__(self, rank: int, size: int) -> None:
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as e:
            raise RuntimeError(
                f"[init_process_group] the backend mpi needs mpi4py and an MPI runtime (pip install 'eagergrad[mpi]'): {e}"
            ) from None
        self._mpi: Any = MPI
        world = MPI.COMM_WORLD
        for what, here, asked, name in (
            ("world_size", world.size, size, "WORLD_SIZE"),
            ("rank", world.rank, rank, "RANK"),
        ):
            asked = int(os.environ.get(name, -1)) if asked is None or asked < 0 else asked
            if asked >= 0 and asked != here:
                raise RuntimeError(
                    f"[init_process_group] expected {what} {asked}, but MPI says {here}: start the program with mpiexec -n ..."
                )
        super().__init__(world.rank, world.size)
        self._comm = world.Dup()
        self._sending: list[tuple[list, Request, list]] = []
        self._receiving: list[tuple[Any, Arrival, int, int]] = []
        self._before = sys.excepthook
        sys.excepthook = self._raised

    def _raised(self, *error: Any) -> None:
        """An error that nobody caught ends all processes: they would wait for this one for ever."""
        self._before(*error)
        sys.stderr.flush()
        self._mpi.COMM_WORLD.Abort(1)

    def close(self) -> None:
        if self._comm is None:
            return
        notice = struct.pack("<Q", FAILURE)
        goodbyes = [self.send(r, FAILURE, 0, [notice]) for r in range(self.size) if r != self.rank]
        end = time.monotonic() + 1.0
        with self.changed:
            while not all(r.done for r in goodbyes) and time.monotonic() < end:
                self._move(0.1)
            self._comm = None  # freed with MPI itself: to free it now, all would have to be here
            for r in range(self.size):
                if r != self.rank:
                    self._left(r, "this process has left the group")
            self._helper = None
            self.changed.notify_all()
        if sys.excepthook == self._raised:
            sys.excepthook = self._before

    def _transmit(self, request: Request, parts: list[memoryview]) -> None:
        head, *body = parts
        buffers = [head, body[0] if len(body) == 1 else b"".join(body)] if body else [head]
        kinds = (_HEAD, _BODY)
        pending = [
            self._comm.Isend([b, self._mpi.BYTE], request.peer, kinds[i])
            for i, b in enumerate(buffers)
        ]
        self._sending.append((pending, request, buffers))

    def _progress(self, timeout: float) -> None:
        end, pause = time.monotonic() + timeout, 0.0
        while not self._poll() and time.monotonic() < end:
            self.changed.release()
            try:
                time.sleep(pause)
            finally:
                self.changed.acquire()
            pause = min(pause + 2e-6, 1e-3)
            if self._comm is None:
                return

    def _poll(self) -> bool:
        """Whether anything moved."""
        MPI = self._mpi
        moved = False
        status = MPI.Status()
        while self._comm.Iprobe(MPI.ANY_SOURCE, _HEAD, status):
            moved = True
            peer, head = status.Get_source(), bytearray(HEADER.size)
            self._comm.Recv([head, MPI.BYTE], peer, _HEAD)
            channel, tag, kind, size = HEADER.unpack(head)
            arrival = self._header(peer, channel, tag, kind, size)
            if size:
                body = self._comm.Irecv([arrival.view, MPI.BYTE], peer, _BODY)
                self._receiving.append((body, arrival, channel, tag))
            else:
                self._arrived(arrival, channel, tag)
        for item in list(self._receiving):
            if item[0].Test():
                moved = True
                self._receiving.remove(item)
                self._arrived(*item[1:])
        for sent in list(self._sending):
            if MPI.Request.Testall(sent[0]):
                moved = True
                self._sending.remove(sent)
                sent[1].end()
        return moved
