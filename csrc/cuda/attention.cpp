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

// Tiles of twice as many rows read the other matrix half as often, if they are enough for the card.
struct HalfLaunch {
  int columns, sixteens;
  cuda::Grid grid;
  HalfLaunch(const AttentionShape& s, int64_t rows, int64_t heads)
      : columns(tile_columns(s)),
        sixteens(ceil_div(rows, 2 * kHalfRows) * heads >= 2 * cuda::driver().multiprocessors ? 2
                                                                                             : 1),
        grid(ceil_div(rows, kHalfRows * sixteens) * heads, kHalfThreads) {}
};

bool takes_halves(const AttentionShape& s, bool backward) {
  const int needed = s.dtype == DType::BFloat16 ? 80 : 75;
  return !backward && tile_columns(s) > 0 && cuda::driver().capability >= needed;
}

void forward_half(const AttentionShape& s, const AttentionMask& mask, HeadMatrix q, HeadMatrix k,
                  HeadMatrix v, HeadMatrix out, void* lse) {
  const HalfLaunch l(s, s.queries, s.batch * s.heads);
  cuda::launch(cuda::kernel(kHalfFile, "eg::attention_half", {s.dtype, l.columns, l.sixteens}),
               l.grid, s, mask, q, k, v, out, lse);
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
  const int64_t rows = s.batch * s.heads * s.queries;
  const cuda::Scratch along(rows * item_size(s.dtype));
  cuda::launch(cuda::kernel(kFile, "eg::attention_along", {s.dtype}),
               cuda::elements(rows * 32, 1, kThreads), s, out, g, along.get());
  if (dq.data) {
    const int chunks = chunks_of(s.width);
    cuda::launch(cuda::kernel(kFile, "eg::attention_queries_grad", {s.dtype, chunks}),
                 grid_of(s.queries, s.batch * s.heads, s.width, chunks), s, mask, q, k, v, g, lse,
                 static_cast<const void*>(along.get()), dq);
  }
  if (dk.data || dv.data) {
    const int64_t width = std::max(s.width, s.value_width);
    const int chunks = chunks_of(width);
    cuda::launch(cuda::kernel(kFile, "eg::attention_keys_grad", {s.dtype, chunks}),
                 grid_of(s.keys, s.batch * s.kv_heads, width, chunks), s, mask, q, k, v, g, lse,
                 static_cast<const void*>(along.get()), dk, dv);
  }
}

}  // namespace

EG_CUDA_KERNELS(AttentionKernels, {&takes_halves, &forward, &backward})

}  // namespace eg
