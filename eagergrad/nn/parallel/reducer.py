"""Averages of gradients over processes, in buckets, while backward goes on.

Note [Buckets]. Parameters are put into buckets in the order in which backward reaches them, which is about the reverse of
the module's. A bucket is exchanged when all its gradients are there, in the order of the buckets, which is the same on all
ranks; what is left at the end of backward, because parameters were not used, is exchanged then. A bucket's last elements
say which parameters were used: one that no rank used keeps its gradient as it is.
"""

from __future__ import annotations

import struct
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad.distributed import _group as _g
from eagergrad.distributed import distributed_c10d as dist

__all__ = ["GradBucket", "Reducer", "broadcast_coalesced"]


class GradBucket:
    """What a communication hook is given: the gradients of some parameters, one after the other."""

    def __init__(self, index: int, last: bool, buffer: Tensor, params: Sequence[Tensor]) -> None:
        self._index, self._last, self._buffer, self._params = index, last, buffer, params

    def index(self) -> int:
        """Return the bucket's number."""
        return self._index

    def is_last(self) -> bool:
        """Return whether it is the last of this backward."""
        return self._last

    def buffer(self) -> Tensor:
        """Return the gradients as one tensor."""
        return self._buffer

    def set_buffer(self, buffer: Tensor) -> None:
        """Put another tensor in its place."""
        self._buffer = buffer

    def parameters(self) -> list[Tensor]:
        """Return the parameters."""
        return list(self._params)

    def gradients(self) -> list[Tensor]:
        """Return the gradients as views of the buffer, in the parameters' shapes."""
        parts = self._buffer.split([p.numel() for p in self._params])
        return [g.view(p.shape) for g, p in zip(parts, self._params, strict=True)]


class _Dense:
    """Some parameters of one dtype and device, and the memory by which their gradients travel."""

    def __init__(self, numbers: list[int], reducer: Reducer) -> None:
        self.numbers, self.reducer = numbers, reducer
        self.params = [reducer.params[i] for i in numbers]
        like = self.params[0].detach()
        self.total = sum(p.numel() for p in self.params)
        whole = eg.zeros(self.total + len(numbers), dtype=like.dtype, device=like.device)
        self.whole, self.buffer, self.flags = whole, whole[: self.total], whole[self.total :]
        parts = self.buffer.split([p.numel() for p in self.params])
        self.views = [g.view(p.shape) for g, p in zip(parts, self.params, strict=True)]
        self.works: list[Any] = []
        self.future: Any = None

    def start(self, index: int, last: bool) -> None:
        r = self.reducer
        self.fill()
        self.flags.copy_(eg.tensor([float(r.used[i]) for i in self.numbers]))
        if r.hook is None:
            self.works = [dist_avg(self.whole, r.group)]
            return
        self.works = [dist_avg(self.flags, r.group)]
        bucket = GradBucket(index, last, self.buffer, self.params)
        self.future = r.hook(r.hook_state, bucket)

    def fill(self) -> None:
        for p, view in zip(self.params, self.views, strict=True):
            g = p.grad
            if g is None:
                view.zero_()
            elif g.data_ptr() != view.data_ptr():
                view.copy_(g.detach())

    def finish(self) -> None:
        for work in self.works:
            work.wait()
        if self.future is not None:
            result = self.future.wait()
            result = result[0] if isinstance(result, (list, tuple)) else result
            if result.data_ptr() != self.buffer.data_ptr():
                self.buffer.copy_(result)
        if self.reducer.scale != 1:
            self.buffer.mul_(self.reducer.scale)
        self.works, self.future = [], None
        for p, view, used in zip(self.params, self.views, self.flags.tolist(), strict=True):
            if used > 0:
                self._put(p, view)

    def _put(self, p: Tensor, view: Tensor) -> None:
        g = p.grad
        if self.reducer.keep_views:
            if g is None or g.data_ptr() != view.data_ptr():
                p.grad = view
        elif g is None:
            p.grad = view.clone()
        else:
            g.detach().copy_(view)


class _Rows:
    """A parameter whose gradients are row-sparse: the rows of all ranks are collected."""

    def __init__(self, number: int, reducer: Reducer) -> None:
        self.numbers, self.reducer = [number], reducer
        self.param = reducer.params[number]
        self.found: list[Any] = []
        self.work: Any = None

    def start(self, index: int, last: bool) -> None:
        r, p = self.reducer, self.param
        rows, values = self._parts()
        used = struct.pack("<q", r.used[self.numbers[0]])
        own = [used, _g.bytes_of(rows), _g.bytes_of(values.reshape(-1))]

        def work(c: Any) -> None:
            c.meet()
            members = [m for m in range(r.group.size()) if m != r.group.me]
            receipts = [c.receive(m) for m in members]
            c.wait([*receipts, *(c.send(m, *own) for m in members)])
            self.found = [x.view for x in receipts]
            self.found.insert(r.group.me, memoryview(b"".join(own)))

        c = _g.Collective(r.group, f"gradient rows of {_g.describe(p)}")
        self.work = r.group.start(lambda: c.run(work), [], True)

    def _parts(self) -> tuple[Tensor, Tensor]:
        g = self.param.grad
        if g is None:
            g = self.param.detach()[:0].cpu()
            return eg.empty(0, dtype=eg.int64, device="cpu"), g.contiguous()
        if g.is_sparse:
            return g._indices()[0].cpu().contiguous(), g._values().detach().cpu().contiguous()
        return eg.arange(g.shape[0], device="cpu"), g.detach().cpu().contiguous()

    def finish(self) -> None:
        self.work.wait()
        p = self.param
        row = p[0].numel() * p.element_size() if len(p) else 0
        rows, values, used = [], [], False
        for data in self.found:
            used = used or struct.unpack("<q", data[:8])[0] > 0
            n = (len(data) - 8) // (8 + row)
            rows.append(_g.from_bytes(bytearray(data[8 : 8 + 8 * n]), eg.int64))
            part = _g.from_bytes(bytearray(data[8 + 8 * n :]), p.dtype)
            values.append(part.reshape(n, *p.shape[1:]))
        self.found = []
        if used:
            scale = self.reducer.scale / self.reducer.group.size()
            joined = eg.cat(values).mul_(scale).to(p.device)
            p.grad = eg.sparse.RowSparse(eg.cat(rows).to(p.device), joined, p.shape)


