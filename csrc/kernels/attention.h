// softmax(scale * q @ k^T + mask) @ v for many heads; the scores exist for a few query rows at a time only.
#pragma once

#include "core/common.h"
#include "kernels/registry.h"

namespace eg {

// One matrix [rows, width] per batch entry and head; strides in elements, neighbours of a row lie together.
struct HeadMatrix {
  void* data;
  int64_t batch, head, row;
};

// float32 and float64. Head h of q meets head h / (heads / kv_heads) of k and v.
struct AttentionShape {
  DType dtype;
  int64_t batch, heads, kv_heads, queries, keys, width, value_width;
  double scale;
  bool causal;  // query i sees keys 0 ... i
};

// [batch, heads, queries, keys] through strides (0 where broadcast).
struct AttentionMask {
  const void* data = nullptr;  // null: no mask
  bool boolean = false;        // true: keep; else added to the scores, in the shape's dtype
  int64_t batch = 0, head = 0, row = 0, key = 0;
};

struct AttentionKernels {
  // lse [batch, heads, queries]: log of each row's sum of exponentials; +inf for a row that sees nothing (its result is 0).
  // May be null.
  void (*forward)(const AttentionShape&, const AttentionMask&, HeadMatrix q, HeadMatrix k,
                  HeadMatrix v, HeadMatrix out, void* lse);
  void (*backward)(const AttentionShape&, const AttentionMask&, HeadMatrix q, HeadMatrix k,
                   HeadMatrix v, HeadMatrix out, const void* lse, HeadMatrix g, HeadMatrix dq,
                   HeadMatrix dk, HeadMatrix dv);
};

}  // namespace eg
