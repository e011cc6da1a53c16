"""Fresh interpreters that import the same eagergrad as the running one, away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import eagergrad as eg

PACKAGE = Path(eg.__file__).resolve().parent


def run(arguments: list[str], folder: Path, timeout: float = 300, **variables: str) -> str:
    """Run `python arguments...` in a folder and return what it printed; fail with its errors."""
    path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, **variables}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def run_code(code: str, folder: Path, **variables: str) -> str:
    """Run code with warnings as errors."""
    return run(["-W", "error", "-c", code], folder, **variables)
