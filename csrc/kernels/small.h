// Batches of small matrices, one in each lane of the vectors.
#pragma once

#include "kernels/registry.h"

namespace eg {

constexpr int64_t kSmall = 16;  // rows and columns at most

// For float32 and float64. Matrices come row by row and, unless said otherwise, leave column by column.
struct SmallKernels {
  // Of square matrices: L and U, pivots from 0, and from 1 where the first zero pivot is, or 0.
  void (*lu[2])(const void* a, int64_t count, int64_t n, void* lu, int32_t* pivots, int32_t* info);
  // The x of a x = b, b n x columns or, if null, the unit matrix; info as above.
  void (*solve[2])(const void* a, int64_t count, int64_t n, const void* b, int64_t columns, void* x,
                   int32_t* info);
  // `columns` columns of Q, unless null, and `rows` rows of R.
  void (*qr[2])(const void* a, int64_t count, int64_t m, int64_t n, void* q, int64_t columns,
                void* r, int64_t rows);
  // exp of square matrices, row by row.
  void (*exponential[2])(const void* a, int64_t count, int64_t n, void* result);
  // Eigenvalues, rising, of symmetric matrices by one triangle; their vectors unless null. 1 in info: not found.
  void (*eigh[2])(const void* a, int64_t count, int64_t n, bool upper, void* values, void* vectors,
                  int32_t* info);
  // a = u diag(s) vt, s falling, m >= n. u has `columns` columns of n or m, vt comes row by row; both may be null. Of the
  // transpose of what lies in memory if `turned`. 1 in info: not found.
  void (*svd[2])(const void* a, int64_t count, int64_t m, int64_t n, bool turned, void* u,
                 int64_t columns, void* s, void* vt, int32_t* info);
  // The cross products of (outer, 3, inner) arrays.
  void (*cross[2])(const void* a, const void* b, int64_t outer, int64_t inner, void* c);
};

}  // namespace eg
