// Random tensors; not recorded.
#pragma once

#include "core/generator.h"
#include "core/tensor.h"

namespace eg {

// Null generators mean the default one.
Tensor rand(IntSpan sizes, DType dtype, Generator* g);   // uniform in [0, 1)
Tensor randn(IntSpan sizes, DType dtype, Generator* g);  // standard normal
// 0 or 1 / keep with probability keep: a mask that scales (inverted dropout).
Tensor dropout_mask(IntSpan sizes, DType dtype, double keep, Generator* g);

}  // namespace eg
