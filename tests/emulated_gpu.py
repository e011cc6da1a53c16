"""A GPU for tests on machines that have none: kernels run on the host, device memory is out of the host's reach.

`start()` compiles tests/cuda_host/emulator.cpp with the machine's C++ compiler and gives it to the core as its GPU driver.
Kernels are compiled one by one when they are first used and kept in the folder that EAGERGRAD_CUDA_HOST_CACHE names.
EAGERGRAD_CUDA_RECORD=FILE appends a line for every kernel that is asked for, which tools/nvrtc_check.py takes.
EAGERGRAD_CUDA_WATCH=1 looks at every access of the hand-written kernels and fails a test in whose launches two threads use the same
memory, one of them writing, with no barrier between (tests/cuda_host/watch.h).
EAGERGRAD_EMULATED_CAPABILITY is the card's compute capability (80), EAGERGRAD_EMULATED_GPUS how many there are.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from eagergrad import _C
from eagergrad.cuda import _runtime

HERE = Path(__file__).parent / "cuda_host"
CSRC = Path(__file__).parents[1] / "csrc"
FLAGS = ["-std=c++17", "-O0", "-fPIC", "-shared", "-fno-math-errno", "-fwrapv", "-w"]
# A GPU stops at an access that is not a multiple of its size; the host would do it.
ALIGNED = ["-fsanitize=alignment", "-fsanitize-undefined-trap-on-error"]

# Calls at every access, which the emulator answers in place of the sanitizer's library.
WATCHED = ["-g", "-fno-gnu-unique", "-fsanitize=thread", "-nodefaultlibs", "-lstdc++", "-lm", "-lc"]

watching = bool(os.environ.get("EAGERGRAD_CUDA_WATCH"))
_emulator: ctypes.CDLL | None = None
_watched: dict[int, str] = {}  # kernels by address
_loaded: list[ctypes.CDLL] = []
_cache: Path | None = None


def cache_folder() -> Path:
    global _cache
    if _cache is None:
        named = os.environ.get("EAGERGRAD_CUDA_HOST_CACHE")
        _cache = Path(named or tempfile.mkdtemp(prefix="eagergrad-cuda-host-"))
        _cache.mkdir(parents=True, exist_ok=True)
    return _cache


def compiler() -> list[str]:
    return os.environ.get("CXX", "g++").split()


def missing() -> str:
    """Why there can be no emulation here; an empty string if there can."""
    if shutil.which(compiler()[0]) is None:
        return f"no C++ compiler ({compiler()[0]}) to run the GPU's kernels on the host"
    if not CSRC.is_dir():
        return "the C++ sources are not beside the tests"
    return ""


@functools.cache
def quoted(path: Path) -> tuple[str, tuple[Path, ...]]:
    """A file's text, and the files that it includes in quotes."""
    text = path.read_text()
    return text, included(text)


def included(text: str) -> tuple[Path, ...]:
    names = re.findall(r'^[ \t]*#include "([^"]+)"', text, re.MULTILINE)
    places = (folder / name for name in names for folder in (HERE, CSRC))
    return tuple(dict.fromkeys(p for p in places if p.is_file()))


def with_headers(text: str) -> str:
    """A text and, behind it, those of all files that it includes in quotes: what its compiled form depends on."""
    found = list(included(text))
    for path in found:  # grows
        found += [p for p in quoted(path)[1] if p not in found]
    return "\0".join([text, *(quoted(path)[0] for path in found)])


def build(name: str, text: str, *flags: str, suffix: str = ".so") -> Path:
    """Compile a C++ text to a shared library or a header, or find the one compiled before."""
    parts = [with_headers(text), *FLAGS, *flags]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    target = cache_folder() / f"{name}-{key}{suffix}"
    if not target.exists():
        source = target.with_suffix(".cpp" if suffix == ".so" else "")
        source.write_text(text)
        made = target.with_suffix(f".{os.getpid()}.tmp")
        command = [*compiler(), *FLAGS, *flags, str(source), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr[:4000]}")
        made.rename(target)
    return target


def load(path: Path, mode: int = ctypes.DEFAULT_MODE) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path), mode=mode)
    _loaded.append(library)
    return library


_headers: dict[str, Path] = {}


def flags_of(file: str) -> list[str]:
    """The table's kernels are loops over single elements: nothing to watch there."""
    return WATCHED if watching and file != "elementwise.cu" else ALIGNED


def header_of(file: str) -> Path:
    """A kernel file as a precompiled header: parsing it costs more than compiling one kernel of it."""
    if file not in _headers:
        text = _runtime.flat_source(file, nvrtc=False)
        made = build(
            Path(file).stem,
            f'#include "{HERE / "cuda_host.h"}"\n{text}\n',
            *flags_of(file),
            "-xc++-header",
            suffix=".h.gch",
        )
        _headers[file] = made.with_suffix("")
    return _headers[file]


unlisted: list[str] = []  # kernels asked for that eagergrad/cuda/kernels.txt lacks
TABLE = ("eg::flat<", "eg::strided<")  # the elementwise table's, which the core lists


@functools.cache
def listed() -> set[tuple[str, str]]:
    return set(_runtime.listed_kernels())


