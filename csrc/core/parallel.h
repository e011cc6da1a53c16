// One thread pool for everything, BLAS included.
#pragma once

#include "core/common.h"

namespace eg {

int num_threads();
void set_num_threads(int n);

// Work of fewer than about this many simple element operations stays on the calling thread.
constexpr int64_t kParallelGrain = 32768;

// Calls body(begin, end) over chunks that cover [0, n). Chunks have at least `grain` items; a range no larger than
// `grain` runs on the calling thread. body must write each result from its own items only, so that the
// bits do not depend on the number of threads. The GIL is released while several threads work.
// An exception thrown by a body is rethrown on the calling thread. Nested calls run serially.
void parallel_for(int64_t n, int64_t grain, FunctionRef<void(int64_t, int64_t)> body);

// True inside a body of parallel_for.
bool in_parallel();

}  // namespace eg
