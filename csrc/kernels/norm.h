// Normalisation: of rows (layer and RMS norm) and of channels (batch, group and instance norm). Of floating-point elements; halves'
// statistics, weights and sums are float32.
#pragma once

#include "kernels/norm_terms.h"
#include "kernels/registry.h"

namespace eg {

// [outer, channels, inner], contiguous. Group and instance norm see each sample's channels as channels of their own, with an
// outer of 1.
struct ChannelShape {
  DType dtype;
  int64_t outer, channels, inner;
};

struct NormKernels {
  // y = (x - mean) * rstd * weight + bias over rows of n; without `center` mean is 0 (RMS norm) and not written.
  // weight and bias may be null.
  void (*row_forward)(DType, int64_t rows, int64_t n, bool center, double eps, const void* x,
                      const void* weight, const void* bias, void* y, void* mean, void* rstd);
  // dx, d_weight and d_bias may be null. scratch: row_scratch(rows, n) elements.
  void (*row_backward)(DType, int64_t rows, int64_t n, bool center, const void* g, const void* x,
                       const void* weight, const void* mean, const void* rstd, void* dx,
                       void* d_weight, void* d_bias, void* scratch);
  int64_t (*row_scratch)(int64_t rows, int64_t n);

  // Mean, biased variance and rstd of each group, then y = scale * x + shift. given: mean and var are there already.
  void (*normalise)(const ChannelShape&, const ChannelFold&, bool given, const void* x, void* y);
  // The gradients of the weights, and of x unless dx is null.
  void (*differentiate)(const ChannelShape&, const ChannelTerms&, const void* g, const void* x,
                        void* dx);
};

}  // namespace eg
