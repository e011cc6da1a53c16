// Attention on the GPU: eagergrad/cuda/attention.cu, on tensor cores attention_half.cu, of few queries attention_few.cu; of halves
// by cuDNN where its frontend is installed.
#include "kernels/attention.h"

#include "cuda/attention_cudnn.h"
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
constexpr int kHalfThreads = 128;

// The columns of a tile for both widths; 0 where there is none.
int tile_columns(const AttentionShape& s) {
  for (const int columns : {32, 64, 96, 128, 192, 256})
    if (std::max(s.width, s.value_width) <= columns) return columns;
  return 0;
}

// Tiles of twice as many rows, where registers hold them, read the other matrices half as often; but the card has to be full.
struct HalfLaunch {
  int columns, sixteens;  // of rows a warp
  cuda::Grid grid;
  HalfLaunch(const AttentionShape& s, int64_t rows, int64_t heads, int widest, int threads)
      : columns(tile_columns(s)),
        sixteens(columns <= widest &&
                         ceil_div(rows, threads) * heads >= 2 * cuda::driver().multiprocessors
                     ? 2
                     : 1),
        grid(ceil_div(rows, threads / 2 * sixteens) * heads, threads) {}
};

bool on_tensor_cores(const AttentionShape& s) {
  const int needed = s.dtype == DType::BFloat16 ? 80 : 75;
  return tile_columns(s) > 0 && cuda::driver().capability >= needed;
}

void forward_half(const AttentionShape& s, const AttentionMask& mask, HeadMatrix q, HeadMatrix k,
                  HeadMatrix v, HeadMatrix out, void* lse) {
  const HalfLaunch l(s, s.queries, s.batch * s.heads, 128, kHalfThreads);
  cuda::launch(cuda::kernel(kHalfFile, "eg::attention_half", {s.dtype, l.columns, l.sixteens}),
               l.grid, s, mask, q, k, v, out, lse);
}

// first, second: attention_half.cu; `columns` are what the rows of a tile meet, `beside` the matrices that go with both.
void gradients_half(const AttentionShape& s, const AttentionMask& mask, bool turned,
                    HeadMatrix rows, HeadMatrix beside_rows, HeadMatrix columns,
                    HeadMatrix beside_columns, const void* lse, const void* along, HeadMatrix first,
                    HeadMatrix second) {
  const bool wide = tile_columns(s) > 128;  // registers hold the sums of one gradient
  const HalfLaunch l(s, turned ? s.keys : s.queries, s.batch * (turned ? s.kv_heads : s.heads), 64,
                     wide ? kHalfThreads / 2 : kHalfThreads);
  const auto launch = [&](int sums) {
    cuda::launch(cuda::kernel(kHalfFile, "eg::attention_half_grad",
                              {s.dtype, l.columns, l.sixteens, turned, sums}),
                 l.grid, s, mask, rows, beside_rows, columns, beside_columns, lse, along, first,
                 second);
  };
  if (!turned) return launch(1);
  if (!wide) return launch(3);
  if (first.data) launch(1);
  if (second.data) launch(2);
}

// --- few queries ---------------------------------------------------------------------------------------------------

constexpr const char* kFewFile = "attention_few.cu";
constexpr int kFewThreads = 128;
constexpr int64_t kFewRows = 16, kFewWidth = 256, kPartKeys = 128;

int64_t rows_of_keys(const AttentionShape& s) { return s.heads / s.kv_heads * s.queries; }

// Tensor cores do a tile of 64 rows in the time of a few rows here, but do not split the keys.
bool has_few_queries(const AttentionShape& s) {
  const bool tiles_win = is_reduced(s.dtype) && on_tensor_cores(s) && s.keys < 1024;
  return rows_of_keys(s) <= (tiles_win ? 4 : kFewRows) &&
         std::max(s.width, s.value_width) <= kFewWidth;
}

