// Attention of halves by cuDNN, whose Python frontend makes the plans. Each is proven against the kernels here before it is relied on.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels/attention_layout.h"

namespace eg::cuda {

// Matrices in this order: q, k, v, out, then lse if the forward pass keeps it; of a backward pass q, k, v, out, g, lse, dq, dk, dv.
struct AttentionRequest {
  int device;
  bool backward;
  AttentionShape shape;
  std::vector<int64_t> strides;  // of batch, head and row, matrix by matrix
};
struct AttentionPlan {
  size_t workspace;
  // Says what went wrong; nothing else.
  std::function<std::string(const std::vector<const void*>& matrices, void* workspace,
                            void* stream)>
      run;
};
// Without a value: cuDNN does not do this.
using AttentionPlanner = std::function<std::optional<AttentionPlan>(const AttentionRequest&)>;
void set_attention_planner(AttentionPlanner plan, std::function<void(const std::string&)> warn);

// enabled: cuDNN may be used; only: the program allows nothing else, so it is told where cuDNN is not used.
void set_cudnn_attention(bool enabled, bool only);
bool only_cudnn_attention();

struct AttentionForward {
  HeadMatrix q, k, v, out;
  void* lse;
};
struct AttentionBackward {
  HeadMatrix q, k, v, out, g;
  const void* lse;
  HeadMatrix dq, dk, dv;
};
// False: not by cuDNN. `own` computes the same by kernels of ours.
bool cudnn_attention(const AttentionShape& s, const AttentionMask& mask, const AttentionForward& on,
                     const std::function<void()>& own);
bool cudnn_attention(const AttentionShape& s, const AttentionMask& mask,
                     const AttentionBackward& on, const std::function<void()>& own);

}  // namespace eg::cuda
