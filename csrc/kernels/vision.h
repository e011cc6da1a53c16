// Separable linear maps over images (resizing, average pooling, padding) and sampling at given points.
#pragma once

#include "kernels/grid_shape.h"
#include "kernels/registry.h"

namespace eg {

// A sparse matrix (out, in) that acts on one dimension, by rows: row o has the entries first[o] .. first[o + 1].
struct LineMap {
  int64_t in, out;
  const int64_t* first;
  const int32_t* index;
  const double* weight;
  bool identity;
};

struct VisionKernels {
  // y[plane] = (m[0] x m[1] x m[2]) x[plane], Kronecker product over depth, height and width
  void (*resample)(const LineMap* m, DType dtype, int64_t planes, const void* x, void* y);
  // Copies: row o of a map has one entry or, where `fill` goes, none. Any element type, given by its size.
  void (*select)(const LineMap* m, int64_t item_size, int64_t planes, const void* x,
                 const void* fill, void* y);
  void (*grid_sample)(const GridShape&, DType dtype, const void* x, const void* grid, void* y);
  // gx or ggrid may be null
  void (*grid_sample_backward)(const GridShape&, DType dtype, const void* gy, const void* x,
                               const void* grid, void* gx, void* ggrid);
};

}  // namespace eg
