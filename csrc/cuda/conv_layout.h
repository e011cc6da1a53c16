// A convolution as its kernels take it: sums over taps, of which every dimension has an arithmetic progression.
#pragma once

#include <cstdint>

namespace eg {

// out[q] = sum_j w[first_tap + j * tap_step] * src[q * scale + first + j * step], j < taps, where that lies in [0, source).
struct ConvDim {
  int32_t outputs, source, scale, first, step, taps, first_tap, tap_step;
};

// Products with a tensor of outputs ("pixels" of images) on one side and channels times taps on the other.
struct ConvPlan {
  ConvDim dim[3];
  int64_t pixels;       // batch * outputs
  int64_t depth, outs;  // channels reduced over and produced, a group
  int64_t src_image, src_channel, src_group;
  int64_t dst_image, dst_channel, dst_group;  // of what lies at the pixels' positions
  int64_t dst_base, dst_stride[3];
  // Element (output m, channel c, tap) of the weights: m * weight_out + c * weight_depth + tap.
  int64_t weight_out, weight_depth, weight_group;
  int32_t kernel[3];
  int64_t splits;  // of the pixels, in the weight gradient
};

}  // namespace eg
