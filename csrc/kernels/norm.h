// Normalisation: of rows (layer and RMS norm) and of channels (batch, group and instance norm). Of floating-point elements; halves'
// statistics, weights and sums are float32.
#pragma once

#include "kernels/norm_terms.h"
#include "kernels/registry.h"

namespace eg {

// [outer, channels, inner], contiguous. Group and instance norm see each sample's channels as channels of their own.
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

  // mean and biased variance of each channel.
  void (*moments)(const ChannelShape&, const void* x, void* mean, void* var);
  // Sums of g over each channel, then sums of g * (x - mean): 2 * channels numbers. Channel c has mean[c / per_mean].
  void (*sums)(const ChannelShape&, const void* g, const void* x, const void* mean,
               int64_t per_mean, void* sums);
  // y = a[c] * x + b[c]
  void (*affine)(const ChannelShape&, const void* x, const void* a, const void* b, void* y);
  // y = a[c] * g + b[c] * x + k[c]
  void (*combine)(const ChannelShape&, const void* g, const void* x, const void* a, const void* b,
                  const void* k, void* y);
  // All channels, groups and weights of what is asked for.
  void (*fold)(DType, const ChannelFold&);
  void (*terms)(DType, const ChannelTerms&);
};

}  // namespace eg
