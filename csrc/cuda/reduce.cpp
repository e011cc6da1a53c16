// Chooses between the kernels of eagergrad/cuda/reduce.cu: lanes, blocks or several blocks a line.
#include "kernels/reduce.h"

#include <algorithm>

#include "cuda/launch.h"
#include "cuda/reduce.h"

namespace eg {
namespace {

constexpr const char* kFile = "reduce.cu";
constexpr size_t kStateBytes = 24;  // of the largest State in joins.cuh
constexpr int kThreads = 256;
constexpr int64_t kShort = 1024;  // lines for which a warp is enough

enum Rule {
  kSum,
  kProd,
  kMax,
  kMin,
  kAll,
  kAny,
  kLogSumExp,
  kArgMax,
  kArgMin,
  kLastMax,
  kLastMin,
  kMoments,
  kVariance
};
constexpr const char* kRules[] = {"Sum",     "Prod",      "Max",     "Min",    "All",
                                  "Any",     "LogSumExp", "ArgMax",  "ArgMin", "LastMax",
                                  "LastMin", "Moments",   "Variance"};
enum Shape { kRows, kRowChunks, kColumns, kScanRows, kScanColumns };
constexpr const char* kShapes[] = {"rows", "row_chunks", "columns", "scan_rows", "scan_columns"};

int64_t parts(int64_t n, int64_t size) { return (n + size - 1) / size; }

// A reduction or a scan of (outer, length, inner).
struct Lines {
  Rule rule;
  DType type;
  const void* x;
  int64_t outer, length, inner;
  void *first, *second;  // results

  // flags: of the kernel's template, after the rule.
  void* kernel(Shape shape, std::initializer_list<bool> flags = {}) const {
    uint64_t key = uint64_t(shape) | uint64_t(rule) << 3 | uint64_t(type) << 8;
    for (const bool flag : flags) key = key * 2 + flag;
    return cuda::kernel(kFile, key * 4 + flags.size(), [&] {
      std::string text =
          str("eg::", kShapes[shape], "<eg::", kRules[rule], "<", cuda::type_name(type), ">");
      for (const bool flag : flags) text += flag ? ", true" : ", false";
      return text + ">";
    });
  }

  int64_t columns() const { return outer * inner; }
  // Blocks that fill the card.
  static int64_t full() { return int64_t(cuda::driver().multiprocessors) * (2048 / kThreads); }
  static cuda::Grid blocks(int64_t n, int x = kThreads, int y = 1) {
    return cuda::Grid(std::min<int64_t>(n, 1 << 30), 1, 1, x, y, 1);
  }

  void run_rows(const void* from, bool from_states, bool to_states, void* to, int64_t n) const {
    int width = 1;
    while (width < 32 && width * 4 < n) width *= 2;
    cuda::launch(kernel(kRows, {from_states, to_states}),
                 blocks(std::min(parts(outer, kThreads / width), 8 * full())), from, to, second,
                 outer, n, width);
  }
  void run_row_chunks(const void* from, bool from_states, bool to_states, void* to, int64_t n,
                      int64_t chunk) const {
    cuda::launch(kernel(kRowChunks, {from_states, to_states}), blocks(outer * parts(n, chunk)),
                 from, to, second, outer, n, chunk);
  }
  void reduce_rows() const {
    if (length <= kShort) return run_rows(x, false, false, first, length);
    const int64_t chunk = chunk_of(outer, 4096, 4);
    if (chunk >= length) return run_row_chunks(x, false, false, first, length, length);
    const int64_t chunks = parts(length, chunk);
    const cuda::Scratch states(size_t(outer * chunks) * kStateBytes);
    run_row_chunks(x, false, true, states.get(), length, chunk);
    if (chunks <= 128) return run_rows(states.get(), true, false, first, chunks);
    run_row_chunks(states.get(), true, false, first, chunks, chunks);
  }
  // How much of a line a block takes, at least `least` elements, where whole lines make `blocks` blocks: enough for the
  // card to be filled `times` times.
  int64_t chunk_of(int64_t blocks, int64_t least, int64_t times) const {
    if (blocks >= full()) return std::max<int64_t>(length, 1);
    const int64_t chunks =
        std::min(parts(times * full(), blocks), std::max<int64_t>(length / least, 1));
    return std::max<int64_t>(parts(length, chunks), 1);
  }

