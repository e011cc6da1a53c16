"""How the GPU's kernels use its memories, seen without a card: bank conflicts, sectors, and races.

Runs small workloads in the tests' emulation with every access of the hand-written kernels watched (tests/cuda_host/watch.h) and prints a
line a kernel: shared memory's requests of a warp, the steps that they take and how many of these are conflicts of banks; global
memory's requests, the 32-byte sectors that they touch and how many hold bytes nobody asked for. Scalars that a compiler would load
together are counted one by one: what a kernel reads with Four is counted as the card does it.

    python tools/gpu_accesses.py [WORKLOAD...] [--lines] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]


def attention(eg):
    attend = eg.nn.functional.scaled_dot_product_attention
    widths = {eg.float32: (20,), eg.float16: (32, 64, 96)}
    for dtype, width in ((d, w) for d in widths for w in widths[d]):
        rows = 80 if dtype == eg.float32 else 40
        q, k, v = (
            eg.ones(1, 1, rows, width, dtype=dtype).cuda().requires_grad_() for _ in range(3)
        )
        y = attend(q, k, v)
        y.backward(y.detach())
        attend(q[:, :, :3], k, v)


def softmax(eg):
    eg.randn(4, 2048, device="cuda").softmax(1)


def gather(eg):
    eg.randn(200, 64, device="cuda")[eg.arange(0, 200, 3, device="cuda")]


def lstm(eg):
    layer = eg.nn.LSTM(16, 128).to("cuda")
    layer(eg.randn(2, 2, 16, device="cuda"))[0].sum().backward()


def gru(eg):
    layer = eg.nn.GRU(16, 128).to("cuda")
    layer(eg.randn(2, 2, 16, device="cuda"))[0].sum().backward()


def norm(eg):
    layer = eg.nn.LayerNorm(768).to("cuda")
    layer(eg.randn(16, 768, device="cuda", requires_grad=True)).sum().backward()


def sums(eg):
    x = eg.randn(256, 256, device="cuda")
    x.sum(), x.sum(0), x.sum(1), x.cumsum(1)


def conv(eg):
    layer = eg.nn.Conv2d(16, 32, 3, padding=1).to("cuda")
    layer(eg.randn(2, 16, 12, 12, device="cuda", requires_grad=True)).sum().backward()


def sort(eg):
    x = eg.randn(4, 3000, device="cuda")
    x.sort(1), x.topk(10, 1)


WORKLOADS: dict[str, Callable] = {
    f.__name__: f for f in (attention, softmax, gather, lstm, gru, norm, sums, conv, sort)
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)}; default: all")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--lines", action="store_true", help="a line of the source each")
    arguments = parser.parse_args()
    if unknown := set(arguments.workloads) - WORKLOADS.keys():
        parser.error(f"no workload {', '.join(sorted(unknown))}")
    os.environ["EAGERGRAD_CUDA_WATCH"] = "1"
    sys.path[:0] = [str(ROOT / "tests")]
    sys.path.append(str(ROOT))  # an installed package comes before the checkout
    import eagergrad as eg
    import emulated_gpu

    emulated_gpu.start()
    every = {}
    for name in arguments.workloads or WORKLOADS:
        with emulated_gpu.counting(arguments.lines) as counts:
            WORKLOADS[name](eg)
        every[name] = {k: c._asdict() for k, c in counts.items()}
        if arguments.json:
            continue
        width = 120 if arguments.lines else 56
        print(
            f"\n{name:{width}} {'shared':>8} {'steps':>8} {'conflicts':>10} {'global':>8} {'sectors':>8} {'idle':>6}"
        )
        for kernel, c in counts.items():
            conflicts = c.shared_wavefronts - c.shared_phases
            print(
                f"{kernel.replace('eg::', ''):{width}} {c.shared_requests:8} {c.shared_wavefronts:8} {conflicts:10} "
                f"{c.global_requests:8} {c.sectors:8} {c.sectors - c.least_sectors:6}"
            )
    emulated_gpu.check_races()
    if arguments.json:
        print(json.dumps(every))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
