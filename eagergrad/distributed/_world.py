"""The group of all processes, and groups of some."""

from __future__ import annotations

import atexit
import enum
import os
import warnings
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from . import _group as _g
from ._group import Collective, ProcessGroup
from .elastic.multiprocessing.errors import record_uncaught
from .rendezvous import connect
from .store import Store

__all__ = [
    *("Backend", "GroupMember", "ReduceOp", "default_pg_timeout", "destroy_process_group"),
    *("get_backend", "get_backend_config", "get_default_backend_for_device", "get_global_rank"),
    *("get_group_rank", "get_node_local_rank", "get_pg_count", "get_process_group_ranks"),
    *("get_rank", "get_world_size", "group", "init_process_group", "is_available"),
    *("is_backend_available", "is_gloo_available", "is_initialized", "is_mpi_available"),
    *("is_nccl_available", "is_torchelastic_launched", "is_ucc_available", "is_xccl_available"),
    *("new_group", "new_subgroups", "new_subgroups_by_enumeration", "reduce_op"),
    "supports_complex",
]

default_pg_timeout = timedelta(minutes=30)


class ReduceOp(enum.Enum):
    """How a reduction combines the processes' values.

    SUM of bools is "any", PRODUCT "all"; AVG divides the sum, of integers towards zero.
    """

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7


ReduceOp.RedOpType = ReduceOp  # type: ignore[attr-defined]  # the type of its members, as PyTorch names it


reduce_op = ReduceOp


class Backend(str):
    """The name of a transport, in lower case.

    >>> Backend("GLOO") == Backend.GLOO == "gloo"
    True
    """

    UNDEFINED = "undefined"
    GLOO = "gloo"
    NCCL = "nccl"
    UCC = "ucc"
    MPI = "mpi"
    XCCL = "xccl"
    backend_list = [UNDEFINED, GLOO, NCCL, XCCL, UCC, MPI]

    def __new__(cls, name: str) -> Backend:
        if not isinstance(name, str):
            raise ValueError(f"Backend constructor parameter must be string-ish, got {name!r}")
        return super().__new__(cls, name.lower())


class GroupMember:
    """What stands for a group."""

    WORLD: ProcessGroup | None = None
    NON_GROUP_MEMBER = -100


class _GroupMeta(type):
    @property
    def WORLD(cls) -> ProcessGroup | None:
        return GroupMember.WORLD

    @WORLD.setter
    def WORLD(cls, pg: ProcessGroup | None) -> None:
        GroupMember.WORLD = pg


class group(metaclass=_GroupMeta):
    """``group.WORLD`` is the group of all processes."""


_groups: list[ProcessGroup] = []
_made: dict[tuple, int] = {}  # how often a group was made of the same ranks
_store: Store | None = None


# ---- the group of all --------------------------------------------------------------------------------------


def is_available() -> bool:
    """Return True: the functions are there."""
    return True


def is_initialized() -> bool:
    """Return whether `init_process_group` has been called."""
    return GroupMember.WORLD is not None


def is_gloo_available() -> bool:
    """Return True: "gloo" names the transport over TCP, which needs nothing else."""
    return True


def is_mpi_available() -> bool:
    """Return whether mpi4py is installed."""
    from importlib.util import find_spec

    return find_spec("mpi4py") is not None


def is_nccl_available() -> bool:
    """Return False: there is no transport by NCCL."""
    return False


is_ucc_available = is_xccl_available = is_nccl_available


def is_backend_available(backend: str) -> bool:
    """Return whether `init_process_group` can be given this backend."""
    name = backend.lower()
    return name == "gloo" or (name == "mpi" and is_mpi_available())


