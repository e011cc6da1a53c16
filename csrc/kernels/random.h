// Numbers from counters: element i of a stream is a function of (seed, offset + i) alone.
#pragma once

#include "kernels/registry.h"

namespace eg {

enum class Draw : uint8_t { Bits32, Bits64, Uniform, Normal };

// LogGamma: the logarithm of a standard gamma number. VonMises: an angle around 0 of the concentration given.
enum class Sample : uint8_t { Poisson, Binomial, LogGamma, VonMises };

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
  // 0 .. n - 1 in the order that Fisher and Yates's loop from the end gives them, by n numbers of Bits64.
  void (*permute)(const uint64_t* bits, int64_t n, int64_t* out);
  // A number for each pair of parameters (b of the binomial alone: a numbers of probability b), from a stream of its own.
  void (*sample)(Sample what, const double* a, const double* b, const uint64_t* seeds, int64_t n,
                 double* out);
  // d out / d shape of LogGamma.
  void (*log_gamma_slope)(const double* shape, const double* log_z, int64_t n, double* out);
};

}  // namespace eg
