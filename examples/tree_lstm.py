"""A net whose shape is the example: a tree-LSTM that evaluates nested expressions.

    python examples/tree_lstm.py

Every example is a tree such as max(3, min(7, first(2, 5))); the net is
built along the tree, one cell a node, by an ordinary recursive function (Tai, Socher and Manning
2015, the binary cell). The run ends with the share of unseen trees evaluated correctly.
"""

from __future__ import annotations

import argparse
import random
from typing import Any

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import Tensor, nn

OPERATIONS = {"max": max, "min": min, "first": lambda a, b: a}
Tree = Any  # a number, or (operation, tree, tree)


def grow(rng: random.Random, depth: int) -> Tree:
    """A random tree with numbers at the leaves."""
    if depth == 0 or rng.random() < 0.2:
        return rng.randrange(10)
    return rng.choice(list(OPERATIONS)), grow(rng, depth - 1), grow(rng, depth - 1)


def value(tree: Tree) -> int:
    if isinstance(tree, int):
        return tree
    name, left, right = tree
    return OPERATIONS[name](value(left), value(right))


def show(tree: Tree) -> str:
    return str(tree) if isinstance(tree, int) else f"{tree[0]}({show(tree[1])}, {show(tree[2])})"


class TreeLSTM(nn.Module):
    """A cell with two children, each with a forget gate of its own."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.leaf = nn.Embedding(10, 2 * hidden)
        self.operation = nn.Embedding(len(OPERATIONS), hidden)
        self.gates = nn.Linear(3 * hidden, 5 * hidden)
        self.score = nn.Linear(hidden, 10)
        self.names = {name: eg.tensor(i) for i, name in enumerate(OPERATIONS)}
        self.numbers = eg.arange(10)

    def node(self, tree: Tree) -> tuple[Tensor, Tensor]:
        """The state of a tree, from the states of the trees below it."""
        if isinstance(tree, int):
            h, c = self.leaf(self.numbers[tree]).chunk(2)
            return h.tanh(), c
        name, left, right = tree
        (h_l, c_l), (h_r, c_r) = self.node(left), self.node(right)
        x = eg.cat([self.operation(self.names[name]), h_l, h_r])
        i, f_l, f_r, g, o = self.gates(x).chunk(5)
        c = f_l.sigmoid() * c_l + f_r.sigmoid() * c_r + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    def forward(self, trees: list[Tree]) -> Tensor:
        return self.score(eg.stack([self.node(tree)[0] for tree in trees]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a few seconds, to see that it runs")
    args = parser.parse_args()
    if args.tiny:
        args.steps, args.batch, args.hidden = 5, 4, 8
    eg.manual_seed(0)
    rng = random.Random(0)
    model = TreeLSTM(args.hidden)
    optimizer = eg.optim.Adam(model.parameters(), lr=4e-3)
    for step in range(1, args.steps + 1):
        trees = [grow(rng, rng.randint(1, args.depth)) for _ in range(args.batch)]
        loss = F.cross_entropy(model(trees), eg.tensor([value(t) for t in trees]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % max(args.steps // 10, 1) == 0:
            print(f"step {step:5d}  loss {loss.item():.4f}")
    trees = [grow(rng, args.depth) for _ in range(10 if args.tiny else 300)]
    with eg.no_grad():
        answers = model(trees).argmax(dim=1).tolist()
    right = sum(a == value(t) for a, t in zip(answers, trees, strict=True))
    print(f"{show(trees[0])} = {answers[0]}")
    print(f"unseen trees evaluated correctly: {right / len(trees):.1%}")


if __name__ == "__main__":
    main()
