"""A pole kept upright by trial and error: REINFORCE on a cart-pole written in this file.

    python examples/reinforce_cartpole.py

Policy gradients (Williams 1992) with a learned baseline. An episode ends when the pole leans over
12 degrees, the cart leaves the track, or after 200 steps, which counts as solved.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import Tensor, nn


class CartPole:
    """Many carts at once: the equations of Barto, Sutton and Anderson (1983), Euler's method."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self.state = rng.uniform(-0.05, 0.05, (count, 4))
        self.running = np.ones(count, bool)

    def push(self, right: np.ndarray) -> np.ndarray:
        """Push every cart left or right for 0.02 s; which carts were still running before."""
        was_running = self.running.copy()
        _, v, angle, spin = self.state.T
        force = np.where(right, 10.0, -10.0)
        sin, cos = np.sin(angle), np.cos(angle)
        common = (force + 0.05 * spin**2 * sin) / 1.1
        spin_change = (9.8 * sin - cos * common) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
        v_change = common - 0.05 * spin_change * cos / 1.1
        new = self.state + 0.02 * np.stack([v, v_change, spin, spin_change], axis=1)
        self.state = np.where(self.running[:, None], new, self.state)
        self.running &= (abs(self.state[:, 0]) < 2.4) & (abs(self.state[:, 2]) < math.radians(12))
        return was_running


class Player(nn.Module):
    """Which way to push, and how long the pole is expected to stay up."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, hidden), nn.Tanh())
        self.action, self.value = nn.Linear(hidden, 2), nn.Linear(hidden, 1)

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(state)
        return self.action(h), self.value(h).squeeze(1)


def play(player: Player, count: int, limit: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """Play `count` episodes; log-probabilities, values and rewards, each (time, count)."""
    world = CartPole(count, rng)
    log_ps, values, rewards = [], [], []
    while world.running.any() and len(rewards) < limit:
        scores, value = player(eg.tensor(world.state, dtype=eg.float32))
        policy = eg.distributions.Categorical(logits=scores)
        action = policy.sample()
        rewards.append(world.push(action.numpy() == 1))
        log_ps.append(policy.log_prob(action))
        values.append(value)
    played = eg.from_numpy(np.stack(rewards).astype(np.float32))
    return eg.stack(log_ps), eg.stack(values), played


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--episodes", type=int, default=24, help="episodes in a round")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--tiny", action="store_true", help="a few seconds, to see that it runs")
    args = parser.parse_args()
    if args.tiny:
        args.rounds, args.episodes, args.limit = 2, 4, 20
    eg.manual_seed(0)
    rng = np.random.default_rng(0)
    player = Player(args.hidden)
    optimizer = eg.optim.Adam(player.parameters(), lr=1e-2)
    for r in range(1, args.rounds + 1):
        log_ps, values, played = play(player, args.episodes, args.limit, rng)
        returns = eg.zeros_like(played)
        ahead = eg.zeros(args.episodes)
        for t in range(len(played) - 1, -1, -1):
            ahead = played[t] * (1 + 0.98 * ahead)
            returns[t] = ahead
        advantage = returns - values.detach()
        on = played > 0
        advantage = (advantage - advantage[on].mean()) / (advantage[on].std() + 1e-6)
        loss = -(log_ps * advantage)[on].mean() + 1e-3 * F.mse_loss(values[on], returns[on])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(player.parameters(), 1.0)
        optimizer.step()
        if r % max(args.rounds // 12, 1) == 0:
            print(f"round {r:3d}  the pole stays up for {played.sum(0).mean().item():5.1f} steps")
    with eg.no_grad():
        _, _, played = play(player, 50, args.limit, rng)
    print(f"at the end: {played.sum(0).mean().item():.1f} of {args.limit} steps")


if __name__ == "__main__":
    main()
