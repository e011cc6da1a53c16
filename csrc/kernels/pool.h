// Maximum pooling, scattering and gathering by its indices, sliding blocks as columns.
#pragma once

#include "kernels/registry.h"

namespace eg {

// Windows over planes of up to three dimensions (unused leading ones have extent 1): output o of dimension i looks at
// begin[i][o], begin[i][o] + step[i], ... < end[i][o].
struct PoolShape {
  int64_t planes;
  int64_t in[3], out[3], step[3];
  const int64_t *begin[3], *end[3];
};

// Sliding blocks of a (height, width) plane.
struct BlockShape {
  int64_t planes;
  int64_t in[2], blocks[2], kernel[2], stride[2], pad[2], dilation[2];
};

struct PoolKernels {
  // Greatest value of each window and its position in the input plane (indices may be null). The first of equal
  // values wins, NaN wins over numbers.
  void (*max_pool)(const PoolShape&, DType dtype, const void* x, void* y, int64_t* indices);
  // Its transpose: gx[p] = the sum of g over the windows whose index is p. All of gx is written.
  void (*max_pool_backward)(const PoolShape&, DType dtype, const void* g, const int64_t* indices,
                            void* gx);
  // y[p][i] = x[p][index[p][i]], planes of `from` and `to` elements
  void (*gather)(DType dtype, int64_t planes, int64_t from, int64_t to, const void* x,
                 const int64_t* index, void* y);
  // y[p][index[p][i]] += x[p][i] (or =, without `add`), y zero before; planes of `from` and `to` elements.
  // The indices are in range.
  void (*scatter)(DType dtype, bool add, int64_t planes, int64_t from, int64_t to, const void* x,
                  const int64_t* index, void* y);
  // The blocks of each plane as rows: y[plane][kernel position][block]
  void (*unfold)(const BlockShape&, DType dtype, const void* x, void* y);
  // Its transpose: sums of blocks.
  void (*fold)(const BlockShape&, DType dtype, const void* y, void* x);
};

}  // namespace eg
