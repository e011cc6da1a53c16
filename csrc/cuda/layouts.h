// Structures that the host hands to kernels by value: read by the C++ compiler and by NVRTC.
#pragma once

#include <cstdint>

namespace eg {

constexpr int kLoopInputs = 5;
constexpr int kLoopDims = 12;

struct LoopInput {
  const void* data;  // null: the number, in the type the loop computes in
  int64_t step;      // elements; of dense loops
  int32_t dtype;
  alignas(8) char number[8];
};
struct LoopInputs {
  LoopInput of[kLoopInputs];
  double attributes[3];
};
// Dimension 0 is the innermost; strides in bytes, the output's first.
struct StridedLoop {
  char* out;
  int64_t n;
  int32_t dims, dtype;
  int64_t sizes[kLoopDims];
  int64_t strides[kLoopDims][kLoopInputs + 1];
  LoopInputs in;
};

// Bytes that a launch carries in its arguments, for the device to store.
struct CarriedBytes {
  char bytes[2048];
};
// Where a captured graph's random numbers go on at each replay: kernels read it instead of the numbers of the capture.
struct RandomPlace {
  uint64_t seed;
  uint64_t shift;  // added to the counters
};

// See Note [Late errors] in core/late.h: the number of the check that failed (0: none), the index and what it must be below.
// The thread that sets `claim` writes the rest, the number last: the host may look at any time.
struct LateNote {
  uint64_t claim;
  uint64_t number;
  int64_t value, size;
};
// A check, as kernels get it.
struct LateCheck {
  LateNote* note;
  int64_t number;
};

}  // namespace eg
