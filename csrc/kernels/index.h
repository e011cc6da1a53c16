// Element and row movement by integer indices. Indices are int64 and were checked by the caller.
#pragma once

#include "kernels/registry.h"

namespace eg {

// Where outer x n x inner elements of an indexed tensor are; the other side is packed in that order.
struct Positions {
  int64_t outer, n, inner;
  const int64_t* outer_offsets;  // null: position o is at o * outer_stride
  int64_t outer_stride;
  const int64_t* index;  // n numbers; entry i is at index[i] * scale
  int64_t scale;
  const int64_t* inner_offsets;  // null: inner elements are adjacent
};

// Elementwise gather and scatter along one dimension. The indexed tensor's stride along it is dim_stride, and
// x_strides has 0 there.
struct Lines {
  int ndim;  // at least 1
  int dim;
  int64_t sizes[64];  // of index, which is contiguous
  int64_t x_strides[64];
  int64_t src_strides[64];  // scatter: of src; all 0 for one number
  const int64_t* index;
  int64_t dim_stride;
};

// Three tensors walked together; strides count elements.
struct StridedTriple {
  char* out;
  const char* x;
  const char* mask;
  int ndim;  // at least 1
  int64_t sizes[64];
  int64_t out_strides[64];
  int64_t x_strides[64];
  int64_t mask_strides[64];
};

enum class Fold : uint8_t { Put, Add, Multiply, Max, Min };

struct IndexKernels {
  void (*take)(size_t item, char* packed, const char* x, const Positions& p);
  // x[position] = fold(x[position], packed), in the order of the index: later entries win. one: packed is a single
  // element.
  void (*fold)(DType dtype, Fold fold, char* x, const char* packed, const Positions& p, bool one);
  void (*gather)(size_t item, char* out, const char* x, const Lines& l);
  void (*scatter)(DType dtype, Fold fold, char* x, const char* src, const Lines& l);
  // Smallest and largest of n > 0 numbers.
  void (*range)(const int64_t* index, int64_t n, int64_t* low, int64_t* high);
  void (*wrap)(int64_t* out, const int64_t* index, int64_t n, int64_t size);
  // out (+)= index * stride
  void (*linear)(int64_t* out, const int64_t* index, int64_t n, int64_t stride, bool add);
  // Nonzero bytes (of a bool or uint8 array).
  int64_t (*count)(const char* mask, int64_t n);
  // Their positions plus `first`; returns one past the last written.
  int64_t* (*positions)(const char* mask, int64_t n, int64_t first, int64_t* out);
  // out[to[i]] += scale[i] * x[from[i]], rows of `width` elements, in order. scale may be null.
  void (*add_rows)(DType dtype, char* out, const char* x, const int64_t* from, const int64_t* to,
                   const char* scale, int64_t n, int64_t width);
  // best[to[i]] = the largest of x[from[i]] column by column, row[...] the from[i] it came from. `to` does not fall.
  void (*max_rows)(DType dtype, char* best, int64_t* row, const char* x, const int64_t* from,
                   const int64_t* to, int64_t n, int64_t width);
  // out = mask ? value : x
  void (*masked_fill)(size_t item, const StridedTriple& t, const char* value);
};

}  // namespace eg
