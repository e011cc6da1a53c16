"""`python -m benchmarks.instructions [--update]`: instructions that the small rows cost, against a committed baseline.

Times vary on a shared machine, counts hardly do. The rows run under callgrind (which knows AVX2 at most, so
it is that kernel level that is counted), each N and then 2 N times; the difference is the row's own cost. A call
of getppid() separates the parts of the profile, so that Python starts only once. The counts depend on the
version of Python, so a baseline made by another one is not compared.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
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


def count_instructions() -> dict[str, int]:
    """Instructions a call of every small row."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", "--dump-before=getppid", "--dump-instr=no"]
        command += [
            f"--callgrind-out-file={folder}/part",
            sys.executable,
            "-m",
            __spec__.name,
            "--child",
        ]
        environment = {**os.environ, "OPENBLAS_CORETYPE": "Haswell", "PYTHONHASHSEED": "0"}
        root = Path(__file__).resolve().parents[1]
        done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stdout[-2000:] + done.stderr[-4000:])
        # part.1 ends at the first mark; then come, for each row, N calls, 2 N calls and what is between rows.
        totals = {}
        for path in Path(folder).glob("part.*"):
            match = re.search(r"^(?:summary|totals): (\d+)", path.read_text(), re.MULTILINE)
            totals[int(path.suffix[1:])] = int(match[1]) if match else 0
        counts = {}
        for i, row in enumerate(SMALL):
            once, twice = totals[3 * i + 2], totals[3 * i + 3]
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
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    counts = count_instructions()
    if options.update:
        BASELINE.write_text(json.dumps({"python": python, "instructions": counts}, indent=1) + "\n")
    saved = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    baseline = saved.get("instructions", {}) if saved.get("python") == python else {}
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
