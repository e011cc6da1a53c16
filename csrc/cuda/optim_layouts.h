// What the kernels of eagergrad/cuda/optim.cu find in device memory or are handed by value.
#pragma once

#include "kernels/optim_items.h"

namespace eg {

constexpr int64_t kOptimChunk = 16384;  // elements of a block
constexpr int kRuleBytes = 96;          // of the largest rule of optim_rules.h

// One parameter; `first_block` is the first of the blocks that work on it.
struct OptimEntry {
  void* param;
  const void* grad;
  void* state[kOptimStates];
  int64_t size;
  int64_t first_block;
  int64_t rule;  // which one
};
// A rule of optim_rules.h: the object that updates an element, made by the host.
struct RuleEntry {
  alignas(8) char bytes[kRuleBytes];
};

// What the device keeps of one parameter's steps; the rule of its next step goes to `rule`.
struct CountEntry {
  DeviceNumber counted, running[kOptimScalars], rate;
  double step;  // where it does not
  double scalar[kOptimScalars];
  int64_t rule;
  bool fresh;
};

struct SpanEntry {
  void* data;
  int64_t size;
  int64_t first_block;
  DType dtype;
};

}  // namespace eg
