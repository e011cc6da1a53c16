"""Vectors of words that are used alike, from the standard library's sources.

    python examples/word_vectors.py

Distributed representations of words and phrases (Mikolov et al. 2013): a word's vector learns to tell the words around it from
words drawn at random. A step sees a few hundred of the words, so both tables have `sparse=True`, and `Adam(lazy=True)`
touches only the rows that were seen; the time of steps with dense gradients stands beside it.
"""

from __future__ import annotations

import argparse
import sysconfig
import time
from collections import Counter
from pathlib import Path

import numpy as np
from stdlib_tokens import PART, functions

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import Tensor, nn


def sentences(packages: list[str]) -> list[list[str]]:
    """The parts of all names of each function, in order."""
    library = Path(sysconfig.get_paths()["stdlib"])
    sources = [source for name in packages for source in functions(library / name)]
    return [[part.lower() for part in PART.findall(source)] for source in sources]


def pairs(texts: list[list[str]], column: dict[str, int], window: int) -> np.ndarray:
    """(n, 2): every known word with each of those up to `window` places after it, both ways."""
    found = []
    for text in texts:
        ids = np.array([column[w] for w in text if w in column], dtype=np.int64)
        for distance in range(1, min(window, len(ids) - 1) + 1):
            found.append(np.stack([ids[:-distance], ids[distance:]], 1))
    forward = np.concatenate(found)
    return np.concatenate([forward, forward[:, ::-1]])


class SkipGram(nn.Module):
    """A vector for a word, another for the same word as a neighbour."""

    def __init__(self, words: int, width: int, sparse: bool) -> None:
        super().__init__()
        self.word = nn.Embedding(words, width, sparse=sparse)
        self.near = nn.Embedding(words, width, sparse=sparse)
        nn.init.uniform_(self.word.weight, -0.5 / width, 0.5 / width)
        nn.init.zeros_(self.near.weight)

    def forward(self, word: Tensor, near: Tensor, others: Tensor) -> Tensor:
        """The loss of (n,) words, their true neighbours and (n, k) words drawn at random."""
        v = self.word(word)
        true = (v * self.near(near)).sum(1)
        false = (self.near(others) @ v.unsqueeze(2)).squeeze(2)
        return -(F.logsigmoid(true) + F.logsigmoid(-false).sum(1)).mean()


def train(
    model: SkipGram, data: np.ndarray, chance: Tensor, steps: int, batch: int, lazy: bool
) -> float:
    """Seconds a step."""
    optimizer = eg.optim.Adam(model.parameters(), lr=3e-3, lazy=lazy)
    total, started = 0.0, time.perf_counter()
    for step in range(1, steps + 1):
        rows = eg.tensor(data[np.random.default_rng(step).integers(len(data), size=batch)])
        others = eg.multinomial(chance, batch * 5, replacement=True).view(batch, 5)
        loss = model(rows[:, 0], rows[:, 1], others)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        if lazy and step % max(steps // 8, 1) == 0:
            print(f"step {step:5d}  loss {total / max(steps // 8, 1):.3f}")
            total = 0.0
    return (time.perf_counter() - started) / steps


def neighbours(model: SkipGram, words: list[str], word: str, count: int = 6) -> list[str]:
    table = F.normalize(model.word.weight.detach(), dim=1)
    likeness = table @ table[words.index(word)]
    return [words[i] for i in likeness.topk(count + 1).indices.tolist()[1:]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--words", type=int, default=6000)
    parser.add_argument("--tiny", action="store_true", help="a few seconds, to see that it runs")
    args = parser.parse_args()
    packages = ["asyncio", "email", "http", "urllib", "xml", "tkinter", "unittest", "logging"]
    if args.tiny:
        args.steps, args.batch, args.width, packages = 10, 64, 8, ["http"]
    eg.manual_seed(0)
    texts = sentences(packages)
    counts = Counter(word for text in texts for word in text)
    words = [word for word, _ in counts.most_common(args.words)]
    data = pairs(texts, {word: i for i, word in enumerate(words)}, window=4)
    print(f"{len(texts)} functions, {len(words)} words, {len(data)} pairs")
    chance = eg.tensor([counts[word] for word in words]).float() ** 0.75
    model = SkipGram(len(words), args.width, sparse=True)
    lazy = train(model, data, chance, args.steps, args.batch, lazy=True)
    dense_model = SkipGram(len(words), args.width, sparse=False)
    dense = train(dense_model, data, chance, max(args.steps // 20, 1), args.batch, lazy=False)
    print(f"a step: {1e3 * lazy:.2f} ms, with dense gradients {1e3 * dense:.2f} ms")
    for word in ("read", "width", "connect", "error", "test", "node"):
        if word in words:
            print(f"{word:>8}: {', '.join(neighbours(model, words, word))}")


if __name__ == "__main__":
    main()
