// Sampling images at given points.
#pragma once

#include <cstdint>

namespace eg {

// Input (batch, channels, in...), grid (batch, out..., dims), output (batch, channels, out...).
// Two dimensions: in[0] = out[0] = 1.
struct GridShape {
  int64_t batch, channels, dims;
  int64_t in[3], out[3];
  int mode;     // 0 linear, 1 nearest, 2 cubic
  int padding;  // 0 zeros, 1 border, 2 reflection
  bool align_corners;
};

}  // namespace eg
