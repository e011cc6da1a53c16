// Structures by value of the index kernels: read by the C++ compiler and by NVRTC.
#pragma once

#include "kernels/walks.h"

namespace eg {

// One element: in device memory, or, where data is null, its bits.
struct OneElement {
  const void* data;
  uint64_t bits;
};

// x[p] = fold(x[p], value): entry i's values are row from[i] (null: i) of `packed`, times scale[i] (null: 1).
struct FoldLoop {
  char* x;
  const char* packed;  // null: `one` everywhere
  OneElement one;
  Positions p;
  const int64_t* from;
  const char* scale;
  // Entries in the order of where they go, `chunk` of them a thread. What a chunk has of a run that is not all its own goes
  // to partial[outer][chunk][begins before it or not][inner].
  const uint32_t* order;
  int64_t chunk, chunks;
  char* partial;
};

struct Sizes {
  int64_t of[64];
};

}  // namespace eg
