"""Learn to write text, one character at a time, with a recurrent net in a plain Python loop.

    python examples/char_rnn.py                       # under two minutes on 2 cores
    python examples/char_rnn.py --text book.txt --cell gru --steps 5000
    python examples/char_rnn.py --resume              # go on from the checkpoint

The text is Python's standard library unless --text names a file. The cell is written out with
tensor operators (--cell hand) or taken from eagergrad.nn (--cell gru, --cell lstm); either way the
loop over time is a `for` statement that a debugger can stop in. The run ends with a sample and with
the bits it takes to encode a character of text that was held out, beside the entropies of single
characters and of pairs in that same text. Ctrl-C ends after the step and keeps the work.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import sysconfig
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import Tensor, nn

# -- the text --------------------------------------------------------------------------------------


def standard_library(limit: int) -> str:
    """The first `limit` characters of the standard library's own modules."""
    text = ""
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        text += path.read_text(encoding="utf-8", errors="ignore")
        if len(text) >= limit:
            break
    return text[:limit]


class Alphabet:
    """Characters to numbers and back; characters seen too rarely share one number."""

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self.number = {c: i for i, c in enumerate(characters)}

    @classmethod
    def of(cls, text: str, rarest: int = 10) -> Alphabet:
        common = sorted(c for c, n in Counter(text).items() if n >= rarest and c != "\ufffd")
        return cls("\ufffd" + "".join(common))

    def encode(self, text: str) -> np.ndarray:
        return np.array([self.number.get(c, 0) for c in text], dtype=np.int64)

    def decode(self, numbers: list[int]) -> str:
        return "".join(self.characters[i] for i in numbers)

    def __len__(self) -> int:
        return len(self.characters)


def entropies(codes: np.ndarray) -> tuple[float, float]:
    """Bits a character: of single characters, and of a character given the one before it."""

    def bits(items: Any) -> float:
        counts = np.array(list(Counter(items).values()), dtype=np.float64)
        return float(-(counts / counts.sum() * np.log2(counts / counts.sum())).sum())

    pairs = bits(zip(codes[:-1].tolist(), codes[1:].tolist(), strict=True))
    return bits(codes.tolist()), pairs - bits(codes[:-1].tolist())


def streams(codes: np.ndarray, batch: int) -> Tensor:
    """Cut the text into `batch` pieces of equal length, one a row."""
    length = len(codes) // batch
    return eg.from_numpy(codes[: batch * length].reshape(batch, length).copy())


# -- the net ---------------------------------------------------------------------------------------


class HandLSTM(nn.Module):
    """A long short-term memory cell written with tensor operators (Hochreiter 1997, Gers 2000)."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        scale = 1 / math.sqrt(hidden)
        self.w_x = nn.Parameter(eg.empty(inputs, 4 * hidden).uniform_(-scale, scale))
        self.w_h = nn.Parameter(eg.empty(hidden, 4 * hidden).uniform_(-scale, scale))
        self.bias = nn.Parameter(eg.zeros(4 * hidden))
        with eg.no_grad():
            self.bias[hidden : 2 * hidden] = 1.0  # remember by default (Jozefowicz et al. 2015)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        h, c = state
        i, f, g, o = (x @ self.w_x + h @ self.w_h + self.bias).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class CharRNN(nn.Module):
    """Embedding, recurrent cell, and a linear map to the scores of the next character."""

    def __init__(self, characters: int, hidden: int, cell: str) -> None:
        super().__init__()
        size = max(8, hidden // 4)
        self.hidden, self.parts = hidden, 1 if cell == "gru" else 2
        self.embed = nn.Embedding(characters, size)
        cells = {"hand": HandLSTM, "gru": nn.GRUCell, "lstm": nn.LSTMCell}
        self.cell = cells[cell](size, hidden)
        self.score = nn.Linear(hidden, characters)

    def start(self, batch: int) -> tuple[Tensor, ...]:
        return tuple(eg.zeros(batch, self.hidden) for _ in range(self.parts))

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """One step in time: GRU cells carry h, LSTM cells h and c."""
        return (self.cell(x, state[0]),) if self.parts == 1 else self.cell(x, state)

    def forward(
        self, codes: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Scores (time, batch, characters) for codes (batch, time), and the state after them."""
        xs, hs = self.embed(codes), []
        for t in range(codes.shape[1]):
            state = self.step(xs[:, t], state)
            hs.append(state[0])
        return self.score(eg.stack(hs)), state


