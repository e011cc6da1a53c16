// Numbers in arithmetic progression. Read by NVRTC too.
#pragma once

#include "core/common.h"

namespace eg {

struct Sequence {
  bool whole;         // computed in int64, else in double
  int64_t first, by;  // of whole numbers
  double start, step, end;
  int64_t count, turn;  // elements from `turn` on are counted back from `end`

  EG_INLINE int64_t whole_at(int64_t i) const {
    return int64_t(uint64_t(first) + uint64_t(by) * uint64_t(i));
  }
  EG_INLINE double at(int64_t i) const {
    return i < turn ? start + step * double(i) : end - step * double(count - 1 - i);
  }
};

}  // namespace eg
