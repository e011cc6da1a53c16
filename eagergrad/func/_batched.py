"""A tensor that stands for one item of a batch: what `vmap` hands to the function where it can run it once for all items.

Note [Batched tensors]
A `Batched` holds the whole batch, items along dimension 0, and shows the shape of one item. Like a sparse tensor it says it
is a Tensor and is no subclass, so an op of the core that gets one asks its ``__torch_function__``; a rule of `RULES` then
runs the op on the whole batch. Rules are written in ordinary ops, so the tape records them and their values may be batched
again, by an outer vmap (a lower level). An op without a rule runs for each item, and its results are stacked (`_each`). What
reads a value (``x.item()``) or chooses by one that differs between the items (``if x > 0``) raises; `vmap` then runs the
function item by item, as it is written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad.autograd.function import vmaps
from eagergrad.tensor.stand_in import Proxy

__all__ = [
    "Batched",
    "NoRule",
    "batched_by",
    "each",
    "level_of",
    "physical",
    "rewrapped",
    "running",
    "spread",
    "vmaps",
    "whole_of",
]


# How an op, by its name, runs on the whole batch: rule(level, op, *args, **kwargs). Those at `level` are batched there.
RULES: dict[str, Callable[..., Any]] = {}
# Those that call ops of single items; the others must not meet an item again, whose dimension they have in the open.
RULES_OF_ITEMS: set[Callable[..., Any]] = set()


class NoRule(RuntimeError):
    """The function cannot run on a whole batch; vmap runs it item by item."""


def _refuse(what: str) -> Callable[..., Any]:
    def refuse(self: Batched, *args: Any, **kwargs: Any) -> Any:
        raise NoRule(f"[vmap] {what} of a batch of items")

    return refuse


class Batched(Proxy):
    """One item of a batch. See Note [Batched tensors]."""

    __slots__ = ("__weakref__", "level", "value")

    def __init__(self, value: Any, level: int) -> None:
        self.value = value
        self.level = level

    @property
    def _held(self) -> Any:  # type: ignore[override]
        return self.value

    @staticmethod
    def _call(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return call(func, args, kwargs)

    @staticmethod
    def _prefers(name: str) -> bool:
        return name in RULES

    # -- what can be said of every item --------------------------------------------------------------------

    @property
    def shape(self) -> Any:  # type: ignore[override]
        return eg.Size(self.value.shape[1:])

    def dim(self) -> int:
        return self.value.dim() - 1

    def __repr__(self) -> str:
        return f"Batched(item shape {tuple(self.shape)}, {self.value.shape[0]} items)"

    # -- what only one value has ---------------------------------------------------------------------------

    def __bool__(self) -> bool:
        """The truth of every item, where they agree: then all take the same way through the function."""
        true = self.value if self.dtype == eg.bool else self.value != 0
        if self.numel() == 1 and bool(true.all()):
            return True
        if self.numel() == 1 and not bool(true.any()):
            return False
        raise NoRule("[vmap] a choice that differs between the items")

    __float__ = __int__ = __index__ = item = tolist = _refuse("the number")
    __str__ = __format__ = _refuse("the text")
    __array__ = numpy = __dlpack__ = __contains__ = __deepcopy__ = __reduce_ex__ = _refuse(
        "the values"
    )
    data_ptr = storage = register_hook = retain_grad = backward = _refuse("the memory or graph")

    def __getitem__(self, index: Any) -> Any:
        if type(index) is int or type(index) is slice:
            return Batched(self.value[:, index], self.level)
        return Batched(_item(self, index), self.level)

    def __setitem__(self, index: Any, value: Any) -> None:
        places = _basic(self, index)
        if isinstance(value, Tensor) and is_at(value, self.level):
            target = self.value[places]
            value = lifted(value, self.level, target.dim() - 1)
        elif level_of(value) > self.level:
            raise NoRule("[vmap] a write of items into what all items share")
        self.value[places] = value


def call(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The op on whole batches: those of the innermost vmap among the arguments."""
    level = level_of(args)
    if kwargs:
        level = max(level, level_of(tuple(kwargs.values())))
    limit = vmaps.limit
    if level >= limit:
        raise NoRule(f"[vmap] {op.__name__} got an item of the level whose rule runs")
    rule = RULES.get(op.__name__, _without_rule)
    if rule not in RULES_OF_ITEMS:
        vmaps.limit = level
    try:
        result = rule(level, op, *args, **kwargs)
    except NoRule:
        return _each(level, op, args, kwargs)
    finally:
        vmaps.limit = limit
    return (
        result if is_at(result, level) else _wrapped(result, level)
    )  # written in place, it is wrapped


