// Eigenvalues of symmetric matrices of moderate size.
#pragma once

#include "kernels/registry.h"

namespace eg {

struct SymmetricKernels {
  // Of a (n x n, spoilt, one triangle read): eigenvalues, rising, and if asked for their vectors, one after the other, in a's place. False if
  // they are not found, as of a matrix that is not finite.
  bool (*eigen[2])(void* a, int64_t n, bool upper, bool vectors, void* values);
};

}  // namespace eg
