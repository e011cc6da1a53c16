// Strided element loops that the copy family does not have: addition into a region, signed strides, triangles.
#pragma once

#include "kernels/registry.h"
#include "kernels/walks.h"

namespace eg {

struct ShapeKernels {
  void (*copy)(size_t item, const StridedPair& p);
  void (*add)(DType dtype, const StridedPair& p);
  // Contiguous matrices: keeps column - row <= diagonal (lower) or >= diagonal, zero elsewhere.
  void (*triangle)(size_t item, char* dst, const char* src, int64_t matrices, int64_t rows,
                   int64_t columns, int64_t diagonal, bool lower);
  // out, `outer` dense rows, gets each piece's block of every row.
  void (*join)(char* out, int64_t outer, const Piece* pieces, int64_t count);
};

}  // namespace eg