def _without_rule(level: int, op: Any, *args: Any, **kwargs: Any) -> Any:
    raise NoRule(f"[vmap] {op.__name__} has no rule for a whole batch")


def each(
    level: int, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """What the function makes of each item that these arguments stand for, stacked."""
    results = [
        function(*_item_of(args, level, i), **_item_of(kwargs, level, i))
        for i in range(vmaps.sizes[level])
    ]
    first = results[0]
    if isinstance(first, Tensor):
        return Batched(eg.stack(results), level)
    if isinstance(first, (tuple, list)) and all(isinstance(x, Tensor) for x in first):
        columns = [Batched(eg.stack(c), level) for c in zip(*results, strict=True)]
        return tuple(columns) if type(first) is tuple else type(first)(columns)
    if all(x == first for x in results):
        return first
    raise NoRule("[vmap] an answer that differs between the items")


def _each(level: int, op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The op for each item; a view is refused, since what is written into one must be seen in the other."""
    if "out" in kwargs:
        raise NoRule("[vmap] out= of a batch of items")
    written = op.__name__.endswith("_")
    if written and not is_at(args[0], level):
        raise NoRule("[vmap] a write of items into what all items share")

    def run(*args: Any, **kwargs: Any) -> Any:
        result = op(*args, **kwargs)
        if not written and _memory(result) & _memory(args):
            raise NoRule(f"[vmap] {op.__name__} is a view of each item")
        return result

    result = each(level, run, args, kwargs)
    return args[0] if written else result


def _memory(x: Any) -> set[int]:
    if isinstance(x, Tensor):
        return {physical(x).untyped_storage().data_ptr()} - {0}
    return set().union(*map(_memory, x)) if isinstance(x, (tuple, list)) else set()


def _item_of(x: Any, level: int, i: int) -> Any:
    if type(x) is Batched:
        return x.value[i] if x.level == level else x
    if isinstance(x, dict):
        return {k: _item_of(v, level, i) for k, v in x.items()}
    if isinstance(x, (list, tuple)) and level_of(x) == level:
        return type(x)(_item_of(v, level, i) for v in x)
    return x


def _wrapped(result: Any, level: int) -> Any:
    if isinstance(result, Tensor):
        return Batched(result, level)
    if isinstance(result, list):
        return [Batched(x, level) for x in result]
    if result is None or isinstance(result, int):
        return result
    parts = [Batched(x, level) for x in result]
    return tuple(parts) if type(result) is tuple else type(result)(parts)


def level_of(x: Any) -> int:
    """The innermost vmap that x is batched by, -1 for a plain tensor; of a list, the innermost of its tensors."""
    if type(x) is Batched:
        return x.level
    if isinstance(x, (list, tuple)):
        return max(map(level_of, x), default=-1)
    return -1


def is_at(x: Any, level: int) -> bool:
    return type(x) is Batched and x.level == level


def whole_of(x: Any, level: int) -> Any:
    """The whole batch of x, repeated where all items share it."""
    return x.value if is_at(x, level) else x.unsqueeze(0).expand(vmaps.sizes[level], *x.shape)


def lifted(x: Any, level: int, rank: int) -> Any:
    """The whole batch with dimensions of size 1 put in front of the items', so that they have `rank`."""
    if not is_at(x, level):
        return x
    v, missing = x.value, rank - x.dim()
    return v.reshape(v.shape[0], *(1,) * missing, *v.shape[1:]) if missing > 0 else v


# ---- whole and part -------------------------------------------------------------------------------------------


def running() -> tuple[int, ...]:
    """The levels of the running vmaps, the innermost first."""
    return tuple(range(len(vmaps.sizes) - 1, -1, -1))


def spread(x: Any, by: tuple[int, ...]) -> Any:
    """x as one that all levels of `by` batch: a derivative is one that each item has of its own."""
    if not by:
        if type(x) is Batched:
            raise NoRule("[vmap] items of a vmap that the others are not of")
        return x
    if is_at(x, by[0]):
        return Batched(spread(x.value, by[1:]), by[0])
    v = spread(x, by[1:])
    return Batched(v.unsqueeze(0).expand(vmaps.sizes[by[0]], *v.shape), by[0])


def physical(x: Any) -> Any:
    """The plain tensor under all levels."""
    while type(x) is Batched:
        x = x.value
    return x


def batched_by(x: Any) -> tuple[int, ...]:
    """The levels of x, the innermost vmap first."""
    found = []
    while type(x) is Batched:
        found.append(x.level)
        x = x.value
    return tuple(found)


def rewrapped(value: Any, by: tuple[int, ...]) -> Any:
    """The plain tensor `value` with these levels put around it."""
    for level in reversed(by):
        value = Batched(value, level)
    return value


def sizes_of(given: tuple[Any, ...]) -> tuple[Any, ...]:
    sizes = given[0] if len(given) == 1 and isinstance(given[0], (list, tuple)) else given
    if not all(isinstance(n, int) for n in sizes):
        raise NoRule("[vmap] sizes that are no integers")
    return tuple(sizes)


def _detach(self: Batched) -> Batched:
    return Batched(self.value.detach(), self.level)


Batched.detach = _detach  # type: ignore[attr-defined]


def _creates(name: str) -> Callable[..., Any]:
    def create(self: Batched, *size: Any, **kwargs: Any) -> Batched:
        if name == "new_full":
            size, fill = sizes_of(size[:-1]), size[-1:]
        else:
            size, fill = sizes_of(size), ()
        whole = (self.value.shape[0], *size)
        return Batched(getattr(self.value, name)(whole, *fill, **kwargs), self.level)

    return create


for _name in ("new_zeros", "new_ones", "new_empty", "new_full"):
    setattr(Batched, _name, _creates(_name))


def _basic(x: Any, index: Any) -> tuple[Any, ...]:
    """The index into an item, of slices and integers only, as one into the batch."""
    index = index if isinstance(index, tuple) else (index,)
    if not all(i is None or i is ... or isinstance(i, (int, slice)) for i in index):
        raise NoRule("[vmap] an index that is no slice or integer")
    if any(isinstance(i, bool) for i in index):
        raise NoRule("[vmap] a mask")
    return (slice(None), *index)


def _item(x: Any, index: Any) -> Any:
    index = index if isinstance(index, tuple) else (index,)
    index = tuple(eg.tensor(i) if isinstance(i, list) else i for i in index)
    places = [k for k, i in enumerate(index) if isinstance(i, Tensor)]
    if not places:
        return x.value[_basic(x, index)]
    if level_of(index) < x.level:
        if places != list(range(places[0], places[0] + len(places))):
            raise NoRule("[vmap] tensors of indices apart")
        return x.value[(slice(None), *index)]
    if places != list(range(len(places))) or any(index[k].dtype == eg.bool for k in places):
        raise NoRule("[vmap] indices of each item behind a slice")
    rank = max(index[k].dim() for k in places)
    batch = x.value.shape[0]
    rows = eg.arange(batch, device=x.device).reshape(batch, *(1,) * rank)
    aligned = [lifted(index[k], x.level, rank) for k in places]
    return x.value[(rows, *aligned, *index[len(places) :])]


def of_matrices(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """What a function of stacks of matrices makes of items that are some."""
    level = level_of(args)
    rank = max(x.dim() for x in args if isinstance(x, Tensor))
    whole = [
        lifted(Batched(whole_of(x, level), level), level, rank) if isinstance(x, Tensor) else x
        for x in args
    ]
    limit, vmaps.limit = vmaps.limit, level  # a limit of singular values may be one of each item
    try:
        return _wrapped(function(*whole), level)
    finally:
        vmaps.limit = limit
