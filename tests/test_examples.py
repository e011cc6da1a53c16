"""Every example runs with tiny settings and prints a result."""

from __future__ import annotations

from pathlib import Path

import pytest

import interpreter

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("[!_]*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=[p.stem for p in EXAMPLES])
def test_the_example_runs_with_tiny_settings(path: Path, tmp_path: Path) -> None:
    settings = {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    printed = interpreter.run([str(path), "--tiny"], tmp_path, **settings)
    assert printed.strip()
