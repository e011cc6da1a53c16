"""Compiles csrc/ into the one extension module, eagergrad._C. Everything else about the package is in pyproject.toml.

Kernels (csrc/kernels/*.cpp, but not *_base.cpp) are compiled once per instruction-set level, all other sources
once. Objects live in build/objects and are compiled again only when a source, a header it includes or the
command changes.

Environment:
    CXX, CXXFLAGS, LDFLAGS       as usual; CXX may be two words ("ccache g++")
    EAGERGRAD_BUILD_JOBS         compilers at a time (default: the processors this process may use)
    EAGERGRAD_BUILD_ISA          only these levels, "4" or "3,4": quick builds for one machine
    EAGERGRAD_BUILD_WERROR=1     warnings are errors
    EAGERGRAD_BUILD_DEBUG=1      keep symbols and line numbers
    EAGERGRAD_BUILD_SANITIZE=1   address and undefined-behaviour sanitizers, one level
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pybind11
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
ONCE = ("core", "tape", "ops", "cuda", "python")
# Compiled for size at the oldest level, where nothing of the elementwise, reduction and norm loops is: there -Os is 2 to 14 times
# slower.
SMALL = (
    *(
        "attention",
        "conv",
        "ctc",
        "factor",
        "index",
        "optim",
        "pool",
        "qr",
        "rnn",
        "small",
        "sort",
        "sparse",
    ),
    *("symmetric", "vision"),
)
# What only launches, runs once at import, or hands all its work to kernels: for size.
COLD = (
    "cuda",
    *(
        "ops/ctc",
        "ops/grid_composed",
        "ops/grouped",
        "ops/linalg",
        "ops/optim_differentiable",
        "ops/qr",
    ),
    *("ops/strided", "ops/view_copies", "ops/vision"),
    *("python/cuda", "python/module"),
)
# -O3 makes twice the code of -O2: of small matrices, whole vectors already, it is faster by a tenth to a third; sorts are as quick or
# quicker with -O2, selections (median, kthvalue) take a third more.
WHOLE_VECTORS = ("small", "sort")
# Loops of one line, whose rests of less than a vector take as much code again by narrower vectors.
PLAIN_LOOPS = ("binary", "unary")
NO_NARROW_RESTS = ["--param", "vect-epilogues-nomask=0"]
# A loop of some 30 bytes, as those of one line are, that lies on two lines of the cache of instructions takes longer.
WITHIN_A_LINE = ["-falign-loops=32"]
# No faster with AVX-512 than with AVX2: not compiled for it, where both are.
NARROW = ("ctc", "index", "shape")
# What an exception cannot pass through needs no tables to unwind it: most kernels. GCC leaves those out only where it writes the
# tables itself; debuggers then guess there.
NO_IDLE_TABLES = ["-fno-asynchronous-unwind-tables", "-fno-dwarf2-cfi-asm"]
# At the oldest level loops begin where they begin.
UNALIGNED = ["-falign-functions=1", "-falign-jumps=1", "-falign-loops=1"]
LEVELS = (2, 3, 4)  # x86-64-v2, v3 (AVX2), v4 (AVX-512)
IS_X86_64 = platform.machine().lower() in ("x86_64", "amd64") and sys.maxsize > 2**32
IS_GLIBC = platform.libc_ver()[0] == "glibc"

BASE_FLAGS = [
    "-std=c++17",
    "-fPIC",
    "-fvisibility=hidden",
    "-fvisibility-inlines-hidden",
    "-fno-lto",
    "-fwrapv",  # integer tensors wrap around
]
KERNEL_FLAGS = ["-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
WARNING_FLAGS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-parameter",
    "-Wno-missing-field-initializers",
    "-Wno-unknown-pragmas",
]
SANITIZE_FLAGS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]


def enabled(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


def available_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def flags_from(name: str) -> list[str]:
    return shlex.split(os.environ.get(name, ""))


class Job(NamedTuple):
    """One source to one object. `key` is what the object depends on besides the files it includes."""

    source: Path
    object: Path
    command: list[str]
    key: str

    def is_fresh(self) -> bool:
        try:
            if self.object.with_suffix(".key").read_text() != self.key:
                return False
            made = self.object.stat().st_mtime_ns
            rule = self.object.with_suffix(".d").read_text().replace("\\\n", " ")
            files = rule.split(": ", 1)[1].split()
            return all((ROOT / f).stat().st_mtime_ns <= made for f in files)
        except (OSError, IndexError):
            return False

    def run(self) -> None:
        self.object.parent.mkdir(parents=True, exist_ok=True)
        key_file = self.object.with_suffix(".key")
        key_file.unlink(missing_ok=True)
        command = [*self.command, "-MMD", "-MF", str(self.object.with_suffix(".d"))]
        subprocess.run(
            [*command, "-c", str(self.source), "-o", str(self.object)], check=True, cwd=ROOT
        )
        key_file.write_text(self.key)


class Toolchain:
    """The compiler, and the flags that this compiler and this machine take."""

    def __init__(self, keep_symbols: bool) -> None:
        default = sysconfig.get_config_var("CXX") or "c++"
        self.cxx = shlex.split(os.environ.get("CXX") or default)
        self.sanitize = enabled("EAGERGRAD_BUILD_SANITIZE")
        self.keep_symbols = keep_symbols or self.sanitize or enabled("EAGERGRAD_BUILD_DEBUG")
        self.base = [*self.cxx, *BASE_FLAGS]
        if self.sanitize:
            self.base += ["-O1", "-g1", "-fno-omit-frame-pointer", *SANITIZE_FLAGS]
        elif enabled("EAGERGRAD_BUILD_DEBUG"):
            self.base += ["-g"]
        if (
            enabled("EAGERGRAD_BUILD_WERROR") and not self.sanitize
        ):  # their checks confuse the warnings
            self.base += WARNING_FLAGS
        if self.accepts("-Wbitwise-conditional-parentheses"):  # clang: c | d ? a : b means that
            self.base += ["-Wno-bitwise-conditional-parentheses"]
        self.base += ["-Icsrc", *flags_from("CPPFLAGS"), *flags_from("CXXFLAGS")]

    def accepts(self, *flags: str) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.cpp")
            source.write_text("int main() { return 0; }\n")
            command = [*self.cxx, "-Werror", *flags, "-c", str(source), "-o", str(source) + ".o"]
            return subprocess.run(command, capture_output=True).returncode == 0

    def known(self, flags: list[str]) -> list[str]:
        """The flags, or none where the compiler does not take them."""
        return flags if self.accepts(*flags) else []

    def levels(self) -> list[int]:
        if not IS_X86_64:
            return [0]
        found = [n for n in LEVELS if self.accepts(f"-march=x86-64-v{n}")]
        chosen = os.environ.get("EAGERGRAD_BUILD_ISA", "")
        if chosen:
            found = [n for n in found if str(n) in chosen.replace(",", " ").split()]
        elif self.sanitize:
            found = found[1:2] or found[:1]
        return found or [0]

    def once(self) -> list[str]:
        return self.base if self.sanitize else [*self.base, "-O2"]

    def kernel(self, level: int) -> list[str]:
        if self.sanitize:
            optimize = ["-O1"]
        elif (
            level == 2
        ):  # the fallback of old processors: half the size, a third of the time to compile
            optimize = ["-O2", "-ftree-vectorize", *self.known(UNALIGNED)]
        else:
            optimize = ["-O3"]
        flags = [*self.base, *optimize, *KERNEL_FLAGS, f"-DEG_ISA_LEVEL={level}"]
        if not (self.sanitize or enabled("EAGERGRAD_BUILD_DEBUG")):
            flags += self.known(NO_IDLE_TABLES)
        if level:
            flags += [f"-march=x86-64-v{level}"]
        if IS_X86_64 and IS_GLIBC:
            # Makes <math.h> declare libmvec's vector functions. No flag of the compiler changes: NaN and infinity stay right.
            flags += ["-D__FAST_MATH__"]
            if self.accepts("-fveclib=libmvec"):  # clang
                flags += ["-fveclib=libmvec"]
        return flags

    def link(self, objects: list[Path], target: str) -> list[str]:
        command = [*self.cxx, *map(str, objects), "-o", target, *flags_from("LDFLAGS")]
        if sys.platform == "darwin":
            return [*command, "-bundle", "-undefined", "dynamic_lookup"]
        # Where only a static C++ library is installed, its symbols must stay ours: some are unique in a process, and another
        # copy of the library would then be used with this one's data.
        command += ["-shared", "-Wl,-O1", "-Wl,--as-needed", "-Wl,--exclude-libs,ALL"]
        if self.sanitize:
            command += SANITIZE_FLAGS
        if not self.keep_symbols:
            command += ["-Wl,-s"]
        if IS_X86_64 and IS_GLIBC:
            command += ["-lmvec"]
        return [*command, "-lm", "-lpthread", "-ldl"]


def jobs_of(tools: Toolchain) -> list[Job]:
    folder = ROOT / "build" / "objects" / (sysconfig.get_platform() + "-sanitize" * tools.sanitize)
    # -isystem keeps these headers out of the dependency files; their versions stand in the key instead,
    # because an isolated build finds pybind11 in another temporary folder each time.
    includes = ["-isystem", sysconfig.get_path("include"), "-isystem", pybind11.get_include()]
    versions = f"python {sys.version} pybind11 {pybind11.__version__}"
    abi = str(sysconfig.get_config_var("SOABI"))

    jobs = []
    for part in ONCE:
        for source in sorted((ROOT / "csrc" / part).glob("*.cpp")):
            name = f"{part}/{source.stem}.o"
            cold = (part in COLD or f"{part}/{source.stem}" in COLD) and not tools.sanitize
            command = [*tools.once(), *(["-Os"] if cold else [])]
            if part == "python":
                key = shlex.join([*command, versions])
                jobs.append(Job(source, folder / abi / name, [*command, *includes], key))
            else:
                jobs.append(Job(source, folder / name, command, shlex.join(command)))
    for source in sorted((ROOT / "csrc" / "kernels").glob("*.cpp")):
        if source.stem.endswith("_base"):
            jobs.append(
                Job(
                    source,
                    folder / f"kernels/{source.stem}.o",
                    tools.once(),
                    shlex.join(tools.once()),
                )
            )
    levels = tools.levels()
    plain, aligned = tools.known(NO_NARROW_RESTS), tools.known(WITHIN_A_LINE)
    for level in levels:
        flags = tools.kernel(level)
        for source in sorted((ROOT / "csrc" / "kernels").glob("*.cpp")):
            narrow = level == 4 and 3 in levels and source.stem in NARROW
            if not source.stem.endswith("_base") and not narrow:
                small = level == 2 and source.stem in SMALL and not tools.sanitize
                command = [*flags, "-Os"] if small else flags
                if not small and not tools.sanitize:
                    if source.stem in WHOLE_VECTORS:
                        command = [*flags, "-O2"]
                    if source.stem in PLAIN_LOOPS:
                        command = [*flags, *plain, *(aligned if level != 2 else [])]
                target = folder / f"kernels/{source.stem}.v{level}.o"
                jobs.append(Job(source, target, command, shlex.join(command)))
    return [job._replace(source=job.source.relative_to(ROOT)) for job in jobs]


def compile_all(jobs: list[Job]) -> int:
    """Compiles what is stale, several at a time, the largest sources first; returns how many that were."""
    stale = [job for job in jobs if not job.is_fresh()]
    stale.sort(key=lambda job: -(ROOT / job.source).stat().st_size)
    stop = threading.Event()

    def compile_one(job: Job) -> None:
        if stop.is_set():
            return
        print(f"compiling {job.source} -> {job.object.name}", flush=True)
        try:
            job.run()
        except BaseException:
            stop.set()
            raise

    workers = int(os.environ.get("EAGERGRAD_BUILD_JOBS") or available_processors())
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for future in [pool.submit(compile_one, job) for job in stale]:
            future.result()
    return len(stale)


def shared_sources() -> list[str]:
    """What CUDA kernels include of the host's sources, under csrc: an installed package carries copies."""
    cuda, csrc = ROOT / "eagergrad" / "cuda", ROOT / "csrc"
    found: list[str] = []
    texts = [p.read_text() for p in sorted(cuda.glob("*.cu*"))]
    while texts:
        for name in re.findall(r'^#include "([^"]+)"', texts.pop(), flags=re.MULTILINE):
            for place in (name, f"cuda/{name}"):
                if place not in found and (csrc / place).is_file():
                    found.append(place)
                    texts.append((csrc / place).read_text())
    return sorted(found)


