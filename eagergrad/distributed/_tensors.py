"""Collectives of tensors."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import eagergrad as eg
from eagergrad import Tensor

from . import _group as _g
from ._group import Collective, Host, ProcessGroup, Work
from ._mailbox import DistBackendError
from ._world import GroupMember, ReduceOp, get_group_rank, member

__all__ = [
    *("all_gather", "all_gather_coalesced", "all_gather_into_tensor", "all_gather_single"),
    *("all_reduce", "all_reduce_coalesced", "all_to_all", "all_to_all_single", "barrier"),
    *("broadcast", "gather", "monitored_barrier", "reduce", "reduce_scatter"),
    *("reduce_scatter_single", "reduce_scatter_tensor", "scatter"),
]


# ---- what the collectives check ----------------------------------------------------------------------------


def check_tensor(x: Any, name: str) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type Tensor but got {type(x)} instead."
        )
    if x.layout != eg.strided:
        raise ValueError(f"[{name}] expected a dense tensor, got one of layout {x.layout}")


def _check_list(x: Any, name: str) -> None:
    if not isinstance(x, (list, tuple)) or not all(isinstance(t, Tensor) for t in x):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type List[Tensor] but got "
            f"{type(x)} instead."
        )


def _check_same(what: str, tensors: Sequence[Tensor], like: Tensor, shapes: bool = True) -> None:
    """Tensors that must have one dtype and one shape."""
    for i, t in enumerate(tensors):
        check_tensor(t, "tensor")
        if t.dtype != like.dtype:
            raise ValueError(
                f"[{what}] Invalid usage of tensors with different dtypes: found {t.dtype} and {like.dtype}"
            )
        if shapes and t.shape != like.shape:
            raise RuntimeError(
                f"[{what}] invalid tensor size at index {i} (expected {tuple(like.shape)}, got "
                f"{tuple(t.shape)})"
            )


def check_length(what: str, items: Sequence[Any], pg: ProcessGroup) -> None:
    if len(items) != pg.size():
        raise RuntimeError(
            f"[{what}] expected a list of {pg.size()}, one for each process, got {len(items)}"
        )


def _check_op(what: str, op: Any, dtype: Any) -> str:
    if not isinstance(op, ReduceOp):
        raise TypeError(f"[{what}] expected a ReduceOp, got {op!r}")
    if op.name in ("BAND", "BOR", "BXOR") and dtype.is_floating_point:
        raise RuntimeError(f"Cannot use ReduceOp.{op.name} with non-integral dtype")
    if op.name == "AVG" and dtype == eg.bool:
        raise RuntimeError("Cannot use ReduceOp.AVG with bool")
    return op.name


def root_of(what: str, pg: ProcessGroup, rank: Any, number: Any, default: int | None = None) -> int:
    """The group's member meant by a rank of the world, or by its number in the group."""
    if rank is not None and number is not None:
        raise ValueError(f"[{what}] Can't specify both a global rank and a group rank")
    if rank is None and number is None:
        if default is None:
            raise ValueError(f"[{what}] Must specify a rank: the global one or the group's")
        number = default
    if number is None:
        if pg is GroupMember.WORLD and rank not in pg.ranks:
            raise RuntimeError(f"[{what}] invalid root rank: {rank}")
        number = get_group_rank(pg, rank)
    if not 0 <= number < pg.size():
        raise RuntimeError(f"[{what}] invalid root rank: {number}")
    return number


def _run(
    pg: ProcessGroup,
    what: str,
    work: Callable[[Collective], Any],
    results: Sequence[Tensor],
    async_op: bool,
    timeout: timedelta | None = None,
) -> Work | None:
    collective = Collective(pg, what, timeout.total_seconds() if timeout else None)
    return pg.start(lambda: collective.run(work), results, async_op)


# ---- reductions --------------------------------------------------------------------------------------------


