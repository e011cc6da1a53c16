"""What is written down about the GPU's code is what the code has."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from eagergrad.cuda import _runtime, support

PAGE = Path(__file__).parents[1] / "docs" / "gpu.md"


def test_each_op_is_in_the_table_once():
    kinds = {**support.written(), "table": support.table_names()}
    named = set().union(*kinds.values())
    missing = support.base_names() - named
    assert not missing, f"name them in eagergrad/cuda/support.py: {sorted(missing)}"
    assert not named - support.base_names(), "names that are no ops"
    for (a, first), (b, second) in itertools.combinations(kinds.items(), 2):
        assert not first & second, f"both {a} and {b}"


def test_the_page_has_the_table():
    if not PAGE.is_file():
        pytest.skip("the documentation is not beside the tests")
    assert support.markdown() in PAGE.read_text(), "run python -m eagergrad.cuda.support"


def test_each_kernel_of_each_file_is_listed():
    listed = {(file, re.sub(r"eg::|<.*", "", e)) for file, e in _runtime.listed_kernels()}
    for path in _runtime.FOLDER.glob("*.cu"):
        found = re.findall(
            r"__global__\s+void\s+(?:__launch_bounds__\(.*?\)\s+)?(\w+)\(", path.read_text()
        )
        assert found
        for name in set(found) - {"flat", "strided"}:  # the core lists these
            assert (path.name, name) in listed, "add it to eagergrad/cuda/kernels.txt"
