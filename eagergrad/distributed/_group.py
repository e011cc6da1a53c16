"""Groups of processes, and how a collective runs in one.

Note [Meeting]. Each collective begins with a meeting at the group's first member: all others tell it what they call, with
which shapes and dtypes, and go on when it has heard the same from all. A disagreement is thus an error on every rank, of
one text, and the group works on. Small reductions are done at the meeting; larger ones, and whatever else has to travel,
go directly between the processes that need it, in pieces, so that each sends about as much as it receives. Reductions
add in the order of the ranks: results are the same bits on all ranks and in every run.
"""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import eagergrad as eg
from eagergrad import Tensor

from ._mailbox import DistBackendError, Late, Mailbox, Request

__all__ = ["Collective", "ProcessGroup", "Work"]

_AT_MEETING = 16384  # bytes up to which a tensor is reduced at the meeting
_DTYPES = [
    *(eg.float32, eg.float64, eg.float16, eg.bfloat16, eg.int64, eg.int32, eg.int16, eg.int8),
    *(eg.uint8, eg.bool),
]


def kind_of(dtype: Any) -> int:
    """The number that stands for a dtype in messages."""
    return _DTYPES.index(dtype)


def name_of_kind(kind: int) -> str:
    return str(_DTYPES[kind]).removeprefix("eagergrad.") if kind < len(_DTYPES) else "something"


def describe(t: Tensor) -> str:
    return f"{name_of_kind(kind_of(t.dtype))} {tuple(t.shape)}"


class Work:
    """The handle of something started with ``async_op=True``, `isend` or `irecv`."""

    def __init__(self, results: Sequence[Tensor] = ()) -> None:
        self._results = list(results)
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._source = -1

    def _end(self, error: BaseException | None = None) -> None:
        self._error = error
        self._ended.set()

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as e:
            self._end(e)
        else:
            self._end()

    def wait(self, timeout: timedelta | None = None) -> bool:
        """Wait until it is done, or raise what made it fail; RuntimeError at the timeout."""
        if not self._ended.wait(timeout.total_seconds() if timeout else None):
            raise RuntimeError("[Work] timed out; it may still be under way")
        if self._error is not None:
            raise self._error
        return True

    synchronize = wait

    def is_completed(self) -> bool:
        """Return whether it is done or failed."""
        return self._ended.is_set()

    def is_success(self) -> bool:
        """Return whether it is done and did not fail."""
        return self._ended.is_set() and self._error is None

    def exception(self) -> BaseException | None:
        """Return what made it fail."""
        return self._error

    def result(self) -> list[Tensor]:
        """Return the tensors that it wrote."""
        self.wait()
        return self._results

    def source_rank(self) -> int:
        """Return the rank that a received message came from."""
        return self._source

    def get_future(self) -> Any:
        """Return a future of `result`."""
        from eagergrad.futures import Future

        future: Any = Future()
        threading.Thread(target=future._set_from, args=(self.result,), daemon=True).start()
        return future