void forward_few(const AttentionShape& s, const AttentionMask& mask, HeadMatrix q, HeadMatrix k,
                 HeadMatrix v, HeadMatrix out, void* lse) {
  const bool wide = s.dtype == DType::Float64;
  const int64_t width = std::max(s.width, s.value_width);
  const int columns = width <= 64 ? 8 : width <= 128 ? 16 : 32, most = (wide ? 32 : 64) / columns;
  int rows = 1;
  while (rows < most && rows < rows_of_keys(s)) rows *= 2;
  const int64_t blocks = ceil_div(rows_of_keys(s), rows) * s.batch * s.kv_heads;
  // Parts of the keys: enough for the card, none of few keys.
  const int64_t keys = s.causal ? std::min(s.keys, s.queries) : s.keys,
                wanted = std::min(ceil_div(4 * cuda::driver().multiprocessors, blocks),
                                  ceil_div(keys, kPartKeys)),
                part = ceil_div(ceil_div(keys, wanted), 64) * 64, parts = ceil_div(keys, part);
  const int64_t all_rows = s.batch * s.heads * s.queries, of_stat = parts * all_rows;
  const int64_t item = wide ? sizeof(double) : sizeof(float);
  const cuda::Scratch scratch(parts > 1 ? of_stat * (2 + s.value_width) * item : 0);
  void* const tops = scratch.get<char>();
  void* const totals = scratch.get<char>() + of_stat * item;
  void* const sums = scratch.get<char>() + 2 * of_stat * item;
  cuda::launch(cuda::kernel(kFewFile, "eg::attention_few", {s.dtype, columns, rows}),
               cuda::Grid(blocks, parts, 1, kFewThreads, 1, 1), s, mask, q, k, v, int(part), tops,
               totals, sums, out, lse);
  if (parts > 1)
    cuda::launch(cuda::kernel(kFewFile, "eg::attention_join", {s.dtype}),
                 cuda::elements(all_rows * s.value_width), s, int(parts),
                 static_cast<const void*>(tops), static_cast<const void*>(totals),
                 static_cast<const void*>(sums), out, lse);
}

// --- all -----------------------------------------------------------------------------------------------------------

bool takes_halves(const AttentionShape& s, bool backward) {
  return on_tensor_cores(s) || (!backward && has_few_queries(s));
}

void own_forward(const AttentionShape& s, const AttentionMask& mask, HeadMatrix q, HeadMatrix k,
                 HeadMatrix v, HeadMatrix out, void* lse) {
  if (has_few_queries(s)) return forward_few(s, mask, q, k, v, out, lse);
  if (is_reduced(s.dtype)) return forward_half(s, mask, q, k, v, out, lse);
  const int chunks = chunks_of(s.value_width);
  cuda::launch(cuda::kernel(kFile, "eg::attention", {s.dtype, chunks}),
               grid_of(s.queries, s.batch * s.heads, s.value_width, chunks), s, mask, q, k, v, out,
               lse);
}

void forward(const AttentionShape& s, const AttentionMask& mask, HeadMatrix q, HeadMatrix k,
             HeadMatrix v, HeadMatrix out, void* lse) {
  check_sizes(s);
  const auto own = [&] { own_forward(s, mask, q, k, v, out, lse); };
  const bool asked = cuda::only_cudnn_attention() || !has_few_queries(s);
  if (!asked || !cuda::cudnn_attention(s, mask, cuda::AttentionForward{q, k, v, out, lse}, own))
    own();
}

void own_backward(const AttentionShape& s, const AttentionMask& mask, HeadMatrix q, HeadMatrix k,
                  HeadMatrix v, HeadMatrix out, const void* lse, HeadMatrix g, HeadMatrix dq,
                  HeadMatrix dk, HeadMatrix dv) {
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

void backward(const AttentionShape& s, const AttentionMask& mask, HeadMatrix q, HeadMatrix k,
              HeadMatrix v, HeadMatrix out, const void* lse, HeadMatrix g, HeadMatrix dq,
              HeadMatrix dk, HeadMatrix dv) {
  check_sizes(s);
  const auto own = [&] { own_backward(s, mask, q, k, v, out, lse, g, dq, dk, dv); };
  if (!cuda::cudnn_attention(s, mask, cuda::AttentionBackward{q, k, v, out, g, lse, dq, dk, dv},
                             own))
    own();
}

}  // namespace

EG_CUDA_KERNELS(AttentionKernels, {&takes_halves, &forward, &backward})

}  // namespace eg
