"""AlexNet, the whole of it, telling small patches of two photographs apart.

    pip install "eagergrad[examples]"
    python examples/alexnet.py

The net is the one-column AlexNet (Krizhevsky, "One weird trick", 2014): 61 million weights at
1,000 classes. Here it has two classes: random patches of the two photographs that come with
scikit-learn, a flower and a temple, enlarged to the size the net expects. The left part of each
picture is for training, the right part for the test.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.datasets import load_sample_images

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import Tensor, nn


class AlexNet(nn.Module):
    """Five convolutions and three linear layers."""

    def __init__(self, classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def patches(
    pictures: list[np.ndarray], count: int, size: int, test: bool, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Random patches of 48x48 pixels, enlarged to `size`, and which picture each is from."""
    x, y = np.empty((count, 3, 48, 48), np.float32), rng.integers(0, len(pictures), count)
    for i, k in enumerate(y):
        height, width, _ = pictures[k].shape
        left, right = (width * 3 // 4, width - 48) if test else (0, width * 3 // 4 - 48)
        r, c = rng.integers(0, height - 48), rng.integers(left, right)
        x[i] = pictures[k][r : r + 48, c : c + 48].transpose(2, 0, 1) / 127.5 - 1
    images = F.interpolate(eg.from_numpy(x), size=(size, size), mode="bilinear")
    return images, eg.from_numpy(y.astype(np.int64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=128, help="pixels; the paper's net sees 224")
    parser.add_argument("--tiny", action="store_true", help="a few seconds, to see that it runs")
    args = parser.parse_args()
    if args.tiny:
        args.steps, args.batch, args.size = 1, 2, 64
    eg.manual_seed(0)
    rng = np.random.default_rng(0)
    pictures = load_sample_images().images
    model = AlexNet(classes=len(pictures))
    optimizer = eg.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    begun = time.perf_counter()
    for step in range(1, args.steps + 1):
        x, y = patches(pictures, args.batch, args.size, False, rng)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        if step % 10 == 0 or step == args.steps:
            speed = step * args.batch / (time.perf_counter() - begun)
            print(f"step {step:3d}  loss {loss.item():.4f}  {speed:.1f} images/s")
    model.eval()
    x, y = patches(pictures, 4 if args.tiny else 100, args.size, True, rng)
    with eg.no_grad():
        right = (model(x).argmax(dim=1) == y).float().mean().item()
    print(f"unseen parts of the pictures told apart: {right:.1%}")


if __name__ == "__main__":
    main()