def all_reduce(
    tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Combine a tensor over all processes, in place, to the same bits everywhere.

    Raises:
        RuntimeError: shapes, dtypes or ops differ between processes, or one does not come.
    """
    check_tensor(tensor, "tensor")
    pg = member(group, "all_reduce")
    if pg is None:
        return None
    name = _check_op("all_reduce", op, tensor.dtype)

    def work(c: Collective) -> None:
        host = Host(tensor)
        c.all_reduce(host.flat, name)
        host.put()

    return _run(pg, f"all_reduce ({name}) of {_g.describe(tensor)}", work, [tensor], async_op)


def all_reduce_coalesced(
    tensors: Any, op: ReduceOp = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """`all_reduce` of several tensors of one dtype as one message."""
    tensors = [tensors] if isinstance(tensors, Tensor) else tensors
    _check_list(tensors, "tensors")
    pg = member(group, "all_reduce_coalesced")
    if pg is None or not tensors:
        return None
    _check_same("all_reduce_coalesced", tensors, tensors[0], shapes=False)
    name = _check_op("all_reduce_coalesced", op, tensors[0].dtype)

    def work(c: Collective) -> None:
        hosts = [Host(t) for t in tensors]
        flat = eg.cat([h.flat for h in hosts])
        c.all_reduce(flat, name)
        for h, part in zip(hosts, flat.split([h.flat.numel() for h in hosts]), strict=True):
            h.flat.copy_(part)
            h.put()

    shapes = ", ".join(_g.describe(t) for t in tensors)
    return _run(pg, f"all_reduce_coalesced ({name}) of {shapes}", work, tensors, async_op)


def reduce(
    tensor: Tensor,
    dst: int | None = None,
    op: ReduceOp = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """Combine a tensor over all processes at ``dst``, in place; elsewhere it stays as it is."""
    check_tensor(tensor, "tensor")
    pg = member(group, "reduce")
    if pg is None:
        return None
    to = root_of("reduce", pg, dst, group_dst)
    name = _check_op("reduce", op, tensor.dtype)

    def work(c: Collective) -> None:
        host = Host(tensor)
        c.reduce(host.flat if pg.me == to else host.flat.clone(), name, to)
        if pg.me == to:
            host.put()

    what = f"reduce ({name}) to rank {pg.ranks[to]} of {_g.describe(tensor)}"
    return _run(pg, what, work, [tensor], async_op)


def _reduce_scatter(
    what: str, output: Tensor, inputs: Sequence[Tensor], op: Any, pg: ProcessGroup, async_op: bool
) -> Work | None:
    check_length(what, inputs, pg)
    _check_same(what, inputs, output, shapes=False)
    _check_same(what, [inputs[pg.me]], output)
    name = _check_op(what, op, output.dtype)

    def work(c: Collective) -> None:
        c.meet()
        host = Host(output)
        parts = [Host(t).flat for t in inputs]
        parts[pg.me] = host.flat.copy_(parts[pg.me])
        c.reduce_chunks(parts, name)
        host.put()

    shapes = ", ".join(_g.describe(t) for t in inputs)
    return _run(pg, f"{what} ({name}) of {shapes}", work, [output], async_op)


def reduce_scatter(
    output: Tensor,
    input_list: list[Tensor],
    op: ReduceOp = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Combine lists of tensors; process i gets the i-th result."""
    check_tensor(output, "output")
    _check_list(input_list, "input_list")
    pg = member(group, "reduce_scatter")
    if pg is None:
        return None
    return _reduce_scatter("reduce_scatter", output, input_list, op, pg, async_op)


def reduce_scatter_single(
    output: Tensor,
    input: Tensor,
    op: ReduceOp = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Combine a tensor; process i gets the i-th of its equal parts."""
    check_tensor(output, "output")
    check_tensor(input, "input")
    pg = member(group, "reduce_scatter_single")
    if pg is None:
        return None
    if input.numel() != output.numel() * pg.size():
        raise RuntimeError(
            f"[reduce_scatter_single] expected an input {pg.size()} times as large as the output "
            f"{tuple(output.shape)}, got {tuple(input.shape)}"
        )
    whole = input.detach().contiguous().reshape(pg.size(), *output.shape)
    return _reduce_scatter("reduce_scatter_single", output, list(whole), op, pg, async_op)


reduce_scatter_tensor = reduce_scatter_single


# ---- copies ------------------------------------------------------------------------------------------------


def broadcast(
    tensor: Tensor,
    src: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Copy a tensor from ``src`` to all."""
    check_tensor(tensor, "tensor")
    pg = member(group, "broadcast")
    if pg is None:
        return None
    root = root_of("broadcast", pg, src, group_src)

    def work(c: Collective) -> None:
        host = Host(tensor)
        c.broadcast(host.flat, root)
        if pg.me != root:
            host.put()

    what = f"broadcast from rank {pg.ranks[root]} of {_g.describe(tensor)}"
    return _run(pg, what, work, [tensor], async_op)


def _all_gather(
    what: str, outputs: list[Tensor], tensor: Tensor, pg: ProcessGroup, async_op: bool
) -> Work | None:
    """Every member's tensor in everybody's list."""

    def work(c: Collective) -> None:
        c.meet()
        hosts = [Host(t) for t in outputs]
        own = Host(tensor)
        c.exchange([own.view] * pg.size(), [h.view for h in hosts])
        hosts[pg.me].flat.copy_(own.flat)
        for h in hosts:
            h.put()

    return _run(pg, f"{what} of {_g.describe(tensor)}", work, outputs, async_op)


def all_gather(
    tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """Collect every process's tensor in ``tensor_list``."""
    _check_list(tensor_list, "tensor_list")
    check_tensor(tensor, "tensor")
    pg = member(group, "all_gather")
    if pg is None:
        return None
    check_length("all_gather", tensor_list, pg)
    _check_same("all_gather", tensor_list, tensor)
    return _all_gather("all_gather", tensor_list, tensor, pg, async_op)


def all_gather_single(
    output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """Collect every process's tensor in one, one after the other or stacked."""
    check_tensor(output_tensor, "output_tensor")
    check_tensor(input_tensor, "input_tensor")
    pg = member(group, "all_gather_single")
    if pg is None:
        return None
    _check_same("all_gather_single", [output_tensor], input_tensor, shapes=False)
    shape, n = tuple(input_tensor.shape), pg.size()
    joined = (n * shape[0], *shape[1:]) if shape else (n,)
    if tuple(output_tensor.shape) not in (joined, (n, *shape)):
        raise RuntimeError(
            f"[all_gather_single] invalid tensor size: expected an output of {joined} or {(n, *shape)}, "
            f"got {tuple(output_tensor.shape)}"
        )
    out = output_tensor.detach()
    parts = (
        list(out) if len(out.shape) > len(shape) or not shape else list(out.split(shape[0] or 1))
    )
    if not out.numel():
        parts = [eg.empty(shape, dtype=out.dtype) for _ in range(n)]
    return _all_gather("all_gather_single", parts, input_tensor, pg, async_op)


all_gather_into_tensor = all_gather_single


def all_gather_coalesced(
    output_tensor_lists: list[list[Tensor]],
    input_tensor_list: list[Tensor],
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """`all_gather` of several tensors; ``output_tensor_lists[i]`` is what process i gave."""
    pg = member(group, "all_gather_coalesced")
    if pg is None:
        return None
    check_length("all_gather_coalesced", output_tensor_lists, pg)
    handle = None
    for i, tensor in enumerate(input_tensor_list):
        handle = all_gather([row[i] for row in output_tensor_lists], tensor, group, async_op)
    return handle


def gather(
    tensor: Tensor,
    gather_list: list[Tensor] | None = None,
    dst: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """Collect every process's tensor at ``dst``, the first process if nothing is said."""
    check_tensor(tensor, "tensor")
    pg = member(group, "gather")
    if pg is None:
        return None
    to = root_of("gather", pg, dst, group_dst, 0)
    outputs = _list_at("gather", "gather_list", gather_list, pg, to, "destination", tensor)

    def work(c: Collective) -> None:
        c.meet()
        own, none = Host(tensor), [None] * pg.size()
        if pg.me != to:
            return c.exchange([own.view if m == to else None for m in range(pg.size())], none)
        hosts = [Host(t) for t in outputs]
        c.exchange(none, [h.view for h in hosts])
        hosts[to].flat.copy_(own.flat)
        for h in hosts:
            h.put()

    what = f"gather at rank {pg.ranks[to]} of {_g.describe(tensor)}"
    return _run(pg, what, work, outputs, async_op)


def _list_at(
    what: str, name: str, items: Any, pg: ProcessGroup, root: int, role: str, like: Tensor
) -> list[Tensor]:
    """The list of tensors that the root alone must give."""
    if pg.me != root:
        if items:
            raise ValueError(f"Argument ``{name}`` must NOT be specified on non-{role} ranks.")
        return []
    if not items:
        raise ValueError(f"Argument ``{name}`` must be specified on {role} rank.")
    _check_list(items, name)
    check_length(what, items, pg)
    _check_same(what, items, like)
    return list(items)


def scatter(
    tensor: Tensor,
    scatter_list: list[Tensor] | None = None,
    src: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Hand out the list of tensors of ``src``, the first process if nothing is said: one to each process."""
    check_tensor(tensor, "tensor")
    pg = member(group, "scatter")
    if pg is None:
        return None
    root = root_of("scatter", pg, src, group_src, 0)
    inputs = _list_at("scatter", "scatter_list", scatter_list, pg, root, "source", tensor)

    def work(c: Collective) -> None:
        c.meet()
        own, none = Host(tensor), [None] * pg.size()
        if pg.me == root:
            hosts = [Host(t) for t in inputs]
            c.exchange([h.view for h in hosts], none)
            own.flat.copy_(hosts[root].flat)
        else:
            c.exchange(none, [own.view if m == root else None for m in range(pg.size())])
        own.put()

    what = f"scatter from rank {pg.ranks[root]} of {_g.describe(tensor)}"
    return _run(pg, what, work, [tensor], async_op)


def _all_to_all(
    what: str, outputs: list[Tensor], inputs: list[Tensor], pg: ProcessGroup, async_op: bool
) -> Work | None:
    like = inputs[0]

    def work(c: Collective) -> None:
        # sizes differ from pair to pair: all are compared at the meeting
        sizes = [t.numel() for t in (*inputs, *outputs)]
        c.meet(struct.pack(f"<{len(sizes)}q", *sizes), partial(_check_sizes, pg))
        receiving, sending = [Host(t) for t in outputs], [Host(t) for t in inputs]
        c.exchange([h.view for h in sending], [h.view for h in receiving])
        receiving[pg.me].flat.copy_(sending[pg.me].flat)
        for h in receiving:
            h.put()

    return _run(pg, f"{what} of {_g.name_of_kind(_g.kind_of(like.dtype))}", work, outputs, async_op)


def _check_sizes(pg: ProcessGroup, payloads: list[Any]) -> bytes:
    n = pg.size()
    rows = [struct.unpack(f"<{2 * n}q", p) for p in payloads]
    for i in range(n):
        for j in range(n):
            if rows[i][j] != rows[j][n + i]:
                raise DistBackendError(
                    f"expected what one rank sends and another receives to be of one size: rank {pg.ranks[i]} sends "
                    f"{rows[i][j]} elements, rank {pg.ranks[j]} receives {rows[j][n + i]}"
                )
    return b""


def all_to_all(
    output_tensor_list: list[Tensor],
    input_tensor_list: list[Tensor],
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Every process sends its i-th tensor to process i and keeps what it gets from i at i."""
    _check_list(output_tensor_list, "output_tensor_list")
    _check_list(input_tensor_list, "input_tensor_list")
    pg = member(group, "all_to_all")
    if pg is None:
        return None
    for items in (output_tensor_list, input_tensor_list):
        check_length("all_to_all", items, pg)
        _check_same("all_to_all", items, input_tensor_list[0], shapes=False)
    here = output_tensor_list[pg.me], input_tensor_list[pg.me]
    _check_same("all_to_all", [here[0].detach().reshape(-1)], here[1].detach().reshape(-1))
    return _all_to_all("all_to_all", output_tensor_list, input_tensor_list, pg, async_op)


def _parts(t: Tensor, sizes: list[int] | None, pg: ProcessGroup) -> list[Tensor]:
    n = t.shape[0] if t.dim() else 0
    if not sizes:
        if n % pg.size():
            raise RuntimeError(
                f"[all_to_all_single] expected a first dimension that {pg.size()} divides, got {n}"
            )
        sizes = [n // pg.size()] * pg.size()
    if len(sizes) != pg.size() or sum(sizes) != n or min(sizes) < 0:
        raise RuntimeError(
            f"[all_to_all_single] expected {pg.size()} split sizes with the sum {n}, got {sizes}"
        )
    return list(t.detach().split(sizes))


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: list[int] | None = None,
    input_split_sizes: list[int] | None = None,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """`all_to_all` of the parts of one tensor, along its first dimension."""
    check_tensor(output, "output")
    check_tensor(input, "input")
    pg = member(group, "all_to_all_single")
    if pg is None:
        return None
    _check_same("all_to_all_single", [output], input, shapes=False)
    outputs, inputs = _parts(output, output_split_sizes, pg), _parts(input, input_split_sizes, pg)
    _check_same("all_to_all_single", [outputs[pg.me]], inputs[pg.me])
    return _all_to_all("all_to_all_single", outputs, inputs, pg, async_op)


# ---- barriers ----------------------------------------------------------------------------------------------


def barrier(
    group: Any = None, async_op: bool = False, device_ids: Any = None, timeout: Any = None
) -> Work | None:
    """Wait until all processes are here."""
    pg = member(group, "barrier")
    return None if pg is None else _run(pg, "barrier", Collective.meet, [], async_op, timeout)


def monitored_barrier(
    group: Any = None, timeout: timedelta | None = None, wait_all_ranks: bool = False
) -> None:
    """`barrier`; RuntimeError that says which ranks did not come in time."""
    pg = member(group, "monitored_barrier")
    if pg is not None:
        _run(pg, "monitored_barrier", Collective.meet, [], False, timeout)
