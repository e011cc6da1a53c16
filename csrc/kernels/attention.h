// softmax(scale * q @ k^T + mask) @ v for many heads; the scores exist for a few query rows at a time only.
#pragma once

#include "kernels/attention_layout.h"
#include "kernels/registry.h"

namespace eg {

struct AttentionKernels {
  // Can the matrices of a pass be of the shape's dtype if that is a half? They come in float32 otherwise.
  bool (*takes_halves)(const AttentionShape&, bool backward);
  // lse [batch, heads, queries]: log of each row's sum of exponentials; +inf for a row that sees nothing (its result is 0).
  // May be null.
  void (*forward)(const AttentionShape&, const AttentionMask&, HeadMatrix q, HeadMatrix k,
                  HeadMatrix v, HeadMatrix out, void* lse);
  void (*backward)(const AttentionShape&, const AttentionMask&, HeadMatrix q, HeadMatrix k,
                   HeadMatrix v, HeadMatrix out, const void* lse, HeadMatrix g, HeadMatrix dq,
                   HeadMatrix dk, HeadMatrix dv);
};

}  // namespace eg
