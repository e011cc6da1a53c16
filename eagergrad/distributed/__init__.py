"""Several processes as one program; here, a group of one.

A group of one process works like any other: collectives leave tensors as they are. There is no
transport for more, and asking for it is an error rather than a silent group of one.
"""

from __future__ import annotations

import enum
import os
from datetime import timedelta
from typing import Any

import eagergrad as eg

__all__ = [
    "ReduceOp",
    "Work",
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_object",
    "all_reduce",
    "all_to_all",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "destroy_process_group",
    "gather",
    "gather_object",
    "get_backend",
    "get_rank",
    "get_world_size",
    "init_process_group",
    "is_available",
    "is_gloo_available",
    "is_initialized",
    "is_mpi_available",
    "is_nccl_available",
    "is_torchelastic_launched",
    "new_group",
    "reduce",
    "reduce_scatter",
    "scatter",
]


class ReduceOp(enum.Enum):
    """How a reduction combines the processes' values."""

    SUM = "sum"
    AVG = "avg"
    PRODUCT = "product"
    MIN = "min"
    MAX = "max"
    BAND = "band"
    BOR = "bor"
    BXOR = "bxor"


class Work:
    """The handle of a collective started with ``async_op=True``; it is done at once."""

    def wait(self, timeout: timedelta | None = None) -> bool:
        """Return True: the work is done."""
        return True

    def is_completed(self) -> bool:
        """Return True: the work is done."""
        return True


class ProcessGroup:
    """A group of processes, that is, of this one."""

    def rank(self) -> int:
        """Return this process's number."""
        return 0

    def size(self) -> int:
        """Return the number of processes."""
        return 1


class group:
    """The group of all processes."""

    WORLD: ProcessGroup | None = None


_backend: str | None = None


def is_available() -> bool:
    """Return True: the functions are there."""
    return True


def is_initialized() -> bool:
    """Return whether `init_process_group` has been called."""
    return group.WORLD is not None


def is_mpi_available() -> bool:
    """Return False: there is no transport by MPI."""
    return False


def is_nccl_available() -> bool:
    """Return False: there is no transport by NCCL."""
    return False


def is_gloo_available() -> bool:
    """Return False: there is no transport by Gloo."""
    return False


def is_torchelastic_launched() -> bool:
    """Return False: this launcher is not used."""
    return False


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: timedelta | None = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Form the group of processes; ``world_size`` or the variable WORLD_SIZE must say 1.

    Raises:
        RuntimeError: more than one process is asked for, or there is a group already.
        ValueError: the rank is not in the group.
    """
    global _backend
    if is_initialized():
        raise RuntimeError("[init_process_group] the process group exists already")
    size = int(os.environ.get("WORLD_SIZE", 1)) if world_size in (-1, None) else world_size
    number = int(os.environ.get("RANK", 0)) if rank in (-1, None) else rank
    if size != 1:
        raise RuntimeError(
            f"[init_process_group] expected world_size 1, got {size}: eagergrad runs in one "
            "process so far; start it once"
        )
    if number != 0:
        raise ValueError(f"[init_process_group] expected rank 0 in a group of 1, got {number}")
    group.WORLD, _backend = ProcessGroup(), backend or "local"


def destroy_process_group(group: Any = None) -> None:
    """Leave the group of processes."""
    _need_group("destroy_process_group")
    globals()["group"].WORLD = None


def _need_group(what: str) -> None:
    if not is_initialized():
        raise ValueError(f"[{what}] there is no process group; call init_process_group first")


def get_rank(group: Any = None) -> int:
    """Return this process's number in the group."""
    _need_group("get_rank")
    return 0


def get_world_size(group: Any = None) -> int:
    """Return the number of processes in the group."""
    _need_group("get_world_size")
    return 1


def get_backend(group: Any = None) -> str:
    """Return the name that `init_process_group` was given."""
    _need_group("get_backend")
    return str(_backend)


