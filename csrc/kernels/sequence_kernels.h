// Arithmetic progressions written to memory.
#pragma once

#include "kernels/registry.h"
#include "kernels/sequence.h"

namespace eg {

struct SequenceKernels {
  // type: int64 if the sequence is whole, else float64 or float32; on the GPU any.
  void (*fill)(const Sequence&, DType type, void* out);
};

}  // namespace eg
