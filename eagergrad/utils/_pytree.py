"""Nested tuples, lists and dicts as a list of leaves and a description, under the names programs know from PyTorch."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = [
    "TreeSpec",
    "register_pytree_node",
    "tree_all",
    "tree_any",
    "tree_flatten",
    "tree_leaves",
    "tree_map",
    "tree_map_only",
    "tree_structure",
    "tree_unflatten",
]


class TreeSpec(NamedTuple):
    """What remains of a tree without its leaves; `rebuild` makes the node of its children, None marks a leaf."""

    rebuild: Callable[[list[Any]], Any] | None
    keys: tuple[Any, ...]
    children: tuple[TreeSpec, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TreeSpec) and self[1:] == other[1:]

    def __ne__(self, other: object) -> bool:  # a tuple's own would compare the functions as well
        return not self == other

    def __hash__(self) -> int:
        return hash(self[1:])

    @property
    def num_leaves(self) -> int:
        return 1 if self.rebuild is None else sum(child.num_leaves for child in self.children)


_LEAF = TreeSpec(None, (), ())


def _node(tree: Any) -> tuple[tuple[Any, ...], list[Any], Callable[[list[Any]], Any]] | None:
    kind = type(tree)
    if kind in (dict, OrderedDict):
        keys = list(tree)
        return (
            (kind, *keys),
            list(tree.values()),
            lambda items: kind(zip(keys, items, strict=True)),
        )
    if kind is defaultdict:
        keys, factory = list(tree), tree.default_factory
        return (
            (kind, *keys),
            list(tree.values()),
            lambda items: defaultdict(factory, zip(keys, items, strict=True)),
        )
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return (kind,), list(tree), lambda items: kind(*items)
    if kind in (tuple, list) or hasattr(kind, "n_sequence_fields"):  # or results with names
        return (kind, len(tree)), list(tree), kind
    if kind in _registered:
        flatten, unflatten = _registered[kind]
        items, context = flatten(tree)
        return (kind, context), list(items), lambda items: unflatten(items, context)
    return None


_registered: dict[type, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {}


def register_pytree_node(
    cls: type,
    flatten_fn: Callable[[Any], tuple[Any, Any]],
    unflatten_fn: Callable[[Any, Any], Any],
    **names: Any,
) -> None:
    """Makes a class a node of trees: its children and a context, and what makes an object of them again.

    ValueError for a class that is one. PyTorch's names for stored trees (``serialized_type_name``, ...) are not needed.

    >>> class Pair:
    ...     def __init__(self, a, b): self.a, self.b = a, b
    >>> register_pytree_node(Pair, lambda p: ([p.a, p.b], None), lambda items, context: Pair(*items))
    >>> tree_leaves([Pair(1, 2), 3])
    [1, 2, 3]
    """
    if cls in _registered:
        raise ValueError(f"[register_pytree_node] {cls!r} is already registered")
    _registered[cls] = (flatten_fn, unflatten_fn)


def tree_flatten(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[Any], TreeSpec]:
    """The leaves of nested tuples, lists, dicts and named tuples from left to right, and what to rebuild them with.

    >>> leaves, spec = tree_flatten({"a": 1, "b": (2, [3])})
    >>> leaves
    [1, 2, 3]
    >>> tree_unflatten([10, 20, 30], spec)
    {'a': 10, 'b': (20, [30])}
    """
    node = None if is_leaf is not None and is_leaf(tree) else _node(tree)
    if node is None:
        return [tree], _LEAF
    keys, items, rebuild = node
    leaves: list[Any] = []
    children = []
    for item in items:
        found, spec = tree_flatten(item, is_leaf)
        leaves += found
        children.append(spec)
    return leaves, TreeSpec(rebuild, keys, tuple(children))


def tree_unflatten(leaves: Any, treespec: TreeSpec) -> Any:
    """The tree of these leaves; ValueError unless there is one for each place."""
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(
            f"[tree_unflatten] expected {treespec.num_leaves} leaves, got {len(leaves)}"
        )
    return _rebuilt(iter(leaves), treespec)


def _rebuilt(leaves: Any, spec: TreeSpec) -> Any:
    if spec.rebuild is None:
        return next(leaves)
    return spec.rebuild([_rebuilt(leaves, child) for child in spec.children])


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves alone."""
    return tree_flatten(tree, is_leaf)[0]


def tree_map(
    func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """The tree of func(leaf, ...), with the leaves of further trees of the same form as further arguments.

    >>> tree_map(lambda x, y: x + y, [1, (2,)], [10, (20,)])
    [11, (22,)]
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    others = []
    for rest in rests:
        found, form = tree_flatten(rest, is_leaf)
        if form != spec:
            raise ValueError("[tree_map] expected trees of the same form")
        others.append(found)
    return tree_unflatten([func(*items) for items in zip(leaves, *others, strict=True)], spec)


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The form alone."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map_only(
    kind: Any, func: Callable[[Any], Any], tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """`tree_map` over the leaves of a type (or of several); the others stay.

    >>> tree_map_only(int, lambda x: x + 1, [1, "a"])
    [2, 'a']
    """
    return tree_map(lambda x: func(x) if isinstance(x, kind) else x, tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: Any = None) -> bool:
    """Whether it holds for all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: Any = None) -> bool:
    """Whether it holds for one of the leaves."""
    return any(map(pred, tree_leaves(tree, is_leaf)))
