// Strided element loops that the copy family does not have: addition into a region, signed strides, triangles.
#pragma once

#include "kernels/registry.h"

namespace eg {

// Two tensors of one shape, walked together. Strides count elements and may be negative; dims are coalesced by the
// caller. Elements of dst are distinct.
struct StridedPair {
  char* dst;
  const char* src;
  int ndim;  // at least 1
  int64_t sizes[64];
  int64_t dst_strides[64];
  int64_t src_strides[64];
};

struct ShapeKernels {
  void (*copy)(size_t item, const StridedPair& p);
  void (*add)(DType dtype, const StridedPair& p);
  // Contiguous matrices: keeps column - row <= diagonal (lower) or >= diagonal, zero elsewhere.
  void (*triangle)(size_t item, char* dst, const char* src, int64_t matrices, int64_t rows,
                   int64_t columns, int64_t diagonal, bool lower);
};

}  // namespace eg