class BuildExtension(build_ext):
    def run(self) -> None:
        self.keep_symbols = bool(self.inplace)  # the base class clears inplace while it builds
        super().run()
        if not self.keep_symbols:
            for name in shared_sources():
                source = ROOT / "csrc" / name
                target = Path(self.build_lib, "eagergrad", "cuda", "shared", name)
                target.parent.mkdir(parents=True, exist_ok=True)
                self.copy_file(str(source), str(target))

    def build_extension(self, ext: Extension) -> None:
        if sys.platform == "win32":
            raise SystemExit("eagergrad builds on Linux and macOS; on Windows use WSL")
        tools = Toolchain(self.keep_symbols)
        jobs = jobs_of(tools)
        target = Path(self.get_ext_fullpath(ext.name))
        try:
            compiled = compile_all(jobs)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"compilation failed: {shlex.join(map(str, error.cmd))}") from None
        command = tools.link([job.object for job in jobs], str(target))
        record = ROOT / "build" / "objects" / (target.name + ".link")
        if (
            compiled
            or not target.exists()
            or not record.exists()
            or record.read_text() != shlex.join(command)
        ):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)  # a running interpreter may have the old file mapped
            subprocess.run(command, check=True, cwd=ROOT)
            record.write_text(shlex.join(command))
        print(f"{target.name}: {compiled} of {len(jobs)} objects compiled", flush=True)


setup(ext_modules=[Extension("eagergrad._C", sources=[])], cmdclass={"build_ext": BuildExtension})
