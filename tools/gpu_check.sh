#!/usr/bin/env bash
# Builds in place against what a bare GPU machine has (Python with CuPy, a C++ compiler, CUDA's libraries) and writes one report, each
# result as it comes: first the tests and the rows of the benchmarks whose kernels no card has run, the rest of the suite on the device
# among them, then all tests of the GPU's code, the op suite on the device, all rows. What a step has printed lies in REPORT.parts until it ends, so that nothing is lost if all is stopped.
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
  rm -f "${files[@]}"
}

# rows SECONDS NAME WORDS: rows of the benchmarks whose names have one of the words, beside PyTorch where it is installed.
rows() {
  local seconds=$1
  say "$2"
  if [ "$seconds" -eq 0 ]; then echo "left out: no time" | tee -a "$report"; return; fi
  if [ "$emulated" ]; then
    run timeout "$seconds" "$python" -m benchmarks --ours-only --quick --no-memory -k "32x64"
  else
    timeout "$seconds" "$python" -m benchmarks --device=cuda --quick -k "$3" 2>&1 | tee -a "$report"
  fi
  [ "${PIPESTATUS[0]}" -eq 124 ] && echo "stopped after $seconds s" | tee -a "$report"
}

scratch=$report.parts
rm -rf "$scratch"
mkdir "$scratch"
finish() {
  cat "$scratch"/*.txt >>"$report" 2>/dev/null  # of a step that was stopped
  rm -rf "$scratch"
}
trap finish EXIT
trap 'say "stopped"; exit 143' TERM INT

say "machine"
run date -u
run git log -1 --format='commit %h'
[ "$emulated" ] || run nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
run "$python" - "$emulated" <<'END'
import importlib
import sys

print("python", sys.version.split()[0], "emulated" if sys.argv[1] else "")
for name in ("numpy", "cupy", "torch", "cudnn"):
    try:
        print(name, importlib.import_module(name).__version__)
    except ImportError:
        print("no", name)
END

say "build"
EAGERGRAD_BUILD_ISA=${EAGERGRAD_BUILD_ISA:-4} EAGERGRAD_BUILD_JOBS=$jobs "$python" setup.py build_ext --inplace \
  >"$scratch/build.log" 2>&1 || { tail -40 "$scratch/build.log" | tee -a "$report"; exit 1; }
tail -1 "$scratch/build.log" >>"$report"

# What has changed since the run that docs/gpu.md reports, the least tried first; and the rows that missed their targets in it.
new="tests/test_cuda_card.py tests/test_cuda_cudnn.py tests/test_cuda_attention.py tests/test_cuda_rnn.py tests/test_cuda_index.py tests/test_cuda_norm.py
  tests/test_cuda_random.py tests/test_cuda_conv.py tests/test_cuda.py tests/test_cuda_linalg.py tests/test_cuda_amp.py"
new_rows="softmax,gather,nn.LSTM,nn.GRU,attention,GPT,captured,32x64"
others=$(ls tests/test_cuda*.py | grep -vxF "$(tr -s ' ' '\n' <<<"$new")" | grep -vE "watch|devices")  # these are of emulated GPUs
rest=$(ls tests/test_*.py | grep -vE "test_(cuda|ops|build)")  # test_build looks at no device
suite=(--device="$device" tests/test_ops.py)
[ "${SUITE:-}" ] && suite+=(-k "$SUITE")
if [ "$emulated" ]; then
  new="tests/test_cuda_card.py tests/test_cuda.py" others=tests/test_cuda_matmul.py rest=tests/test_func.py device=emulated
  suite=(--device="$device" tests/test_ops.py -k "${SUITE:-tanh and float32}")
fi
export CUDA_MODULE_LOADING=LAZY
# Each step leaves time for those after it: in a short run half a minute to the other tests, a minute to the op suite.
tests "$(room 150 360)" "tests of what no card has run" $new
tests "$(room "$([ "$short" ] && echo 150 || echo 1200)" 220)" "the rest of the suite on the device" --device="$device" $rest
rows "$(room 110 120)" "rows of what no card has run" "$new_rows"
tests "$(room 600 90)" "other tests of the GPU's code" $others
tests "$(room 1200 30)" "the op suite on the device" "${suite[@]}"
rows "$(room 900 5)" "all rows" "${BENCH_ROWS:-}"
say "done"
