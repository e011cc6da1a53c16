#!/usr/bin/env bash
# Builds in place against what a bare GPU machine has (Python with CuPy, a C++ compiler, CUDA's libraries) and writes one report, each
# result as it comes: first the paths that fewest cards have seen, then all tests of the GPU's code, the op suite on the device, the
# benchmarks.
#
#   tools/gpu_check.sh [--short] [--emulated] [REPORT]      REPORT: default gpu-report.txt
#
# --short ends within ten minutes, whatever is left out is said. --emulated goes through the same steps without a card, on a few tests
# each. PYTHON names the interpreter, BUDGET the seconds, SUITE chooses tests of the op suite (pytest's -k), BENCH_ROWS rows.
set -uo pipefail
cd "$(dirname "$0")/.."

short='' emulated='' report=''
for argument; do
  case $argument in
    --short) short=1 ;;
    --emulated) emulated=1 ;;
    -*) echo "usage: tools/gpu_check.sh [--short] [--emulated] [REPORT]" >&2; exit 2 ;;
    *) report=$argument ;;
  esac
done
report=${report:-gpu-report.txt}
budget=${BUDGET:-$([ "$short" ] && echo 580 || echo 3600)}
python=${PYTHON:-python3}
jobs=$(nproc)
device=cuda
: >"$report"

say() { printf '\n== %s  [%ds]\n' "$1" "$SECONDS" | tee -a "$report"; }
run() { "$@" >>"$report" 2>&1; }
# Seconds for a step that wants $1, with $2 kept for what follows; less than a minute's worth is nothing.
room() {
  local left=$((budget - SECONDS - $2))
  [ "$left" -gt "$1" ] && left=$1
  [ "$left" -lt 20 ] && left=0
  echo "$left"
}
outcome() { grep -hE "^(FAILED|ERROR)|(passed|failed|skipped|deselected|errors?).* in |no tests ran|stopped after" "$@" | sort | uniq -c | tail -60; }

# tests SECONDS NAME ARGUMENTS: pytest in as many processes as there are cores, a part of the tests each.
tests() {
  local seconds=$1 name=$2 parts=$jobs i
  shift 2
  say "$name"
  if [ "$seconds" -eq 0 ]; then echo "left out: no time" | tee -a "$report"; return; fi
  [ "$parts" -gt 12 ] && parts=12  # each has a CUDA context
  local files=()
  for ((i = 1; i <= parts; ++i)); do
    files+=("$scratch/$i.txt")
    (timeout -k 5 "$((seconds + 20))" "$python" -m pytest -q -rfE --tb=short -p no:cacheprovider --durations=3 \
      --shard="$i/$parts" --seconds="$seconds" "$@" >"$scratch/$i.txt" 2>&1
    code=$?
    [ "$code" -gt 1 ] && echo "ERROR part $i of $parts ended with $code" >>"$scratch/$i.txt") &
  done
  wait
  cat "${files[@]}" >>"$report"
  outcome "${files[@]}"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say "machine"
run date -u
run git log -1 --format='commit %h'
[ "$emulated" ] || run nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
run "$python" - "$emulated" <<'END'
import importlib
import sys

print("python", sys.version.split()[0], "emulated" if sys.argv[1] else "")
for name in ("numpy", "cupy", "torch"):
    try:
        print(name, importlib.import_module(name).__version__)
    except ImportError:
        print("no", name)
END

say "build"
EAGERGRAD_BUILD_ISA=${EAGERGRAD_BUILD_ISA:-4} EAGERGRAD_BUILD_JOBS=$jobs "$python" setup.py build_ext --inplace \
  >"$scratch/build.log" 2>&1 || { tail -40 "$scratch/build.log" | tee -a "$report"; exit 1; }
tail -1 "$scratch/build.log" >>"$report"

rare="tests/test_cuda_card.py tests/test_cuda.py tests/test_cuda_sparse.py tests/test_cuda_linalg.py tests/test_cuda_optim.py
  tests/test_cuda_amp.py tests/test_cuda_index.py tests/test_cuda_random.py"
others=$(ls tests/test_cuda*.py | grep -vxF "$(tr -s ' ' '\n' <<<"$rare")")
suite=(--device="$device" tests/test_ops.py)
[ "${SUITE:-}" ] && suite+=(-k "$SUITE")
if [ "$emulated" ]; then
  rare="tests/test_cuda_card.py tests/test_cuda.py" others=tests/test_cuda_matmul.py
  suite=(--device=emulated tests/test_ops.py -k "${SUITE:-tanh and float32}")
fi
export CUDA_MODULE_LOADING=LAZY
# In a short run the benchmarks are sure of two minutes, the op suite of three.
tests "$(room 240 300)" "paths that few cards have seen" $rare
tests "$(room 600 300)" "other tests of the GPU's code" $others
tests "$(room 1200 120)" "the op suite on the device" "${suite[@]}"

say "benchmarks"
seconds=$(room 900 5)
if [ "$emulated" ]; then
  run timeout "$seconds" "$python" -m benchmarks --ours-only --quick --no-memory -k "32x64"
else
  run timeout "$seconds" "$python" -m benchmarks --device=cuda --quick -k "${BENCH_ROWS:-}"
fi
[ $? -eq 124 ] && echo "stopped after $seconds s" | tee -a "$report"
say "done"
