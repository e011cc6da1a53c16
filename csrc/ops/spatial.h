// What the ops on images share: arguments given once for all dimensions, batches of one, halves computed in float.
#pragma once

#include "ops/copy.h"
#include "ops/ops.h"

namespace eg {

// n values from one or n given ones.
constexpr int64_t kMostPlaces = (int64_t{1} << 31) - 1;
inline Dims per_dim(const char* op, const char* what, IntSpan given, int64_t n) {
  for (int64_t v : given)  // products of two fit in 64 bits
    EG_CHECK(v >= -kMostPlaces && v <= kMostPlaces, "[", op, "] ", what, " should be at most ",
             kMostPlaces, ", got ", given);
  if (given.size() == 1) return Dims(static_cast<size_t>(n), given[0]);
  EG_CHECK(int64_t(given.size()) == n, "[", op, "] ", what, " takes one number or ", n,
           " (one for each spatial dimension), got ", given);
  return given.dims();
}

// The type that a kernel computes in; integers up to 2^53 stay exact.
inline DType compute_type(DType t) {
  if (!is_floating(t)) return DType::Float64;
  return is_reduced(t) ? DType::Float32 : t;
}

// Contiguous, in the type that kernels compute in. Not recorded.
inline Tensor kernel_input(const Tensor& t) {
  return contiguous_data(cast_data(t, compute_type(t.dtype())));
}

// Channels last, images (batch, channels, height, width) lie in memory as (batch, height, width, channels): to kernels they are planes of
// three dimensions, the last of which stays as it is.
inline bool has_pixels(const Tensor& x) { return x.dim() == 4 && channels_last(x); }
inline Tensor to_pixels(const Tensor& x) { return permute(x, Dims{0, 2, 3, 1}); }
inline Tensor from_pixels(const Tensor& x) { return permute(x, Dims{0, 3, 1, 2}); }
// Such images in another type, lying as they did. Not recorded.
inline Tensor cast_pixels(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y = empty_as_lies(x, x.sizes(), dtype);
  copy_into(y, x);
  return y;
}

// Adds the batch dimension that an unbatched input of `dims` dimensions lacks.
inline Tensor batched(const Tensor& x, int64_t dims) {
  return x.dim() == dims ? unsqueeze(x, 0) : x;
}
inline Tensor unbatched(const Tensor& y, bool drop) { return drop ? squeeze(y, Dims{0}) : y; }

}  // namespace eg
