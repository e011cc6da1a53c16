"""A variational autoencoder: digits from a two-dimensional map.

    pip install "eagergrad[examples,viz]"
    python examples/vae.py                     # writes vae.png, the map of digits

Auto-encoding variational Bayes (Kingma and Welling 2014) on scikit-learn's 8x8 digits. The number
at the end is the bound on the negative log-likelihood of images that were held out, in nats.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import Tensor, nn


class VAE(nn.Module):
    """An encoder to the mean and log variance of a code, and a decoder back to pixels."""

    def __init__(self, width: int, code: int) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(64, width), nn.Tanh(), nn.Linear(width, 2 * code))
        self.decode = nn.Sequential(nn.Linear(code, width), nn.Tanh(), nn.Linear(width, 64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_var = self.encode(x).chunk(2, dim=1)
        code = mean + (0.5 * log_var).exp() * eg.randn_like(mean)
        return self.decode(code), mean, log_var


def bound(x: Tensor, pixels: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Reconstruction plus the divergence of the code from a standard normal, per image."""
    reconstruction = F.binary_cross_entropy_with_logits(pixels, x, reduction="sum")
    divergence = -0.5 * (1 + log_var - mean.square() - log_var.exp()).sum()
    return (reconstruction + divergence) / len(x)


def write_map(model: VAE, path: Path, side: int = 16) -> None:
    """Decode a square of codes and write the images side by side."""
    import matplotlib.pyplot as plt

    line = eg.linspace(-2.2, 2.2, side)
    with eg.no_grad():
        pixels = model.decode(eg.cartesian_prod(line, line)).sigmoid().numpy()
    picture = pixels.reshape(side, side, 8, 8).transpose(0, 2, 1, 3).reshape(8 * side, 8 * side)
    plt.imsave(path, picture, cmap="gray_r")
    print(f"wrote {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--width", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("vae.png"))
    parser.add_argument("--tiny", action="store_true", help="a few seconds, to see that it runs")
    args = parser.parse_args()
    if args.tiny:
        args.steps, args.width = 20, 16
    eg.manual_seed(0)
    images = eg.from_numpy((load_digits().data / 16).astype(np.float32))
    images = images[eg.randperm(len(images))]
    train, test = images[:1500], images[1500:]
    model = VAE(args.width, code=2)
    optimizer = eg.optim.Adam(model.parameters(), lr=2e-3)
    for step in range(1, args.steps + 1):
        x = train[eg.randint(len(train), (args.batch,))]
        loss = bound(x, *model(x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % max(args.steps // 10, 1) == 0:
            print(f"step {step:5d}  bound {loss.item():.2f} nats")
    with eg.no_grad():
        print(f"held-out bound: {bound(test, *model(test)).item():.2f} nats an image")
    write_map(model, args.out)


if __name__ == "__main__":
    main()
