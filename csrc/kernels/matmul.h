// Matrix products as every device does them.
#pragma once

#include "kernels/registry.h"

namespace eg {

// c = a b, or c + a b if `add`, row-major, `batch` times; the matrices c lie one after the other.
struct Products {
  DType type;
  int64_t batch, m, n, k;
  const void *a, *b;
  void* c;
  bool trans_a, trans_b;
  int64_t lda, ldb;        // elements of a stored row
  int64_t step_a, step_b;  // from one matrix of the batch to the next
  bool add;
};

struct MatmulKernels {
  void (*multiply)(const Products&);
};
// The host's of whole numbers, which no BLAS has.
struct IntegerMatmulKernels {
  void (*multiply)(const Products&);
};

}  // namespace eg
