#include "ops/creation.h"

#include "cuda/launch.h"

namespace eg {
namespace {

void sequence(const Sequence& s, DType type, void* out) {
  if (s.count == 0) return;
  visit_all(type, [&](auto zero) {
    using T = decltype(zero);
    cuda::launch(cuda::kernel("creation.cu", "eg::sequence", {type}), cuda::elements(s.count), s,
                 static_cast<T*>(out));
  });
}

}  // namespace

EG_CUDA_KERNELS(SequenceKernels, {&sequence})

}  // namespace eg