def check_listed() -> None:
    """AssertionError if a kernel has been asked for that NVRTC would not be tried on."""
    missing = sorted(set(unlisted))
    unlisted.clear()
    assert not missing, f"add to eagergrad/cuda/kernels.txt: {missing}"


def compile_kernel(device: int, file: str, expression: str) -> int:
    record = os.environ.get("EAGERGRAD_CUDA_RECORD")
    if record:
        with open(record, "a") as lines:
            lines.write(f"{file} {expression}\n")
    if (file, expression) not in listed() and not expression.startswith(TABLE):
        unlisted.append(f"{file} {expression}")
    text = (
        f'#include "{header_of(file)}"\n'
        f'extern "C" void entry(void** a) {{ eg_host::call(&{expression}, a); }}\n'
    )
    library = load(build(Path(file).stem, text, *flags_of(file)))
    address = ctypes.cast(library.entry, ctypes.c_void_p).value or 0
    _watched[address] = f"{file} {expression}"
    return address


@functools.cache
def line_at(place: str) -> str:
    """File and line of a place in a library, with the line's text."""
    library, offset = place.rsplit("+", 1)
    command = ["addr2line", "-e", library, hex(int(offset, 16) - 1)]
    file, _, line = subprocess.run(command, capture_output=True, text=True).stdout.partition(":")
    number = int(line.split()[0]) if line[:1].isdigit() else 0
    lines = Path(file).read_text().splitlines() if number else []
    text = lines[number - 1].strip() if number <= len(lines) else ""
    return f"{Path(file).name}:{number}: {text}"


# Where a number is put to places, one of them several times, it is the same number: Fold::Put of a single value.
SAME_VALUE = re.compile(r"index.cu eg::(fold|scatter)_direct<\w+, 0>")


def check_races() -> None:
    """AssertionError with kernel and line of each race seen since the last call."""
    if not watching or _emulator is None:
        return
    lines = [line.split("\t") for line in _emulator.eg_watch_races().decode().splitlines()]
    found = [
        f"{kind}: {_watched[int(kernel)]} at {line_at(place)}"
        for kernel, place, kind in lines
        if not SAME_VALUE.fullmatch(_watched[int(kernel)])
    ]
    assert not found, "threads use the same memory at a time:\n" + "\n".join(found)


class Counts(NamedTuple):
    """How the accesses of a kernel's warps went. Shared memory: requests, the steps they take at least (16 bytes a thread go in four), and
    those that they take where banks meet. Global memory: requests, the sectors of 32 bytes they need, and those they touch."""

    shared_requests: int
    shared_phases: int
    shared_wavefronts: int
    global_requests: int
    least_sectors: int
    sectors: int


@contextlib.contextmanager
def counting(lines: bool = False) -> Iterator[dict[str, Counts]]:
    """Count the accesses of watched kernels; filled in after the block, by "file expression", or by its lines."""
    assert watching and _emulator is not None
    found: dict[str, Counts] = {}
    _emulator.eg_watch_count(1)
    try:
        yield found
    finally:
        _emulator.eg_watch_count(0)
    for line in _emulator.eg_watch_counts().decode().splitlines():
        kernel, place, *numbers = line.split("\t")
        name = _watched[int(kernel)] + (f" at {line_at(place)}" if lines else "")
        before = found.get(name, Counts(*[0] * 6))
        found[name] = Counts(*(b + int(n) for b, n in zip(before, numbers, strict=True)))


def stream_queries() -> int:
    """How often the core has asked for the current stream."""
    assert _emulator is not None
    _emulator.eg_stream_queries.restype = ctypes.c_int64
    return int(_emulator.eg_stream_queries())


def load_emulator() -> ctypes.CDLL:
    """The driver of the emulation."""
    source = (HERE / "emulator.cpp").read_text()
    return load(build("emulator", source, f"-I{HERE}", f"-I{CSRC}"), ctypes.RTLD_GLOBAL)


def start() -> None:
    """Make the emulation this process's GPU."""
    global _emulator
    _runtime.hidden = False
    if _C.cuda_started():
        return
    emulator = load_emulator()
    emulator.eg_emulated_driver.restype = ctypes.c_void_p
    emulator.eg_watch_races.restype = emulator.eg_watch_counts.restype = ctypes.c_char_p
    emulator.eg_watch(watching)
    _emulator = emulator
    _runtime.emulated = True
    _C.cuda_start(emulator.eg_emulated_driver(), compile_kernel)


@contextlib.contextmanager
def capturing(place) -> Iterator[None]:
    """What the core does differently while a graph is captured; place: two whole numbers for its random numbers."""
    _C.cuda_begin_capture(place.data_ptr())
    try:
        yield
    finally:
        _C.cuda_end_capture()
        _C.cuda_drop_graph(place.data_ptr())


@contextlib.contextmanager
def running() -> Iterator[None]:
    """A GPU within a ``with`` block: the machine's, else the emulated one, else the test is skipped with the reason.

    After the block the emulated one is out of sight: other tests look at a machine without a GPU.
    """
    if _runtime.unavailable():
        reason = missing()
        if reason:
            pytest.skip(reason)
        start()
        try:
            yield
        finally:
            _runtime.hidden = True
    else:
        yield
    check_listed()
    check_races()
