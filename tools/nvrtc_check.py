"""Compiles every CUDA source of the package with NVRTC, which needs neither a card nor a driver.

The sources are eagergrad/cuda/*.cu and what `eagergrad.cuda.generated_sources()` makes of the elementwise
table; each is compiled for sm_75, sm_80 and sm_90. `--install` fetches NVRTC from PyPI when it is missing.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

ARCHITECTURES = ("sm_75", "sm_80", "sm_90")
PACKAGES = ["nvidia-cuda-nvrtc", "nvidia-cuda-runtime"]  # the compiler; cuda_fp16.h and its kin


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


def compile_source(nvrtc: ctypes.CDLL, name: str, source: str, architecture: str) -> str:
    """Return the compiler's complaint, or an empty string."""
    program = ctypes.c_void_p()
    text, label = source.encode(), name.encode()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, label, 0, None, None)
    options = [f"--gpu-architecture={architecture}", "--std=c++17"]
    options += [f"-I{folder}" for folder in [cuda_folder(), *nvidia_files("include")]]
    argv = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
    failed = nvrtc.nvrtcCompileProgram(program, len(options), argv)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return log.value.decode() or f"nvrtc error {failed}" if failed else ""


def cuda_folder() -> Path:
    import eagergrad

    return Path(eagergrad.__file__).parent / "cuda"


def sources() -> dict[str, str]:
    folder = cuda_folder()
    found = {path.name: path.read_text() for path in sorted(folder.glob("*.cu"))}
    if folder.is_dir():
        module = importlib.import_module("eagergrad.cuda")
        found.update(getattr(module, "generated_sources", dict)())
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", action="store_true", help="pip install NVRTC if it is missing")
    arguments = parser.parse_args()
    todo = sources()
    if not todo:
        print("0 CUDA sources")
        return 0
    nvrtc = find_nvrtc()
    if nvrtc is None and arguments.install:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", *PACKAGES], check=True)
        importlib.invalidate_caches()
        nvrtc = find_nvrtc()
    if nvrtc is None:
        print(f"NVRTC is not installed: pip install {' '.join(PACKAGES)}")
        return 1
    failures = 0
    for name, source in todo.items():
        for architecture in ARCHITECTURES:
            complaint = compile_source(nvrtc, name, source, architecture)
            if complaint:
                failures += 1
                print(f"{name} for {architecture}:\n{complaint}")
    count = len(todo) * len(ARCHITECTURES)
    print(f"{len(todo)} CUDA sources, {count - failures} of {count} compilations passed")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
