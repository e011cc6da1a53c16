"""Messages from one process to another, and collectives of objects."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import eagergrad as eg
from eagergrad import Tensor

from . import _group as _g
from ._group import Collective, Host, ProcessGroup, Work
from ._mailbox import DistBackendError
from ._tensors import check_length, check_tensor, root_of
from ._world import member

__all__ = [
    *("P2POp", "all_gather_object", "batch_isend_irecv", "broadcast_object_list", "gather_object"),
    *("irecv", "isend", "recv", "recv_object_list", "scatter_object_list", "send"),
    "send_object_list",
]


# ---- one to one --------------------------------------------------------------------------------------------


class _Transfer(Work):
    """A message on its way."""

    def __init__(self, pg: ProcessGroup, host: Host, request: Any, receives: bool) -> None:
        super().__init__([host.tensor])
        self._pg, self._host, self._request, self._receives = pg, host, request, receives

    def go_on(self) -> _Transfer:
        """Let it travel also while nobody waits for it."""
        self._pg.mailbox.in_background(self._request)
        return self

    def wait(self, timeout: timedelta | None = None) -> bool:
        if not self._ended.is_set():
            seconds = self._pg.seconds if timeout is None else timeout.total_seconds()
            self._run(lambda: self._complete(seconds))
        return super().wait(timeout)

    synchronize = wait

    def _complete(self, seconds: float) -> None:
        verb = "recv" if self._receives else "send"
        try:
            self._pg.mailbox.wait([self._request], _g.time.monotonic() + seconds)
        except DistBackendError as e:
            raise DistBackendError(f"[{verb}] {e}") from None
        if self._receives:
            self._host.put()
            self._source = self._request.peer

    def is_completed(self) -> bool:
        return self._request.done


def _transfer(
    tensor: Tensor, rank: Any, number: Any, pg: ProcessGroup, tag: int, receives: bool
) -> _Transfer:
    verb, what = ("irecv", "source") if receives else ("isend", "destination")
    peer = None
    if not receives or rank is not None or number is not None:
        peer = pg.ranks[root_of(verb, pg, rank, number)]
    if peer == pg.mailbox.rank:
        raise ValueError(
            f"Invalid {what} rank: {what} rank should not be the same as the rank of the current process."
        )
    host = Host(tensor)
    kind = _g.kind_of(tensor.dtype)
    if receives:
        request = pg.mailbox.receive(peer, pg.channel | 1, tag, host.view, kind)
    else:
        request = pg.mailbox.send(peer, pg.channel | 1, tag, [host.view], kind)
    return _Transfer(pg, host, request, receives)


def isend(
    tensor: Tensor,
    dst: int | None = None,
    group: Any = None,
    tag: int = 0,
    group_dst: int | None = None,
) -> Work | None:
    """Start to send a tensor, which must stay unchanged until the handle's ``wait`` returns."""
    check_tensor(tensor, "tensor")
    pg = member(group, "isend")
    return None if pg is None else _transfer(tensor, dst, group_dst, pg, tag, False).go_on()


def irecv(
    tensor: Tensor,
    src: int | None = None,
    group: Any = None,
    tag: int = 0,
    group_src: int | None = None,
) -> Work | None:
    """Start to receive into a tensor, of any process without ``src``; it is there when ``wait`` returns."""
    check_tensor(tensor, "tensor")
    pg = member(group, "irecv")
    return None if pg is None else _transfer(tensor, src, group_src, pg, tag, True).go_on()


def send(
    tensor: Tensor,
    dst: int | None = None,
    group: Any = None,
    tag: int = 0,
    group_dst: int | None = None,
) -> None:
    """Send a tensor; returns when it may be changed again."""
    check_tensor(tensor, "tensor")
    pg = member(group, "send")
    if pg is not None:
        _transfer(tensor, dst, group_dst, pg, tag, False).wait()


def recv(
    tensor: Tensor,
    src: int | None = None,
    group: Any = None,
    tag: int = 0,
    group_src: int | None = None,
) -> int:
    """Receive a tensor, of any process without ``src``; return the rank that it came from.

    Raises:
        RuntimeError: what came has another dtype or number of elements, or nothing came in time.
    """
    check_tensor(tensor, "tensor")
    pg = member(group, "recv")
    if pg is None:
        return -1
    handle = _transfer(tensor, src, group_src, pg, tag, True)
    handle.wait()
    return handle.source_rank()


class P2POp:
    """One `isend` or `irecv` of `batch_isend_irecv`."""

    def __init__(
        self,
        op: Callable,
        tensor: Tensor,
        peer: int | None = None,
        group: Any = None,
        tag: int = 0,
        group_peer: int | None = None,
    ) -> None:
        if op not in (isend, irecv):
            raise ValueError(
                "Invalid ``op``. Expected ``op`` to be of type ``isend`` or ``irecv``."
            )
        check_tensor(tensor, "tensor")
        self.op, self.tensor, self.group, self.tag = op, tensor, group, tag
        self.peer, self.group_peer = peer, group_peer


def batch_isend_irecv(p2p_op_list: list[P2POp]) -> list[Work]:
    """Start all of them and return their handles."""
    if not p2p_op_list or not all(isinstance(p, P2POp) for p in p2p_op_list):
        raise ValueError("Invalid ``p2p_op_list``. Each op is expected to be of type ``P2POp``.")
    started = (p.op(p.tensor, p.peer, p.group, p.tag, p.group_peer) for p in p2p_op_list)
    return [handle for handle in started if handle is not None]


