// Index kernels on the GPU. Entries that meet in one element are combined in order: by a stable sort of where they go, or, where
// there are few, by walking through them.
#include "kernels/index.h"

#include <optional>

#include "cuda/index_layouts.h"
#include "cuda/order.h"

namespace eg {
namespace {

using cuda::elements;
using cuda::Grid;
using cuda::kernel;
using cuda::launch;
using cuda::Scratch;
using cuda::Uploaded;

constexpr const char* kFile = "index.cu";
constexpr int64_t kMaskTile = 4096;  // as in index.cu

// The integer that counts n things in a kernel.
DType counter(int64_t n) { return n < (int64_t(1) << 30) ? DType::Int32 : DType::Int64; }

OneElement one_element(const char* p, size_t item) {
  OneElement one = {p, 0};
  if (!cuda::driver().is_device_memory(p)) {
    one.data = nullptr;
    std::memcpy(&one.bits, p, item);
  }
  return one;
}

// Positions with the offset tables on the device.
class OnDevice {
 public:
  explicit OnDevice(const Positions& p) : p_(p) {
    if (p.outer_offsets)
      p_.outer_offsets = outer_.emplace(p.outer_offsets, p.outer * 8).get<int64_t>();
    if (p.inner_offsets)
      p_.inner_offsets = inner_.emplace(p.inner_offsets, p.inner * 8).get<int64_t>();
  }
  const Positions& get() const { return p_; }

