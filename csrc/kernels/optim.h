// Optimizer updates over many tensors at once, and the global norm that gradient clipping needs.
#pragma once

#include "kernels/optim_items.h"
#include "kernels/registry.h"

namespace eg {

struct DenseSpan {
  void* data = nullptr;
  int64_t size = 0;
  DType dtype = DType::Float32;
};

// What tensors are multiplied by: a number, or the largest factor up to 1 that takes vectors of the given norm to `value`.
struct ScaleFactor {
  double value;
  const void* norm = nullptr;  // one element, where the tensors are
  DType norm_type = DType::Float32;
};

struct OptimKernels {
  // Updates every item, and its scalars.
  void (*step)(OptimRule rule, const OptimOptions& options, OptimItem* items, int64_t count);
  // out, of the given type: (sum over all spans of |x|^p)^(1/p); largest |x| for p = inf, smallest for -inf, the number of
  // non-zeros for p = 0.
  void (*norm)(const DenseSpan* spans, int64_t count, double p, DType type, void* out);
  // x *= factor, every span.
  void (*scale)(const DenseSpan* spans, int64_t count, const ScaleFactor& factor);
  // x = min(max(x, low), high), every span; NaN stays.
  void (*clamp)(const DenseSpan* spans, int64_t count, double low, double high);
};

}  // namespace eg
