// Convolution on dense, channel-first arrays of up to three spatial dimensions.
#pragma once

#include "core/common.h"
#include "kernels/registry.h"

namespace eg {

// One convolution x (batch, in_channels, in...) , w (out_channels, in_channels / groups, kernel...)
// -> y (batch, out_channels, out...). Unused leading dimensions have extent 1. `pad` is the padding in front;
// what lies behind the input follows from `out`.
struct ConvShape {
  int64_t batch, groups, in_channels, out_channels;
  int64_t in[3], out[3], kernel[3];
  int64_t stride[3], pad[3], dilation[3];
};

// All tensors are float32 or float64, or halves that the kernels take. All results are overwritten.
struct ConvKernels {
  bool (*takes)(DType, const ConvShape&);  // a type of halves
  // y = x * w (+ bias, one number an output channel, or null)
  void (*forward)(const ConvShape&, DType, const void* x, const void* w, const void* bias, void* y);
  // gx: the transpose of `forward` with respect to x, (+ bias, one number an input channel)
  void (*input_grad)(const ConvShape&, DType, const void* gy, const void* w, const void* bias,
                     void* gx);
  // gw: the transpose of `forward` with respect to w
  void (*weight_grad)(const ConvShape&, DType, const void* gy, const void* x, void* gw);
};

}  // namespace eg
