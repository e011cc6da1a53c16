// Attention on the GPU: eagergrad/cuda/attention.cu, and on tensor cores attention_half.cu.
#include "kernels/attention.h"

#include "cuda/launch.h"
#include "kernels/integers.h"

namespace eg {
namespace {

constexpr const char* kFile = "attention.cu";
constexpr int kThreads = 256, kRows = 64;  // of a block

// A block sums this many times 64 columns of its result; wider ones take several blocks.
int chunks_of(int64_t width) { return width <= 64 ? 1 : 2; }

cuda::Grid grid_of(int64_t rows, int64_t heads, int64_t width, int chunks) {
  return cuda::Grid(ceil_div(rows, kRows) * heads, ceil_div(width, 64 * chunks), 1, kThreads, 1, 1);
}

// The kernels count a head's rows and columns in 32 bits.
void check_sizes(const AttentionShape& s) {
  for (const int64_t n : {s.queries, s.keys, s.width, s.value_width})
    EG_CHECK(n < (int64_t(1) << 30),
             "[scaled_dot_product_attention] a GPU takes sizes below 2^30, got ", n);
}

// --- on tensor cores -----------------------------------------------------------------------------------------------

constexpr const char* kHalfFile = "attention_half.cu";
constexpr int kHalfThreads = 128, kHalfRows = 64;

// The columns of a tile for both widths; 0 where there is none.
int tile_columns(const AttentionShape& s) {
  for (const int columns : {32, 64, 96, 128})
    if (std::max(s.width, s.value_width) <= columns) return columns;
  return 0;
}

// Tiles of twice as many rows, where registers hold them, read the other matrices half as often; but the card has to be full.
struct HalfLaunch {
  int columns, sixteens;  // of rows a warp
  cuda::Grid grid;
  HalfLaunch(const AttentionShape& s, int64_t rows, int64_t heads, int widest)
      : columns(tile_columns(s)),
        sixteens(columns <= widest &&
                         ceil_div(rows, 2 * kHalfRows) * heads >= 2 * cuda::driver().multiprocessors
                     ? 2
                     : 1),
        grid(ceil_div(rows, kHalfRows * sixteens) * heads, kHalfThreads) {}
};

bool takes_halves(const AttentionShape& s, bool) {
  const int needed = s.dtype == DType::BFloat16 ? 80 : 75;
  return tile_columns(s) > 0 && cuda::driver().capability >= needed;
}

void forward_half(const AttentionShape& s, const AttentionMask& mask, HeadMatrix q, HeadMatrix k,
                  HeadMatrix v, HeadMatrix out, void* lse) {
  const HalfLaunch l(s, s.queries, s.batch * s.heads, 128);
  cuda::launch(cuda::kernel(kHalfFile, "eg::attention_half", {s.dtype, l.columns, l.sixteens}),
               l.grid, s, mask, q, k, v, out, lse);
}

// first, second: attention_half.cu; `columns` are what the rows of a tile meet, `beside` the matrices that go with both.
void gradients_half(const AttentionShape& s, const AttentionMask& mask, bool turned,
                    HeadMatrix rows, HeadMatrix beside_rows, HeadMatrix columns,
                    HeadMatrix beside_columns, const void* lse, const void* along, HeadMatrix first,
                    HeadMatrix second) {
  const HalfLaunch l(s, turned ? s.keys : s.queries, s.batch * (turned ? s.kv_heads : s.heads), 64);
  cuda::launch(
      cuda::kernel(kHalfFile, "eg::attention_half_grad", {s.dtype, l.columns, l.sixteens, turned}),
      l.grid, s, mask, rows, beside_rows, columns, beside_columns, lse, along, first, second);
}

// --- both ----------------------------------------------------------------------------------------------------------

void forward(const AttentionShape& s, const AttentionMask& mask, HeadMatrix q, HeadMatrix k,
             HeadMatrix v, HeadMatrix out, void* lse) {
  check_sizes(s);
  if (is_reduced(s.dtype)) return forward_half(s, mask, q, k, v, out, lse);
  const int chunks = chunks_of(s.value_width);
  cuda::launch(cuda::kernel(kFile, "eg::attention", {s.dtype, chunks}),
               grid_of(s.queries, s.batch * s.heads, s.value_width, chunks), s, mask, q, k, v, out,
               lse);
}

void backward(const AttentionShape& s, const AttentionMask& mask, HeadMatrix q, HeadMatrix k,
              HeadMatrix v, HeadMatrix out, const void* lse, HeadMatrix g, HeadMatrix dq,
              HeadMatrix dk, HeadMatrix dv) {
  check_sizes(s);
  const bool half = is_reduced(s.dtype);
  const int64_t rows = s.batch * s.heads * s.queries;
  const cuda::Scratch scratch(rows * (half ? sizeof(float) : item_size(s.dtype)));
  const void* const along = scratch.get();
  cuda::launch(cuda::kernel(kFile, "eg::attention_along", {s.dtype}),
               cuda::elements(rows * 32, 1, kThreads), s, out, g, scratch.get());
  if (half) {
    if (dq.data) gradients_half(s, mask, false, q, g, k, v, lse, along, dq, HeadMatrix());
    if (dk.data || dv.data) gradients_half(s, mask, true, k, v, q, g, lse, along, dk, dv);
    return;
  }
  if (dq.data) {
    const int chunks = chunks_of(s.width);
    cuda::launch(cuda::kernel(kFile, "eg::attention_queries_grad", {s.dtype, chunks}),
                 grid_of(s.queries, s.batch * s.heads, s.width, chunks), s, mask, q, k, v, g, lse,
                 along, dq);
  }
  if (dk.data || dv.data) {
    const int64_t width = std::max(s.width, s.value_width);
    const int chunks = chunks_of(width);
    cuda::launch(cuda::kernel(kFile, "eg::attention_keys_grad", {s.dtype, chunks}),
                 grid_of(s.keys, s.batch * s.kv_heads, width, chunks), s, mask, q, k, v, g, lse,
                 along, dk, dv);
  }
}

}  // namespace

EG_CUDA_KERNELS(AttentionKernels, {&takes_halves, &forward, &backward})

}  // namespace eg
