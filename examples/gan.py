"""Two nets play a game: one draws digits, the other tells them from real ones.

    pip install "eagergrad[examples,viz]"
    python examples/gan.py                     # writes gan.png

Generative adversarial nets (Goodfellow et al. 2014) on scikit-learn's 8x8 digits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import Tensor, nn


def write_grid(images: Tensor, path: Path, columns: int = 8) -> None:
    """Write 8x8 images, flattened rows of `images`, as one picture."""
    import matplotlib.pyplot as plt

    pixels = images.detach().clamp(-1, 1).numpy().reshape(-1, columns, 8, 8)
    plt.imsave(path, pixels.transpose(0, 2, 1, 3).reshape(-1, 8 * columns), cmap="gray_r")
    print(f"wrote {path}")


def generator(noise: int, width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(noise, width), nn.BatchNorm1d(width), nn.ReLU(),
        nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(),
        nn.Linear(width, 64), nn.Tanh(),
    )  # fmt: skip


def discriminator(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(64, width), nn.LeakyReLU(0.2), nn.Dropout(0.3),
        nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Dropout(0.3),
        nn.Linear(width, 1),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--noise", type=int, default=32)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path("gan.png"))
    parser.add_argument("--tiny", action="store_true", help="a few seconds, to see that it runs")
    args = parser.parse_args()
    if args.tiny:
        args.steps, args.width = 20, 16
    eg.manual_seed(0)
    real = eg.from_numpy((load_digits().data / 8 - 1).astype(np.float32))
    draw, judge = generator(args.noise, args.width), discriminator(args.width)
    draw_step = eg.optim.Adam(draw.parameters(), lr=5e-4, betas=(0.5, 0.999))
    judge_step = eg.optim.Adam(judge.parameters(), lr=5e-4, betas=(0.5, 0.999))
    ones, zeros = eg.ones(args.batch, 1), eg.zeros(args.batch, 1)
    for step in range(1, args.steps + 1):
        fake = draw(eg.randn(args.batch, args.noise))
        batch = real[eg.randint(len(real), (args.batch,))]

        judged = F.binary_cross_entropy_with_logits(judge(batch), 0.9 * ones)
        judged = judged + F.binary_cross_entropy_with_logits(judge(fake.detach()), zeros)
        judge_step.zero_grad()
        judged.backward()
        judge_step.step()

        fooled = F.binary_cross_entropy_with_logits(judge(fake), ones)
        draw_step.zero_grad()
        fooled.backward()
        draw_step.step()
        if step % max(args.steps // 10, 1) == 0:
            print(f"step {step:5d}  judge {judged.item():.3f}  drawer {fooled.item():.3f}")
    draw.eval()
    with eg.no_grad():
        write_grid(draw(eg.randn(64, args.noise)), args.out)


if __name__ == "__main__":
    main()
