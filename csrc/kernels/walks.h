// Where elements lie that index and shape kernels move: plain data, read by the host's kernels and the GPU's.
#pragma once

#include "core/common.h"

namespace eg {

// Where outer x n x inner elements of an indexed tensor are; the other side is packed in that order.
struct Positions {
  int64_t outer, n, inner;
  const int64_t* outer_offsets;  // null: position o is at o * outer_stride
  int64_t outer_stride;
  const int64_t* index;  // n numbers; entry i is at index[i] * scale
  int64_t scale;
  const int64_t* inner_offsets;  // null: inner elements are adjacent
  int64_t limit;                 // every index is below it
  bool distinct;                 // no index comes twice
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
  int64_t limit;  // x's elements are at offsets below it
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

// Two tensors of one shape, walked together. Strides count elements and may be negative; dims are coalesced by the
// caller. Elements of dst are distinct.
struct StridedPair {
  char* dst;
  const char* src;
  int ndim;  // at least 1
  int64_t sizes[64];
  int64_t dst_strides[64];
  int64_t src_strides[64];
};

// One of the blocks that a row is joined from; bytes.
struct Piece {
  const char* data;
  int64_t width;   // of one row
  int64_t stride;  // to the next row
};

enum class Fold : uint8_t { Put, Add, Multiply, Max, Min };

// What a fold makes of a value and the next one.
template <Fold F>
struct Folder {
  template <class T>
  static EG_INLINE T plain(T a, T b) {
    if constexpr (F == Fold::Put) return b;
    if constexpr (F == Fold::Add) return static_cast<T>(a + b);
    if constexpr (F == Fold::Multiply) return static_cast<T>(a * b);
    // NaN wins.
    if constexpr (F == Fold::Max) return a != a || !(b <= a) ? (a != a ? a : b) : a;
    if constexpr (F == Fold::Min) return a != a || !(b >= a) ? (a != a ? a : b) : a;
  }
  template <class T>
  static EG_INLINE T of(T a, T b) {
    return plain(a, b);
  }
  static EG_INLINE bool of(bool a, bool b) {
    if constexpr (F == Fold::Put) return b;
    if constexpr (F == Fold::Add || F == Fold::Max) return a || b;
    return a && b;
  }
  static EG_INLINE Half of(Half a, Half b) {
    if constexpr (F == Fold::Put) return b;
    return to_half(plain(to_float(a), to_float(b)));
  }
  static EG_INLINE BFloat16 of(BFloat16 a, BFloat16 b) {
    if constexpr (F == Fold::Put) return b;
    return to_bfloat16(plain(to_float(a), to_float(b)));
  }
};

}  // namespace eg
