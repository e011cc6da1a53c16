"""What the documentation shows runs: the examples in docstrings, and the Python of README and docs/."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
from pathlib import Path

import pytest

import eagergrad as eg

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = ["eagergrad", *(m.name for m in pkgutil.walk_packages(eg.__path__, "eagergrad."))]


@pytest.mark.parametrize("name", [m for m in MODULES if not m.endswith("._C")])
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


@pytest.mark.parametrize("page", PAGES, ids=[p.name for p in PAGES])
def test_python_in_pages(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(block, page.name, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=[p.name for p in PAGES])
def test_links_in_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert not [t for t in targets if not os.path.exists(page.parent / t)]
