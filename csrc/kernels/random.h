// Numbers from counters: element i of a stream is a function of (seed, offset + i) alone.
#pragma once

#include "kernels/registry.h"

namespace eg {

enum class Draw : uint8_t { Bits32, Bits64, Uniform, Normal };

struct RandomKernels {
  // n results from element `first` of a stream that starts at counter `offset`. Bits32: uint32, Bits64: uint64; Uniform in
  // [0, 1) and Normal: float or double.
  void (*draw)(Draw what, bool wide, uint64_t seed, uint64_t offset, int64_t first, int64_t n,
               void* out);
};

}  // namespace eg
