// Products that write into memory at hand, unrecorded.
#pragma once

#include "core/tensor.h"

namespace eg {

// out (row-major) = a b, or out + a b if `add`, for a and b of one dtype: matrices, or batches of them.
void mm_into(const Tensor& a, const Tensor& b, const Tensor& out, bool add);

}  // namespace eg
