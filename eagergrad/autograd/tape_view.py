"""The tape behind a tensor as a list, as text and as a drawing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, NamedTuple

from eagergrad.utils._pytree import tree_leaves

__all__ = ["Tape", "TapeEntry", "tape"]

_ROW, _LETTER, _LANE = 18, 7.3, 7  # pixels: a line's height, a letter's and a lane's width
_LANES = 24  # arcs that span more rows than this lie at the same distance


class TapeEntry(NamedTuple):
    """One step of the tape, or a leaf that collects its gradient."""

    number: int
    name: str  # "TanhBackward0"; of a leaf the parameter's name, else "leaf"
    shapes: tuple[Any, ...]  # of what it made
    sources: tuple[int, ...]  # numbers of the entries whose results it took
    saved: int  # bytes kept for backward that neither a leaf nor an entry before it keeps
    site: str  # "train.py:14"; empty of a leaf
    node: Any


class Tape:
    """What `backward()` of some tensors would walk, oldest first: the operations and the leaves that collect gradients.

    ``print(tape)`` lists it; notebooks draw it, and `save` writes the drawing. It keeps the graph alive.
    """

    def __init__(self, entries: list[TapeEntry]) -> None:
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[TapeEntry]:
        return iter(self.entries)

    def __reversed__(self) -> Iterator[TapeEntry]:
        return reversed(self.entries)

    def __getitem__(self, number: int) -> TapeEntry:
        return self.entries[number]

    def _lines(self) -> list[str]:
        rows = [
            (
                str(e.number),
                e.name,
                " ".join(str(list(s)) for s in e.shapes),
                "from " + ", ".join(map(str, e.sources)) if e.sources else "",
                f"keeps {_bytes(e.saved)}" if e.saved else "",
                e.site,
            )
            for e in self
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return [
            "  ".join([row[0].rjust(widths[0]), *map(str.ljust, row[1:], widths[1:])]).rstrip()
            for row in rows
        ]

    def __str__(self) -> str:
        total = _bytes(sum(e.saved for e in self))
        return "\n".join([*self._lines(), f"{len(self)} entries keep {total}"]) if self else "empty"

    def svg(self) -> str:
        """The list with an arc from each result to what took it, as SVG text."""
        lines = self._lines()
        spans = [e.number - source for e in self for source in e.sources]
        left = _LANE * (min(max(spans, default=0), _LANES) + 1)
        arcs = []
        for e in self:
            for source in e.sources:
                lane = _LANE * min(e.number - source, _LANES)
                top, bottom = _ROW * (source + 0.5), _ROW * (e.number + 0.5)
                arcs.append(f'<path d="M{left},{top} h{-lane} V{bottom} h{lane - 4}"/>')
        text = [
            f'<text x="{left + 6}" y="{_ROW * (i + 0.7):.1f}">{escape(line)}</text>'
            for i, line in enumerate(lines)
        ]
        width = left + 12 + _LETTER * max(map(len, lines), default=0)
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{_ROW * len(lines)}">',
                '<marker id="tip" markerWidth="5" markerHeight="5" refX="1" refY="2.5" orient="auto">'
                '<path d="M0,0 L5,2.5 L0,5 z"/></marker>',
                '<g fill="none" stroke="#888" marker-end="url(#tip)">',
                *arcs,
                '</g><g font-family="monospace" font-size="12" xml:space="preserve">',
                *text,
                "</g></svg>",
            ]
        )

    _repr_svg_ = svg  # notebooks show it

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the drawing as an SVG file."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.svg())


def tape(outputs: Any, names: Any = None) -> Tape:
    """The tape behind a tensor, or behind all tensors of a structure.

    Args:
        outputs: tensors in lists, tuples and dicts; those that require no gradient have no tape.
        names: a module, or a dict of names and tensors, for the names of leaves.

    >>> import eagergrad as eg
    >>> w = eg.ones(2, 3, requires_grad=True)
    >>> x = eg.ones(4, 2)
    >>> print(tape((x @ w).tanh().sum(), {"w": w}))  # doctest: +ELLIPSIS
    0  w              [2, 3]
    1  MmBackward0    [4, 3]  from 0  keeps 32 B  ...
    2  TanhBackward0  [4, 3]  from 1  keeps 48 B  ...
    3  SumBackward0   []      from 2              ...
    4 entries keep 80 B
    """
    if names is not None and not isinstance(names, Mapping):
        names = dict(names.named_parameters())
    called = {id(tensor): name for name, tensor in (names or {}).items()}
    nodes = _walk([t for t in tree_leaves(outputs) if getattr(t, "requires_grad", False)])
    number = {node: i for i, node in enumerate(nodes)}
    variables = [getattr(node, "variable", None) for node in nodes]
    kept = {_memory(v) for v in variables if v is not None}
    entries = []
    for i, (node, leaf) in enumerate(zip(nodes, variables, strict=True)):
        taken = [source for source, _ in node.next_functions if source is not None]
        entries.append(
            TapeEntry(
                number=i,
                name=node.name() if leaf is None else called.get(id(leaf), "leaf"),
                shapes=tuple(node.output_shapes),
                sources=tuple(dict.fromkeys(number[source] for source in taken)),
                saved=_saved(node, kept),
                site=node.site if leaf is None else "",
                node=node,
            )
        )
    return Tape(entries)


def _walk(outputs: list[Any]) -> list[Any]:
    """The nodes that lead to tensors, each after the ones whose results it took."""
    from eagergrad.autograd.graph import get_gradient_edge

    order: list[Any] = []
    entered: set[Any] = set()
    waiting = [(get_gradient_edge(t).node, False) for t in reversed(outputs)]
    while waiting:
        node, done = waiting.pop()
        if done:
            order.append(node)
        elif node not in entered:
            entered.add(node)
            waiting.append((node, True))
            waiting += [(n, False) for n, _ in reversed(node.next_functions) if n is not None]
    return order


def _saved(node: Any, kept: set[int]) -> int:
    """The bytes of memory that a node keeps for backward and that are not in ``kept``."""
    if node.released:
        return 0
    total = 0
    for t in node.saved_tensors or ():
        if t is not None and _memory(t) not in kept:
            kept.add(_memory(t))
            total += t.numel() * t.element_size()
    return total


def _memory(t: Any) -> int:
    return id(t) if t.is_sparse else t.untyped_storage().data_ptr()


def _bytes(n: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.3g} {unit}"
        n /= 1024  # type: ignore[assignment]
    return f"{n:.3g} GiB"
