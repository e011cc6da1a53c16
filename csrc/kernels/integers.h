// Whole numbers, as plain inline functions: see Note [No inline symbols above the base level].
#pragma once

#include "core/common.h"

namespace eg {
namespace {

EG_INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
EG_INLINE int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
EG_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
EG_INLINE int64_t floor_div(int64_t a, int64_t b) { return (a >= 0 ? a : a - b + 1) / b; }
EG_INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

}  // namespace
}  // namespace eg
