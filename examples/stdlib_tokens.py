"""Functions of Python's standard library as bags of tokens: real text that every machine has.

    python examples/stdlib_tokens.py           # says what is in it

Each function of the library's packages becomes one row: how often which word occurs in its source, as a weight. Words are
the names, and their parts between underscores and capitals, so that `parse_url` and `URLParser` share some. The label
is the package the function comes from. Other examples import `load` from here.
"""

from __future__ import annotations

import argparse
import ast
import re
import sysconfig
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[^\sA-Za-z_]")
PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
TINY = {"email", "http", "json", "logging", "unittest"}  # what a trial run reads
SKIPPED = {"test", "tests", "idle_test", "site-packages", "__pycache__"}


@dataclass(frozen=True)
class Bags:
    """Rows of a sparse matrix in compressed form, and their labels."""

    values: np.ndarray  # float32: log(1 + count), each row of length 1
    columns: np.ndarray  # int64: which word
    pointers: np.ndarray  # int64: where each row starts, and the end
    labels: np.ndarray  # int64: which package
    words: list[str]
    packages: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, chosen: np.ndarray) -> Bags:
        """The bags of these functions."""
        lengths = np.diff(self.pointers)[chosen]
        pointers = np.concatenate([[0], np.cumsum(lengths)])
        at = np.repeat(self.pointers[chosen] - pointers[:-1], lengths) + np.arange(pointers[-1])
        return replace(
            self,
            values=self.values[at],
            columns=self.columns[at],
            pointers=pointers,
            labels=self.labels[chosen],
        )


def functions(folder: Path) -> list[str]:
    """Sources of the functions of all modules in a folder."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        if SKIPPED & set(path.relative_to(folder).parts):
            continue
        try:
            source = path.read_text(encoding="utf-8")
            tree = ast.parse(source)
        except (SyntaxError, UnicodeDecodeError):
            continue
        lines = source.splitlines()
        inside: list[ast.AST] = [tree]
        while inside:
            node = inside.pop()
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found.append("\n".join(lines[node.lineno - 1 : node.end_lineno]))
            else:  # functions within functions are part of these
                inside += ast.iter_child_nodes(node)
    return found


def words_of(source: str) -> list[str]:
    names = NAME.findall(source)
    return names + [part.lower() for name in names for part in PART.findall(name) if part != name]


def load(features: int = 20_000, packages: int = 20, among: Container[str] | None = None) -> Bags:
    """The functions of the largest packages (of those in `among`), in the `features` commonest words or, where that is
    fewer, in all."""
    library = Path(sysconfig.get_paths()["stdlib"])
    sources = {
        folder.name: functions(folder)
        for folder in sorted(library.iterdir())
        if (folder / "__init__.py").exists()
        and folder.name not in SKIPPED
        and (among is None or folder.name in among)
    }
    names = sorted(sources, key=lambda name: -len(sources[name]))[:packages]
    counts = [Counter(words_of(source)) for name in names for source in sources[name]]
    labels = np.repeat(np.arange(len(names)), [len(sources[name]) for name in names])
    total: Counter[str] = Counter()
    for bag in counts:
        total.update(bag.keys())
    words = [word for word, _ in total.most_common(features)]
    column = {word: i for i, word in enumerate(words)}
    values, columns, pointers = [], [], [0]
    for bag in counts:
        entries = sorted((column[w], n) for w, n in bag.items() if w in column)
        weights = np.log1p(np.array([n for _, n in entries], dtype=np.float32))
        values.append(weights / np.sqrt((weights**2).sum() or np.float32(1)))
        columns.append(np.array([c for c, _ in entries], dtype=np.int64))
        pointers.append(pointers[-1] + len(entries))
    return Bags(
        np.concatenate(values), np.concatenate(columns), np.array(pointers), labels, words, names
    )


def split(bags: Bags, held_out: float = 0.2, seed: int = 0) -> tuple[Bags, Bags]:
    """Shuffled: what to learn from, and what to be tested on."""
    order = np.random.default_rng(seed).permutation(len(bags))
    cut = round(len(bags) * (1 - held_out))
    return bags.rows(order[:cut]), bags.rows(order[cut:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--features", type=int, default=20_000)
    parser.add_argument("--packages", type=int, default=20)
    parser.add_argument("--tiny", action="store_true", help="fewer packages, to see that it runs")
    args = parser.parse_args()
    bags = load(args.features, args.packages, TINY if args.tiny else None)
    share = len(bags.values) / (len(bags) * len(bags.words))
    print(
        f"{len(bags)} functions, {len(bags.words)} words, {100 * (1 - share):.2f} % of the entries are zero"
    )
    for label, name in enumerate(bags.packages):
        print(f"{name:>16} {(bags.labels == label).sum():6d} functions")


if __name__ == "__main__":
    main()