 private:
  std::optional<Uploaded> outer_, inner_;
  Positions p_;
};

bool divides(int64_t unit, std::initializer_list<int64_t> bytes) {
  for (int64_t b : bytes)
    if (b % unit) return false;
  return true;
}

void take(size_t item, char* packed, const char* x, const Positions& p) {
  if (p.outer * p.n * p.inner == 0) return;
  const OnDevice there(p);
  const int64_t size = static_cast<int64_t>(item), row = p.inner * size;
  int64_t unit = size;
  if (!p.outer_offsets && !p.inner_offsets)
    while (unit < 16 &&
           divides(2 * unit, {row, p.scale * size, p.outer_stride * size,
                              reinterpret_cast<int64_t>(x), reinterpret_cast<int64_t>(packed)}))
      unit *= 2;
  const int64_t units = row / unit, total = p.outer * p.n * units;
  launch(kernel(kFile, "eg::take", {int(unit), counter(total)}), elements(total), packed, x,
         there.get(), units, size);
}

// --- folds -----------------------------------------------------------------------------------------------------
DType of_size(size_t item) {
  return item == 1   ? DType::UInt8
         : item == 2 ? DType::Int16
         : item == 4 ? DType::Int32
                     : DType::Int64;
}

constexpr int64_t kWalked = 32;  // so many entries are gone through rather than sorted

// x may get an entry from every thread at once: none meet, or the same value is written.
bool is_free(Fold fold, const FoldLoop& l) {
  return l.p.distinct || l.p.n == 1 || (fold == Fold::Put && !l.packed);
}

void fold_sorted(DType t, Fold fold, FoldLoop l) {
  const Positions& p = l.p;
  const Scratch order = cuda::index_order(p.index, p.n, p.limit);
  l.order = order.get<uint32_t>();
  // Short chunks keep the card busy; long ones leave less to join where a few elements get most of the entries.
  const int64_t cells = p.outer * p.inner;
  l.chunk = std::max<int64_t>(16, std::min<int64_t>(256, cells * p.n / 131072));
  while (l.chunk * l.chunk * 16 < p.n) l.chunk *= 2;
  l.chunks = (p.n + l.chunk - 1) / l.chunk;
  const size_t part = is_reduced(t) ? 4 : item_size(t);
  const Scratch partial(cells * l.chunks * 2 * part);
  l.partial = partial.get<char>();
  launch(kernel(kFile, "eg::fold_chunks", {t, int(fold)}), elements(cells * l.chunks), l);
  if (l.chunks > 1)
    launch(kernel(kFile, "eg::fold_joins", {t, int(fold)}), elements(cells * l.chunks), l);
}

void run_fold(DType dtype, Fold fold, const FoldLoop& l) {
  const Positions& p = l.p;
  const int64_t cells = p.outer * p.inner;
  if (cells * p.n == 0) return;
  const DType t = fold == Fold::Put ? of_size(item_size(dtype)) : dtype;
  if (is_free(fold, l))
    return launch(kernel(kFile, "eg::fold_direct", {t, int(fold)}), elements(cells * p.n), l);
  if (fold == Fold::Add && (t == DType::Int32 || t == DType::Int64))
    return launch(kernel(kFile, "eg::add_integers", {t}), elements(cells * p.n), l);
  if (p.n <= kWalked || (p.n <= 16 * kWalked && cells >= 32768))
    return launch(kernel(kFile, "eg::fold_walk", {t, int(fold)}), elements(cells), l);
  fold_sorted(t, fold, l);
}

void fold(DType dtype, Fold fold, char* x, const char* packed, const Positions& p, bool one) {
  if (p.outer * p.n * p.inner == 0) return;
  const OnDevice there(p);
  FoldLoop l = {};
  l.x = x;
  l.p = there.get();
  if (one) {
    l.one = one_element(packed, item_size(dtype));
  } else {
    l.packed = packed;
  }
  run_fold(dtype, fold, l);
}

void add_rows(DType dtype, char* out, const char* x, const int64_t* from, const int64_t* to,
              const char* scale, int64_t n, int64_t width, int64_t rows, bool fresh) {
  if (fresh) cuda::fill_zero(out, size_t(rows * width) * item_size(dtype));
  FoldLoop l = {};
  l.x = out;
  l.packed = x;
  l.from = from;
  l.scale = scale;
  l.p = {1, n, width, nullptr, 0, to, width, nullptr, rows, false};
  run_fold(dtype, Fold::Add, l);
}

void max_rows(DType dtype, char* best, int64_t* row, const char* x, const int64_t* from,
              const int64_t* to, int64_t n, int64_t width) {
  if (n * width == 0) return;
  launch(kernel(kFile, "eg::max_rows", {dtype}), elements(n * width), static_cast<void*>(best), row,
         static_cast<const void*>(x), from, to, n, width);
}

// --- gather and scatter --------------------------------------------------------------------------------------------
// With dimensions that lie next to each other in all tensors made one.
Lines merged(const Lines& l) {
  Lines out = l;
  out.ndim = 0;
  out.dim = -1;
  for (int d = 0; d < l.ndim; ++d) {
    const bool along = d == l.dim;
    if (l.sizes[d] == 1 && !along) continue;
    const int last = out.ndim - 1;
    const bool joins = !along && last >= 0 && last != out.dim &&
                       out.x_strides[last] == l.sizes[d] * l.x_strides[d] &&
                       out.src_strides[last] == l.sizes[d] * l.src_strides[d];
    const int at = joins ? last : out.ndim++;
    out.sizes[at] = joins ? out.sizes[at] * l.sizes[d] : l.sizes[d];
    out.x_strides[at] = l.x_strides[d];
    out.src_strides[at] = l.src_strides[d];
    if (along) out.dim = at;
  }
  if (out.ndim == 0) {
    out.ndim = 1;
    out.sizes[0] = 1;
    out.x_strides[0] = out.src_strides[0] = 0;
  }
  return out;
}

int64_t entries(const Lines& l) {
  int64_t n = 1;
  for (int d = 0; d < l.ndim; ++d) n *= l.sizes[d];
  return n;
}

void gather(size_t item, char* out, const char* x, const Lines& given) {
  const int64_t n = entries(given);
  if (n == 0) return;
  Lines l = given;
  for (int d = 0; d < l.ndim; ++d) l.src_strides[d] = l.x_strides[d];
  l = merged(l);
  launch(kernel(kFile, "eg::gather", {int(item), counter(n)}), elements(n), out, x, l, n);
}

// Every entry on its own: where its place is, then a fold of all.
void scatter_sorted(DType t, Fold fold, char* x, const char* src, const OneElement& one,
                    const Lines& l, int64_t n) {
  const Scratch places(n * 8), packed(src ? n * item_size(t) : 0);
  FoldLoop loop = {};
  loop.x = x;
  loop.one = one;
  if (src) loop.packed = packed.get<char>();
  launch(kernel(kFile, "eg::scatter_entries", {int(item_size(t))}), elements(n), l, n, src,
         places.get<int64_t>(), src ? packed.get<char>() : nullptr);
  loop.p = {1, n, 1, nullptr, 0, places.get<int64_t>(), 1, nullptr, l.limit, false};
  run_fold(t, fold, loop);
}

void scatter(DType dtype, Fold fold, char* x, const char* values, const Lines& given) {
  const int64_t n = entries(given);
  if (n == 0) return;
  const Lines l = merged(given);
  bool number = true;
  for (int d = 0; d < l.ndim; ++d) number = number && (l.src_strides[d] == 0 || l.sizes[d] == 1);
  const OneElement one = number ? one_element(values, item_size(dtype)) : OneElement{};
  const char* const src = number ? nullptr : values;
  const DType t = fold == Fold::Put ? of_size(item_size(dtype)) : dtype;
  const int64_t length = l.dim < 0 ? 1 : l.sizes[l.dim], lines = n / length;
  if (length == 1 || (fold == Fold::Put && number))
    return launch(kernel(kFile, "eg::scatter_direct", {t, int(fold)}), elements(n), x, src, one, l,
                  n);
  if (fold == Fold::Add && (t == DType::Int32 || t == DType::Int64))
    return launch(kernel(kFile, "eg::scatter_integers", {t}), elements(n), x, src, one, l, n);
  if (length <= kWalked || (length <= 8 * kWalked && lines >= 4096))
    return launch(kernel(kFile, "eg::scatter_walk", {t, int(fold)}), elements(lines), x, src, one,
                  l, lines);
  scatter_sorted(t, fold, x, src, one, l, n);
}

// --- indices -------------------------------------------------------------------------------------------------------
// Waits for the device, as callers raise on what they learn.
void range(const int64_t* index, int64_t n, int64_t* low, int64_t* high) {
  const int64_t blocks = std::min<int64_t>((n + 2047) / 2048, 1024);
  const Scratch ends(2 * blocks * 8), last(2 * 8);
  int64_t* parts = ends.get<int64_t>();
  void* const k = kernel(kFile, "eg::index_ends");
  launch(k, Grid(blocks, 256), index, index, n, parts);
  if (blocks > 1) {
    launch(k, Grid(1, 256), static_cast<const int64_t*>(parts),
           static_cast<const int64_t*>(parts + blocks), blocks, last.get<int64_t>());
    parts = last.get<int64_t>();
  }
  int64_t both[2];
  cuda::download(both, parts, sizeof(both));
  *low = both[0];
  *high = both[1];
}

void settle(int64_t* out, const int64_t* index, int64_t n, bool wrap, int64_t size, int64_t check) {
  if (n == 0) return;
  launch(kernel(kFile, "eg::settle_index"), elements(n), out, index, n, wrap ? -size : 0, size,
         LateCheck{cuda::late_note(), check});
  cuda::after_late_check();
}

void linear(int64_t* out, const int64_t* index, int64_t n, int64_t stride, bool add) {
  if (n) launch(kernel(kFile, "eg::linear_index"), elements(n), out, index, n, stride, int(add));
}

// --- masks ------------------------------------------------------------------------------------------------------------
// Where each tile's positions go; their number is last.
Scratch mask_starts(const char* mask, int64_t n) {
  const int64_t tiles = (n + kMaskTile - 1) / kMaskTile;
  Scratch counts((tiles + 1) * 8);
  int64_t* const at = counts.get<int64_t>();
  launch(kernel(kFile, "eg::count_mask"), Grid(tiles, 256), mask, n, at);
  cuda::scan_counts(at, tiles, at + tiles);
  return counts;
}

int64_t count(const char* mask, int64_t n) {
  if (n == 0) return 0;
  int64_t total;
  cuda::download(&total, mask_starts(mask, n).get<int64_t>() + (n + kMaskTile - 1) / kMaskTile,
                 sizeof(total));
  return total;
}

int64_t* positions(const char* mask, int64_t n, int64_t first, int64_t* out) {
  if (n == 0) return out;
  const Scratch starts = mask_starts(mask, n);
  launch(kernel(kFile, "eg::mask_positions"), Grid((n + kMaskTile - 1) / kMaskTile, 256), mask, n,
         static_cast<const int64_t*>(starts.get<int64_t>()), first, out);
  return nullptr;  // only the device knows
}

void coordinates(const int64_t* flat, int64_t n, const int64_t* sizes, int64_t dims, int64_t* out,
                 int64_t step, int64_t jump) {
  if (n * dims == 0) return;
  Sizes all = {};
  for (int64_t d = 0; d < dims; ++d) all.of[d] = sizes[d];
  launch(kernel(kFile, "eg::coordinates"), elements(n), flat, n, all, int(dims), out, step, jump);
}

void masked_fill(size_t item, const StridedTriple& t, const char* value) {
  int64_t n = 1;
  for (int d = 0; d < t.ndim; ++d) n *= t.sizes[d];
  if (n == 0) return;
  launch(kernel(kFile, "eg::masked_fill", {int(item), counter(n)}), elements(n), t, n,
         one_element(value, item));
}

}  // namespace

EG_CUDA_KERNELS(IndexKernels, {&take, &fold, &gather, &scatter, &range, &settle, &linear, &count,
                               &positions, &coordinates, &add_rows, &max_rows, &masked_fill})

}  // namespace eg
