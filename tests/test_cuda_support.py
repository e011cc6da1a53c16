"""What is written down about the GPU's code is what the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import eagergrad as eg
import emulated_gpu
import samples
from eagergrad.cuda import _runtime, support
from test_ops import call_op
from util import make

PAGE = Path(__file__).parents[1] / "docs" / "gpu.md"


def test_what_waits_is_an_op():
    assert support.waits().keys() <= support.base_names()


def refusal(place, step):
    """Why a step cannot be captured; an empty string if it can."""
    with emulated_gpu.capturing(place):
        try:
            step()
        except RuntimeError as error:
            return str(error)
    return ""


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_ops_that_wait_for_the_device_say_so(request):
    """During a capture whoever reads values or moves them is refused. Every row with --device=cuda or emulated."""
    declared = support.waits()
    rows = [r for r in samples.ROWS if r.name.rsplit(".", 1)[-1] in declared]
    if request.config.getoption("--device") != "cpu":
        rows = samples.ROWS
    found = set()
    with emulated_gpu.running():
        place = eg.zeros(2, dtype=eg.int64, device="cuda")
        for row in rows:
            dtype = "float32" if "float32" in row.dtypes else row.dtypes[0]
            for call in row.calls:
                args, kwargs = make(row, call, dtype, "cuda")
                call_op(row, args, kwargs)
                refused = refusal(place, lambda r=row, a=args, k=kwargs: call_op(r, a, k))
                assert not refused or "captured graph" in refused, f"{row.name}: {refused}"
                found |= set(re.findall(r"^\[(\w+)\]", refused))
    assert found <= declared.keys(), "say so where the op is registered: EG_WAITS"
    with_rows = {r.name.rsplit(".", 1)[-1] for r in rows} & declared.keys()
    without_samples = {"copy_", "tensor_split"}  # of the host's tensor, of a tensor of indices
    assert with_rows - found <= without_samples, "these do not wait: take them out of EG_WAITS"


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
