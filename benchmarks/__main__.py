"""`python -m benchmarks [-k WORDS] [--device=cuda] [--quick] [--json FILE] [--no-memory | --memory-only]`: one table, eagergrad beside PyTorch,
and beside JAX where it is installed."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from . import rows_core, rows_cuda, rows_nn, rows_sparse, rows_sparse_optim  # noqa: F401  (they fill ROWS)
from .harness import ROWS, Function, Row, alternate, import_seconds, peak_memory, run_child


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "-k", default="", help="rows whose name contains one of these, comma-separated"
    )
    parser.add_argument("--quick", action="store_true", help="less time a row, no memory column")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", default="", help="also write the figures to this file")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory column")
    parser.add_argument(
        "--memory-only", action="store_true", help="peak memory of the rows, without times"
    )
    parser.add_argument("--device", default="cpu", help="cpu, or cuda: the table of rows_cuda.py")
    parser.add_argument("--ours-only", action="store_true", help="import neither PyTorch nor JAX")
    parser.add_argument("--no-jax", action="store_true", help="do not import JAX")
    parser.add_argument("--peak", nargs=2, metavar=("FRAMEWORK", "ROW"), help=argparse.SUPPRESS)
    return parser.parse_args()


def chosen(words: str, rows: list[Row]) -> list[Row]:
    return [r for r in rows if not words or any(w.strip() in r.name for w in words.split(","))]


def print_peak(framework_name: str, row_name: str, threads: int) -> None:
    framework: Any = importlib.import_module(framework_name)
    framework.set_num_threads(threads)
    x = framework.ones(64, 64, requires_grad=True)
    (x @ x).sum().backward()  # what every program pays once
    for name in ("numpy.random", *(f"{framework_name}.{m}" for m in ("nn", "optim", "sparse"))):
        importlib.import_module(name)  # PyTorch's import has brought them in already
    row = next(r for r in ROWS if r.name == row_name)
    print(peak_memory(lambda: row.function(framework)))


def jax_sides(options: argparse.Namespace) -> dict[str, Callable[[], Function]]:
    """What JAX does in the rows, by their names; nothing where it is not installed, or not wanted."""
    if options.ours_only or options.no_jax or options.device != "cpu":
        return {}
    if importlib.util.find_spec("jax") is None:
        return {}
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ["NPROC"] = str(options.threads)  # XLA's threads, counted when it is loaded
    sides: dict[str, Callable[[], Function]] = importlib.import_module(
        ".rows_jax", __package__
    ).SIDES
    unknown = set(sides) - {row.name for row in ROWS}
    if unknown:
        raise LookupError(f"JAX's sides of rows that do not exist: {sorted(unknown)}")
    return sides


def duration(seconds: float) -> str:
    for unit, scale in (("us", 1e-6), ("ms", 1e-3)):
        if seconds < 1000 * scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds:.3g} s"


def verdict(ratio: float | None, row: Row) -> str:
    if ratio is None:
        return ""
    if row.aim and ratio >= row.aim:
        return "aim"
    return "yes" if ratio >= row.at_least else "NO"


def line(cells: list[str]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def peak_of(framework_name: str, row: Row, threads: int) -> int:
    return int(run_child("--peak", framework_name, row.name, "--threads", str(threads)))


def print_memory(rows: list[Row], names: list[str], threads: int) -> None:
    """By how much each row raises the resident memory of a process that does nothing else, in MB."""
    line(["work", *(f"{name}, MB" for name in names), ""])
    line(["---"] * (len(names) + 2))
    for row in rows:
        peaks = [peak_of(name, row, threads) / 1e6 for name in names]
        more = len(peaks) == 2 and peaks[0] > max(1.02 * peaks[1], peaks[1] + 1)
        line([row.name, *(f"{p:.1f}" for p in peaks), "MORE" if more else ""])


def measure(
    row: Row,
    frameworks: list[Any],
    jax_side: Callable[[], Function] | None,
    options: argparse.Namespace,
) -> dict[str, Any]:
    functions = [row.function(f) for f in frameworks] + ([jax_side()] if jax_side else [])
    waits = [f.cuda.synchronize if options.device == "cuda" else None for f in frameworks]
    waits += [None] if jax_side else []  # it waits in its function
    times = alternate(functions, 0.15 if options.quick else 0.6, waits)
    del functions
    figures: dict[str, Any] = {"row": row.name, "at_least": row.at_least, "aim": row.aim}
    if jax_side:
        figures["jax"] = times.pop()
    for framework, best in zip(frameworks, times, strict=True):
        figures[framework.__name__] = best
        if not (options.quick or options.no_memory or options.device != "cpu"):
            figures[framework.__name__ + "_peak"] = peak_of(
                framework.__name__, row, options.threads
            )
    return figures


def print_row(row: Row, figures: dict[str, Any], with_jax: bool) -> None:
    ours, theirs, jaxs = figures["eagergrad"], figures.get("torch"), figures.get("jax")
    ratio = theirs / ours if theirs else None
    peaks = [figures.get(f + "_peak") for f in ("eagergrad", "torch")]
    memory = " / ".join(f"{p / 1e6:.1f}" for p in peaks if p is not None) + " MB"
    line(
        [
            row.name,
            duration(ours),
            duration(theirs) if theirs else "",
            f"{ratio:.2f}x" if ratio else "",
            f"{row.at_least:g}x" + (f", aim {row.aim:g}x" if row.aim else ""),
            verdict(ratio, row),
            memory if len(memory) > 3 else "",
            *([f"{duration(jaxs)}, {jaxs / ours:.2f}x" if jaxs else ""] if with_jax else []),
        ]
    )


def print_imports(quick: bool, with_torch: bool) -> dict[str, float]:
    names = ["numpy", "eagergrad", *(["torch"] if with_torch else [])]
    seconds = {name: import_seconds(name, 2 if quick else 5) for name in names}
    extra = seconds["eagergrad"] - seconds["numpy"]
    met = "aim" if extra < 0.015 else "yes" if extra < 0.040 else "NO"
    theirs = duration(seconds["torch"]) if with_torch else ""
    target = "NumPy + 40 ms, aim 15 ms"
    line(
        [
            "import",
            duration(seconds["eagergrad"]),
            theirs,
            f"NumPy + {extra * 1e3:.0f} ms",
            target,
            met,
            "",
        ]
    )
    return seconds


def main() -> None:
    options = arguments()
    if options.peak:
        return print_peak(*options.peak, options.threads)
    names = ["eagergrad"] if options.ours_only else ["eagergrad", "torch"]
    if options.memory_only:
        return print_memory(chosen(options.k, ROWS), names, options.threads)
    frameworks = [importlib.import_module(name) for name in names]
    for framework in frameworks:
        framework.set_num_threads(options.threads)
        if options.device != "cpu":
            framework.set_default_device(options.device)
    rows = ROWS if options.device == "cpu" else rows_cuda.ROWS
    sides = jax_sides(options)
    modules = [*frameworks, *([sys.modules["jax"]] if sides else [])]
    versions = ", ".join(f"{f.__name__} {f.__version__}" for f in modules)
    where = f"{options.threads} threads" if options.device == "cpu" else options.device
    print(f"{versions}; {where}; float32; best of alternating runs\n", flush=True)
    header = ["work", "eagergrad", "torch", "speed", "target", "met", "peak memory"]
    header += ["jax.jit, its time over ours"] if sides else []
    line(header)
    line(["---"] * len(header))
    results: list[dict[str, Any]] = []
    for row in chosen(options.k, rows):
        try:
            figures = measure(row, frameworks, sides.get(row.name), options)
        except Exception as error:
            print(f"{row.name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            results.append({"row": row.name, "error": str(error)})
            continue
        results.append(figures)
        print_row(row, figures, bool(sides))
    if options.device == "cpu" and (not options.k or "import" in options.k):
        results.append({"row": "import", **print_imports(options.quick, len(names) > 1)})
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
