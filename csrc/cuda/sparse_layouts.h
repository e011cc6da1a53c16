// Structures by value of the kernels for compressed matrices: read by the C++ compiler and by NVRTC.
#pragma once

#include "cuda/layouts.h"

namespace eg {

// As CompressedView of kernels/sparse.h; the kernel knows the width of the indices.
struct Compressed {
  const void* ptr;
  const void* idx;
  const void* perm;
  int64_t rows, cols, nnz;
  LateCheck check;
};

// Elements of a dense matrix, in its strides.
struct DenseMatrix {
  void* data;
  int64_t row, col;
};

}  // namespace eg
