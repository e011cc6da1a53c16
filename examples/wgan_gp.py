"""A Wasserstein GAN with gradient penalty: a loss that contains a gradient.

    pip install "eagergrad[examples,viz]"
    python examples/wgan_gp.py                 # writes wgan_gp.png

The critic's gradient at points between real and drawn images is kept near norm one (Gulrajani et
al. 2017). `create_graph=True` puts the backward pass itself on the tape, so the penalty is
differentiated like any other term.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from gan import write_grid
from sklearn.datasets import load_digits

import eagergrad as eg
from eagergrad import Tensor, nn


def net(inputs: int, width: int, outputs: int, *last: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.LeakyReLU(0.2),
        nn.Linear(width, width), nn.LeakyReLU(0.2),
        nn.Linear(width, outputs), *last,
    )  # fmt: skip


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """How far the norm of the critic's gradient is from one, between real and drawn images."""
    mix = eg.rand(len(real), 1)
    between = (mix * real + (1 - mix) * fake).requires_grad_()
    (slope,) = eg.autograd.grad(critic(between).sum(), between, create_graph=True)
    return ((slope.norm(2, dim=1) - 1) ** 2).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500, help="updates of the drawing net")
    parser.add_argument("--critic-steps", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--noise", type=int, default=32)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--penalty", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=Path("wgan_gp.png"))
    parser.add_argument("--tiny", action="store_true", help="a few seconds, to see that it runs")
    args = parser.parse_args()
    if args.tiny:
        args.steps, args.width = 5, 16
    eg.manual_seed(0)
    data = eg.from_numpy((load_digits().data / 8 - 1).astype(np.float32))
    draw, critic = net(args.noise, args.width, 64, nn.Tanh()), net(64, args.width, 1)
    draw_step = eg.optim.Adam(draw.parameters(), lr=5e-4, betas=(0.5, 0.9))
    critic_step = eg.optim.Adam(critic.parameters(), lr=5e-4, betas=(0.5, 0.9))
    for step in range(1, args.steps + 1):
        for _ in range(args.critic_steps):
            real = data[eg.randint(len(data), (args.batch,))]
            with eg.no_grad():
                fake = draw(eg.randn(args.batch, args.noise))
            distance = critic(real).mean() - critic(fake).mean()
            penalty = gradient_penalty(critic, real, fake)
            critic_step.zero_grad()
            (args.penalty * penalty - distance).backward()
            critic_step.step()
        draw_step.zero_grad()
        (-critic(draw(eg.randn(args.batch, args.noise))).mean()).backward()
        draw_step.step()
        if step % max(args.steps // 10, 1) == 0:
            print(f"step {step:5d}  Wasserstein distance about {distance.item():.3f}  "
                  f"penalty {penalty.item():.4f}")  # fmt: skip
    with eg.no_grad():
        write_grid(draw(eg.randn(64, args.noise)), args.out)


if __name__ == "__main__":
    main()
