"""Handwritten digits with a small convolutional net: 99 % of the test images in half a minute.

    pip install "eagergrad[examples]"
    python examples/digits_convnet.py

The 1,797 images of 8x8 pixels come with scikit-learn; nothing is downloaded.
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.datasets import load_digits

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import Tensor, nn
from eagergrad.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    """Two convolutions, a pooling, two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(2 * width)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(2 * width * 4 * 4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        return self.out(self.drop(x.flatten(1)))


def accuracy(model: Net, images: Tensor, labels: Tensor) -> float:
    model.eval()
    with eg.no_grad():
        right = (model(images).argmax(dim=1) == labels).float().mean().item()
    model.train()
    return right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--tiny", action="store_true", help="a few seconds, to see that it runs")
    args = parser.parse_args()
    if args.tiny:
        args.epochs, args.width = 1, 4
    eg.manual_seed(0)
    digits = load_digits()
    images = eg.from_numpy((digits.images[:, None] / 16).astype(np.float32))
    labels = eg.from_numpy(digits.target.astype(np.int64))
    order = eg.randperm(len(labels))
    train, test = order[:1400], order[1400:]

    model = Net(args.width)
    optimizer = eg.optim.Adam(model.parameters(), lr=2e-3)
    schedule = eg.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    loader = DataLoader(TensorDataset(images[train], labels[train]), args.batch, shuffle=True)
    for epoch in range(args.epochs):
        total = 0.0
        for x, y in loader:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        schedule.step()
        right = accuracy(model, images[test], labels[test])
        print(f"epoch {epoch + 1:2d}  loss {total / len(train):.4f}  test accuracy {right:.2%}")


if __name__ == "__main__":
    main()
