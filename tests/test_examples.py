"""Every example runs with tiny settings and prints a result."""

from __future__ import annotations

from pathlib import Path

import pytest

import interpreter
import on_device

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("[!_]*.py"))
LARGE = ("alexnet", "char_gpt", "char_rnn", "digits_convnet")


def _parameter(path: Path) -> object:
    return pytest.param(path, id=path.stem, marks=[pytest.mark.long] * (path.stem in LARGE))


@pytest.mark.parametrize("path", [_parameter(p) for p in EXAMPLES])
def test_the_example_runs_with_tiny_settings(
    path: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    device = request.config.getoption("--device")
    starter = [] if device == "cpu" else [on_device.__file__, device]
    settings = {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    printed = interpreter.run([*starter, str(path), "--tiny"], tmp_path, **settings)
    assert printed.strip()
