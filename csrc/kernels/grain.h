// How many items one thread takes at the least.
#pragma once

#include "core/parallel.h"
#include "kernels/integers.h"

namespace eg {
namespace {

// Items of `work` simple element operations each, for parallel_for: one item at least.
EG_INLINE int64_t grain_of(int64_t work) { return kParallelGrain / max64(work, 1) + 1; }

}  // namespace
}  // namespace eg