def new_group(ranks: Any = None, *args: Any, **kwargs: Any) -> ProcessGroup:
    """Return a group of the given processes, which can only be number 0."""
    _need_group("new_group")
    if ranks is not None and list(ranks) != [0]:
        raise ValueError(f"[new_group] expected ranks [0], got {list(ranks)}")
    return ProcessGroup()


def _done(what: str, async_op: bool) -> Work | None:
    _need_group(what)
    return Work() if async_op else None


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Wait until all processes are here: they are."""
    return _done("barrier", async_op)


def all_reduce(
    tensor: Any, op: ReduceOp = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Combine a tensor over all processes, in place: with one it stays as it is."""
    return _done("all_reduce", async_op)


def reduce(
    tensor: Any,
    dst: int | None = None,
    op: ReduceOp = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Combine a tensor over all processes at ``dst``: with one it stays as it is."""
    return _done("reduce", async_op)


def broadcast(
    tensor: Any, src: int | None = None, group: Any = None, async_op: bool = False
) -> Work | None:
    """Copy a tensor from ``src`` to all: with one process it stays as it is."""
    return _done("broadcast", async_op)


def _copy(what: str, target: Any, source: Any) -> None:
    if tuple(target.shape) != tuple(source.shape):
        raise ValueError(
            f"[{what}] expected tensors of one shape, got {tuple(target.shape)} and "
            f"{tuple(source.shape)}"
        )
    with eg.no_grad():
        target.copy_(source)


def _only(what: str, items: Any) -> Any:
    _need_group(what)
    if len(items) != 1:
        raise ValueError(f"[{what}] expected a list of 1, one for each process, got {len(items)}")
    return items[0]


def all_gather(
    tensor_list: list, tensor: Any, group: Any = None, async_op: bool = False
) -> Work | None:
    """Collect every process's tensor in ``tensor_list``."""
    _copy("all_gather", _only("all_gather", tensor_list), tensor)
    return _done("all_gather", async_op)


def all_gather_into_tensor(
    output_tensor: Any, input_tensor: Any, group: Any = None, async_op: bool = False
) -> Work | None:
    """Collect every process's tensor in one."""
    _need_group("all_gather_into_tensor")
    _copy("all_gather_into_tensor", output_tensor.view(input_tensor.shape), input_tensor)
    return _done("all_gather_into_tensor", async_op)


def gather(
    tensor: Any,
    gather_list: list | None = None,
    dst: int | None = None,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Collect every process's tensor at ``dst``."""
    _copy("gather", _only("gather", gather_list or []), tensor)
    return _done("gather", async_op)


def scatter(
    tensor: Any,
    scatter_list: list | None = None,
    src: int | None = None,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Hand out a list of tensors, one to each process."""
    _copy("scatter", tensor, _only("scatter", scatter_list or []))
    return _done("scatter", async_op)


def reduce_scatter(
    output: Any,
    input_list: list,
    op: ReduceOp = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Combine lists of tensors and hand out the results."""
    _copy("reduce_scatter", output, _only("reduce_scatter", input_list))
    return _done("reduce_scatter", async_op)


def all_to_all(
    output_tensor_list: list, input_tensor_list: list, group: Any = None, async_op: bool = False
) -> Work | None:
    """Every process sends one tensor to every other."""
    source = _only("all_to_all", input_tensor_list)
    _copy("all_to_all", _only("all_to_all", output_tensor_list), source)
    return _done("all_to_all", async_op)


def all_gather_object(object_list: list, obj: Any, group: Any = None) -> None:
    """Collect every process's object in ``object_list``."""
    _only("all_gather_object", object_list)
    object_list[0] = obj


def gather_object(
    obj: Any, object_gather_list: list | None = None, dst: int | None = None, group: Any = None
) -> None:
    """Collect every process's object at ``dst``."""
    _only("gather_object", object_gather_list or [])
    object_gather_list[0] = obj  # type: ignore[index]


def broadcast_object_list(
    object_list: list, src: int | None = None, group: Any = None, device: Any = None
) -> None:
    """Copy objects from ``src`` to all: with one process they stay as they are."""
    _need_group("broadcast_object_list")
