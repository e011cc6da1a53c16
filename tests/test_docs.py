"""What the documentation shows runs: the examples in docstrings, and the Python of README and docs/."""

from __future__ import annotations

import doctest
import importlib
import os
import re
import sys
from pathlib import Path

import pytest

import eagergrad as eg

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGE = Path(eg.__file__).parent


def _module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = [_module_name(path) for path in sorted(PACKAGE.rglob("*.py"))]


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.host("text of tensors with no device to name")
def test_docstring_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        if name.startswith("eagergrad.cuda"):
            pytest.skip(str(error))
        raise
    monkeypatch.chdir(tmp_path)
    eg.manual_seed(0)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed = doctest.testmod(module, extraglobs={"eg": eg}, optionflags=options).failed
    assert failed == 0


def _program(page: Path) -> object:
    scipy = pytest.mark.host("matrices of SciPy")
    return pytest.param(page, id=page.name, marks=[scipy] * (page.name == "sparse.md"))


@pytest.mark.parametrize("page", [_program(p) for p in PAGES])
def test_python_in_pages(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # a page may add to it
    names: dict[str, object] = {"__name__": "page"}
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(block, page.name, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=[p.name for p in PAGES])
@pytest.mark.host("links")
def test_links_in_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert not [t for t in targets if not os.path.exists(page.parent / t)]
