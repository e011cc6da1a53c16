"""eagergrad.distributed: several processes, started few times, with many checks in each."""

import copy
import gc
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from datetime import timedelta
from functools import reduce

import pytest

import eagergrad as eg
import eagergrad.distributed as dist
import eagergrad.multiprocessing as mp
from eagergrad import nn
from eagergrad.distributed.algorithms import Join
from eagergrad.distributed.algorithms.ddp_comm_hooks import default_hooks
from eagergrad.distributed.optim import ZeroRedundancyOptimizer
from eagergrad.nn.parallel import DistributedDataParallel
from eagergrad.utils.data import DataLoader, DistributedSampler, TensorDataset

pytestmark = [
    pytest.mark.host("the processes exchange the host's memory"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="process groups are POSIX's"),
]
DTYPES = [
    *(eg.float32, eg.float64, eg.float16, eg.bfloat16, eg.int64, eg.int32, eg.int16, eg.int8),
    *(eg.uint8, eg.bool),
]
Op = dist.ReduceOp


def _worker(rank, fn, world, port, args):
    eg.set_num_threads(1)
    store = dist.TCPStore("127.0.0.1", port)
    dist.init_process_group(
        "gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=120)
    )
    fn(rank, world, *args)
    dist.destroy_process_group()


def together(fn, world, *args):
    """``fn(rank, world, *args)`` in a group of processes."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True)
    try:
        mp.spawn(_worker, (fn, world, store.port, args), nprocs=world)
    finally:
        store.close()


def raised(kind, f):
    """The text of the error that f() raises."""
    with pytest.raises(kind) as info:
        f()
    return str(info.value)


# ---- collectives, each compared with what one process computes -----------------------------------------------


def values(rank, dtype, n, shape=None):
    x = (eg.arange(n) * (rank + 3) % 7 - (0 if dtype == eg.uint8 else 2)).to(dtype)
    return x.reshape(shape) if shape else x


def expected(world, op, dtype, n):
    parts = [values(r, dtype, n) for r in range(world)]
    if op == Op.AVG:
        total = reduce(eg.add, parts)
        if dtype.is_floating_point:
            return total / world
        return total.div(world, rounding_mode="trunc").to(dtype)
    f = {
        Op.SUM: eg.add,
        Op.PRODUCT: eg.mul,
        Op.MIN: eg.minimum,
        Op.MAX: eg.maximum,
        Op.BAND: eg.bitwise_and,
        Op.BOR: eg.bitwise_or,
        Op.BXOR: eg.bitwise_xor,
    }[op]
    return reduce(f, parts).to(dtype)


def allowed(op, dtype):
    if op in (Op.BAND, Op.BOR, Op.BXOR):
        return not dtype.is_floating_point
    return op != Op.AVG or dtype != eg.bool


def check_reductions(rank, world):
    for dtype in DTYPES:
        for op in Op:
            x = values(rank, dtype, 10)
            if not allowed(op, dtype):
                assert "Cannot use" in raised(RuntimeError, lambda: dist.all_reduce(x, op))
                continue
            dist.all_reduce(x, op)
            assert eg.equal(x, expected(world, op, dtype, 10)), (dtype, op, x)
    for dtype in (eg.float32, eg.bfloat16, eg.int64):  # too large for the meeting, not divisible
        n = 50_001
        x = values(rank, dtype, n)
        dist.all_reduce(x, Op.AVG)
        assert eg.equal(x, expected(world, Op.AVG, dtype, n))
        x = values(rank, dtype, n)
        dist.reduce(x, dst=1)
        assert eg.equal(
            x, expected(world, Op.SUM, dtype, n) if rank == 1 else values(rank, dtype, n)
        )
    turned = values(rank, eg.float32, 12, (4, 3)).t()
    dist.all_reduce(turned)
    assert eg.equal(turned, expected(world, Op.SUM, eg.float32, 12).reshape(4, 3).t())
    for empty in (eg.zeros(0), eg.zeros(2, 0), eg.tensor(float(rank))):
        dist.all_reduce(empty)
    assert empty.item() == sum(range(world))
    p = nn.Parameter(eg.ones(2))
    dist.all_reduce(p)
    assert p.is_leaf and p.requires_grad and p.tolist() == [world, world]
    pair = [eg.ones(2), eg.ones(3) * rank]
    dist.all_reduce_coalesced(pair)
    assert pair[1].tolist() == [sum(range(world))] * 3 and pair[0].tolist() == [world] * 2
    whole = expected(world, Op.SUM, eg.float32, 2 * world)
    out = eg.zeros(2)
    dist.reduce_scatter(out, list(values(rank, eg.float32, 2 * world).split(2)))
    assert eg.equal(out, whole[2 * rank : 2 * rank + 2])
    source = values(rank, eg.float32, 2 * world)
    dist.reduce_scatter_tensor(out, source, Op.MAX)
    assert eg.equal(out, expected(world, Op.MAX, eg.float32, 2 * world)[2 * rank : 2 * rank + 2])
    assert eg.equal(source, values(rank, eg.float32, 2 * world))


def check_copies(rank, world):
    for dtype in DTYPES:
        for n in (3, 40_000):
            x = values(rank, dtype, n)
            dist.broadcast(x, src=1)
            assert eg.equal(x, values(1, dtype, n))
        out = [eg.zeros(4, dtype=dtype) for _ in range(world)]
        dist.all_gather(out, values(rank, dtype, 4))
        assert all(eg.equal(o, values(r, dtype, 4)) for r, o in enumerate(out))
    for shape in ((2 * world, 3), (world, 2, 3)):
        out = eg.zeros(shape)
        dist.all_gather_into_tensor(out, values(rank, eg.float32, 6, (2, 3)))
        assert eg.equal(out.reshape(world, 6)[1], values(1, eg.float32, 6))
    into = [eg.zeros(3, 2).t() for _ in range(world)] if rank == 2 else None
    dist.gather(values(rank, eg.float32, 6, (2, 3)), into, dst=2)
    assert not into or all(
        eg.equal(x, values(r, eg.float32, 6, (2, 3))) for r, x in enumerate(into)
    )
    x = eg.zeros(2, dtype=eg.int64)
    dist.scatter(x, [eg.tensor([r, 7]) for r in range(world)] if rank == 0 else None)
    assert x.tolist() == [rank, 7]
    out = [eg.zeros(rank + 1) for _ in range(world)]
    dist.all_to_all(out, [eg.full((r + 1,), float(rank)) for r in range(world)])
    assert [o.tolist() for o in out] == [[float(r)] * (rank + 1) for r in range(world)]
    out = eg.zeros(world, dtype=eg.int32)
    dist.all_to_all_single(out, eg.arange(world, dtype=eg.int32) + 10 * rank)
    assert out.tolist() == [10 * r + rank for r in range(world)]
    sizes = [1, 2, 3]
    out = eg.zeros(3 * (rank + 1), 2)
    dist.all_to_all_single(out, eg.full((6, 2), float(rank)), [rank + 1] * world, sizes)
    assert out[:, 0].tolist() == [float(r) for r in range(world) for _ in range(rank + 1)]


def check_messages(rank, world):
    right, left = (rank + 1) % world, (rank - 1) % world
    for dtype in DTYPES:
        y = eg.zeros(5, dtype=dtype)
        ops = [
            dist.P2POp(dist.isend, values(rank, dtype, 5), right),
            dist.P2POp(dist.irecv, y, left),
        ]
        for handle in dist.batch_isend_irecv(ops):
            assert handle.wait()
        assert eg.equal(y, values(left, dtype, 5))
    big, y = eg.full((400_000,), float(rank)), eg.zeros(400_000)
    dist.isend(big, right)  # nobody waits for it
    assert dist.recv(y, left) == left and y[-1] == left
    if rank == 0:
        seen = {dist.recv(y[:1]) for _ in range(world - 1)}
        assert seen == {1, 2}
    else:
        dist.send(eg.ones(1), 0)
    if rank == 1:  # by tag, in another order than they were sent
        dist.send(eg.ones(2), 2, tag=5)
        dist.send(eg.zeros(2), 2, tag=6)
        dist.send(eg.zeros(2, dtype=eg.int64), 0, tag=9)
    elif rank == 2:
        a, b = eg.zeros(2), eg.ones(2)
        dist.recv(b, 1, tag=6)
        dist.recv(a, 1, tag=5)
        assert (a.tolist(), b.tolist()) == ([1, 1], [0, 0])
    else:
        text = raised(RuntimeError, lambda: dist.recv(eg.zeros(2), 1, tag=9))
        assert "8 bytes of float32 from rank 1, came 16 bytes of int64" in text
    assert "same as the rank" in raised(ValueError, lambda: dist.send(eg.ones(1), rank))
    dist.barrier()


def check_objects(rank, world):
    out = [None] * world
    dist.all_gather_object(out, {"rank": rank, "x": eg.ones(rank)})
    assert [o["rank"] for o in out] == [0, 1, 2] and out[2]["x"].tolist() == [1, 1]
    into = [None] * world if rank == 1 else None
    dist.gather_object("x" * rank, into, dst=1)
    assert into == (["", "x", "xx"] if rank == 1 else None)
    items = ["a", 2, None] if rank == 2 else [0, 0, 0]
    dist.broadcast_object_list(items, src=2)
    assert items == ["a", 2, None]
    got = [None]
    dist.scatter_object_list(got, [{r} for r in range(world)] if rank == 0 else None, src=0)
    assert got == [{rank}]
    if rank == 0:
        dist.send_object_list(["s", [1]], 2)
    elif rank == 2:
        pair = [None, None]
        assert dist.recv_object_list(pair, 0) == 0 and pair == ["s", [1]]


def check_handles(rank, world):
    xs = [eg.full((n,), float(rank)) for n in (3, 30_000, 3)]
    handles = [dist.all_reduce(x, async_op=True) for x in xs]
    dist.broadcast(xs[0][:1], 0)  # comes after them
    assert all(h.wait() and h.is_completed() and h.is_success() for h in handles)
    assert all(x[-1] == 3 for x in xs) and handles[0].exception() is None
    future = dist.all_reduce(eg.ones(2), async_op=True).get_future()
    assert future.then(lambda f: f.value()[0] * 2).wait().tolist() == [2 * world] * 2
    handle = dist.all_reduce(eg.ones(2 + rank), async_op=True)
    assert "same call" in raised(RuntimeError, handle.wait)
    assert not handle.is_success() and isinstance(handle.exception(), RuntimeError)
    assert dist.barrier(async_op=True).wait()


def check_groups(rank, world):
    pair = dist.new_group([2, 0])
    assert dist.get_process_group_ranks(dist.group.WORLD) == [0, 1, 2]
    x = eg.full((2,), float(rank))
    if rank == 1:
        assert pair is dist.GroupMember.NON_GROUP_MEMBER
        assert dist.get_rank(pair) == dist.get_world_size(pair) == -1
        with pytest.warns(UserWarning, match="does not belong"):
            assert dist.all_reduce(x, group=pair) is None
    else:
        assert dist.get_process_group_ranks(pair) == [0, 2] and dist.get_world_size(pair) == 2
        assert (dist.get_global_rank(pair, 1), dist.get_group_rank(pair, 2)) == (2, 1)
        dist.all_reduce(x, group=pair)
        assert x.tolist() == [2, 2]
        dist.broadcast(x.fill_(rank), src=2, group=pair)
        dist.broadcast(x, group_src=1, group=pair)
        assert x.tolist() == [2, 2]
        assert "not part" in raised(ValueError, lambda: dist.broadcast(x, src=1, group=pair))
        local = dist.new_group([0, 2], use_local_synchronization=True)
        dist.barrier(local)
        dist.destroy_process_group(local)
        assert "does not exist" in raised(ValueError, lambda: dist.barrier(local))
    mine, every = dist.new_subgroups(1)
    assert len(every) == world and dist.get_world_size(mine) == 1
    dist.all_reduce(x, group=mine)
    text = raised(RuntimeError, lambda: dist.new_group([0, rank] if rank else [0]))
    assert "rank(s) [2] called new_group of ranks [0, 2]" in text
    assert "distinct ranks" in raised(ValueError, lambda: dist.new_group([0, 5]))


def check_refusals(rank, world):
    """What differs between ranks is an error on all of them, and the group works on."""
    calls = [
        lambda: dist.all_reduce(eg.ones(3 + (rank == 1))),
        lambda: dist.all_reduce(eg.ones(3).to(eg.float64 if rank == 1 else eg.float32)),
        lambda: dist.all_reduce(eg.ones(30_000), Op.MAX if rank == 1 else Op.SUM),
        lambda: dist.broadcast(eg.ones(3), src=int(rank == 1)),
        lambda: dist.broadcast(eg.ones(3 + (rank == 2)), src=0),
        lambda: dist.barrier() if rank == 1 else dist.all_reduce(eg.ones(1)),
        lambda: dist.gather(eg.ones(2 + rank), [eg.ones(2)] * world if rank == 0 else None),
        lambda: dist.all_gather([eg.ones(2 + rank)] * world, eg.ones(2 + rank)),
    ]
    for call in calls:
        text = raised(dist.DistBackendError, call)
        assert "expected the same call on all ranks" in text, text
    sizes = [2, 2, 2] if rank != 1 else [1, 4, 1]
    text = raised(
        RuntimeError,
        lambda: (
            dist.all_to_all_single(eg.ones(6), eg.ones(6), [2] * 3, sizes)
            if rank != 1
            else dist.all_to_all_single(eg.ones(8), eg.ones(6), [2, 4, 2], sizes)
        ),
    )
    assert "rank 1 sends 1 elements, rank 0 receives 2" in text
    x = eg.ones(2)
    for kind, call in (
        (TypeError, lambda: dist.all_reduce([1])),
        (TypeError, lambda: dist.all_reduce(x, "sum")),
        (TypeError, lambda: dist.all_gather(x, x)),
        (RuntimeError, lambda: dist.all_gather([x], x)),
        (RuntimeError, lambda: dist.all_gather([eg.ones(3)] * world, x)),
        (ValueError, lambda: dist.all_gather([x.double()] * world, x)),
        (RuntimeError, lambda: dist.broadcast(x, src=7)),
        (ValueError, lambda: dist.broadcast(x, src=0, group_src=0)),
        (RuntimeError, lambda: dist.all_gather_into_tensor(eg.ones(5), x)),
        (RuntimeError, lambda: dist.reduce_scatter_tensor(x, eg.ones(5))),
        (RuntimeError, lambda: dist.all_to_all_single(x, x)),
        (ValueError, lambda: dist.init_process_group("gloo", rank=0, world_size=1)),
        (ValueError, lambda: dist.all_reduce(eg.ones(2, 2).to_sparse())),
    ):
        raised(kind, call)
    if rank == 0:
        raised(ValueError, lambda: dist.gather(x))
    dist.all_reduce(x)
    assert x.tolist() == [world] * 2


def check_times(rank, world):
    g = dist.new_group(timeout=timedelta(seconds=0.3))
    start = time.monotonic()
    if rank != 1:
        text = raised(dist.DistBackendError, lambda: dist.all_reduce(eg.ones(1), group=g))
        assert "rank(s) [1] did not call all_reduce" in text
        assert "no message" in raised(RuntimeError, lambda: dist.recv(eg.ones(1), 1, group=g))
    dist.barrier()
    text = "did not call monitored_barrier"
    if rank != 2:
        limit = timedelta(seconds=0.2)
        assert text in raised(RuntimeError, lambda: dist.monitored_barrier(timeout=limit))
        if rank == 0:
            dist.send(eg.ones(1), 2)
    else:
        dist.recv(eg.ones(1), 0)  # comes when the others have given it up
        assert text in raised(RuntimeError, dist.monitored_barrier)
    assert time.monotonic() - start < 60
    dist.barrier()


def check_recorded(rank, world):
    from eagergrad.distributed import nn as recorded

    x = eg.full((2,), rank + 1.0, requires_grad=True)
    (recorded.all_reduce(x) * (rank + 1)).sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]
    x.grad = None
    parts = recorded.all_gather(x)
    (parts[0] * (rank + 1) + parts[1]).sum().backward()
    assert x.grad.tolist() == [[6.0] * 2, [3.0] * 2, [0.0] * 2][rank]
    x.grad = None
    (recorded.broadcast(x, 1) * (rank + 1)).sum().backward()
    assert x.grad.tolist() == [6.0 * (rank == 1)] * 2
    x.grad = None
    out = recorded.reduce_scatter(eg.empty(2), [x * 1, x * 2, x * 3])
    assert out.tolist() == [6.0 * (rank + 1)] * 2
    (out * (rank + 1)).sum().backward()
    assert x.grad.tolist() == [1.0 + 4 + 9] * 2


def all_checks(rank, world):
    for check in (
        *(check_reductions, check_copies, check_messages, check_objects, check_handles),
        *(check_groups, check_refusals, check_times, check_recorded),
    ):
        check(rank, world)
        dist.barrier()
    if rank == 2:  # ends without a word: the others hear of it at once
        os._exit(0)
    start = time.monotonic()
    text = raised(RuntimeError, lambda: dist.all_reduce(eg.ones(30_000)))
    assert "rank 2 has ended" in text, text
    raised(RuntimeError, lambda: dist.recv(eg.ones(1), 2))
    assert time.monotonic() - start < 60


def test_collectives_of_three_processes():
    together(all_checks, 3)


# ---- models -------------------------------------------------------------------------------------------------


def net():
    eg.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.BatchNorm1d(8), nn.Linear(8, 2))


def data(n=24):
    x = (eg.arange(n * 4.0) * 0.7).sin().reshape(n, 4)
    return x, x[:, :2] * 2 + 1


def train(model, batches, sync=None):
    optimizer = eg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for x, y in batches:
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def close(a, b, tolerance=1e-6):
    return all(eg.allclose(x, y, tolerance, tolerance) for x, y in zip(a, b, strict=True))


def check_training(rank, world):
    x, y = data()
    one = nn.SyncBatchNorm.convert_sync_batchnorm(net())
    whole = train(net(), [(x[i : i + 12], y[i : i + 12]) for i in (0, 12, 0)])
    if rank:
        with eg.no_grad():
            for p in one.parameters():
                p.add_(1)  # the first rank's count
    ddp = DistributedDataParallel(one, bucket_cap_mb=1e-5)
    assert len(ddp.reducer.buckets) > 2
    parts = [slice(i + rank, i + 12, world) for i in (0, 12, 0)]
    assert close(train(ddp, [(x[s], y[s]) for s in parts]), whole)
    assert next(iter(ddp.state_dict())) == "module.0.weight"
    assert close(ddp.buffers(), dist_copy(ddp.buffers()))
    sampler = DistributedSampler(TensorDataset(x, y), shuffle=False)
    assert (sampler.rank, sampler.num_replicas) == (rank, world)
    plain = nn.Linear(4, 2)
    again = nn.Linear(4, 2)
    again.load_state_dict(plain.state_dict())
    ddp = DistributedDataParallel(plain)
    again.load_state_dict(plain.state_dict())
    loader = DataLoader(TensorDataset(x, y), batch_size=4, sampler=sampler)
    alone = train(again, [(x[i : i + 8], y[i : i + 8]) for i in (0, 8, 16)])
    assert close(train(ddp, loader), alone)


def dist_copy(tensors):
    copies = [t.clone() for t in tensors]
    for t in copies:
        dist.broadcast(t, 0)
    return copies


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.never = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x, first):
        return (self.a if first else self.b)(x)


def check_gradients(rank, world):
    x = eg.ones(3, 2) * (rank + 1)
    for options in ({}, {"gradient_as_bucket_view": True}, {"static_graph": True}):
        m = Branches()
        ddp = DistributedDataParallel(m, **options)
        ddp(x, first=rank == 0).sum().backward()
        assert m.a.weight.grad.tolist() == [[1.5, 1.5]] * 2  # used by rank 0 alone
        assert m.b.weight.grad.tolist() == [[3.0, 3.0]] * 2
        assert m.never.weight.grad is None
        ddp.zero_grad(set_to_none=False)
        with ddp.no_sync():
            ddp(x, True).sum().backward()
        assert m.a.weight.grad[0, 0] == 3 * (rank + 1)
        ddp(x, True).sum().backward()
        assert m.a.weight.grad.tolist() == [[9.0, 9.0]] * 2
        assert m.b.weight.grad.tolist() == [[0.0, 0.0]] * 2
    table = nn.Embedding(5, 2, sparse=True)
    ddp = DistributedDataParallel(table)
    ddp(eg.tensor([rank, 4])).sum().backward()
    assert table.weight.grad.is_sparse and table.weight.grad._nnz() == 3
    assert table.weight.grad.to_dense()[:, 0].tolist() == [0.5, 0.5, 0, 0, 1]
    for hook in (
        default_hooks.allreduce_hook,
        default_hooks.fp16_compress_hook,
        default_hooks.bf16_compress_wrapper(default_hooks.allreduce_hook),
    ):
        m = nn.Linear(2, 2)
        ddp = DistributedDataParallel(m)
        ddp.register_comm_hook(None, hook)
        ddp(x).sum().backward()
        assert m.weight.grad.tolist() == [[4.5, 4.5]] * 2
        raised(RuntimeError, lambda: ddp.register_comm_hook(None, hook))
    text = raised(RuntimeError, lambda: DistributedDataParallel(nn.Linear(2, 2 + rank)))
    assert (
        "rank(s) [1] called DistributedDataParallel of 2 parameters: weight float32 (3, 2)" in text
    )
    frozen = nn.Linear(2, 2).requires_grad_(False)
    raised(RuntimeError, lambda: DistributedDataParallel(frozen))

    twin = copy.deepcopy(DistributedDataParallel(nn.Linear(2, 2)))
    twin(x).sum().backward()
    assert twin.module.weight.grad.tolist() == [[4.5, 4.5]] * 2

    def used():
        ddp = DistributedDataParallel(nn.Linear(2, 2))
        ddp(x).sum().backward()
        return weakref.ref(ddp)

    gone = used()
    gc.collect()
    assert gone() is None


def check_join(rank, world):
    x, y = data(12)
    m = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
    ddp = DistributedDataParallel(m)
    optimizer = eg.optim.SGD(ddp.parameters(), lr=0.1)
    steps = 0
    with ddp.join(divide_by_initial_world_size=False):
        for i in range(1 + 2 * rank):
            optimizer.zero_grad()
            nn.functional.mse_loss(ddp(x[4 * i : 4 * i + 4]), y[4 * i : 4 * i + 4]).backward()
            optimizer.step()
            steps += 1
    assert steps == 1 + 2 * rank
    assert all(
        eg.equal(t, c)
        for t, c in zip(
            ddp.state_dict().values(), dist_copy(ddp.state_dict().values()), strict=True
        )
    )
    linear = nn.Linear(1, 1)
    ddp = DistributedDataParallel(linear)
    for divide, second in ((True, 1.0), (False, 2.0)):
        grads = []
        with Join([ddp], divide_by_initial_world_size=divide):
            for _ in range(1 + rank):
                linear.zero_grad()
                ddp(eg.full((1, 1), 2.0)).sum().backward()
                grads.append(linear.weight.grad.item())
        assert grads == [2.0, second][: 1 + rank]

    def uneven():
        with ddp.join(throw_on_early_termination=True):
            for _ in range(1 + rank):
                ddp(eg.ones(1, 1)).sum().backward()

    assert "exhausted" in raised(RuntimeError, uneven)


def check_shared_optimizer(rank, world):
    x, y = data(12)
    makers = [
        lambda p: ZeroRedundancyOptimizer(p, eg.optim.AdamW, lr=0.05),
        lambda p: eg.optim.AdamW(p, lr=0.05),
    ]
    models = [nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)) for _ in makers]
    for t in models[0].parameters():
        dist.broadcast(t, 0)
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [make(m.parameters()) for make, m in zip(makers, models, strict=True)]
    for i in range(5):
        for m, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            nn.functional.mse_loss(m(x), y).backward()
            optimizer.param_groups[0]["lr"] = 0.05 / (i + 1)
            optimizer.step()
            if i == 2 and isinstance(optimizer, ZeroRedundancyOptimizer):
                assert len(optimizer.optim.state) == 1 + 2 * rank and not optimizer.state
                raised(RuntimeError, optimizer.state_dict)
                optimizer.consolidate_state_dict(to=1)
                saved = [optimizer.state_dict() if rank == 1 else None]
                dist.broadcast_object_list(saved, src=1)
                assert sorted(saved[0]["state"]) == [0, 1, 2, 3]
                fresh = makers[0](m.parameters())
                fresh.load_state_dict(saved[0])
                optimizers[0] = fresh
                makers[1](m.parameters()).load_state_dict(saved[0])
    assert close(models[0].parameters(), models[1].parameters(), 1e-6)
    ddp = DistributedDataParallel(models[0])
    with Join([ddp, optimizers[0]]):
        for _ in range(1 + 2 * rank):
            ddp.zero_grad()
            nn.functional.mse_loss(ddp(x), y).backward()
            optimizers[0].step()
    assert close(models[0].parameters(), dist_copy(models[0].parameters()), 0)
    optimizers[0].add_param_group({"params": [nn.Parameter(eg.ones(2))], "lr": 1.0})
    optimizers[0].step()


def model_checks(rank, world):
    for check in (check_training, check_gradients, check_join, check_shared_optimizer):
        check(rank, world)
        dist.barrier()


def test_models_of_two_processes_learn_what_one_does():
    together(model_checks, 2)


# ---- failures -----------------------------------------------------------------------------------------------


def _second_raises(rank, world, address):
    for _ in range(6):  # groups follow one another at one address
        dist.init_process_group(init_method=address, rank=rank, world_size=world)
        x = eg.full((1,), float(rank))
        dist.all_reduce(x)
        assert x.item() == 1
        dist.destroy_process_group()
    dist.init_process_group(init_method=address, rank=rank, world_size=world)
    if rank == 1:
        raise KeyError("the reason")
    dist.all_reduce(eg.ones(1))


def test_spawn_names_the_first_that_failed():
    store = dist.TCPStore("127.0.0.1", 0, is_master=True)
    store.close()
    with pytest.raises(mp.ProcessRaisedException, match="the reason") as info:
        mp.spawn(_second_raises, (2, f"tcp://127.0.0.1:{store.port}"), nprocs=2)
    assert info.value.error_index == 1 and info.value.pid > 0


def _killed(rank):
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


def test_spawn_ends_those_that_do_not_want_to():
    context = mp.spawn(_killed, nprocs=2, join=False)

    def join():
        while not context.join(grace_period=0.2):
            pass

    with pytest.raises(mp.ProcessExitedException, match="SIGKILL") as info:
        join()
    assert info.value.signal_name == "SIGKILL" and info.value.error_index == 1


def _join_wrong(store, rank, world, texts):
    from eagergrad.distributed.rendezvous import connect

    try:
        connect(store, None, rank, world, 10)[0].close()
    except RuntimeError as e:
        texts.append(str(e))


@pytest.mark.parametrize(
    "second,text",
    [((1, 3), "expects a world of"), ((0, 2), "two processes say that they are rank 0")],
)
def test_disagreement_about_the_world_is_an_error_on_all_sides(second, text):
    store, texts = dist.HashStore(), []
    threads = [
        threading.Thread(target=_join_wrong, args=(store, *who, texts)) for who in ((0, 2), second)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join(5)
    assert len(texts) == 2 and all(text in t for t in texts), texts


def test_who_does_not_come_is_named():
    with pytest.raises(dist.DistBackendError, match=r"rank\(s\) \[1\] did not join"):
        dist.init_process_group(
            store=dist.HashStore(), rank=0, world_size=2, timeout=timedelta(seconds=0.3)
        )
    assert not dist.is_initialized()


def test_wrong_environments_are_refused(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="RANK expected"):
        dist.init_process_group("gloo")
    with pytest.raises(ValueError, match="MASTER_ADDR expected"):
        dist.init_process_group("gloo", rank=0, world_size=2)
    with pytest.raises(RuntimeError, match="nccl"):
        dist.init_process_group("nccl", rank=0, world_size=1)
    with pytest.raises(ValueError, match="No rendezvous handler"):
        dist.init_process_group(init_method="carrier://pigeon", rank=0, world_size=2)
    with pytest.raises(ValueError, match="rank of 0 to 1"):
        dist.init_process_group(init_method="file:///x", rank=2, world_size=2)
    with pytest.raises(ValueError, match="init_process_group"):
        DistributedDataParallel(nn.Linear(1, 1))


# ---- stores -------------------------------------------------------------------------------------------------


def _stores(tmp_path):
    master = dist.TCPStore("localhost", 0, 1, True)
    path = str(tmp_path / "store")
    return [
        (dist.HashStore(),) * 2,
        (dist.FileStore(path, 2), dist.FileStore(path, 2)),
        (master, dist.TCPStore("localhost", master.port, wait_for_workers=False)),
        (dist.PrefixStore("a", master), dist.PrefixStore("a", master)),
    ]


def test_stores(tmp_path):
    for one, other in _stores(tmp_path):
        before = one.num_keys()
        one.set("key", "value")
        assert other.get("key") == b"value" and other.check(["key"]) and not other.check(["no"])
        assert (one.add("n", 2), other.add("n", 3), one.get("n")) == (2, 5, b"5")
        assert one.compare_set("key", "wrong", "new") == b"value"
        assert one.compare_set("key", "value", "new") == b"new" == other.get("key")
        assert one.compare_set("none", "expected", "new") == b"expected"
        one.append("key", "er")
        assert other.multi_get(["key", "n"]) == [b"newer", b"5"]
        assert one.num_keys() == before + 2 and one.delete_key("n") and not one.delete_key("n")
        if one is not other or not isinstance(one, dist.PrefixStore):
            timer = threading.Timer(0.1, lambda s=one: s.set("late", b"\0\xff"))
            timer.start()
            if not isinstance(one, dist.PrefixStore):  # of one connection
                assert other.get("late") == b"\0\xff"
            timer.join()
        other.set_timeout(timedelta(seconds=0.05))
        assert other.timeout.total_seconds() == 0.05
        with pytest.raises(dist.DistStoreError, match="never"):
            other.get("never")
        with pytest.raises(dist.DistStoreError, match="never"):
            one.wait(["key", "never"], timedelta(seconds=0.05))


def test_a_store_answers_no_strangers_and_is_no_stranger():
    store = dist.TCPStore("127.0.0.1", 0, is_master=True)
    with socket.create_connection(("127.0.0.1", store.port)) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        try:
            assert sock.recv(1) == b""
        except ConnectionResetError:
            pass
    store.set("a", "1")
    with socket.create_server(("127.0.0.1", 0)) as other:

        def reply():
            with other.accept()[0] as sock:
                sock.sendall(b"HTTP/1.0 400\r\n")

        answer = threading.Thread(target=reply)
        answer.start()
        with pytest.raises(dist.DistNetworkError, match="no store of ours"):
            dist.TCPStore("127.0.0.1", other.getsockname()[1])
        answer.join()
    port = store.port
    store.close()
    with pytest.raises(dist.DistNetworkError, match="does not answer"):
        store.get("a")
    with pytest.raises(dist.DistNetworkError, match=f"expected a store at 127.0.0.1:{port}"):
        dist.TCPStore("127.0.0.1", port, timeout=timedelta(seconds=0.1))


# ---- the launcher -------------------------------------------------------------------------------------------

PROGRAM = """
    import atexit, os, signal, sys, time
    import eagergrad as eg, eagergrad.distributed as dist
    if sys.argv[1].startswith("--"):
        assert sys.argv.pop(1) == "--local-rank=" + os.environ["LOCAL_RANK"]
    for method in (None, "tcp://127.0.0.1:" + os.environ["MASTER_PORT"], "file://" + sys.argv[1]):
        dist.init_process_group("gloo", init_method=method, rank=int(os.environ["RANK"]), world_size=2)
        x = eg.full((3,), float(dist.get_rank()))
        dist.all_reduce(x)
        assert x.tolist() == [1.0] * 3 and dist.get_backend() == "gloo"
        if method is None:
            dist.destroy_process_group()
            continue
        if method.startswith("file"):
            child = os.fork()
            if child == 0:  # who is forked does not speak for its parent
                try:
                    dist.barrier()
                except RuntimeError as e:
                    os._exit(0 if "forked" in str(e) else 1)
                os._exit(2)
            assert os.waitpid(child, 0)[1] == 0
        dist.barrier()
        dist.destroy_process_group()
    sys.stdout.write(f"rank {os.environ['RANK']} {os.environ['LOCAL_RANK']}\\n")
    code, first = int(sys.argv[2]), os.environ["RANK"] == "0"
    if code == 7:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60) if first else sys.exit(7)
    if code == 1:
        dist.init_process_group("gloo")
        if first:  # fails because the other does, and ends before it
            dist.barrier()
        atexit.register(lambda: (dist.destroy_process_group(), time.sleep(0.5)))
        raise KeyError("the reason")
