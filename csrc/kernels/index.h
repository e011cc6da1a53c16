// Element and row movement by integer indices. Indices are int64 and were checked by the caller.
#pragma once

#include "kernels/registry.h"
#include "kernels/walks.h"

namespace eg {

struct IndexKernels {
  void (*take)(size_t item, char* packed, const char* x, const Positions& p);
  // x[position] = fold(x[position], packed), in the order of the index: later entries win. one: packed is a single
  // element.
  void (*fold)(DType dtype, Fold fold, char* x, const char* packed, const Positions& p, bool one);
  void (*gather)(size_t item, char* out, const char* x, const Lines& l);
  void (*scatter)(DType dtype, Fold fold, char* x, const char* src, const Lines& l);
  // Smallest and largest of n > 0 numbers.
  void (*range)(const int64_t* index, int64_t n, int64_t* low, int64_t* high);
  // out = index, from the end where it is negative and `wrap`. Of a device that the host does not wait for it says that an index
  // is out of range: see Note [Late errors] in core/late.h; `check` is its number.
  void (*settle)(int64_t* out, const int64_t* index, int64_t n, bool wrap, int64_t size,
                 int64_t check);
  // out (+)= index * stride
  void (*linear)(int64_t* out, const int64_t* index, int64_t n, int64_t stride, bool add);
  // Nonzero bytes (of a bool or uint8 array).
  int64_t (*count)(const char* mask, int64_t n);
  // Their positions plus `first`; returns one past the last written. `out` has room for `count` of them.
  int64_t* (*positions)(const char* mask, int64_t n, int64_t first, int64_t* out);
  // Coordinates of any flat positions in a tensor of these sizes (a host's array): coordinate d of position i goes to
  // out[i * step + d * jump].
  void (*coordinates)(const int64_t* flat, int64_t n, const int64_t* sizes, int64_t dims,
                      int64_t* out, int64_t step, int64_t jump);
  // out[to[i]] += scale[i] * x[from[i]], rows of `width` elements, in order; out has `rows`. scale may be null. `fresh`: out
  // holds nothing yet, and stands for zeros.
  void (*add_rows)(DType dtype, char* out, const char* x, const int64_t* from, const int64_t* to,
                   const char* scale, int64_t n, int64_t width, int64_t rows, bool fresh);
  // best[to[i]] = the largest of x[from[i]] column by column, row[...] the from[i] it came from. `to` does not fall.
  void (*max_rows)(DType dtype, char* best, int64_t* row, const char* x, const int64_t* from,
                   const int64_t* to, int64_t n, int64_t width);
  // out = mask ? value : x
  void (*masked_fill)(size_t item, const StridedTriple& t, const char* value);
};

}  // namespace eg
