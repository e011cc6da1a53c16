"""Functions over a batch: run for each of its items, recorded, and stacked."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad.func import _rules  # noqa: F401 - fills the table of rules
from eagergrad.func._batched import Batched, NoRule, level_of, vmaps, whole_of
from eagergrad.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

__all__ = ["stack_module_state", "vmap"]


def _spread(dims: Any, tree: Any, what: str) -> list[Any]:
    """The entry of `dims` for every leaf of `tree`; one entry may stand for a whole subtree."""
    if dims is None or isinstance(dims, int):
        return [dims] * len(tree_flatten(tree)[0])
    children, form = _children(tree), _children(dims)
    if children is None or form is None or children.keys() != form.keys():
        raise ValueError(
            f"vmap: {what} is not compatible with the structure of what it describes: {dims!r}"
        )
    return [d for key, child in children.items() for d in _spread(form[key], child, what)]


def _children(tree: Any) -> dict[Any, Any] | None:
    if isinstance(tree, dict):
        return tree
    return dict(enumerate(tree)) if isinstance(tree, (tuple, list)) else None


def _batch_size(leaves: list[Any], dims: list[Any]) -> int:
    sizes = set()
    for leaf, dim in zip(leaves, dims, strict=True):
        if dim is None:
            continue
        if not isinstance(leaf, Tensor):
            raise ValueError(
                f"vmap: got in_dim={dim} for an input of type {type(leaf).__name__}; in_dims must be None for it"
            )
        if not -leaf.dim() <= dim < leaf.dim():
            raise ValueError(f"vmap: got in_dim={dim} for an input with {leaf.dim()} dimensions")
        sizes.add(leaf.shape[dim])
    if not sizes:
        raise ValueError("vmap: at least one input must have a dimension to map over")
    if len(sizes) > 1:
        raise ValueError(f"vmap: expected all mapped dimensions to have the same size; got {sizes}")
    return sizes.pop()


class _Randomness:
    """What happens to the random numbers of the items: `randomness` of vmap."""

    def __init__(self, rule: str) -> None:
        if rule not in ("error", "different", "same"):
            raise RuntimeError(
                f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {rule}"
            )
        self.rule = rule
        self.start = eg.get_rng_state()

    def before(self) -> None:
        if self.rule == "same":
            eg.set_rng_state(self.start)

    def after(self) -> None:
        if self.rule == "error" and not eg.equal(self.start, eg.get_rng_state()):
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please pass "
                "randomness='same' or 'different' to vmap"
            )


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function that runs func on every item along `in_dims` of its arguments and stacks the results at `out_dims`.

    Keyword arguments go to every call as they are. func runs once on tensors that stand for one item and hold the whole
    batch, or `chunk_size` items of it at a time. Where it asks for what only one item has (``if x > 0``, ``x.item()``) or
    for an op that has no rule for a batch, it runs once an item, as it is written, and takes as long as the loop that it
    is. With `randomness` "error" random numbers raise RuntimeError, with "different" every item draws its own and with
    "same" all draw the same.

    >>> import eagergrad as eg
    >>> vmap(eg.dot)(eg.ones(2, 3), eg.arange(6.0).reshape(2, 3))
    tensor([ 3., 12.])
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("vmap: chunk_size should be None or greater than 0.")
    _Randomness(randomness)

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, form = tree_flatten(args)
        dims = _spread(list(in_dims) if isinstance(in_dims, tuple) else in_dims, args, "in_dims")
        size = _batch_size(leaves, dims)
        if chunk_size is not None and chunk_size < size:
            parts = [
                _at(leaves, dims, start, min(chunk_size, size - start))
                for start in range(0, size, chunk_size)
            ]
            call = functools.partial(_map, func, kwargs, form, dims, out_dims, randomness)
            return _joined([call(part) for part in parts], out_dims)
        return _map(func, kwargs, form, dims, out_dims, randomness, leaves)

    return wrapped


def _at(leaves: list[Any], dims: list[Any], start: int, length: int) -> list[Any]:
    return [
        x if dim is None else x.narrow(dim, start, length)
        for x, dim in zip(leaves, dims, strict=True)
    ]


def _joined(results: list[Any], out_dims: Any) -> Any:
    found, forms = zip(*map(tree_flatten, results), strict=True)
    dims = _spread(
        list(out_dims) if isinstance(out_dims, tuple) else out_dims, results[0], "out_dims"
    )
    columns = zip(zip(*found, strict=True), dims, strict=True)
    return tree_unflatten([c[0] if dim is None else eg.cat(c, dim) for c, dim in columns], forms[0])


def _map(
    func: Callable[..., Any],
    kwargs: dict[str, Any],
    form: TreeSpec,
    dims: list[Any],
    out_dims: Any,
    randomness: str,
    leaves: list[Any],
) -> Any:
    size = _batch_size(leaves, dims)
    if size != 1:
        start = eg.get_rng_state()
        try:
            result = _whole(func, kwargs, form, dims, out_dims, leaves, size)
        except Exception:
            # Either a batch cannot do what an item can, or items raise this too: the loop tells.
            result = None
        if not eg.equal(start, eg.get_rng_state()):
            eg.set_rng_state(start)  # the loop knows what to make of random numbers
        elif result is not None:
            return result
    random = _Randomness(randomness)
    results: list[list[Any]] = []
    out_form: TreeSpec | None = None
    for i in range(size):
        items = [
            x if dim is None else x.select(dim, i) for x, dim in zip(leaves, dims, strict=True)
        ]
        random.before()
        output = func(*tree_unflatten(items, form), **kwargs)
        random.after()
        found, out_form = tree_flatten(output)
        results.append(found)
    if out_form is None:
        raise RuntimeError(
            "vmap: the batch is empty, and without an item the results have no shape"
        )
    return _stacked(results, out_form, out_dims)


def _whole(
    func: Callable[..., Any],
    kwargs: dict[str, Any],
    form: TreeSpec,
    dims: list[Any],
    out_dims: Any,
    leaves: list[Any],
    size: int,
) -> Any:
    """func once, on all items. See Note [Batched tensors]."""
    level = len(vmaps.sizes)
    items = [
        x if dim is None else Batched(x.movedim(dim, 0) if dim else x, level)
        for x, dim in zip(leaves, dims, strict=True)
    ]
    vmaps.sizes.append(size)
    limit, vmaps.limit = vmaps.limit, sys.maxsize
    try:
        output = func(*tree_unflatten(items, form), **kwargs)
        found, out_form = tree_flatten(output)
        dims = _spread(
            list(out_dims) if isinstance(out_dims, tuple) else out_dims, output, "out_dims"
        )
        results = []
        for x, dim in zip(found, dims, strict=True):
            if level_of(x) > level:
                raise NoRule("[vmap] an item of another vmap")
            whole = whole_of(x, level)
            results.append(whole[0] if dim is None else whole.movedim(0, dim) if dim else whole)
    finally:
        del vmaps.sizes[level:]
        vmaps.limit = limit
    return tree_unflatten(results, out_form)


def _stacked(results: list[list[Any]], form: TreeSpec, out_dims: Any) -> Any:
    first = tree_unflatten(results[0], form)
    dims = _spread(list(out_dims) if isinstance(out_dims, tuple) else out_dims, first, "out_dims")
    columns = []
    for column, dim in zip(zip(*results, strict=True), dims, strict=True):
        if not all(isinstance(x, Tensor) for x in column):
            raise ValueError(
                f"vmap: the function must only return tensors, got {type(column[0]).__name__}"
            )
        columns.append(column[0] if dim is None else eg.stack(list(column), dim))
    return tree_unflatten(columns, form)


def stack_module_state(models: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of modules of one kind, stacked: what `vmap` of `functional_call` takes.

    >>> import eagergrad as eg
    >>> params, buffers = stack_module_state([eg.nn.Linear(3, 2) for _ in range(4)])
    >>> tuple(params["weight"].shape)
    (4, 2, 3)
    """
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({m.training for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be in one training mode.")
    if len({type(m) for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    params = {
        name: eg.stack([dict(m.named_parameters())[name].detach() for m in models]).requires_grad_(
            p.requires_grad
        )
        for name, p in models[0].named_parameters()
    }
    buffers = {
        name: eg.stack([dict(m.named_buffers())[name] for m in models])
        for name, _ in models[0].named_buffers()
    }
    return params, buffers
