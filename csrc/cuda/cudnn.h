// Convolutions by cuDNN, where its library can be loaded.
#pragma once

#include "kernels/conv.h"

namespace eg::cuda {

enum class ConvPass { Forward, InputGrad, WeightGrad };

// Computes `out` from the other two tensors: (x, w), (gy, w) or (gy, x) in this order. False: not by cuDNN.
bool cudnn_convolution(ConvPass pass, const ConvShape& s, DType type, const void* first,
                       const void* second, const void* bias, void* out);

struct CudnnSwitches {
  bool enabled, allow_tf32, benchmark;
};
void set_cudnn(const CudnnSwitches& to);
// Where to look for the library beside where the system does.
void add_cudnn_path(const char* path);
// Its version number; 0 if it cannot be loaded.
size_t cudnn_version();

}  // namespace eg::cuda
