// Structures by value of the shape kernels: read by the C++ compiler and by NVRTC.
#pragma once

#include "core/common.h"

namespace eg {

constexpr int kJoinPieces = 64;  // a launch

// Everything in units.
struct JoinPiece {
  const char* data;
  int64_t width, stride, at;
};
struct JoinLoop {
  char* out;
  int64_t outer, total;
  JoinPiece pieces[kJoinPieces];
};

}  // namespace eg