# ---- objects, by pickle: between processes that trust each other -------------------------------------------


def _exchange_objects(
    what: str, pg: ProcessGroup, give: Callable[[int], Any], senders: Any
) -> list:
    """Send ``give(i)``, bytes or None, to each member i; return what came from each of the senders."""

    def work(c: Collective) -> list:
        c.meet()
        members = [m for m in range(pg.size()) if m != pg.me]
        receipts = {m: c.receive(m) for m in members if m in senders}
        sent = [c.send(m, give(m)) for m in members if give(m) is not None]
        c.wait([*receipts.values(), *sent])
        return [give(pg.me) if m == pg.me else receipts[m].view for m in senders]

    pg.start(lambda: None, [], False)  # after what is under way
    return [pickle.loads(data) for data in Collective(pg, what).run(work)]


def all_gather_object(object_list: list, obj: Any, group: Any = None) -> None:
    """Collect every process's object, which is pickled, in ``object_list``."""
    pg = member(group, "all_gather_object")
    if pg is None:
        return
    check_length("all_gather_object", object_list, pg)
    data = pickle.dumps(obj)
    object_list[:] = _exchange_objects("all_gather_object", pg, lambda m: data, range(pg.size()))


def gather_object(
    obj: Any,
    object_gather_list: list | None = None,
    dst: int | None = None,
    group: Any = None,
    group_dst: int | None = None,
) -> None:
    """Collect every process's object, which is pickled, at ``dst``."""
    pg = member(group, "gather_object")
    if pg is None:
        return
    to = root_of("gather_object", pg, dst, group_dst, 0)
    if pg.me == to and not object_gather_list:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    if pg.me != to and object_gather_list:
        raise ValueError("Argument ``gather_list`` must NOT be specified on non-destination ranks.")
    if object_gather_list:
        check_length("gather_object", object_gather_list, pg)
    data = pickle.dumps(obj)
    what = f"gather_object at rank {pg.ranks[to]}"
    senders = range(pg.size()) if pg.me == to else ()
    found = _exchange_objects(what, pg, lambda m: data if m == to else None, senders)
    if object_gather_list:
        object_gather_list[:] = found


def broadcast_object_list(
    object_list: list,
    src: int | None = None,
    group: Any = None,
    device: Any = None,
    group_src: int | None = None,
) -> None:
    """Copy objects, which are pickled, from ``src`` to all."""
    pg = member(group, "broadcast_object_list")
    if pg is None:
        return
    root = root_of("broadcast_object_list", pg, src, group_src, 0)
    data = pickle.dumps(list(object_list)) if pg.me == root else None
    what = f"broadcast_object_list from rank {pg.ranks[root]} of {len(object_list)} objects"
    (found,) = _exchange_objects(what, pg, lambda m: data, (root,))
    if pg.me != root:
        object_list[:] = found


def scatter_object_list(
    scatter_object_output_list: list,
    scatter_object_input_list: list | None = None,
    src: int | None = None,
    group: Any = None,
    group_src: int | None = None,
) -> None:
    """Hand out the objects of ``src``, which are pickled: one to each process, in its list's first place."""
    pg = member(group, "scatter_object_list")
    if pg is None:
        return
    if not isinstance(scatter_object_output_list, list) or not scatter_object_output_list:
        raise ValueError(
            "Expected argument scatter_object_output_list to be a list of size at least 1."
        )
    root = root_of("scatter_object_list", pg, src, group_src, 0)
    data: list | None = None
    if pg.me == root:
        check_length("scatter_object_list", scatter_object_input_list or [], pg)
        data = [pickle.dumps(x) for x in scatter_object_input_list or []]
    what = f"scatter_object_list from rank {pg.ranks[root]}"
    (found,) = _exchange_objects(what, pg, lambda m: data[m] if data else None, (root,))
    scatter_object_output_list[0] = found


def send_object_list(
    object_list: list,
    dst: int | None = None,
    group: Any = None,
    device: Any = None,
    group_dst: int | None = None,
    use_batch: bool = False,
) -> None:
    """Send objects, which are pickled, to ``dst``."""
    data = [pickle.dumps(x) for x in object_list]
    send(eg.tensor([len(x) for x in data], dtype=eg.int64, device="cpu"), dst, group, 0, group_dst)
    send(_g.from_bytes(bytearray(b"".join(data)), eg.uint8), dst, group, 0, group_dst)


def recv_object_list(
    object_list: list,
    src: int | None = None,
    group: Any = None,
    device: Any = None,
    group_src: int | None = None,
    use_batch: bool = False,
) -> int:
    """Receive as many objects as the list has places; return the rank that they came from."""
    sizes = eg.zeros(len(object_list), dtype=eg.int64, device="cpu")
    source = recv(sizes, src, group, 0, group_src)
    if source < 0:
        return source
    data = eg.empty(int(sizes.sum()), dtype=eg.uint8, device="cpu")
    recv(data, source, group)
    view, at = bytes(_g.bytes_of(data)), 0
    for i, size in enumerate(sizes.tolist()):
        object_list[i] = pickle.loads(view[at : at + size])
        at += size
    return source
