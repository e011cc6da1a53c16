// Device-wide building blocks that several families use: running sums and stable orders.
#pragma once

#include "cuda/launch.h"

namespace eg::cuda {

// Exclusive running sums of n counts in place; their sum goes to `total`, on the device, which may be null.
void scan_counts(uint32_t* counts, int64_t n, uint32_t* total);
void scan_counts(int64_t* counts, int64_t n, int64_t* total);

// The stable order of n numbers in [0, limit), as positions.
Scratch index_order(const int64_t* index, int64_t n, int64_t limit);

}  // namespace eg::cuda
