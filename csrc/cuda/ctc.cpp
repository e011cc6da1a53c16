// Connectionist temporal classification on the GPU: eagergrad/cuda/ctc.cu.
#include "kernels/ctc.h"

#include "cuda/launch.h"

namespace eg {
namespace {

constexpr const char* kFile = "ctc.cu";

int threads_for(int64_t n) { return n <= 64 ? 64 : n <= 128 ? 128 : n <= 256 ? 256 : 512; }

// The gradient's shares of all steps, and two rows of beta.
int64_t scratch_of(const CtcBatch& b) { return b.batch * (b.steps + 2) * row_of(b); }

void forward(const CtcBatch& b, void* alpha, void* loss) {
  if (b.batch == 0) return;
  cuda::launch(cuda::kernel(kFile, "eg::ctc_forward", {b.dtype}),
               cuda::Grid(b.batch, threads_for(b.states)), b, alpha, loss);
}

void backward(const CtcBatch& b, const void* alpha, const void* loss, const void* g,
              bool zero_infinity, void* grad, void* scratch) {
  if (b.batch * b.steps == 0) return;
  const cuda::Scratch next(size_t(b.batch * b.states) * sizeof(int32_t));
  void* const beta =
      static_cast<char*>(scratch) + b.batch * b.steps * row_of(b) * int64_t(item_size(b.dtype));
  cuda::launch(cuda::kernel(kFile, "eg::ctc_shares", {b.dtype}),
               cuda::Grid(b.batch, threads_for(b.states)), b, alpha, loss, zero_infinity, scratch,
               beta, next.get<int32_t>());
  cuda::launch(cuda::kernel(kFile, "eg::ctc_gradient", {b.dtype}),
               cuda::Grid(b.batch * b.steps, threads_for(std::max(b.states, b.classes))), b, loss,
               g, zero_infinity, static_cast<const void*>(scratch), next.get<const int32_t>(),
               grad);
}

}  // namespace

EG_CUDA_KERNELS(CtcKernels, {&forward, &backward, &scratch_of})

}  // namespace eg
