// What reductions and scans share.
#pragma once

#include "kernels/reduce.h"
#include "ops/ops.h"

namespace eg {

// The dimensions of an op as the middle one of a dense (outer, length, inner) array.
struct Layout {
  Layout(const Tensor& x, const Dims& dims);
  // The same numbers with inner = 1.
  Layout lines() const;

  Tensor data;
  int64_t outer = 1, length = 1, inner = 1;
  Dims kept;      // x's sizes with the dimensions as 1
  Dims squeezed;  // without them
};

Tensor cumprod(const Tensor& x, int64_t dim);

}  // namespace eg