  void run_columns(const void* from, bool from_states, bool to_states, void* to, int64_t o,
                   int64_t n, int64_t i, int64_t chunk) const {
    // Little to do is spread over more blocks: what then counts is how many rows a thread goes through.
    const int most = from_states || o * n * i < (1 << 18) ? 4 : 32;
    int width = 1;
    while (width < most && width < o * i) width *= 2;
    int height = kThreads / width;
    while (height > 1 && height / 2 >= n) height /= 2;
    cuda::launch(kernel(kColumns, {from_states, to_states}),
                 blocks(parts(o * i, width) * std::max<int64_t>(parts(n, chunk), 1), width, height),
                 from, to, second, o, n, i, chunk);
  }
  void reduce_columns() const {
    const int64_t chunk = chunk_of(parts(columns(), 32), 512, 2);
    if (chunk >= length) return run_columns(x, false, false, first, outer, length, inner, chunk);
    const int64_t chunks = parts(length, chunk);
    const cuda::Scratch states(size_t(columns() * chunks) * kStateBytes);
    run_columns(x, false, true, states.get(), outer, length, inner, chunk);
    run_columns(states.get(), true, false, first, 1, chunks, columns(), chunks);
  }
  void reduce() const {
    if (columns() == 0) return;
    inner == 1 ? reduce_rows() : reduce_columns();
  }

  void scan(int64_t* positions) const {
    if (columns() == 0 || length == 0) return;
    const bool is_rows = inner == 1;
    const int64_t chunk =
        is_rows ? chunk_of(outer, 8192, 1) : chunk_of(parts(columns(), kThreads), 64, 1);
    const int64_t chunks = parts(length, chunk);
    const cuda::Scratch totals(chunks > 1 ? size_t(columns() * chunks) * kStateBytes : 1);
    if (chunks > 1 && is_rows) run_row_chunks(x, false, true, totals.get(), length, chunk);
    if (chunks > 1 && !is_rows)
      run_columns(x, false, true, totals.get(), outer, length, inner, chunk);
    const void* before = totals.get();
    if (is_rows) {
      cuda::launch(kernel(kScanRows), blocks(outer * chunks), x, first, positions, before, outer,
                   length, chunk);
    } else {
      cuda::launch(kernel(kScanColumns), cuda::elements(columns() * chunks), x, first, positions,
                   before, outer, length, inner, chunk);
    }
  }
};

void reduce(Reduce op, DType type, const char* x, char* out, int64_t outer, int64_t length,
            int64_t inner) {
  const int64_t lines = outer * inner;  // without elements they all look the same
  Lines{static_cast<Rule>(op), type, x,      length ? outer : lines, length,
        length ? inner : 1,    out,  nullptr}
      .reduce();
}
void arg(Arg op, DType type, const char* x, int64_t* out, char* values, int64_t outer,
         int64_t length, int64_t inner) {
  Lines{op == Arg::Max ? kArgMax : kArgMin, type, x, outer, length, inner, out, values}.reduce();
}
void moments(DType type, const char* x, char* mean, char* m2, int64_t outer, int64_t length) {
  Lines{kMoments, type, x, outer, length, 1, mean, m2}.reduce();
}
void scan(Scan op, DType type, const char* x, char* y, int64_t* positions, int64_t outer,
          int64_t length, int64_t inner) {
  constexpr Rule rules[] = {kSum, kProd, kLastMax, kLastMin, kLogSumExp};
  Lines{rules[static_cast<int>(op)], type, x, outer, length, inner, y, nullptr}.scan(positions);
}

}  // namespace

void cuda::logsumexp(DType type, const void* x, void* out, int64_t lines, int64_t length) {
  Lines{kLogSumExp, type, x, lines, length, 1, out, nullptr}.reduce();
}

void cuda::channel_moments(DType type, int64_t outer, int64_t channels, int64_t inner,
                           const void* x, void* mean, void* var) {
  if (inner == 1) return Lines{kVariance, type, x, 1, outer, channels, mean, var}.reduce();
  const Lines lines{kVariance, type, x, outer * channels, inner, 1, mean, var};
  if (outer == 1) return lines.reduce();
  if (lines.outer == 0) return;
  const cuda::Scratch states(size_t(lines.outer) * kStateBytes);
  if (inner <= kShort) {
    lines.run_rows(x, false, true, states.get(), inner);
  } else {
    lines.run_row_chunks(x, false, true, states.get(), inner, inner);
  }
  lines.run_columns(states.get(), true, false, mean, 1, outer, channels, outer);
}

EG_CUDA_KERNELS(ReduceKernels, {&reduce, &arg, &moments, &scan})

}  // namespace eg
