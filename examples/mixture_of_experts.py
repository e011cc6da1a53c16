"""A mixture of experts on real text: which package of the standard library is this function from?

    pip install "eagergrad[examples,viz]"
    python examples/mixture_of_experts.py      # writes experts.png: which package goes to which expert

Outrageously large neural networks: the sparsely-gated mixture-of-experts layer (Shazeer et al. 2017). A
function comes as a sparse bag of 20,000 tokens. A sparse linear layer, of which a step touches only the rows of the
tokens that occur, makes a vector of it, a noisy top-k gate sends that to 2 of 16 small perceptrons, and each of these runs
on its own rows alone. Beside it, one perceptron of the same size as what a row passes through.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from stdlib_tokens import TINY, Bags, load, split

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import Tensor, nn


class Classifier(nn.Module):
    """Sparse input, then a mixture of experts or (without experts) one perceptron, then scores."""

    def __init__(self, words: int, classes: int, width: int, experts: int, k: int) -> None:
        super().__init__()
        self.embed = eg.sparse.Linear(words, width, sparse_grad=True)
        self.mixture = self.one = None
        if experts:
            gate = nn.TopKGate(width, experts, k, importance_weight=0.1, load_weight=0.1)
            self.mixture = nn.MixtureOfExperts(width, experts, width, gate=gate)
        else:
            layers = nn.Linear(width, k * width), nn.ReLU(), nn.Linear(k * width, width)
            self.one = nn.Sequential(*layers)
        self.scores = nn.Linear(width, classes)

    def forward(self, x: eg.sparse.SparseTensor) -> tuple[Tensor, Tensor]:
        h = F.relu(self.embed(x))
        if self.mixture is None:
            return self.scores(h + self.one(h)), eg.zeros(())
        y, balance = self.mixture(h)
        return self.scores(h + y), balance


def matrix(bags: Bags) -> eg.sparse.SparseTensor:
    shape = (len(bags), len(bags.words))
    return eg.sparse.csr((bags.values, bags.columns, bags.pointers), shape)


def train(model: Classifier, bags: Bags, epochs: int, batch: int) -> float:
    """Seconds of training, with a line an epoch."""
    x, y = matrix(bags), eg.tensor(bags.labels)
    optimizer = eg.optim.Adam(model.parameters(), lr=3e-3, lazy=True)
    started = time.perf_counter()
    for epoch in range(1, epochs + 1):
        model.train()
        total = 0.0
        order = eg.randperm(len(y))
        for rows in order.split(batch):
            scores, balance = model(x[rows])
            loss = F.cross_entropy(scores, y[rows])
            optimizer.zero_grad()
            (loss + balance).backward()
            optimizer.step()
            total += loss.item() * len(rows)
        print(f"epoch {epoch:2d}  loss {total / len(y):.3f}")
    optimizer.catch_up()
    return time.perf_counter() - started


@eg.no_grad()
def accuracy(model: Classifier, bags: Bags) -> float:
    model.eval()
    scores, _ = model(matrix(bags))
    return (scores.argmax(1) == eg.tensor(bags.labels)).float().mean().item()


@eg.no_grad()
def use(model: Classifier, bags: Bags) -> np.ndarray:
    """How much of each package's gates goes to each expert: (packages, experts), rows sum to 1."""
    model.eval()
    gates = model.mixture.gate(F.relu(model.embed(matrix(bags)))).dense().numpy()
    shares = np.zeros((len(bags.packages), gates.shape[1]))
    np.add.at(shares, bags.labels, gates)
    return shares / np.maximum(shares.sum(1, keepdims=True), 1e-12)


def draw(shares: np.ndarray, packages: list[str], path: Path) -> None:
    import matplotlib.pyplot as plt

    order = np.argsort(shares.argmax(1), kind="stable")
    figure, axes = plt.subplots(figsize=(7, 6), layout="constrained")
    image = axes.imshow(shares[order], cmap="magma", vmin=0)
    axes.set_yticks(range(len(packages)), [packages[i] for i in order])
    axes.set_xticks(range(shares.shape[1]))
    axes.set_xlabel("expert")
    axes.set_title("Where the gate sends the functions of each package")
    figure.colorbar(image, label="share of the package's gates")
    figure.savefig(path, dpi=150)
    print(f"wrote {path}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--experts", type=int, default=16)
    parser.add_argument("--features", type=int, default=20_000)
    parser.add_argument("--packages", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("experts.png"))
    parser.add_argument("--tiny", action="store_true", help="a few seconds, to see that it runs")
    args = parser.parse_args()
    if args.tiny:
        args.epochs, args.width, args.experts, args.features = 1, 16, 4, 2000
    eg.manual_seed(0)
    bags = load(args.features, args.packages, TINY if args.tiny else None)
    learn, test = split(bags)
    print(f"{len(learn)} functions to learn from, {len(test)} held out, {len(bags.words)} words")
    sizes = (len(bags.words), len(bags.packages), args.width)
    for name, experts in (("one perceptron", 0), (f"{args.experts} experts", args.experts)):
        model = Classifier(*sizes, experts, k=2)
        seconds = train(model, learn, args.epochs, args.batch)
        print(
            f"{name}: {seconds:.1f} s, accuracy on held-out functions {accuracy(model, test):.3f}"
        )
    shares = use(model, test)
    load_of_each = shares.mean(0)
    print("load of the experts:", " ".join(f"{100 * s:.0f}%" for s in load_of_each))
    draw(shares, bags.packages, args.out)


if __name__ == "__main__":
    main()
