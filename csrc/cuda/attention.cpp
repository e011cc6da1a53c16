// Attention on the GPU: eagergrad/cuda/attention.cu.
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

void forward(const AttentionShape& s, const AttentionMask& mask, HeadMatrix q, HeadMatrix k,
             HeadMatrix v, HeadMatrix out, void* lse) {
  check_sizes(s);
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

EG_CUDA_KERNELS(AttentionKernels, {&forward, &backward})

}  // namespace eg
