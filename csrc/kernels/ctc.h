// The forward-backward algorithm of connectionist temporal classification, one sample at a time. float32 and float64.
#pragma once

#include "kernels/ctc_states.h"
#include "kernels/registry.h"

namespace eg {

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