class ProcessGroup:
    """Some processes, in an order: number i of them is rank ``ranks[i]`` of the world."""

    def __init__(
        self, mailbox: Mailbox, ranks: Sequence[int], name: str, seconds: float, backend: str
    ) -> None:
        self.mailbox, self.ranks, self.backend = mailbox, tuple(ranks), backend
        self.me = self.ranks.index(mailbox.rank)
        self.seconds = seconds
        self.group_name = self.group_desc = name
        digest = hashlib.blake2b(f"{self.ranks} {name}".encode(), digest_size=8).digest()
        self.channel = (
            int.from_bytes(digest, "little") & ~1 | 2
        )  # the odd one after it: send and recv
        self._calls = self._beside = 0
        self.closed = False
        self._turn = threading.Lock()
        self._jobs: queue.SimpleQueue | None = None
        self._last: Work | None = None

    def rank(self) -> int:
        """Return this process's number in the group."""
        return self.me

    def size(self) -> int:
        """Return the number of processes."""
        return len(self.ranks)

    def name(self) -> str:
        """Return the backend's name."""
        return self.backend

    def __repr__(self) -> str:
        return f"<ProcessGroup of ranks {list(self.ranks)}, here {self.me}, by {self.backend}>"

    @property
    def others(self) -> list[int]:
        return [r for r in self.ranks if r != self.mailbox.rank]

    def start(
        self, work: Callable[[], Any], results: Sequence[Tensor], async_op: bool
    ) -> Work | None:
        """Do the work now, or in the group's thread after what was given to it before."""
        if not async_op:
            if self._last is not None:
                self._last._ended.wait()
                self._last = None
            work()
            return None
        handle = self._last = Work(results)
        if self._jobs is None:
            self._jobs = queue.SimpleQueue()
            threading.Thread(target=self._work, args=(self._jobs,), daemon=True).start()
        self._jobs.put((handle, work))
        return handle

    @staticmethod
    def _work(jobs: queue.SimpleQueue) -> None:
        while (job := jobs.get()) is not None:
            handle, work = job
            handle._run(work)
            del job, handle, work

    def beside(self, purpose: str) -> ProcessGroup:
        """A group of the same members whose collectives do not mix with this one's; all members make it alike."""
        self._beside += 1
        name = f"{self.group_name} {purpose} {self._beside}"
        return ProcessGroup(self.mailbox, self.ranks, name, self.seconds, self.backend)

    def close(self) -> None:
        """End the group's thread when its work is done."""
        self.closed = True
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None

    def next_call(self) -> int:
        with self._turn:
            self._calls += 1
            return self._calls


