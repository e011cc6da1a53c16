"""`python -m benchmarks.instructions [--update]`: instructions that the small rows cost, against a committed baseline.

Times vary on a shared machine, counts hardly do. The rows run under callgrind (which knows AVX2 at most, so it is that
kernel level that is counted), each N and then 2 N times; the difference is the row's own cost. Counted is what runs inside
the extension module: the interpreter's and the C library's share is theirs, and differs between machines. A call of getppid()
separates the parts of the profile, so that Python starts only once. Counts of another compiler, minor version of Python or
processor architecture are not compared.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import rows_core, rows_nn  # noqa: F401  (they fill ROWS)
from .harness import ROWS

BASELINE = Path(__file__).with_name("instructions.json")
TOLERANCE = 1.05
SMALL = [r for r in ROWS if r.small]
EXTENSION = "/_C."


def run_rows() -> None:
    """What the child does under callgrind: for each row, N calls, a mark, 2 N calls, a mark."""
    framework: Any = importlib.import_module("eagergrad")
    framework.set_num_threads(1)
    for row in SMALL:
        function = row.function(framework)
        for _ in range(3):
            function()
        for count in (row.small, 2 * row.small):
            os.getppid()
            for _ in range(count):
                function()
        os.getppid()


def made_by() -> dict[str, str]:
    """What the counts depend on besides the sources."""
    spec = importlib.util.find_spec("eagergrad._C")
    binary = Path(spec.origin).read_bytes() if spec and spec.origin else b""
    compiler = re.search(rb"(GCC|clang)[^\0]*? (\d+\.\d+)", binary)
    return {
        "compiler": b" ".join(compiler.groups()).decode() if compiler else "unknown",
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "machine": platform.machine(),
    }


def cost_in_extension(profile: str) -> int:
    """Self cost of the functions of the extension module in one part of a callgrind profile.

    >>> cost_in_extension("ob=(1) /x/_C.so\\nfn=(1) f\\n1 5\\ncalls=1 9\\n+2 70\\n* 3\\nob=(2) libc\\n1 4\\n")
    8
    """
    inside, skip, total = False, False, 0
    names: dict[str, str] = {}
    for text in profile.splitlines():
        if skip:  # the line after calls= holds what the callee cost
            skip = False
        elif found := re.match(r"c?ob=(\(\d+\))(?: (.*))?$", text):
            names.setdefault(found[1], found[2] or "")
            if text.startswith("ob="):
                inside = EXTENSION in names[found[1]]
        elif text.startswith("calls="):
            skip = True
        elif inside and (cost := re.match(r"[\d+*-]\S* (\d+)$", text)):
            total += int(cost[1])
    return total


def count_instructions() -> dict[str, int]:
    """Instructions a call of every small row."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", "--dump-before=getppid", "--dump-instr=no"]
        command += [f"--callgrind-out-file={folder}/part"]
        command += [sys.executable, "-m", __spec__.name, "--child"]
        environment = {**os.environ, "OPENBLAS_CORETYPE": "Haswell", "PYTHONHASHSEED": "0"}
        root = Path(__file__).resolve().parents[1]
        done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stdout[-2000:] + done.stderr[-4000:])
        # part.1 ends at the first mark; then come, for each row, N calls, 2 N calls and what is between rows.
        counts = {}
        for i, row in enumerate(SMALL):
            once, twice = (
                cost_in_extension(Path(folder, f"part.{3 * i + n}").read_text()) for n in (2, 3)
            )
            counts[row.name] = (twice - once) // row.small
        return counts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the baseline")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_rows()
        return 0
    if not shutil.which("valgrind"):
        print("valgrind is not installed; nothing counted")
        return 0
    counts, here = count_instructions(), made_by()
    if options.update:
        BASELINE.write_text(json.dumps({**here, "instructions": counts}, indent=1) + "\n")
    saved = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    comparable = all(saved.get(key) == value for key, value in here.items())
    baseline = saved.get("instructions", {}) if comparable else {}
    if not comparable:
        theirs = ", ".join(str(saved.get(key)) for key in here)
        print(f"the baseline is of {theirs}, this build of {', '.join(here.values())}")
    print("| work | instructions | baseline | |\n| --- | --- | --- | --- |")
    worse = 0
    for name, count in counts.items():
        before = baseline.get(name)
        more = before is not None and count > before * TOLERANCE
        worse += more
        print(f"| {name} | {count} | {before or ''} | {'MORE' if more else ''} |")
    if worse:
        print(f"{worse} rows take more than {TOLERANCE - 1:.0%} more; --update if that is meant")
    return 1 if worse else 0


if __name__ == "__main__":
    raise SystemExit(main())