@eg.no_grad()
def held_out_bits(model: CharRNN, codes: np.ndarray, steps: int = 100) -> float:
    """Bits per character over text that training never saw."""
    data = streams(codes, 50)
    state, total, count = model.start(len(data)), 0.0, 0
    for begin in range(0, data.shape[1] - 1, steps):
        part = data[:, begin : begin + steps + 1]
        scores, state = model(part[:, :-1], state)
        target = part[:, 1:].t().reshape(-1)
        total += float(F.cross_entropy(scores.reshape(len(target), -1), target, reduction="sum"))
        count += len(target)
    return total / count / math.log(2)


@eg.no_grad()
def sample(model: CharRNN, alphabet: Alphabet, length: int, prompt: str = "def ") -> str:
    """Text written by the model, a little more careful than its own probabilities."""
    numbers, state = alphabet.encode(prompt).tolist(), model.start(1)
    scores, state = model(eg.tensor([numbers]), state)
    for _ in range(length):
        probabilities = (scores[-1, 0] / 0.8).softmax(0)
        numbers.append(int(eg.multinomial(probabilities, 1)))
        scores, state = model(eg.tensor([numbers[-1:]]), state)
    return alphabet.decode(numbers)


# -- training --------------------------------------------------------------------------------------


class Progress:
    """A bar with loss and speed: redrawn on a terminal, now and then a line elsewhere."""

    def __init__(self, start: int, total: int) -> None:
        self.start, self.total, self.begun, self.shown = start, total, time.perf_counter(), 0.0
        self.pause = 0.2 if sys.stdout.isatty() else 5.0
        self.loss = float("nan")

    def update(self, step: int, loss: float, characters: int) -> None:
        self.loss = loss if math.isnan(self.loss) else 0.95 * self.loss + 0.05 * loss
        now = time.perf_counter()
        if now - self.shown < self.pause and step < self.total:
            return
        self.shown, spent = now, now - self.begun
        filled = 24 * step // self.total
        left = spent * (self.total - step) / max(step - self.start, 1)
        print(
            f"\r{'#' * filled}{'.' * (24 - filled)} step {step}/{self.total}  "
            f"loss {self.loss / math.log(2):.3f} bits/char  "
            f"{characters / max(spent, 1e-9):,.0f} chars/s  {left:.0f} s left  ",
            end="" if sys.stdout.isatty() and step < self.total else "\n",
            flush=True,
        )


class StopAfterStep:
    """Ctrl-C asks the loop to end after the step; a second one ends it at once."""

    def __enter__(self) -> StopAfterStep:
        self.asked = False
        self.before = signal.signal(signal.SIGINT, self.ask)
        return self

    def ask(self, *_: Any) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *_: Any) -> None:
        signal.signal(signal.SIGINT, self.before)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, help="a text file; default: the standard library")
    parser.add_argument("--cell", choices=("hand", "gru", "lstm"), default="hand")
    parser.add_argument("--hidden", type=int, default=256, help="units of the cell")
    parser.add_argument("--batch", type=int, default=32, help="pieces of text read side by side")
    parser.add_argument("--window", type=int, default=50, help="steps of truncated backpropagation")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, default=1100, help="updates in all")
    length.add_argument("--epochs", type=float, help="passes over the text, instead of --steps")
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--clip", type=float, default=1.0, help="largest norm of the gradient")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--length", type=int, default=400, help="characters of the sample")
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/char_rnn.ckpt"))
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("--tiny", action="store_true", help="a few seconds, to see that it runs")
    args = parser.parse_args()
    if args.tiny:
        args.hidden, args.batch, args.window, args.length = 24, 8, 16, 60
        args.steps = min(args.steps, 30)
    return args


