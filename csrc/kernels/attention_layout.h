// What attention is asked to compute: read by the kernels of every device.
#pragma once

#include "core/common.h"

namespace eg {

// One matrix [rows, width] per batch entry and head; strides in elements, neighbours of a row lie together.
struct HeadMatrix {
  void* data;
  int64_t batch, head, row;
};

// dtype: of the matrices; masks and what is kept of sums are of the type that it is computed in. Head h of q meets head h / (heads / kv_heads) of k and v.
struct AttentionShape {
  DType dtype;
  int64_t batch, heads, kv_heads, queries, keys, width, value_width;
  double scale;
  bool causal;  // query i sees keys 0 ... i
};

// [batch, heads, queries, keys] through strides (0 where broadcast).
struct AttentionMask {
  const void* data = nullptr;  // null: no mask
  bool boolean = false;        // true: keep; else added to the scores
  int64_t batch = 0, head = 0, row = 0, key = 0;
};

}  // namespace eg
