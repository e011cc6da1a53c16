// Householder's QR of dense matrices, column after column in memory, as LAPACK has it.
#pragma once

#include "kernels/registry.h"

namespace eg {

// For float32 and float64. A reflection is H_i = 1 - tau_i v_i v_i', v_i the part of column i below a 1 on the diagonal.
struct QrKernels {
  // In place: R on and above the diagonal of n columns of m elements, the vectors v_i below it; and the tau of each.
  void (*factor[2])(void* a, int64_t m, int64_t n, int64_t lda, void* tau);
  // c = Q c, or Q' c, for Q = H_1 ... H_k and `columns` columns c of m >= k elements.
  void (*apply[2])(const void* a, int64_t m, int64_t k, int64_t lda, const void* tau,
                   bool transposed, void* c, int64_t columns, int64_t ldc);
  // c = the first `columns` >= k columns of Q.
  void (*form[2])(const void* a, int64_t m, int64_t k, int64_t lda, const void* tau, void* c,
                  int64_t columns, int64_t ldc);
  // A symmetric matrix (both triangles of a; spoilt) becomes Q T Q', T tridiagonal with d on its diagonal and e beside it. Q is
  // the unit matrix beside the product of n - 1 reflections, which `a + 1` holds as above, in columns of n - 1.
  void (*tridiagonal[2])(void* a, int64_t n, void* d, void* e, void* tau);
};

}  // namespace eg
