"""A small GPT that writes characters: attention in place of recurrence.

    python examples/char_gpt.py                # a minute or two on 2 cores

Reads the Python standard library's sources, prints a sample, and ends with bits per character on
text that was held out. Attention, blocks and sampling are written out in this file.
"""

from __future__ import annotations

import argparse
import math
import sysconfig
from pathlib import Path

import numpy as np

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import Tensor, nn


class Attention(nn.Module):
    """Several heads of causal attention (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, time, width = x.shape
        q, k, v = self.qkv(x).view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, time, width))


class Block(nn.Module):
    """Attention, then a small net at every place; each added to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, characters: int, context: int, width: int, heads: int, blocks: int) -> None:
        super().__init__()
        self.context = context
        self.character = nn.Embedding(characters, width)
        self.place = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        self.norm, self.score = nn.LayerNorm(width), nn.Linear(width, characters)
        self.apply(self.start_small)

    @staticmethod
    def start_small(module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.character(codes) + self.place(eg.arange(codes.shape[1]))
        return self.score(self.norm(self.blocks(x)))


def batch_of(codes: Tensor, size: int, context: int) -> tuple[Tensor, Tensor]:
    """Random windows and the characters that follow each place in them."""
    begin = eg.randint(len(codes) - context, (size, 1))
    window = codes[begin + eg.arange(context + 1)]
    return window[:, :-1], window[:, 1:]


@eg.no_grad()
def bits(model: GPT, codes: Tensor, windows: int) -> float:
    """Bits per character over the first `windows` windows of the text."""
    model.eval()
    n = model.context
    x = codes[: windows * n].view(windows, n)
    y = codes[1 : windows * n + 1].view(windows, n)
    loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    model.train()
    return loss.item() / math.log(2)


@eg.no_grad()
def sample(model: GPT, codes: Tensor, length: int) -> list[int]:
    model.eval()
    for _ in range(length):
        scores = model(codes[-model.context :].unsqueeze(0))[0, -1]
        codes = eg.cat([codes, eg.multinomial((scores / 0.8).softmax(0), 1)])
    return codes.tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--context", type=int, default=96)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a few seconds, to see that it runs")
    args = parser.parse_args()
    if args.tiny:
        args.steps, args.context, args.width, args.blocks = 10, 16, 16, 1
    eg.manual_seed(0)
    paths = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    text = "".join(p.read_text("utf-8", "ignore") for p in paths[: 3 if args.tiny else 60])
    text = text.encode("ascii", "replace").decode()
    alphabet = sorted(set(text))
    number = {c: i for i, c in enumerate(alphabet)}
    codes = eg.from_numpy(np.array([number[c] for c in text], dtype=np.int64))
    train, held_out = codes[: len(codes) * 19 // 20], codes[len(codes) * 19 // 20 :]

    model = GPT(len(alphabet), args.context, args.width, args.heads, args.blocks)
    optimizer = eg.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = eg.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=args.steps)
    for step in range(1, args.steps + 1):
        x, y = batch_of(train, args.batch, args.context)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % max(args.steps // 10, 1) == 0:
            print(f"step {step:5d}  {loss.item() / math.log(2):.3f} bits per character")
    start = eg.tensor([number[c] for c in "def "])
    written = sample(model, start, 20 if args.tiny else 300)
    print("--- sample ---\n" + "".join(alphabet[i] for i in written) + "\n--------------")
    windows = min(100, (len(held_out) - 1) // args.context)
    print(f"held-out text: {bits(model, held_out, windows):.3f} bits per character")


if __name__ == "__main__":
    main()
