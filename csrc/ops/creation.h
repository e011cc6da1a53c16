#pragma once

#include "core/tensor.h"
#include "kernels/registry.h"
#include "kernels/sequence_kernels.h"

namespace eg {

// RuntimeError where a number is beyond a dtype: integers out of range (negative ones may wrap in uint8), finite floats past the
// largest. The second form asks only of weak tensors, which Python numbers are.
void check_fits(const char* op, const Scalar& value, DType dtype);
void check_fits(const char* op, const Tensor& value, DType dtype);
// The largest finite number of a floating dtype.
double largest(DType dtype);

// 0 .. n - 1 as int64.
Tensor arange(int64_t n);

}  // namespace eg
