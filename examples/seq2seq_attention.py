"""Dates in words to dates in figures: an encoder, a decoder, and attention between them.

    python examples/seq2seq_attention.py

Additive attention (Bahdanau et al. 2015), written out as plain loops. The text pairs are made up
on the spot ("the 3rd of march, 1987" -> "1987-03-03"). The run ends with the share of unseen dates
translated without a mistake, and with one attention picture in characters.
"""

from __future__ import annotations

import argparse
import datetime
import random

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import Tensor, nn

SOURCE = " ,abcdefghijklmnopqrstuvwxyz0123456789"
TARGET = "<0123456789-"  # "<" starts a date
MONTHS = "january february march april may june july august september october november december"


def pair(rng: random.Random) -> tuple[str, str]:
    """A date as somebody might write it, and as ISO 8601 has it."""
    day = datetime.date.fromordinal(rng.randrange(675_700, 766_600))
    month, d = MONTHS.split()[day.month - 1], day.day
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(d % 10 if d // 10 != 1 else 0, "th")
    text = rng.choice([
        f"{d} {month} {day.year}", f"{month} {d}, {day.year}", f"{month[:3]} {d}{suffix}, {day.year}",
        f"the {d}{suffix} of {month}, {day.year}", f"{d} {month[:3]} {day.year}",
    ])  # fmt: skip
    return text, day.isoformat()


def batch_of(pairs: list[tuple[str, str]]) -> tuple[Tensor, Tensor]:
    """Padded codes of the words (batch, longest) and of the figures (batch, 1 + 10)."""
    longest = max(len(words) for words, _ in pairs)
    source = [[SOURCE.index(c) for c in words.ljust(longest)] for words, _ in pairs]
    target = [[TARGET.index(c) for c in "<" + figures] for _, figures in pairs]
    return eg.tensor(source), eg.tensor(target)


class Translator(nn.Module):
    """A bidirectional encoder, and a decoder that looks at all of it before every character."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embed_source = nn.Embedding(len(SOURCE), 32)
        self.embed_target = nn.Embedding(len(TARGET), 32)
        self.encoder = nn.GRU(32, hidden, batch_first=True, bidirectional=True)
        self.keys = nn.Linear(2 * hidden, hidden, bias=False)
        self.query = nn.Linear(hidden, hidden)
        self.energy = nn.Linear(hidden, 1, bias=False)
        self.decoder = nn.GRUCell(32 + 2 * hidden, hidden)
        self.score = nn.Linear(3 * hidden, len(TARGET))

    def attend(self, memory: Tensor, keys: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.energy(eg.tanh(keys + self.query(h).unsqueeze(1))).squeeze(2).softmax(dim=1)
        return (weights.unsqueeze(1) @ memory).squeeze(1), weights

    def forward(
        self, source: Tensor, target: Tensor | None = None, length: int = 10
    ) -> tuple[Tensor, Tensor]:
        """Scores and attention for each character; without `target` the decoder reads itself."""
        memory, last = self.encoder(self.embed_source(source))
        keys, h = self.keys(memory), last[0]
        character = eg.zeros(len(source), dtype=eg.long)
        scores, looked = [], []
        for t in range(length):
            if target is not None:
                character = target[:, t]
            context, weights = self.attend(memory, keys, h)
            h = self.decoder(eg.cat([self.embed_target(character), context], dim=1), h)
            scores.append(self.score(eg.cat([h, context], dim=1)))
            looked.append(weights)
            character = scores[-1].argmax(dim=1)
        return eg.stack(scores, dim=1), eg.stack(looked, dim=1)


def show_attention(words: str, figures: str, weights: Tensor) -> None:
    """One line for each written character: the darker, the more it looked there."""
    print(f"            {words}")
    for character, row in zip(figures, weights.tolist(), strict=False):
        print(f"          {character} " + "".join(" .:+#"[min(4, int(5 * w))] for w in row))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--tiny", action="store_true", help="a few seconds, to see that it runs")
    args = parser.parse_args()
    if args.tiny:
        args.steps, args.batch, args.hidden = 5, 8, 8
    eg.manual_seed(0)
    rng = random.Random(0)
    model = Translator(args.hidden)
    optimizer = eg.optim.Adam(model.parameters(), lr=4e-3)
    for step in range(1, args.steps + 1):
        source, target = batch_of([pair(rng) for _ in range(args.batch)])
        scores, _ = model(source, target)
        loss = F.cross_entropy(scores.flatten(0, 1), target[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % max(args.steps // 8, 1) == 0:
            print(f"step {step:5d}  loss {loss.item():.4f}")
    pairs = [pair(rng) for _ in range(20 if args.tiny else 300)]
    source, target = batch_of(pairs)
    model.eval()
    with eg.no_grad():
        scores, looked = model(source)
    written = scores.argmax(dim=2)
    right = (written == target[:, 1:]).all(dim=1).float().mean().item()
    figures = "".join(TARGET[i] for i in written[0].tolist())
    show_attention(pairs[0][0], figures, looked[0])
    print(f"unseen dates without a mistake: {right:.1%}")


if __name__ == "__main__":
    main()
