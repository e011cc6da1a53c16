"""A short tour for the debugger: stop inside a net, look at values and at who made them.

    python examples/step_through.py            # prints the tour
    python examples/step_through.py --stop     # the same, stopping in pdb: n, p h, p h.grad_fn, c

Nothing is compiled and nothing is deferred: every line below has run when the next one starts, so
a breakpoint, a print or an `if` in the middle of the net sees real numbers. Each value also knows
the line that made it, which is how an error in backward names the line in forward.
"""

from __future__ import annotations

import argparse

import eagergrad as eg
from eagergrad import Tensor


def rnn(xs: Tensor, w_x: Tensor, w_h: Tensor, stop: bool = False) -> Tensor:
    """A recurrent net as a plain loop: the place to put a breakpoint."""
    h = eg.zeros(xs.shape[1], w_h.shape[0])
    for t, x in enumerate(xs):
        h = eg.tanh(x @ w_x + h @ w_h)
        if t == 1:
            print(f"  at t={t}: h has shape {tuple(h.shape)}, h[0, :3] = {h[0, :3].tolist()}")
            print(f"  made by {h.grad_fn}")
            if stop:
                breakpoint()  # try: p h, p h.grad_fn.next_functions, p h.mean(), n, c
    return h


def look_at_values_and_gradients(stop: bool) -> None:
    print("1. stop in the loop and look")
    xs, w_x = eg.randn(5, 4, 3), eg.randn(3, 8, requires_grad=True)
    w_h = (0.3 * eg.randn(8, 8)).requires_grad_()
    h = rnn(xs, w_x, w_h, stop)
    h.retain_grad()
    h.register_hook(lambda g: print(f"  a hook sees the gradient of h: norm {g.norm():.4f}"))
    h.square().mean().backward()
    print(f"  afterwards: h.grad norm {h.grad.norm():.4f}, w_h.grad norm {w_h.grad.norm():.4f}")


def walk_the_tape() -> None:
    print("2. walk the tape from the result to the leaves")
    x = eg.tensor([0.5, 2.0], requires_grad=True)
    y = (x.exp() * x).log().sum()
    node, depth = y.grad_fn, 0
    while node is not None and depth < 6:
        print(f"  {'  ' * depth}{node.name()}")
        node = node.next_functions[0][0] if node.next_functions else None
        depth += 1


def find_a_nan() -> None:
    print("3. a NaN: the values say where it starts")
    x = eg.tensor([1.0, 0.0, 4.0], requires_grad=True)
    steps = {"x.log()": x.log()}
    steps["x * x.log()"] = x * steps["x.log()"]
    steps["their sum"] = steps["x * x.log()"].sum()
    first = next(name for name, value in steps.items() if not value.isfinite().all())
    bad = (~steps[first].isfinite()).nonzero().flatten().tolist()
    print(
        f"  first value that is not finite: {first}, at index {bad}, made by {steps[first].grad_fn}"
    )


def read_an_error() -> None:
    print("4. an error in backward names the line in forward")
    w = eg.randn(3, requires_grad=True)
    y = w.exp()  # exp keeps its result for the gradient
    y += 1  # and this spoils it
    try:
        y.sum().backward()
    except RuntimeError as error:
        print("  " + "\n  ".join(str(error).splitlines()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stop", action="store_true", help="stop in pdb inside the loop")
    parser.add_argument("--tiny", action="store_true", help="accepted like everywhere: it is tiny")
    args = parser.parse_args()
    eg.manual_seed(0)
    look_at_values_and_gradients(args.stop)
    walk_the_tape()
    find_a_nan()
    read_an_error()


if __name__ == "__main__":
    main()
