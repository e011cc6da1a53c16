// Factorisations and solves of dense matrices, row after row in memory.
#pragma once

#include "kernels/registry.h"

namespace eg {

// In place; for float32 and float64. A factorisation that fails goes on as far as it can and returns the number, from 1, of
// the first diagonal element that is zero (LU) or not positive (Cholesky); else 0.
struct FactorKernels {
  // L (its unit diagonal not stored) and U of a's m x n with rows exchanged: row i, in this order, with row pivots[i] >= i.
  int64_t (*lu[2])(void* a, int64_t m, int64_t n, int64_t lda, int32_t* pivots);
  // The lower triangle of a; the upper one is overwritten.
  int64_t (*cholesky[2])(void* a, int64_t n, int64_t lda);
  // b (n x columns) = the inverse of a triangle of t times b. The other triangle is not read, the diagonal of a unit one neither.
  void (*solve_triangle[2])(const void* t, int64_t n, int64_t ldt, bool upper, bool unit, void* b,
                            int64_t columns, int64_t ldb);
  void (*exchange_rows[2])(void* b, int64_t columns, int64_t ldb, const int32_t* pivots, int64_t n);
};

}  // namespace eg