def is_torchelastic_launched() -> bool:
    """Return whether ``python -m eagergrad.distributed.run`` started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def get_default_backend_for_device(device: Any) -> str:
    """Return "gloo": it carries the tensors of all devices, those of a GPU through the host."""
    return "gloo"


def supports_complex(reduceOp: ReduceOp) -> bool:
    """Return False: there are no complex tensors."""
    return False


def _choose_backend(backend: Any) -> Backend:
    names = {part.rpartition(":")[2] for part in Backend(backend or "gloo").split(",")}
    name = names.pop() if len(names) == 1 else "+".join(sorted(names))
    if name == "undefined":
        name = "gloo"
    if name not in ("gloo", "mpi"):
        raise RuntimeError(
            f'[init_process_group] there is no backend {name!r}: use "gloo", which carries tensors of '
            'all devices (a GPU\'s through the host), or "mpi"'
        )
    return Backend(name)


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: timedelta | None = None,
    world_size: int = -1,
    rank: int = -1,
    store: Store | None = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Join the other processes; returns when all are there.

    ``init_method`` is "env://" (RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT of the environment, the default),
    "tcp://host:port" or "file:///path", or a ``store`` is given. Backends: "gloo" (TCP) and "mpi", for which MPI
    says who is there.

    Raises:
        ValueError: there is a group already, or the rank or the number of processes is not known or wrong.
        DistBackendError: not all came within the timeout, two are of one rank, or they expect different worlds.

    >>> import eagergrad as eg, eagergrad.distributed as dist
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> x = eg.ones(2); dist.all_reduce(x); dist.get_world_size(), x.tolist()
    (1, [1.0, 1.0])
    >>> dist.destroy_process_group()
    """
    global _store
    if is_initialized():
        raise ValueError("trying to initialize the default process group twice!")
    if store is not None and init_method is not None:
        raise ValueError("[init_process_group] expected a store or an init_method, got both")
    name = _choose_backend(backend)
    limit = default_pg_timeout if timeout is None else timeout
    if not isinstance(limit, timedelta) or limit <= timedelta():
        raise TypeError(
            f"Expected timeout argument to be of type datetime.timedelta, got {timeout!r}"
        )
    seconds = limit.total_seconds()
    if name == "mpi":
        from ._mpi import MpiMailbox

        mailbox: Any = MpiMailbox(rank, world_size)
    else:
        mailbox, _store = connect(store, init_method, rank, world_size, seconds)
    mailbox.kind_name = _g.name_of_kind
    ranks = range(mailbox.size)
    pg = ProcessGroup(mailbox, ranks, group_name or "default_pg", seconds, name)
    atexit.register(mailbox.close)
    record_uncaught()
    try:
        Collective(pg, f"init_process_group of {len(ranks)} processes").run(Collective.meet)
    except BaseException:
        mailbox.close()
        raise
    GroupMember.WORLD = pg
    _groups.append(pg)


def destroy_process_group(group: ProcessGroup | None = None) -> None:
    """Leave a group; without one all of them, and the other processes."""
    pg = find_group(group)
    if pg is None:
        return
    if pg is not GroupMember.WORLD:
        pg.close()
        _groups.remove(pg)
        return
    for each in _groups:
        each.close()
    leave_world()


def leave_world() -> None:
    """Close what `init_process_group` opened."""
    global _store
    world = GroupMember.WORLD
    GroupMember.WORLD = None
    _groups.clear()
    _made.clear()
    if world is not None:
        world.mailbox.close()
        atexit.unregister(world.mailbox.close)
    inner: Any = _store
    _store = None
    while hasattr(inner, "underlying_store"):
        inner = inner.underlying_store
    if getattr(inner, "_of_group", False):
        inner.close()


def find_group(group: Any) -> ProcessGroup | None:
    """The group meant; None where this process is not in it."""
    if GroupMember.WORLD is None:
        raise ValueError(
            "Default process group has not been initialized, please make sure to call init_process_group."
        )
    if group is None:
        return GroupMember.WORLD
    if group is GroupMember.NON_GROUP_MEMBER or group == GroupMember.NON_GROUP_MEMBER:
        return None
    if not isinstance(group, ProcessGroup):
        raise TypeError(f"expected a ProcessGroup, got {type(group).__name__}")
    if group.closed or group.mailbox is not GroupMember.WORLD.mailbox:
        raise ValueError("The given group does not exist")
    return group


def member(group: Any, what: str) -> ProcessGroup | None:
    """The group meant; a warning and None for a process that is not in it."""
    pg = find_group(group)
    if pg is None:
        warnings.warn(
            f"Running {what} on global rank {get_rank()} which does not belong to the given group.",
            stacklevel=3,
        )
    return pg


def get_rank(group: ProcessGroup | None = None) -> int:
    """Return this process's number in the group, -1 outside of it."""
    pg = find_group(group)
    return -1 if pg is None else pg.rank()


def get_world_size(group: ProcessGroup | None = None) -> int:
    """Return the number of processes in the group, -1 outside of it."""
    pg = find_group(group)
    return -1 if pg is None else pg.size()


def get_backend(group: ProcessGroup | None = None) -> Backend:
    """Return the name of the group's transport."""
    pg = find_group(group)
    if pg is None:
        raise ValueError("Invalid process group specified")
    return Backend(pg.backend)


