// What reductions and scans share.
#pragma once

#include "kernels/reduce.h"
#include "ops/ops.h"

namespace eg {

// The dimensions of an op as the middle one of a dense (outer, length, inner) array.
struct Layout {
  Layout(const Tensor& x, const Dims& dims);
  // Of x with its dimensions in another order, which leaves those that are kept in theirs. Of no order: as x stands.
  Layout(const Tensor& x, const Dims& dims, const Dims& order);
  // The same numbers with inner = 1.
  Layout lines() const;

  Tensor data;
  int64_t outer = 1, length = 1, inner = 1;
  Dims kept;      // x's sizes with the dimensions as 1
  Dims squeezed;  // without them
};

// The order in which the dimensions of a dense x that is not contiguous lie in memory; otherwise none.
Dims dense_order(const Tensor& x);
// The same if a reduction over dims of x in that order has the same result; otherwise none.
Dims memory_order(const Tensor& x, const Dims& dims);

// What kernels that run along lines read: on the GPU halves as they are, on the CPU float32 instead.
inline DType line_type(DType t) {
  return is_reduced(t) && active_device.is_cpu() ? DType::Float32 : t;
}

Tensor cumprod(const Tensor& x, int64_t dim);
// An element of a vector; its equals share the gradient.
Tensor pick(const Tensor& x, const Tensor& value);

}  // namespace eg
