#!/usr/bin/env bash
# Builds in place against what a bare GPU machine has (Python with CuPy, a C++ compiler, CUDA's libraries), runs the GPU's tests,
# the whole op suite on the device and the benchmarks, and writes one report.
#
#   tools/gpu_check.sh [REPORT]      REPORT: default gpu-report.txt
#
# PYTHON names the interpreter; SUITE_SECONDS bounds the op suite, BENCH_SECONDS the benchmarks; BENCH_ROWS chooses rows.
set -uo pipefail
cd "$(dirname "$0")/.."
report=${1:-gpu-report.txt}
python=${PYTHON:-python3}
jobs=$(nproc)
: >"$report"

say() { printf '\n== %s  [%ds]\n' "$1" "$SECONDS" | tee -a "$report"; }
run() { "$@" >>"$report" 2>&1; }

say "machine"
run date -u
run nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
run "$python" -c '
import sys, cupy, numpy
print("python", sys.version.split()[0], "numpy", numpy.__version__, "cupy", cupy.__version__)
try:
    import torch
    print("torch", torch.__version__)
except ImportError:
    print("no torch")
'

say "build"
EAGERGRAD_BUILD_ISA=${EAGERGRAD_BUILD_ISA:-4} EAGERGRAD_BUILD_JOBS=$jobs "$python" setup.py build_ext --inplace \
  >build.log 2>&1 || { tail -40 build.log | tee -a "$report"; exit 1; }
tail -1 build.log >>"$report"

workers=()
"$python" -c 'import xdist' 2>/dev/null && workers=(-n "$((jobs > 2 ? jobs - 2 : 1))")

say "tests of the GPU's code"
run timeout "${SUITE_SECONDS:-600}" "$python" -m pytest -q -p no:cacheprovider --durations=5 "${workers[@]}" tests/test_cuda*.py
grep -E "^(FAILED|ERROR)|passed|failed" "$report" | tail -60

say "the op suite on the device"
run timeout "${SUITE_SECONDS:-600}" "$python" -m pytest -q -p no:cacheprovider --durations=5 "${workers[@]}" \
  --device=cuda tests/test_ops.py ${SUITE_ARGUMENTS:-}
grep -E "^(FAILED|ERROR)|passed|failed" "$report" | tail -60

say "benchmarks"
run timeout "${BENCH_SECONDS:-600}" "$python" -m benchmarks --device=cuda --quick -k "${BENCH_ROWS:-}"
say "done"
