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
  // Whole numbers in [low, low + range), each from the 64 bits that draw() gives.
  void (*integers)(uint64_t seed, uint64_t offset, int64_t first, int64_t n, int64_t low,
                   uint64_t range, int64_t* out);
  // `scale` where draw()'s uniform float is below `below`, elsewhere 0.
  void (*keep_mask)(uint64_t seed, uint64_t offset, int64_t first, int64_t n, float below,
                    float scale, float* out);
};

}  // namespace eg
