"""Starts the GPU: CuPy gives memory, streams and compiled kernels; the core launches them itself."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import re
import threading
from pathlib import Path
from typing import Any

from eagergrad import _C

FOLDER = Path(__file__).parent
# Sources that the kernels share with the host's: in a checkout they are in csrc, in an installed package beside this file.
SHARED = FOLDER / "shared"
CHECKOUT = FOLDER.parents[1] / "csrc"
OPTIONS = ("--std=c++17", "-default-device")

emulated = False  # set by the tests' stand-in for a GPU
hidden = False  # likewise: that stand-in is put away until the next test that wants it
_lock = threading.Lock()
_kernels: list[Any] = []  # compiled modules live as long as the process
_blocks: dict[int, Any] = {}  # CuPy's blocks by address


def find_source(name: str) -> Path | None:
    """The file that an #include "..." in a kernel source means."""
    places = [FOLDER / name]
    for root in (SHARED, CHECKOUT):
        places += [root / name, root / "cuda" / name]
    return next((p for p in places if p.is_file()), None)


def flat_source(name: str, nvrtc: bool = True) -> str:
    """A kernel source with everything that it includes, as one text: what the cache of compiled kernels goes by.

    `nvrtc` puts stand-ins for the C and C++ headers in, of which NVRTC has none.
    """
    seen: set[Path] = set()

    def expand(path: Path) -> str:
        text = path.read_text()
        if "#pragma once" in text:
            if path in seen:
                return ""
            seen.add(path)
            text = text.replace("#pragma once", "")

        def include(match: re.Match[str]) -> str:
            standard = match[1] == "<"
            found = FOLDER / "nvrtc" / match[2] if standard else find_source(match[2])
            if (standard and not nvrtc) or found is None or not found.is_file():
                return match[0]
            return expand(found)

        return re.sub(r'^[ \t]*#include ([<"])([^>"]+)[>"]', include, text, flags=re.MULTILINE)

    source = find_source(name)
    if source is None:
        raise RuntimeError(f"[cuda] the kernel source {name} is missing from the package")
    return expand(source)


_GROUPS = {"real": "float,double", "stored": "float,double,eg::Half,eg::BFloat16"}
_GROUPS["any"] = _GROUPS["stored"] + ",bool,uint8_t,int8_t,int16_t,int32_t,int64_t"


def listed_kernels() -> list[tuple[str, str]]:
    """File and expression of each kernel that kernels.txt names; the elementwise table's are `_C.cuda_table_kernels`."""

    def expand(text: str) -> list[str]:
        before, brace, rest = text.partition("{")
        if not brace:
            return [text]
        choices, _, after = rest.partition("}")
        words = [w for c in choices.split(",") for w in _GROUPS.get(c, c).split(",")]
        return [before + word + end for word in words for end in expand(after)]

    lines = (FOLDER / "kernels.txt").read_text().splitlines()
    named = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    return [(file, expression) for file, names in named for expression in expand(names)]


def import_cupy() -> Any:
    """CuPy; RuntimeError with the command that installs it."""
    try:
        import cupy
    except ImportError as error:
        raise RuntimeError(
            "the GPU needs CuPy, which is not installed: pip install 'eagergrad[cuda13]' "
            "(CUDA 12: 'eagergrad[cuda12]')"
        ) from error
    return cupy


def started() -> bool:
    """Whether a GPU is in use."""
    return _C.cuda_started() and not hidden


def unavailable() -> str:
    """Why no GPU can be used; an empty string if one can. Does not import CuPy."""
    if started():
        return ""
    if importlib.util.find_spec("cupy") is None:
        return (
            "CuPy is not installed: pip install 'eagergrad[cuda13]' (CUDA 12: 'eagergrad[cuda12]')"
        )
    return _C.cuda_count()[1]


def device_count() -> int:
    """The number of GPUs that can be used."""
    if started():
        return _C.cuda_device_count()
    return 0 if importlib.util.find_spec("cupy") is None else _C.cuda_count()[0]


def index_of(device: Any) -> int:
    """The number that a device, its name or a number means; the current GPU's for "cuda"."""
    if isinstance(device, int):
        return device
    from eagergrad.tensor.device import device as Device

    d = Device(device)
    if d.type != "cuda":
        raise ValueError(f"Expected a cuda device, but got: {d}")
    return _C.cuda_current() if d.index is None else d.index


def checked_index(device: Any) -> int:
    """The number of a GPU that is there (None: the current one); RuntimeError otherwise."""
    start()
    number = _C.cuda_current() if device is None else index_of(device)
    count = _C.cuda_device_count()
    if not 0 <= number < count:
        raise RuntimeError(
            f"invalid device ordinal: cuda:{number} was asked for, and there are {count} GPUs"
        )
    return number


def set_current(number: int) -> None:
    """Make a GPU the one that "cuda" means, to CuPy too."""
    _C.cuda_set_current(checked_index(number))
    if not emulated:
        import_cupy().cuda.Device(number).use()