class Collective:
    """One collective of a group: `what` must be the same on all ranks; its number is the tag of its messages.

    Made by the thread of the program, in the order of its calls; the methods may run in another.
    """

    def __init__(self, group: ProcessGroup, what: str, seconds: float | None = None) -> None:
        self.group, self.what = group, what
        self.op = what.split()[0]
        self.tag = group.next_call()
        self.seconds = group.seconds if seconds is None else seconds

    def run(self, work: Callable[[Collective], Any]) -> Any:
        """`work(self)`; when it fails the others are told."""
        self.end = time.monotonic() + self.seconds
        try:
            return work(self)
        except Told as e:
            raise DistBackendError(str(e)) from None
        except BaseException as e:
            text = str(e) if isinstance(e, DistBackendError) else f"{type(e).__name__}: {e}"
            if not text.startswith("["):
                text = f"[{self.op}] on rank {self.group.mailbox.rank}: {text}"
            self.group.mailbox.fail(self.group.channel, self.tag, self.group.others, text)
            if isinstance(e, DistBackendError):
                raise DistBackendError(text) from None
            raise

    # -- messages, to and from members by their number in the group --------------------------------------------

    def send(self, member: int, *parts: Any, kind: int = 0) -> Request:
        group = self.group
        return group.mailbox.send(group.ranks[member], group.channel, self.tag, parts, kind)

    def receive(self, member: int, view: Any = None) -> Request:
        group = self.group
        return group.mailbox.receive(group.ranks[member], group.channel, self.tag, view)

    def wait(self, requests: Sequence[Request], slack: float = 0.0) -> None:
        self.group.mailbox.wait(requests, self.end + slack)

    # -- the meeting -------------------------------------------------------------------------------------------

    def meet(
        self, payload: Any = b"", answer: Callable[[list[Any]], Any] | None = None
    ) -> memoryview | None:
        """Wait for all; return what ``answer(all payloads)`` at the first member gives, or nothing."""
        if len(self.group.ranks) == 1:
            return answer([payload]) if answer else None
        note = self.what.encode()
        note = note.ljust(-(-len(note) // 64) * 64)  # the payload after it stays aligned
        if self.group.me == 0:
            return self._host(note, payload, answer)
        verdict = self.receive(0)
        # The first member's verdict, when somebody is late, says who.
        self.wait([self.send(0, note, payload, kind=len(note)), verdict], 5.0)
        if verdict.kind:
            raise Told(str(verdict.view, "utf-8"))
        return verdict.view

    def _host(self, note: bytes, payload: Any, answer: Any) -> Any:
        members = range(1, len(self.group.ranks))
        calls = [self.receive(m) for m in members]
        try:
            self._hear(calls)
            notes = [note, *(bytes(c.view[: c.kind]) for c in calls)]
            if any(n != note for n in notes):
                raise DistBackendError(self._disagreement(notes))
            result = answer([payload, *(c.view[c.kind :] for c in calls)]) if answer else b""
        except DistBackendError as e:
            text = str(e) if str(e).startswith("[") else f"[{self.op}] {e}"
            refusals = [self.send(m, text.encode(), kind=1) for m in members]
            for request in refusals:
                self.group.mailbox.in_background(request)
            raise Told(text) from None
        self.wait([self.send(m, result, kind=0) for m in members])
        return result

    def _hear(self, calls: list[Request]) -> None:
        try:
            self.wait(calls)
        except Late as e:
            raise DistBackendError(
                f"timed out after {self.seconds * 1000:.0f}ms: rank(s) {e.ranks} did not call {self.what}"
            ) from None

    def _disagreement(self, notes: list[bytes]) -> str:
        who: dict[bytes, list[int]] = {}
        for rank, n in zip(self.group.ranks, notes, strict=True):
            who.setdefault(n, []).append(rank)
        calls = "; ".join(
            f"rank(s) {ranks} called {n.decode().rstrip()}" for n, ranks in who.items()
        )
        return f"[{self.op}] expected the same call on all ranks, came: {calls}"

    # -- tensors -----------------------------------------------------------------------------------------------

    def exchange(self, outgoing: Sequence[Any], incoming: Sequence[Any]) -> None:
        """Send one buffer to each member and fill one from each; None: nothing. One's own is not touched."""
        me = self.group.me
        receipts = [
            self.receive(m, view) for m, view in enumerate(incoming) if m != me and view is not None
        ]
        sent = [
            self.send(m, view) for m, view in enumerate(outgoing) if m != me and view is not None
        ]
        self.wait([*receipts, *sent])

    def reduce_chunks(self, chunks: Sequence[Tensor], op: str) -> Tensor:
        """Reduce over all the chunk with this member's number, in place: every member sends each other its part."""
        me, size = self.group.me, len(self.group.ranks)
        mine = chunks[me]
        parts = [None if m == me else eg.empty_like(mine) for m in range(size)]
        receipts = [self.receive(m, bytes_of(p)) for m, p in enumerate(parts) if p is not None]
        sent = [self.send(m, bytes_of(chunks[m])) for m in range(size) if m != me]
        total = parts[0]
        for part in parts:  # reduce each while the next arrives
            if part is None:
                if total is not None:
                    combine(mine, total, op)
                total = mine
            else:
                self.wait([receipts.pop(0)])
                if part is not total:
                    combine(total, part, op)
        self.wait(sent)
        return average(mine, size) if op == "AVG" else mine

    def all_reduce(self, flat: Tensor, op: str) -> None:
        """Reduce a contiguous tensor of one dimension in place."""
        chunks = self._reduce(flat, op)
        if chunks is not None:
            views = [bytes_of(c) for c in chunks]
            self.exchange([views[self.group.me]] * len(chunks), views)

    def reduce(self, flat: Tensor, op: str, to: int) -> None:
        """`all_reduce` of which one member gets all; the others' memory is spoiled."""
        chunks = self._reduce(flat, op)
        if chunks is not None:
            views: list[Any] = [bytes_of(c) for c in chunks]
            here, none = self.group.me == to, [None] * len(views)
            mine = [views[self.group.me] if m == to else None for m in range(len(views))]
            self.exchange(none if here else mine, views if here else none)

    def _reduce(self, flat: Tensor, op: str) -> list[Tensor] | None:
        """Reduce this member's chunk of those that are returned; or, at the meeting, everything."""
        if flat.numel() * flat.element_size() <= _AT_MEETING:
            result = self.meet(bytes_of(flat), lambda all: self._reduce_here(all, flat.dtype, op))
            flat.copy_(from_bytes(result, flat.dtype))
            return None
        self.meet()
        if len(self.group.ranks) == 1:
            return None
        chunks = split(flat, len(self.group.ranks))
        self.reduce_chunks(chunks, op)
        return chunks

    @staticmethod
    def _reduce_here(payloads: list[Any], dtype: Any, op: str) -> memoryview:
        total = from_bytes(payloads[0], dtype).clone()
        for part in payloads[1:]:
            combine(total, from_bytes(part, dtype), op)
        return bytes_of(average(total, len(payloads)) if op == "AVG" else total)

    def broadcast(self, flat: Tensor, root: int) -> None:
        """Copy a contiguous tensor of one dimension from the root to all."""
        self.meet()
        size, me = len(self.group.ranks), self.group.me
        if size == 1:
            return
        if size == 2 or flat.numel() * flat.element_size() <= _AT_MEETING:
            view = bytes_of(flat)
            none = [None] * size
            if me == root:
                self.exchange([view] * size, none)
            else:
                self.exchange(none, [view if m == root else None for m in range(size)])
            return
        # Every member gets a piece and passes it on, so that the root sends little more than the others.
        views = [bytes_of(c) for c in split(flat, size)]
        if me == root:
            self.exchange(views, [None] * size)
            self.exchange([views[me]] * size, [None] * size)
            return
        self.exchange([None] * size, [views[me] if m == root else None for m in range(size)])
        outgoing = [None if m == root else views[me] for m in range(size)]
        self.exchange(outgoing, views)


class Told(Exception):
    """An error that all members know of."""


# ---- tensors as bytes -------------------------------------------------------------------------------------


class Host:
    """A tensor as contiguous memory of the host, `flat`; `put` brings it back where that is another's."""

    __slots__ = ("flat", "own", "tensor")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()
        self.own = self.tensor.device.type == "cpu" and self.tensor.is_contiguous()
        host = self.tensor if self.own else self.tensor.to("cpu").contiguous()
        self.flat = host.reshape(-1)

    @property
    def view(self) -> memoryview:
        return bytes_of(self.flat)

    def put(self) -> None:
        if not self.own:
            self.tensor.copy_(self.flat.reshape(self.tensor.shape))
        elif self.flat.numel():
            eg._C.mark_written(self.tensor)


def bytes_of(flat: Tensor) -> memoryview:
    """The memory of a contiguous tensor of one dimension."""
    return memoryview(flat.view(eg.uint8)) if flat.numel() else memoryview(bytearray())


def from_bytes(data: Any, dtype: Any) -> Tensor:
    """A tensor of one dimension over these bytes."""
    if not len(data):
        return eg.empty(0, dtype=dtype, device="cpu")
    return eg.frombuffer(data, dtype=eg.uint8).view(dtype)


def split(flat: Tensor, count: int) -> list[Tensor]:
    """`count` views of about one length."""
    n = flat.numel()
    return [flat[i * n // count : (i + 1) * n // count] for i in range(count)]


def combine(total: Tensor, part: Tensor, op: str) -> None:
    """``total = total (op) part``."""
    if op in ("SUM", "AVG"):
        total.add_(part)
    elif op == "PRODUCT":
        total.mul_(part)
    elif op in ("MIN", "MAX"):
        (eg.minimum if op == "MIN" else eg.maximum)(total, part, out=total)
    elif op == "BAND":
        total.bitwise_and_(part)
    elif op == "BOR":
        total.bitwise_or_(part)
    else:
        total.bitwise_xor_(part)


def average(total: Tensor, size: int) -> Tensor:
    if total.is_floating_point():
        return total.div_(size)
    return total.div_(size, rounding_mode="trunc")