class Reducer:
    """The exchange of the gradients of some parameters."""

    def __init__(
        self,
        named: Sequence[tuple[str, Tensor]],
        sparse: set[int],
        group: Any,
        first_cap: float,
        cap: float,
        keep_views: bool,
    ) -> None:
        self.names, self.params = [n for n, _ in named], [p for _, p in named]
        self.group = group.beside("gradients")
        weakref.finalize(self, self.group.close)
        self.keep_views = keep_views
        self.hook: Callable | None = None
        self.hook_state: Any = None
        self.enabled = True
        self.scale = 1.0
        self.used = [False] * len(named)
        self.buckets: list[Any] = self._bucket(sparse, first_cap, cap)
        self.bucket_of = {i: b for b, bucket in enumerate(self.buckets) for i in bucket.numbers}
        self._reset()
        for i, p in enumerate(self.params):
            p.register_post_accumulate_grad_hook(partial(_gradient, weakref.ref(self), i))

    def _bucket(self, sparse: set[int], first_cap: float, cap: float) -> list[Any]:
        buckets: list[Any] = []
        open_lists: dict[Any, list[int]] = {}
        sizes: dict[Any, int] = {}
        limit = first_cap
        for i in reversed(range(len(self.params))):
            p = self.params[i]
            if i in sparse:
                buckets.append(_Rows(i, self))
                continue
            key = (p.dtype, p.device)
            open_lists.setdefault(key, []).append(i)
            sizes[key] = sizes.get(key, 0) + p.numel() * p.element_size()
            if sizes[key] >= limit:
                buckets.append(_Dense(open_lists.pop(key), self))
                sizes.pop(key)
                limit = cap
        return buckets + [_Dense(numbers, self) for numbers in open_lists.values()]

    def _reset(self) -> None:
        self._begun = False
        self._next = 0
        self._missing = [set(b.numbers) for b in self.buckets]

    def prepare(self, enabled: bool) -> None:
        """Before a forward: whether its backward exchanges; what an interrupted one began is forgotten."""
        self.enabled = enabled
        if eg._C.graph_task_id() < 0:
            self._reset()

    def gradient(self, i: int) -> None:
        """Parameter i has its gradient."""
        self.used[i] = True
        if not self.enabled:
            return
        if not self._begun:
            self._reset()
            self._begun = True
            eg._C.queue_callback(partial(_finish, weakref.ref(self)))
        bucket = self.bucket_of[i]
        if bucket < self._next:
            raise RuntimeError(
                f"[DistributedDataParallel] parameter {self.names[i]!r} got a gradient after its exchange had begun: "
                "a backward within this backward reached it again. Use checkpoint(..., use_reentrant=False)"
            )
        self._missing[bucket].discard(i)
        while self._next < len(self.buckets) and not self._missing[self._next]:
            self._start_next()

    def _start_next(self) -> None:
        with eg.no_grad():
            self.buckets[self._next].start(self._next, self._next == len(self.buckets) - 1)
        self._next += 1

    def finish(self) -> None:
        """At the end of backward: exchange what is left, and take all averages."""
        with eg.no_grad():
            while self._next < len(self.buckets):
                self._start_next()
            for bucket in self.buckets:
                bucket.finish()
        self.used = [False] * len(self.params)
        self._reset()

    def shadow(self) -> None:
        """Take part in the others' exchange with zeros; their averages are left in the gradients."""
        before = [p.grad for p in self.params]
        for p in self.params:
            p.grad = None
        self.used = [False] * len(self.params)
        self._reset()
        self.finish()
        for p, g in zip(self.params, before, strict=True):
            if p.grad is None:
                p.grad = g


def _gradient(reducer: Any, number: int, param: Tensor) -> None:
    alive = reducer()
    if alive is not None:
        alive.gradient(number)


def _finish(reducer: Any) -> None:
    alive = reducer()
    if alive is not None:
        alive.finish()


def dist_avg(tensor: Tensor, group: Any) -> Any:
    return dist.all_reduce(tensor, dist.ReduceOp.AVG, group, async_op=True)


def broadcast_coalesced(tensors: Sequence[Tensor], group: Any, root: int) -> None:
    """Copy tensors from the group's member `root` to all, as one message for each dtype."""
    by_dtype: dict[Any, list[Tensor]] = {}
    for t in tensors:
        by_dtype.setdefault((t.dtype, t.device), []).append(t.detach())
    with eg.no_grad():
        for some in by_dtype.values():
            flat = eg.cat([t.reshape(-1) for t in some])
            dist.broadcast(flat, group=group, group_src=root)
            if group.rank() != root:
                for t, part in zip(some, flat.split([t.numel() for t in some]), strict=True):
                    t.copy_(part.view(t.shape))
