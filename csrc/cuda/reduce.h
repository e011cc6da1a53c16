// Reductions that other families of kernels build on.
#pragma once

#include "core/common.h"

namespace eg::cuda {

// log of the sum of exp of each line; float32 of halves.
void logsumexp(DType type, const void* x, void* out, int64_t lines, int64_t length);
// Mean and biased variance of each channel of [outer, channels, inner].
void channel_moments(DType type, int64_t outer, int64_t channels, int64_t inner, const void* x,
                     void* mean, void* var);

}  // namespace eg::cuda
