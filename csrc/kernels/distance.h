// Distances between the rows of two matrices.
#pragma once

#include "kernels/registry.h"

namespace eg {

// Contiguous batches of `a_rows` and `b_rows` rows of `width` elements. pairs: a and b are the same rows, and of every two different
// ones there is one distance, in the order of triu_indices; otherwise one for each row of a and each of b.
struct DistanceShape {
  int64_t batch, a_rows, b_rows, width;
  bool pairs;
  double p;  // of the norm: 0 or more, or infinite
};

struct DistanceKernels {
  void (*forward)(const DistanceShape&, DType dtype, const void* a, const void* b, void* y);
  // The gradient of a, or of b, from g and the distances y. All of it is written.
  void (*backward)(const DistanceShape&, DType dtype, bool of_b, const void* g, const void* a,
                   const void* b, const void* y, void* gradient);
};

}  // namespace eg
