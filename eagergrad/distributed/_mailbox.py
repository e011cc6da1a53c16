"""Messages between processes: what was asked for meets what arrives.

Note [Progress]. No thread reads in the background: whoever waits moves the bytes of everybody's messages, the others wait
for it, and the next of them takes over when its own are there. A message that nobody has asked for yet is kept.

Note [Failures]. A process that leaves fails every message to and from it. A process that gives a collective up for any
reason says so to all members of its group, so that none waits for what will not come.
"""

from __future__ import annotations

import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["DistBackendError", "DistError", "Late", "Mailbox", "Request"]

# channel, tag, kind, bytes that follow
HEADER = struct.Struct("<QqIQ")
FAILURE = 0  # the channel of notices that a collective of another failed, or that a process leaves
Key = tuple[int | None, int, int]  # peer (None: any), channel, tag


class DistError(RuntimeError):
    """Something went wrong between processes."""


class DistBackendError(DistError):
    """A message did not arrive, or was not the one expected."""


class Late(DistBackendError):
    """The deadline came before messages from or to `ranks`."""

    def __init__(self, text: str, ranks: list[int]) -> None:
        super().__init__(text)
        self.ranks = ranks


def _ranks(ranks: Sequence[int]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {list(ranks)}"


def gone(rank: int, error: OSError | None = None) -> str:
    return f"rank {rank} has ended or left the group" + (f" ({error})" if error else "")


class Request:
    """A message on its way: to `peer` or, with `view` to be filled, from it.

    A receipt without a view takes a message of any size and has it in `view` at the end.
    """

    __slots__ = ("channel", "done", "error", "kind", "peer", "tag", "view")

    def __init__(self, peer: int | None, channel: int, tag: int, kind: int, view: Any) -> None:
        self.peer, self.channel, self.tag, self.kind, self.view = peer, channel, tag, kind, view
        self.done = False
        self.error: str | None = None

    def end(self, error: str | None = None) -> None:
        if not self.done:
            self.error, self.done = error, True


class Arrival:
    """A message that arrives: bytes go to `view`, and in the end to `request`, if it is known by then."""

    __slots__ = ("kind", "peer", "request", "view", "whole")

    def __init__(self, peer: int, kind: int, view: memoryview, request: Request | None) -> None:
        self.peer, self.kind, self.view, self.request = peer, kind, view, request
        self.whole = False


class Mailbox:
    """The messages of one process; subclasses move the bytes: `_transmit`, `_progress`, `close`."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self.changed = threading.Condition(threading.Lock())
        self.gone: dict[int, str] = {}
        self._moving = False
        self._wanted: dict[Key, deque[Request]] = defaultdict(deque)
        self._kept: dict[Key, deque[Arrival]] = defaultdict(deque)
        self._failures: dict[tuple[int, int], str] = {}
        self._helper: deque[Request] | None = None

    # -- what programs call ------------------------------------------------------------------------------------

    def send(
        self, peer: int, channel: int, tag: int, parts: Sequence[Any], kind: int = 0
    ) -> Request:
        """Start to send the parts, as one message; they must stay unchanged until it is done."""
        views = [memoryview(p) for p in parts if len(p)]
        request = Request(peer, channel, tag, kind, views)
        head = HEADER.pack(channel, tag, kind, sum(map(len, views)))
        with self.changed:
            if peer in self.gone:
                request.end(self.gone[peer])
            else:
                self._transmit(request, [memoryview(head), *views])
        return request

    def receive(
        self, peer: int | None, channel: int, tag: int, view: Any = None, kind: int = 0
    ) -> Request:
        """Start to receive into the view; without one, whatever comes."""
        request = Request(peer, channel, tag, kind, view)
        with self.changed:
            arrival = self._find_kept(peer, channel, tag)
            if arrival:
                self._pair(request, arrival)
            elif (channel, tag) in self._failures:
                request.end(self._failures[channel, tag])
            elif peer in self.gone:
                request.end(self.gone[peer])
            elif peer is None and len(self.gone) == self.size - 1:
                request.end("every other process has ended or left the group")
            else:
                self._wanted[peer, channel, tag].append(request)
        return request

    def wait(self, requests: Iterable[Request], deadline: float) -> None:
        """Until all are done. DistBackendError for one that failed, or at the deadline."""
        pending = list(requests)
        try:
            with self.changed:
                while True:
                    for request in pending:
                        if request.error is not None:
                            raise DistBackendError(request.error)
                    pending = [r for r in pending if not r.done]
                    if not pending:
                        return
                    left = deadline - time.monotonic()
                    if left <= 0:
                        late = sorted({r.peer for r in pending if r.peer is not None})
                        raise Late(f"no message from or to {_ranks(late)} in time", late)
                    self._move(left)
        finally:  # also when interrupted
            for request in pending:
                self.forget(request)

    def forget(self, request: Request) -> None:
        """Give up a request: its memory is not written to from here on."""
        with self.changed:
            waiting = self._wanted.get((request.peer, request.channel, request.tag))
            if waiting and request in waiting:
                waiting.remove(request)
            self._cut_off(request)
            request.end("given up")

    def fail(self, channel: int, tag: int, peers: Iterable[int], text: str) -> None:
        """Tell the peers that this process has given up a collective."""
        body = struct.pack("<Q", channel) + text.encode()
        for peer in peers:
            self.send(peer, FAILURE, tag, [body])

    def in_background(self, request: Request) -> None:
        """Move the bytes of a request although nobody waits for it."""
        with self.changed:
            if request.done:
                return
            if self._helper is None:
                self._helper = deque()
                threading.Thread(target=self._help, name="eagergrad-messages", daemon=True).start()
            self._helper.append(request)
            self.changed.notify_all()

    def close(self) -> None:
        """Leave: whatever waits fails."""
        raise NotImplementedError

    # -- moving bytes ------------------------------------------------------------------------------------------

    def _move(self, left: float) -> None:
        if self._moving:
            self.changed.wait(left)
            return
        self._moving = True
        try:
            self._progress(left)
        finally:
            self._moving = False
            self.changed.notify_all()

    def _help(self) -> None:
        with self.changed:
            while self._helper is not None:
                while self._helper and self._helper[0].done:
                    self._helper.popleft()
                if self._helper:
                    self._move(3600.0)
                else:
                    self.changed.wait()

    def _transmit(self, request: Request, parts: list[memoryview]) -> None:
        raise NotImplementedError

    def _cut_off(self, request: Request) -> None:
        """Let what already arrives for a request go elsewhere."""

    def _progress(self, timeout: float) -> None:
        """Wait for anything to happen, with the lock released, and handle it with the lock held."""
        raise NotImplementedError

    # -- what arrives meets what was asked for -----------------------------------------------------------------

    def _header(self, peer: int, channel: int, tag: int, kind: int, size: int) -> Arrival:
        """The beginning of a message: where its bytes go."""
        for source in (peer, None):
            waiting = self._wanted.get((source, channel, tag))
            if waiting:
                request = waiting.popleft()
                if not waiting:
                    del self._wanted[source, channel, tag]
                fits = self._fits(request, peer, kind, size)
                view = (
                    request.view
                    if fits and request.view is not None
                    else memoryview(bytearray(size))
                )
                return Arrival(peer, kind, view, request if fits else None)
        arrival = Arrival(peer, kind, memoryview(bytearray(size)), None)
        self._kept[peer, channel, tag].append(arrival)
        return arrival

    def _arrived(self, arrival: Arrival, channel: int, tag: int) -> None:
        """The end of a message."""
        arrival.whole = True
        if channel == FAILURE:
            self._kept.pop((arrival.peer, channel, tag), None)
            concerned = struct.unpack("<Q", arrival.view[:8])[0]
            if concerned == FAILURE:
                self._left(arrival.peer, gone(arrival.peer))
            else:
                self._failed(concerned, tag, str(arrival.view[8:], "utf-8"))
        elif arrival.request is not None:
            self._deliver(arrival.request, arrival)

    def _pair(self, request: Request, arrival: Arrival) -> None:
        if not self._fits(request, arrival.peer, arrival.kind, len(arrival.view)):
            return
        if arrival.whole:
            self._deliver(request, arrival)
        else:
            arrival.request = request

    def _deliver(self, request: Request, arrival: Arrival) -> None:
        if request.done:  # given up meanwhile
            return
        if request.view is None:
            request.view = arrival.view
        elif request.view is not arrival.view:
            request.view[:] = arrival.view
        request.kind, request.peer = arrival.kind, arrival.peer
        request.end()

    def _fits(self, request: Request, peer: int, kind: int, size: int) -> bool:
        if request.view is None or (request.kind, len(request.view)) == (kind, size):
            return True
        request.end(
            f"expected {len(request.view)} bytes of {self.kind_name(request.kind)} from rank {peer}, "
            f"came {size} bytes of {self.kind_name(kind)}"
        )
        return False

    def kind_name(self, kind: int) -> str:
        """What the number that goes with a message stands for."""
        return str(kind)

    def _find_kept(self, peer: int | None, channel: int, tag: int) -> Arrival | None:
        for source in range(self.size) if peer is None else (peer,):
            kept = self._kept.get((source, channel, tag))
            if kept:
                arrival = kept.popleft()
                if not kept:
                    del self._kept[source, channel, tag]
                return arrival
        return None

    # -- failures ----------------------------------------------------------------------------------------------

    def _failed(self, channel: int, tag: int, text: str) -> None:
        self._failures[channel, tag] = text
        self._end_wanted(lambda key: key[1:] == (channel, tag), text)

    def _left(self, peer: int, text: str) -> None:
        """A peer will send and take no more."""
        self.gone.setdefault(peer, text)
        self._end_wanted(lambda key: key[0] == peer, text)
        if len(self.gone) == self.size - 1:
            self._end_wanted(lambda key: key[0] is None, "every other process has left")

    def _end_wanted(self, concerned: Any, text: str) -> None:
        for key in [k for k in self._wanted if concerned(k)]:
            for request in self._wanted.pop(key):
                request.end(text)
