"""Where each op of the core computes when its tensors are on a GPU: ``python -m eagergrad.cuda.support`` prints the table
that docs/gpu.md holds.

Nothing is listed here: an op in which the host waits for the device says so where it is registered (EG_WAITS).
"""

from __future__ import annotations

from eagergrad import _C


def base_names() -> set[str]:
    """The ops of the core, without the in-place forms of others."""
    names = set(_C.op_table)
    return {n for n in names if not (n.endswith("_") and n[:-1] in names)}


def waits() -> dict[str, str]:
    """The ops in which the host waits for the device or sends it something, and for what."""
    return {name: why for names, why in _C.op_waits.items() for name in names.split()}


def markdown() -> str:
    """The table of docs/gpu.md."""

    def listed(names: set[str]) -> str:
        return ", ".join(f"`{n}`" for n in sorted(names))

    reasons = sorted(_C.op_waits.items())
    noted = "; ".join(f"{listed(set(names.split()))} ({why})" for names, why in reasons)
    rows = [
        (
            "one kernel for any dtype and stride, made of its line in the elementwise table",
            "the ops of `csrc/ops/elementwise.def`",
        ),
        ("other kernels, cuBLAS, cuDNN, what is made of these, and views", "every other op"),
        ("likewise, but the host waits for the device, or sends it something", noted),
    ]
    lines = ["| where | ops |", "|---|---|", *[f"| {where} | {ops} |" for where, ops in rows]]
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())
