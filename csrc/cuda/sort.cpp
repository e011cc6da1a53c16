// Sorting on the GPU: short rows in shared memory, long ones by radix passes over all rows at once.
#include "kernels/sort.h"

#include "cuda/order.h"
#include "kernels/index.h"

namespace eg {
namespace {

using cuda::Grid;
using cuda::kernel;
using cuda::launch;
using cuda::Scratch;

constexpr const char* kFile = "sort.cu";
// As in sort.cu and sums.cuh.
constexpr int64_t kRadixTile = 2048, kScanTile = 4096;
constexpr int64_t kShort = 2048;  // the longest row that is sorted in shared memory

template <class T>
void scan(T* counts, int64_t n, T* total) {
  constexpr bool wide = sizeof(T) == 8;
  if (n <= 4 * kScanTile)
    return launch(kernel(kFile, wide ? "eg::scan_alone<int64_t>" : "eg::scan_alone<uint32_t>"),
                  Grid(1, 1024), counts, n, total);
  const int64_t blocks = (n + kScanTile - 1) / kScanTile;
  const Scratch sums(blocks * sizeof(T));
  launch(kernel(kFile, wide ? "eg::scan_sums<int64_t>" : "eg::scan_sums<uint32_t>"),
         Grid(blocks, 1024), static_cast<const T*>(counts), n, sums.get<T>());
  scan(sums.get<T>(), blocks, total);
  launch(kernel(kFile, wide ? "eg::scan_apply<int64_t>" : "eg::scan_apply<uint32_t>"),
         Grid(blocks, 1024), counts, n, static_cast<const T*>(sums.get<T>()));
}

int key_bytes(DType t) { return item_size(t) == 8 ? 8 : 4; }

// The bits of keys that tell elements of a type apart: those below `low` follow from the others.
struct KeyBits {
  int low, high;
};
KeyBits key_bits(DType t) {
  switch (t) {
    case DType::Bool:
      return {0, 1};
    case DType::UInt8:
    case DType::Int8:
      return {0, 8};
    case DType::Int16:
      return {0, 16};
    case DType::Float16:
      return {13, 32};
    case DType::BFloat16:
      return {16, 32};
    default:
      return {0, 8 * key_bytes(t)};
  }
}

// Rows of n elements into the order of their keys; places: where they come from (null: as they stand). rows * n < 2^32.
void radix_order(DType t, const char* x, const uint32_t* places, int64_t rows, int64_t n,
                 bool descending, KeyBits bits, uint32_t* order) {
  const int64_t total = rows * n, tiles = (n + kRadixTile - 1) / kRadixTile;
  const bool wide = key_bytes(t) == 8;
  const int passes = (bits.high - bits.low + 7) / 8;
  const Scratch counts(rows * 256 * tiles * sizeof(uint32_t));
  const Scratch keys_a(passes > 1 ? total * key_bytes(t) : 0),
      keys_b(passes > 2 ? total * key_bytes(t) : 0);
  const Scratch other(passes > 1 ? total * sizeof(uint32_t) : 0);
  uint32_t *const starts = counts.get<uint32_t>(), *none = nullptr;
  const void* from = x;
  for (int p = 0; p < passes; ++p) {
    const int shift = bits.low + 8 * p, width = std::min(8, bits.high - shift);
    const uint32_t mask = (1u << width) - 1;
    const int flip = p == 0 && descending;
    const Grid grid(rows * tiles, 256);
    void* const count = p == 0 ? kernel(kFile, "eg::radix_count", {t})
                        : wide ? kernel(kFile, "eg::radix_count<uint64_t>")
                               : kernel(kFile, "eg::radix_count<uint32_t>");
    void* const place = p == 0 ? kernel(kFile, "eg::radix_place", {t})
                        : wide ? kernel(kFile, "eg::radix_place<uint64_t>")
                               : kernel(kFile, "eg::radix_place<uint32_t>");
    launch(count, grid, from, n, tiles, shift, mask, flip, starts);
    scan(starts, rows * 256 * tiles, none);
    // The last pass writes to `order`.
    uint32_t* const to = (passes - 1 - p) % 2 == 0 ? order : other.get<uint32_t>();
    void* const keys_to = p == passes - 1 ? nullptr : p % 2 == 0 ? keys_a.get() : keys_b.get();
    launch(place, grid, from, places, n, tiles, shift, mask, flip,
           static_cast<const uint32_t*>(starts), keys_to, to);
    places = to;
    from = keys_to;
  }
}

// --- short rows -------------------------------------------------------------------------------------------------
int network_size(int64_t m) { return m <= 64 ? 64 : m <= 512 ? 512 : 2048; }

// Entries [first, first + take) of the sorted m candidates of each row.
template <class I>
void sort_short(DType t, const char* x, const uint32_t* candidates, char* values, I* index,
                int64_t rows, int64_t n, int64_t m, int64_t first, int64_t take, bool descending) {
  const int size = network_size(m), together = size >= 512 ? 1 : 512 / size;
  const auto run = [&](auto network) {
    constexpr int P = decltype(network)::value;
    void* const k = sizeof(I) == 8 ? kernel(kFile, "eg::sort_short", {t, DType::Int64, P})
                                   : kernel(kFile, "eg::sort_short", {t, DType::Int32, P});
    launch(k, Grid((rows + together - 1) / together, 1, 1, std::min(P / 2, 512), together, 1),
           static_cast<const void*>(x), candidates, static_cast<void*>(values), index, rows, n,
           int(m), int(first), int(take), int(descending));
  };
  if (size == 64) return run(std::integral_constant<int, 64>());
  if (size == 512) return run(std::integral_constant<int, 512>());
  run(std::integral_constant<int, 2048>());
}

void pick(DType t, const char* x, const uint32_t* order, char* values, int64_t* index, int64_t rows,
          int64_t n, int64_t first, int64_t take) {
  launch(kernel(kFile, "eg::picked", {t}), cuda::elements(rows * take), static_cast<const void*>(x),
         order, static_cast<void*>(values), index, rows, n, first, take);
}

void check_length(int64_t n) {
  EG_CHECK(n < (int64_t(1) << 32), "[sort] expected fewer than 2^32 elements a row on a GPU, got ",
           n);
}

// Entries [first, first + take) of each row in order, by sorting all of it.
void sort_part(DType t, const char* x, char* values, int64_t* index, int64_t rows, int64_t n,
               int64_t first, int64_t take, bool descending) {
  if (rows * n * take == 0) return;
  check_length(n);
  if (n <= kShort)
    return sort_short(t, x, nullptr, values, index, rows, n, n, first, take, descending);
  const int64_t size = static_cast<int64_t>(item_size(t));
  const int64_t together = std::max<int64_t>(1, (int64_t(1) << 31) / n);
  for (int64_t r = 0; r < rows; r += together) {
    const int64_t some = std::min(together, rows - r);
    const Scratch order(some * n * sizeof(uint32_t));
    const char* const from = x + r * n * size;
    radix_order(t, from, nullptr, some, n, descending, key_bits(t), order.get<uint32_t>());
    pick(t, from, order.get<uint32_t>(), values ? values + r * take * size : nullptr,
         index + r * take, some, n, first, take);
  }
}

void sort(DType t, const char* x, char* values, int64_t* index, int64_t rows, int64_t n,
          bool descending) {
  sort_part(t, x, values, index, rows, n, 0, n, descending);
}

// A block selects from a row; where there are only a few long rows, sorting keeps more of the card busy.
bool selects(int64_t rows, int64_t n, int64_t k) {
  return n > kShort && 4 * k <= n && (rows >= 16 || n <= 32768);
}

void topk(DType t, const char* x, char* values, int64_t* index, int64_t rows, int64_t n, int64_t k,
          bool largest) {
  if (rows * k == 0) return;
  if (k > kShort || !selects(rows, n, k))
    return sort_part(t, x, values, index, rows, n, 0, k, largest);
  check_length(n);
  const KeyBits bits = key_bits(t);
  const Scratch candidates(rows * k * sizeof(uint32_t));
  launch(kernel(kFile, "eg::select_best", {t}), Grid(rows, 512), static_cast<const void*>(x), n,
         uint32_t(k), int(largest), bits.low, bits.high, candidates.get<uint32_t>(),
         static_cast<void*>(nullptr), static_cast<int64_t*>(nullptr));
  sort_short(t, x, candidates.get<uint32_t>(), values, index, rows, n, k, 0, k, largest);
}

void kth(DType t, const char* x, char* values, int64_t* index, int64_t rows, int64_t n, int64_t k) {
  if (rows == 0) return;
  if (n <= kShort || (rows < 16 && n > 32768))
    return sort_part(t, x, values, index, rows, n, k, 1, false);
  check_length(n);
  const KeyBits bits = key_bits(t);
  launch(kernel(kFile, "eg::select_best", {t}), Grid(rows, 512), static_cast<const void*>(x), n,
         uint32_t(k + 1), 0, bits.low, bits.high, static_cast<uint32_t*>(nullptr),
         static_cast<void*>(values), index);
}

// The last column first: every sort keeps the order of those before.
void sort_rows(DType t, const char* x, int64_t* index, int64_t rows, int64_t width) {
  check_length(rows);
  const Scratch one(rows * sizeof(uint32_t)), two(rows * sizeof(uint32_t)),
      keys(rows * item_size(t));
  uint32_t *order = nullptr, *next = one.get<uint32_t>();
  for (int64_t c = width - 1; c >= 0; --c) {
    launch(kernel(kFile, "eg::column", {t}), cuda::elements(rows), static_cast<const void*>(x),
           static_cast<const uint32_t*>(order), rows, width, c, keys.get());
    radix_order(t, keys.get<char>(), order, 1, rows, false, key_bits(t), next);
    order = next;
    next = order == one.get<uint32_t>() ? two.get<uint32_t>() : one.get<uint32_t>();
  }
  pick(t, nullptr, order, nullptr, index, 1, rows, 0, rows);
}

int64_t run_starts(DType t, const char* x, const int64_t* order, bool* first, int64_t rows,
                   int64_t width) {
  if (rows == 0) return 0;
  launch(kernel(kFile, "eg::mark_runs", {t}), cuda::elements(rows), static_cast<const void*>(x),
         order, first, rows, width);
  return kernels<IndexKernels>().count(reinterpret_cast<const char*>(first), rows);
}

void describe_runs(const bool* first, const int64_t* order, int64_t rows, int64_t runs,
                   int64_t* starts, int64_t* inverse, int64_t* counts) {
  const Scratch begins(runs * sizeof(int64_t));
  int64_t* const at = begins.get<int64_t>();
  kernels<IndexKernels>().positions(reinterpret_cast<const char*>(first), rows, 0, at);
  launch(kernel(kFile, "eg::run_sizes"), cuda::elements(runs), static_cast<const int64_t*>(at),
         order, rows, runs, starts, counts);
  launch(kernel(kFile, "eg::run_numbers"), cuda::elements(rows), static_cast<const int64_t*>(at),
         order, rows, runs, inverse);
}

void search(DType t, const char* boundaries, const int64_t* sorter, int64_t n, const char* values,
            int64_t rows, int64_t width, bool shared, bool right, int64_t* out) {
  launch(kernel(kFile, "eg::search", {t}), cuda::elements(rows * width),
         static_cast<const void*>(boundaries), sorter, n, static_cast<const void*>(values),
         rows * width, width, int(shared), int(right), out);
}

}  // namespace

namespace cuda {

void scan_counts(uint32_t* counts, int64_t n, uint32_t* total) { scan(counts, n, total); }
void scan_counts(int64_t* counts, int64_t n, int64_t* total) { scan(counts, n, total); }

Scratch index_order(const int64_t* index, int64_t n, int64_t limit) {
  check_length(n);
  Scratch order(n * sizeof(uint32_t));
  const char* const x = reinterpret_cast<const char*>(index);
  if (n <= kShort) {
    sort_short(DType::Int64, x, nullptr, nullptr, order.get<int32_t>(), 1, n, n, 0, n, false);
    return order;
  }
  int bits = 1;
  while (bits < 63 && (limit - 1) >> bits) ++bits;
  radix_order(DType::Int64, x, nullptr, 1, n, false, {0, bits}, order.get<uint32_t>());
  return order;
}

}  // namespace cuda

EG_CUDA_KERNELS(SortKernels, {&sort, &topk, &kth, &sort_rows, &run_starts, &describe_runs, &search,
                              nullptr, nullptr})

}  // namespace eg
