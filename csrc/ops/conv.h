// Convolution for other C++ files.
#pragma once

#include "core/tensor.h"

namespace eg {

// x (batch, channels, 1-3 spatial dims) with w (out_channels, channels / groups, kernel...).
Tensor convolution(const Tensor& x, const Tensor& w, const std::optional<Tensor>& bias,
                   IntSpan stride, IntSpan padding, IntSpan dilation, bool transposed,
                   IntSpan output_padding, int64_t groups);

}  // namespace eg
