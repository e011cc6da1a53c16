// The forward-backward algorithm of connectionist temporal classification, one sample at a time. float32 and float64.
#pragma once

#include "kernels/registry.h"

namespace eg {

// log_probs[t, n, c] lies at t * stride_t + n * stride_n + c. Sample n has the labels targets[begin[n] ..], of which
// there are target_lengths[n]; between and around them stand blanks: its states are 2 * length + 1.
struct CtcBatch {
  DType dtype;
  const void* log_probs;
  int64_t steps, batch, classes, stride_t, stride_n;
  const int64_t* targets;
  const int64_t* begin;
  const int64_t* target_lengths;
  const int64_t* input_lengths;
  int64_t blank;
  int64_t states;  // of the longest target
};

struct CtcKernels {
  // alpha: [batch, steps + 2, states + 2], where backward finds what it needs. loss: [batch].
  void (*forward)(const CtcBatch&, void* alpha, void* loss);
  // grad: [steps, batch, classes], contiguous, all written. g: [batch]. Samples of infinite loss get zeros if zero_infinity.
  void (*backward)(const CtcBatch&, const void* alpha, const void* loss, const void* g,
                   bool zero_infinity, void* grad, void* scratch);
  // Elements of backward's scratch.
  int64_t (*scratch)(const CtcBatch&);
};

}  // namespace eg
