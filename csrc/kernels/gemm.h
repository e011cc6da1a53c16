// One matrix product, row-major: C = op(A) op(B), or C += op(A) op(B).
#pragma once

#include "core/common.h"
#include "kernels/registry.h"

namespace eg {

// op(A) is m x k, op(B) k x n, C m x n. Leading dimensions count elements of a stored row.
template <class T>
struct Gemm {
  bool trans_a, trans_b;
  bool add;  // to C; else C is not read
  int64_t m, n, k;
  const T* a;
  int64_t lda;
  const T* b;
  int64_t ldb;
  T* c;
  int64_t ldc;
};

// On the calling thread, or on all threads if it is worth it. The bits do not depend on their number.
void gemm(const Gemm<float>& product, bool all_threads);
void gemm(const Gemm<double>& product, bool all_threads);
void gemm(const Gemm<Half>& product, bool all_threads);
void gemm(const Gemm<BFloat16>& product, bool all_threads);

// Products on the calling thread by this machine's instruction set, m, n, k > 0. Null where the BLAS is used instead.
struct GemmKernels {
  void (*f32)(const Gemm<float>&);
  void (*f64)(const Gemm<double>&);
};
// The same by Intel's AMX, where this machine has it. Null where the level knows nothing of it.
struct AmxKernels {
  bool (*available)();
  void (*bf16)(const Gemm<BFloat16>&);
};

// The BLAS and LAPACK that scipy-openblas32 brings. Where the shared library is: set once by the binding, opened when it
// is first needed.
void set_blas_path(const char* path);
// A LAPACK or BLAS routine by its Fortran name without the underscore ("sgesv"). Raises RuntimeError if it is missing.
void* blas_symbol(const char* name);

}  // namespace eg