"""


def test_record_writes_what_went_wrong(tmp_path, monkeypatch):
    from eagergrad.distributed.elastic.multiprocessing.errors import record

    @record
    def main(x):
        return 1 / x

    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    assert main(2) == 0.5
    raised(ZeroDivisionError, lambda: main(0))
    assert (
        '"message": "ZeroDivisionError: division by zero"' in (tmp_path / "error.json").read_text()
    )


@pytest.mark.parametrize("code", [0, 1, 7])
def test_launcher(tmp_path, code):
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(PROGRAM))
    name = "launch" if code else "run"
    command = [sys.executable, "-m", f"eagergrad.distributed.{name}", "--standalone"]
    start = time.monotonic()
    done = subprocess.run(
        [*command, "--nproc-per-node", "2", str(script), str(tmp_path / "store"), str(code)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        cwd=os.path.dirname(os.path.dirname(eg.__file__)),
    )
    assert done.returncode == code, done.stderr
    assert not (tmp_path / "store").exists()
    assert sorted(done.stdout.split("\n")) == ["", "rank 0 0", "rank 1 1"]
    assert ("] rank 1 (" in done.stderr and f"failed with exit code {code}" in done.stderr) == bool(
        code
    )
    assert time.monotonic() - start < 40


def test_launcher_refuses_nonsense(capsys):
    from eagergrad.distributed import run

    for args in (["--nproc_per_node", "no", "x.py"], ["--node_rank", "3", "x.py"]):
        with pytest.raises(SystemExit, match="2"):
            run.main(args)
        assert "expected" in capsys.readouterr().err


# ---- MPI ----------------------------------------------------------------------------------------------------

MPI_PROGRAM = """
    import eagergrad as eg, eagergrad.distributed as dist
    dist.init_process_group("mpi")
    rank, world = dist.get_rank(), dist.get_world_size()
    assert world == 2 and dist.get_backend() == "mpi"
    for n in (3, 300_000):
        x = eg.full((n,), float(rank))
        dist.all_reduce(x)
        assert x[-1] == 1
    objects = [None, None]
    dist.all_gather_object(objects, rank)
    assert objects == [0, 1]
    try:
        dist.all_reduce(eg.ones(1 + rank))
    except RuntimeError as e:
        assert "same call" in str(e)
    model = eg.nn.parallel.DistributedDataParallel(eg.nn.Linear(1, 1))
    model(eg.full((1, 1), float(rank))).sum().backward()
    assert model.module.weight.grad.item() == 0.5
    if rank == 1:
        raise KeyError("the reason")  # ends the other, which would wait for ever
    dist.barrier()
"""


def test_mpi(tmp_path):
    pytest.importorskip("mpi4py", reason="needs mpi4py")
    from shutil import which

    mpiexec = which("mpiexec", path=os.path.dirname(sys.executable)) or which("mpiexec")
    if mpiexec is None:
        pytest.skip("needs mpiexec")
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(MPI_PROGRAM))
    done = subprocess.run(
        [mpiexec, "-n", "2", sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        cwd=os.path.dirname(os.path.dirname(eg.__file__)),
    )
    assert done.returncode and "the reason" in done.stderr and "Assertion" not in done.stderr


def test_mpi_without_mpi_is_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(RuntimeError, match="needs mpi4py"):
        dist.init_process_group("mpi")