def get_backend_config(group: ProcessGroup | None = None) -> str:
    """Return the transports by kinds of devices."""
    name = get_backend(group)
    return f"cpu:{name},cuda:{name}"


def get_process_group_ranks(group: ProcessGroup | None) -> list[int]:
    """Return the ranks in the world of the group's members."""
    pg = find_group(group)
    return [] if pg is None else list(pg.ranks)


def get_global_rank(group: ProcessGroup, group_rank: int) -> int:
    """Return the rank in the world of the group's member of this number."""
    pg = find_group(group)
    if pg is None or not 0 <= group_rank < pg.size():
        raise ValueError(f"Group rank {group_rank} is not part of group {group}")
    return pg.ranks[group_rank]


def get_group_rank(group: ProcessGroup, global_rank: int) -> int:
    """Return the number in the group of a rank of the world."""
    pg = find_group(group)
    if pg is None or global_rank not in pg.ranks:
        raise ValueError(f"Global rank {global_rank} is not part of group {group}")
    return pg.ranks.index(global_rank)


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """Return LOCAL_RANK of the environment, this process's number on its machine."""
    if "LOCAL_RANK" in os.environ:
        return int(os.environ["LOCAL_RANK"])
    if fallback_rank is None:
        raise RuntimeError("LOCAL_RANK is not in the environment. Give fallback_rank")
    return int(fallback_rank)


def get_pg_count() -> int:
    """Return the number of groups that this process is in."""
    return len(_groups)


# ---- groups of some ----------------------------------------------------------------------------------------


def new_group(
    ranks: Sequence[int] | None = None,
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    use_local_synchronization: bool = False,
    group_desc: str | None = None,
    device_id: Any = None,
    sort_ranks: bool = True,
) -> Any:
    """Return a group of the given ranks; all processes call it, also those that will not be in it.

    With ``use_local_synchronization`` only the members do. A process outside gets GroupMember.NON_GROUP_MEMBER.
    """
    world = find_group(None)
    assert world is not None
    members = list(world.ranks if ranks is None else map(int, ranks))
    if sort_ranks:
        members.sort()
    if len(set(members)) != len(members) or not set(members) <= set(world.ranks) or not members:
        raise ValueError(
            f"[new_group] expected distinct ranks of 0 to {world.size() - 1}, got {list(members)}"
        )
    if backend is not None and _choose_backend(backend) != world.backend:
        raise ValueError(
            f"[new_group] expected the world's backend {world.backend}, got {backend!r}"
        )
    if not use_local_synchronization:
        Collective(world, f"new_group of ranks {members}").run(Collective.meet)
    if world.rank() not in members:
        return GroupMember.NON_GROUP_MEMBER
    number = _made[tuple(members)] = _made.get(tuple(members), 0) + 1
    seconds = world.seconds if timeout is None else timeout.total_seconds()
    pg = ProcessGroup(world.mailbox, members, f"group {number}", seconds, world.backend)
    pg.group_desc = group_desc or "undefined"
    _groups.append(pg)
    return pg


def new_subgroups(
    group_size: int | None = None,
    group: ProcessGroup | None = None,
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    group_desc: str | None = None,
) -> tuple[Any, list[Any]]:
    """Part the world into groups of ``group_size`` neighbours; return this process's and all of them."""
    size = get_world_size()
    if not group_size or group_size < 0 or size % group_size:
        raise ValueError(
            f"[new_subgroups] expected a group_size that divides {size}, got {group_size}"
        )
    parts = [list(range(i, i + group_size)) for i in range(0, size, group_size)]
    return new_subgroups_by_enumeration(parts, timeout, backend, pg_options, group_desc)


def new_subgroups_by_enumeration(
    ranks_per_subgroup_list: list[list[int]],
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    group_desc: str | None = None,
) -> tuple[Any, list[Any]]:
    """Make groups of the given ranks; return this process's and all of them."""
    flat = [r for ranks in ranks_per_subgroup_list for r in ranks]
    if not flat or len(set(flat)) != len(flat):
        raise ValueError("[new_subgroups_by_enumeration] expected every rank in one group at most")
    groups = [
        new_group(ranks, timeout, backend, pg_options, group_desc=group_desc)
        for ranks in ranks_per_subgroup_list
    ]
    mine = [g for g in groups if g is not GroupMember.NON_GROUP_MEMBER]
    return (mine[0] if mine else None), groups
