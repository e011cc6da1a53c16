// Reductions of what is never written down: casts and pointwise ops of the elements, a few KB at a time.
#pragma once

#include "kernels/elementwise.h"
#include "ops/reduce.h"

namespace eg {

// What is reduced: the elements of `a`, or `then` of each of them; or `then` of the differences a - b.
struct Terms {
  const Tensor& a;
  Unary then = Unary::count;  // count: nothing
  const double* attributes = nullptr;
  Tensor b = {};        // a's shape and dtype
  bool counts = false;  // of a sum: how many terms are not zero
};

// Computed in float32 where a holds halves, then cast to `out`.
Tensor reduce_terms(Reduce op, const Terms& terms, const Dims& dims, bool keepdim, DType out);

}  // namespace eg
