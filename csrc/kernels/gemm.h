// Matrix products, row-major, by the BLAS that scipy-openblas32 brings. C = alpha op(A) op(B) + beta C.
#pragma once

#include "core/common.h"

namespace eg {

// Where the shared library is: set once by the binding, opened at the first product.
void set_blas_path(const char* path);
// A LAPACK or BLAS routine by its Fortran name without the underscore ("sgesv"). Raises RuntimeError if it is missing.
void* blas_symbol(const char* name);

// op(A) is m x k, op(B) k x n, C m x n. Leading dimensions count elements of a stored row. With beta = 0, C is not read.
// On the calling thread:
void gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);
void gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, double alpha,
          const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c,
          int64_t ldc);
// On all threads if it is worth it. The split depends on the sizes alone, so the bits do not depend on the threads.
void parallel_gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                   const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c,
                   int64_t ldc);
void parallel_gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, double alpha,
                   const double* a, int64_t lda, const double* b, int64_t ldb, double beta,
                   double* c, int64_t ldc);

}  // namespace eg