def train(model: CharRNN, optimizer: Any, data: Tensor, saved: dict[str, Any], args: Any) -> bool:
    """Truncated backpropagation through time; the state flows on, the graph does not."""
    state = tuple(saved.get("state") or model.start(args.batch))
    step, windows = int(saved.get("step", 0)), (data.shape[1] - 1) // args.window
    progress, characters = Progress(step, args.steps), 0
    with StopAfterStep() as interrupt:
        while step < args.steps and not interrupt.asked:
            begin = step % windows * args.window
            part = data[:, begin : begin + args.window + 1]
            scores, state = model(part[:, :-1], tuple(s.detach() for s in state))
            target = part[:, 1:].t().reshape(-1)
            loss = F.cross_entropy(scores.reshape(len(target), -1), target)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), args.clip)
            for group in optimizer.param_groups:  # straight down to a tenth
                group["lr"] = args.lr * (1 - 0.9 * step / args.steps)
            optimizer.step()
            step += 1
            characters += len(target)
            progress.update(step, loss.item(), characters)
            if step % 500 == 0 or step == args.steps or interrupt.asked:
                save(model, optimizer, state, step, saved["characters"], args)
    if interrupt.asked:
        print(f"\nstopped after step {step}; the work is in {args.checkpoint}: go on with --resume")
    return not interrupt.asked


def save(model: CharRNN, optimizer: Any, state: Any, step: int, characters: str, args: Any) -> None:
    """Everything that resuming needs, to a temporary file that then replaces the old one."""
    content = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "state": [s.detach() for s in state],
        "step": step,
        "characters": characters,
        "hidden": args.hidden,
        "cell": args.cell,
    }
    args.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    temporary = args.checkpoint.with_name(args.checkpoint.name + ".part")
    eg.save(content, temporary)
    os.replace(temporary, args.checkpoint)


def main() -> None:
    args = options()
    eg.manual_seed(args.seed)
    saved: dict[str, Any] = {}
    if args.resume:
        if not args.checkpoint.exists():
            raise SystemExit(f"there is no checkpoint {args.checkpoint} to resume from")
        saved = eg.load(args.checkpoint)
        args.hidden, args.cell = int(saved["hidden"]), saved["cell"]
    if args.text is None:
        text = standard_library(60_000 if args.tiny else 3_000_000)
    else:
        text = args.text.read_text(encoding="utf-8", errors="replace")
    cut = int(0.95 * len(text))
    alphabet = Alphabet(saved["characters"]) if saved else Alphabet.of(text[:cut])
    saved.setdefault("characters", alphabet.characters)
    codes, held_out = alphabet.encode(text[:cut]), alphabet.encode(text[cut:])
    data = streams(codes, args.batch)
    if data.shape[1] <= args.window or len(held_out) < 200:
        raise SystemExit(f"the text is too short: {len(text)} characters")
    if args.epochs is not None:
        args.steps = round(args.epochs * ((data.shape[1] - 1) // args.window))

    model = CharRNN(len(alphabet), args.hidden, args.cell)
    optimizer = eg.optim.Adam(model.parameters(), lr=args.lr)
    if args.resume:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
    weights = sum(p.numel() for p in model.parameters())
    print(
        f"{len(text):,} characters of {len(alphabet)} kinds; {args.cell} cell, {weights:,} weights"
    )
    finished = train(model, optimizer, data, saved, args)
    if finished:
        print(f"\n--- sample ---\n{sample(model, alphabet, args.length)}\n--------------\n")
    unigram, bigram = entropies(held_out)
    bits = held_out_bits(model, held_out)
    print(f"held-out text: {bits:.3f} bits per character (unigram entropy {unigram:.3f}, "
          f"bigram entropy {bigram:.3f})")  # fmt: skip


if __name__ == "__main__":
    main()
