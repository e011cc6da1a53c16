#pragma once

#include "core/tensor.h"
#include "kernels/registry.h"
#include "kernels/sequence.h"

namespace eg {

struct SequenceKernels {
  // type: int64 if the sequence is whole, else float64; on the GPU any.
  void (*fill)(const Sequence&, DType type, void* out);
};

// 0 .. n - 1 as int64.
Tensor arange(int64_t n);

}  // namespace eg
