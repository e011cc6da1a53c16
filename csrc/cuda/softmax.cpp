// Chooses between the kernels of eagergrad/cuda/softmax.cu: a warp or a block a line, its elements in registers or not.
#include <algorithm>

#include "cuda/reduce.h"
#include "cuda/teams.h"
#include "kernels/reduce.h"

namespace eg {
namespace {

constexpr const char* kFile = "softmax.cu";

void forward(bool log, DType type, const char* x, char* y, int64_t lines, int64_t n, int64_t) {
  if (lines * n == 0) return;
  const bool wide = cuda::fits_four(type, n, {x, y});
  const cuda::Teams t(lines, n, wide);
  void* const kernel = cuda::kernel(kFile, "eg::softmax", {type, log, t.block, t.held, wide});
  cuda::visit_elements(type, [&](auto zero, auto) {
    using T = decltype(zero);
    cuda::launch(kernel, t.grid, reinterpret_cast<const T*>(x), reinterpret_cast<T*>(y), lines, n);
  });
}
void backward(bool log, DType type, const char* g, const char* y, char* gx, int64_t lines,
              int64_t n, int64_t) {
  if (lines * n == 0) return;
  const bool wide = cuda::fits_four(type, n, {g, y, gx});
  const cuda::Teams t(lines, n, wide);
  void* const kernel =
      cuda::kernel(kFile, "eg::softmax_backward", {type, log, t.block, t.held, wide});
  cuda::visit_elements(type, [&](auto zero, auto) {
    using T = decltype(zero);
    cuda::launch(kernel, t.grid, reinterpret_cast<const T*>(g), reinterpret_cast<const T*>(y),
                 reinterpret_cast<T*>(gx), lines, n);
  });
}
void logsumexp(DType type, const char* x, char* y, int64_t lines, int64_t n, int64_t) {
  cuda::logsumexp(type, x, y, lines, n);
}
void cross_entropy(DType type, const char* x, const int64_t* target, int64_t ignore,
                   double smoothing, char* loss, char* lse, int64_t lines, int64_t n, int64_t) {
  if (lines == 0) return;
  const cuda::Teams t(lines, n);
  void* const kernel = cuda::kernel(kFile, "eg::cross_entropy", {type, t.block});
  cuda::visit_elements(type, [&](auto zero, auto wide) {
    using T = decltype(zero);
    using C = decltype(wide);
    cuda::launch(kernel, t.grid, reinterpret_cast<const T*>(x), target, ignore, smoothing,
                 reinterpret_cast<C*>(loss), reinterpret_cast<C*>(lse), lines, n);
  });
}
void cross_entropy_backward(DType type, const char* x, const int64_t* target, int64_t ignore,
                            double smoothing, const char* lse, const char* scale, char* gx,
                            int64_t lines, int64_t n, int64_t) {
  if (lines * n == 0) return;
  const cuda::Teams t(lines, n);
  void* const kernel = cuda::kernel(kFile, "eg::cross_entropy_backward", {type, t.block});
  cuda::visit_elements(type, [&](auto zero, auto wide) {
    using T = decltype(zero);
    using C = decltype(wide);
    cuda::launch(kernel, t.grid, reinterpret_cast<const T*>(x), target, ignore, smoothing,
                 reinterpret_cast<const C*>(lse), reinterpret_cast<const C*>(scale),
                 reinterpret_cast<T*>(gx), lines, n);
  });
}

void settle_targets(const int64_t* target, int64_t n, int64_t classes, int64_t ignore,
                    int64_t* settled, int64_t* present, int64_t check) {
  cuda::fill_zero(present, sizeof(*present));
  if (n == 0) return;
  cuda::launch(cuda::kernel(kFile, "eg::settle_targets"), cuda::elements(n), target, n, classes,
               ignore, settled, present, LateCheck{cuda::late_note(), check});
  cuda::after_late_check();
}

}  // namespace

EG_CUDA_KERNELS(SoftmaxKernels, {&forward, &backward, &logsumexp, &cross_entropy,
                                 &cross_entropy_backward, nullptr, &settle_targets})

}  // namespace eg
