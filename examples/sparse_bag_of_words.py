"""Bags of words: which package of the standard library is this function from?

    pip install "eagergrad[examples]"
    python examples/sparse_bag_of_words.py

A function is a row of 10,000 word counts of which more than 99 % are zero. A linear model and a perceptron read the rows
as they are, sparse: a step costs what the words in it cost, the gradient of the first weight has the rows of those
words alone, and a lazy Adam touches no others. Then the same models learn from the same numbers written out, zeros and all.
(Adam that is not lazy goes on moving a word's weights after the word was seen, and so learns faster from rare words.)
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from stdlib_tokens import TINY, Bags, load, split

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import nn
from eagergrad.utils.data import DataLoader, TensorDataset


def matrix(bags: Bags, dense: bool) -> eg.Tensor:
    x = eg.sparse.csr((bags.values, bags.columns, bags.pointers), (len(bags), len(bags.words)))
    return x.to_dense() if dense else x


def model(kind: str, words: int, classes: int, width: int, dense: bool) -> nn.Module:
    """A dense first layer is nn.Linear; a sparse one has a row of its weight for each word."""
    first = nn.Linear if dense else lambda i, o: eg.sparse.Linear(i, o, sparse_grad=True)
    if kind == "linear":
        return first(words, classes)
    return nn.Sequential(first(words, width), nn.ReLU(), nn.Dropout(0.3), nn.Linear(width, classes))


def train(net: nn.Module, x: eg.Tensor, y: eg.Tensor, epochs: int, dense: bool) -> float:
    """Milliseconds a step."""
    optimizer = eg.optim.Adam(net.parameters(), lr=1e-2, lazy=not dense)
    batches = DataLoader(TensorDataset(x, y), batch_size=128, shuffle=True)
    net.train()
    started = time.perf_counter()
    for _ in range(epochs):
        for rows, labels in batches:  # CSR in, CSR out: nothing is written out
            optimizer.zero_grad()
            F.cross_entropy(net(rows), labels).backward()
            optimizer.step()
    seconds = time.perf_counter() - started
    if not dense:
        optimizer.catch_up()
    return 1e3 * seconds / (epochs * len(batches))


@eg.no_grad()
def accuracy(net: nn.Module, x: eg.Tensor, y: eg.Tensor) -> float:
    net.eval()
    return (net(x).argmax(1) == y).float().mean().item()


def bytes_of(bags: Bags, dense: bool) -> float:
    if dense:
        return 4.0 * len(bags) * len(bags.words)
    return float(bags.values.nbytes + bags.columns.nbytes + bags.pointers.nbytes)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--features", type=int, default=10_000)
    parser.add_argument("--packages", type=int, default=20)
    parser.add_argument("--tiny", action="store_true", help="a few seconds, to see that it runs")
    args = parser.parse_args()
    if args.tiny:
        args.epochs, args.width, args.features = 1, 16, 2000
    bags = load(args.features, args.packages, TINY if args.tiny else None)
    learn, test = split(bags)
    share = np.mean([len(b.values) / (len(b) * len(b.words)) for b in (learn, test)])
    print(
        f"{len(learn)} functions to learn from, {len(test)} held out, {len(bags.words)} words, {share:.2%} not zero"
    )
    print(
        f"{'model':>10} {'input':>7} {'ms a step':>10} {'input MB':>9} {'peak MB':>8} {'accuracy':>9}"
    )
    y, held = eg.tensor(learn.labels), eg.tensor(test.labels)
    for kind in ("linear", "perceptron"):
        steps = {}
        for dense in (False, True):
            eg.manual_seed(0)
            eg.memory.reset_peak()
            net = model(kind, len(bags.words), len(bags.packages), args.width, dense)
            steps[dense] = train(net, matrix(learn, dense), y, args.epochs, dense)
            peak = eg.memory.stats()["peak"]
            print(
                f"{kind:>10} {'dense' if dense else 'sparse':>7} {steps[dense]:10.2f} "
                f"{bytes_of(learn, dense) / 1e6:9.1f} {peak / 1e6:8.1f} {accuracy(net, matrix(test, dense), held):9.3f}"
            )
        print(f"{kind}: a sparse step is {steps[True] / steps[False]:.1f} times as fast")


if __name__ == "__main__":
    main()