def trim_pool() -> None:
    """Give what CuPy's pool keeps back to the system."""
    if not emulated:
        import_cupy().get_default_memory_pool().free_all_blocks()


def warmup(dtypes: list[Any]) -> int:
    """Compile the elementwise kernels of dense tensors of the given dtypes."""
    start()
    expressions = [e for d in dtypes for e in _C.cuda_table_kernels(d)]
    for expression in expressions:
        compile_kernel(_C.cuda_current(), "elementwise.cu", expression)
    return len(expressions)


def cache_folder() -> Path:
    """Where compiled kernels are kept: EAGERGRAD_CUDA_CACHE, or eagergrad/kernels in the user's cache."""
    chosen = os.environ.get("EAGERGRAD_CUDA_CACHE")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "eagergrad", "kernels")


def _compiled(file: str, expression: str, capability: str) -> tuple[str, bytes]:
    """A kernel's name in the machine code, and the code: compiled now, or kept from before.

    By NVRTC as CuPy binds it, not by CuPy's RawModule, which has subnormal numbers flushed to zero whatever one asks for.
    """
    from cupy.cuda import nvrtc

    source = flat_source(file)
    newest = max(nvrtc.getSupportedArchs())
    known = int(capability) <= newest  # else code that the driver translates
    options = (*OPTIONS, f"-arch=sm_{capability}" if known else f"-arch=compute_{newest}")
    key = "\0".join([source, expression, str(nvrtc.getVersion()), *options])
    kept = cache_folder() / (hashlib.sha256(key.encode()).hexdigest() + ".bin")
    with contextlib.suppress(OSError):
        name, _, code = kept.read_bytes().partition(b"\n")
        if code:
            return name.decode(), code
    program = nvrtc.createProgram(source, file, (), ())
    try:
        nvrtc.addNameExpression(program, expression)
        try:
            nvrtc.compileProgram(program, options)
        except nvrtc.NVRTCError as error:
            log = nvrtc.getProgramLog(program)
            raise RuntimeError(f"[cuda] {expression} of {file} does not compile:\n{log}") from error
        lowered = nvrtc.getLoweredName(program, expression)
        code = nvrtc.getCUBIN(program) if known else nvrtc.getPTX(program)
    finally:
        nvrtc.destroyProgram(program)
    name = lowered.encode() if isinstance(lowered, str) else lowered
    code = code.encode() if isinstance(code, str) else bytes(code)
    with contextlib.suppress(OSError):  # a home that cannot be written: compile again next time
        kept.parent.mkdir(parents=True, exist_ok=True)
        made = kept.with_suffix(f".{os.getpid()}")
        made.write_bytes(name + b"\n" + code)
        made.replace(kept)
    return name.decode(), code


def compile_kernel(device: int, file: str, expression: str) -> int:
    """The driver's handle of one kernel."""
    cupy = import_cupy()
    with _lock, cupy.cuda.Device(device):
        name, code = _compiled(file, expression, cupy.cuda.Device().compute_capability)
        module = cupy.cuda.function.Module()
        module.load(code)
        function = module.get_function(name)
        _kernels.append((module, function))
        return function.ptr


def _allocate(device: int, size: int) -> int:
    cupy = import_cupy()
    try:
        with cupy.cuda.Device(device):
            block = cupy.cuda.alloc(size)
    except cupy.cuda.memory.OutOfMemoryError:
        return 0
    _blocks[block.ptr] = block
    return block.ptr


def _release(device: int, address: int) -> None:
    del _blocks[address]


def _current_stream() -> Any:
    """What the core asks for the current stream: CuPy's own C function where it can be had."""
    from cupy_backends.cuda import stream

    capsule = getattr(stream, "__pyx_capi__", {}).get("get_current_stream_ptr")
    return capsule or (lambda: import_cupy().cuda.get_current_stream().ptr)


@functools.cache
def find_cudnn() -> None:
    """Tell the core where a package has put cuDNN's library. It is loaded when it is first needed."""
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec and spec.submodule_search_locations) or []:
        library = Path(folder, "cudnn", "lib", "libcudnn.so.9")
        if library.is_file():
            _C.cudnn_add_path(str(library))


def start() -> None:
    """Start using the GPU; RuntimeError with the reason where there is none."""
    if started():
        return
    reason = unavailable()
    if reason:
        raise RuntimeError(
            f"no CUDA device can be used: {reason}. "
            'Use device="cpu", or guard with eagergrad.cuda.is_available()'
        )
    from eagergrad.cuda import cudnn_attention

    cupy = import_cupy()
    cupy.cuda.runtime.getDeviceCount()
    with cupy.cuda.Device(0):
        cupy.cuda.device.get_cublas_handle()  # loads cuBLAS
    find_cudnn()
    cudnn_attention.install()
    _C.cuda_start(_C.cuda_nvidia(_allocate, _release, _current_stream()), compile_kernel)
