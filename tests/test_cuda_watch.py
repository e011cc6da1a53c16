"""What no card says aloud: races between threads, and bank conflicts, found by watching every access of the emulated GPU."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path

import pytest

import emulated_gpu
import interpreter

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(bool(emulated_gpu.missing()), reason=emulated_gpu.missing())

REVERSED = """
__global__ void reversed(int* sums) {
  __shared__ int line[64];
  line[threadIdx.x] = int(threadIdx.x);
  %s
  sums[threadIdx.x] = line[63 - threadIdx.x];
}
"""
SHARED_BY_BLOCKS = """
__global__ void reversed(int* sums) { %s; }
"""


@pytest.fixture
def watched_launch():
    """Runs a kernel's text over two blocks of 64 threads and returns the races."""
    emulator = emulated_gpu.load_emulator()
    emulator.eg_emulated_driver.restype = ctypes.POINTER(ctypes.c_void_p)
    emulator.eg_watch_races.restype = ctypes.c_char_p
    table = emulator.eg_emulated_driver()
    allocate = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p)
    )(table[1])
    launch = ctypes.CFUNCTYPE(
        ctypes.c_int, *[ctypes.c_void_p] * 3, ctypes.c_uint, *[ctypes.c_void_p] * 2
    )(table[10])

    def run(text):
        header = emulated_gpu.HERE / "cuda_host.h"
        made = emulated_gpu.build(
            "watched",
            f'#include "{header}"\n{text}\n'
            'extern "C" void entry(void** a) { eg_host::call(&reversed, a); }\n',
            *emulated_gpu.WATCHED,
        )
        kernel = emulated_gpu.load(made).entry
        memory = ctypes.c_void_p()
        assert allocate(0, 4096, ctypes.byref(memory)) == 0
        sizes = [(ctypes.c_uint * 3)(n, 1, 1) for n in (2, 64)]
        arguments = (ctypes.c_void_p * 1)(ctypes.addressof(memory))
        emulator.eg_watch(1)
        try:
            assert launch(ctypes.cast(kernel, ctypes.c_void_p), *sizes, 0, None, arguments) == 0
        finally:
            emulator.eg_watch(emulated_gpu.watching)
        return {line.split("\t")[2] for line in emulator.eg_watch_races().decode().splitlines()}

    return run


def test_a_missing_barrier_is_found(watched_launch):
    within_block = REVERSED.replace("sums[threadIdx.x]", "sums[64 * blockIdx.x + threadIdx.x]")
    assert watched_launch(within_block % "") == {"within a block"}
    assert watched_launch(within_block % "__syncthreads();") == set()


def test_shuffles_order_no_memory(watched_launch):
    one_warp = REVERSED.replace("63 - threadIdx.x", "threadIdx.x ^ 1")
    one_warp = one_warp.replace("sums[threadIdx.x]", "sums[64 * blockIdx.x + threadIdx.x]")
    assert watched_launch(one_warp % "__shfl_xor_sync(~0u, 1, 1);") == {"within a warp"}
    assert watched_launch(one_warp % "__syncwarp();") == set()


def test_blocks_do_not_wait_for_each_other(watched_launch):
    plain = "__syncthreads(); if (threadIdx.x == 0) sums[0] = int(blockIdx.x)"
    assert watched_launch(SHARED_BY_BLOCKS % plain) == {"between blocks"}
    atomic = "if (threadIdx.x == 0) atomicMax(sums, int(blockIdx.x))"
    assert watched_launch(SHARED_BY_BLOCKS % atomic) == set()


ATTENTION = {
    "attention.cu eg::attention",
    "attention.cu eg::attention_keys_grad",
    "attention.cu eg::attention_queries_grad",
    "attention_few.cu eg::attention_few",
    "attention_half.cu eg::attention_half",
    "attention_half.cu eg::attention_half_grad",
}


def test_attention_meets_no_bank_twice():
    """Also runs the tool that prints this for all kernels."""
    printed = interpreter.run(
        [str(ROOT / "tools" / "gpu_accesses.py"), "attention", "--json"],
        ROOT / "tests",
        EAGERGRAD_CUDA_HOST_CACHE=str(emulated_gpu.cache_folder()),
    )
    counts = json.loads(printed)["attention"]
    kernels = [k for k in counts if counts[k]["shared_requests"]]
    assert {k.partition("<")[0] for k in kernels} == ATTENTION
    for kernel in kernels:
        assert counts[kernel]["shared_wavefronts"] == counts[kernel]["shared_phases"], kernel


def test_compiled_kernels_depend_on_the_headers(tmp_path, monkeypatch):
    for name, text in (("a.h", '#include "b.h"\n'), ("b.h", '#include "a.h"\nint b;\n')):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(emulated_gpu, "HERE", tmp_path)
    before = emulated_gpu.with_headers('#include "a.h"')
    assert "int b;" in before
    (tmp_path / "b.h").write_text("int other;\n")
    emulated_gpu.quoted.cache_clear()
    assert "int other;" in emulated_gpu.with_headers('#include "a.h"')
    emulated_gpu.quoted.cache_clear()
