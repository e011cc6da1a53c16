"""Compiles every kernel of the package with NVRTC, which needs neither a card nor a driver nor CuPy.

Kernels are templates: those of the elementwise table are named by the core, the others by eagergrad/cuda/kernels.txt. They
are compiled in batches for sm_75, sm_80 and sm_90, every dtype, down to machine code but with little optimisation, which takes
a tenth of the time. `--install` fetches NVRTC from PyPI when it is missing.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import importlib.util
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import eagergrad as eg
from eagergrad import _C
from eagergrad.cuda import _runtime

ARCHITECTURES = ("sm_75", "sm_80", "sm_90")
PACKAGES = ["nvidia-cuda-nvrtc"]
UNUSED = "-diag-suppress=177"  # a batch does not call every function of the headers
QUICK = "--Ofast-compile=max"
BATCH = 200
Job = tuple[str, list[str], str]  # file, expressions, architecture


def nvidia_files(pattern: str) -> list[str]:
    """What NVIDIA's wheels, of any CUDA version, brought."""
    spec = importlib.util.find_spec("nvidia")
    folders = list(spec.submodule_search_locations or []) if spec else []
    return sorted((str(p) for f in folders for p in Path(f).rglob(pattern)), reverse=True)


def find_nvrtc() -> ctypes.CDLL | None:
    for name in [*nvidia_files("libnvrtc.so.*"), "libnvrtc.so"]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def compile_batch(job: Job) -> tuple[str, float]:
    """Return the compiler's complaint, or an empty string, and the seconds of CPU time."""
    file, expressions, architecture = job
    nvrtc = find_nvrtc()
    assert nvrtc is not None
    start = time.process_time()
    program = ctypes.c_void_p()
    text = _runtime.flat_source(file).encode()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, file.encode(), 0, None, None)
    for expression in expressions:
        nvrtc.nvrtcAddNameExpression(program, expression.encode())
    options = [f"--gpu-architecture={architecture}", *_runtime.OPTIONS, UNUSED, QUICK]
    argv = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
    failed = nvrtc.nvrtcCompileProgram(program, len(options), argv)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    complaint = (log.value.decode().strip() or f"nvrtc error {failed}") if failed else ""
    return complaint, time.process_time() - start


def table_kernels() -> list[str]:
    """Kernels of the elementwise table for every dtype; the strided ones of the halves are float's."""
    dtypes = [eg.float32, eg.float64, eg.float16, eg.bfloat16]
    dtypes += [eg.bool, eg.uint8, eg.int8, eg.int16, eg.int32, eg.int64]
    found = [
        e for d in dtypes for strided in (False, True) for e in _C.cuda_table_kernels(d, strided)
    ]
    return list(dict.fromkeys(found))


def jobs() -> list[Job]:
    """All there is to compile."""
    by_file: dict[str, list[str]] = {}
    for file, expression in _runtime.listed_kernels():
        by_file.setdefault(file, []).append(expression)
    missing = {p.name for p in _runtime.FOLDER.glob("*.cu")} - by_file.keys()
    if missing:
        raise SystemExit(f"eagergrad/cuda/kernels.txt names no kernel of {sorted(missing)}")
    made: list[Job] = []
    table = table_kernels()
    for architecture in ARCHITECTURES:
        for file, all_of in [*by_file.items(), ("elementwise.cu", table)]:
            for start in range(0, len(all_of), BATCH):
                made.append((file, all_of[start : start + BATCH], architecture))
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", action="store_true", help="pip install NVRTC if it is missing")
    parser.add_argument(
        "-k", default="", metavar="FILE", help="only the files with this in the name"
    )
    parser.add_argument("-v", action="store_true", help="print each program as it is done")
    arguments = parser.parse_args()
    if find_nvrtc() is None and arguments.install:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", *PACKAGES], check=True)
        importlib.invalidate_caches()
    if find_nvrtc() is None:
        print(f"NVRTC is not installed: pip install {' '.join(PACKAGES)}")
        return 1
    start = time.monotonic()
    todo = [job for job in jobs() if arguments.k in job[0]]
    seconds: dict[str, float] = {}
    counts: dict[str, int] = {}
    failures = 0
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for (file, expressions, architecture), (complaint, took) in zip(
            todo, pool.map(compile_batch, todo), strict=True
        ):
            if arguments.v:
                print(f"{architecture} {file}: {len(expressions)} in {took:.1f} s", flush=True)
            seconds[file] = seconds.get(file, 0.0) + took
            counts[file] = counts.get(file, 0) + len(expressions)
            if complaint:
                failures += 1
                print(f"{file} for {architecture}:\n{complaint[:4000]}", flush=True)
    for file, took in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"{counts[file]:5} compilations of {file:14} {took:6.1f} s of CPU time")
    total = sum(counts.values())
    print(
        f"{total} compilations for {', '.join(ARCHITECTURES)} in {time.monotonic() - start:.0f} s, "
        f"{failures} of {len(todo)} programs failed"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
