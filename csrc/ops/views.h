// Views as affine maps of indices: one structure serves select, slice, permute, diagonal, unfold and every mixture.
#pragma once

#include "ops/ops.h"
#include "tape/function.h"

namespace eg {

// One dimension of a view: stepping by 1 here moves `step` along input dimension `source` (and along `second`, for
// diagonals). No source: a new dimension of size 1.
struct Axis {
  int64_t size = 1;
  int64_t step = 1;
  int32_t source = -1;
  int32_t second = -1;
};

// Which elements of a tensor of in_sizes a view shows. Independent of the tensor's strides, so the same region is cut
// out of a gradient.
struct Region {
  Dims in_sizes;
  Dims start;  // one an input dimension
  SmallVec<Axis, 6> axes;
  bool overlaps = false;  // shows an element twice

  Region() = default;
  explicit Region(const Dims& sizes) : in_sizes(sizes), start(sizes.size(), 0) {}
  static Region whole(const Dims& sizes);

  Dims sizes() const;
  Tensor of(const Tensor& x) const;  // unrecorded
  // Every input element exactly once: the gradient is a view too.
  bool rearranges() const;
  Region inverse() const;
};

// Names on the tape.
enum class ViewKind {
  Alias,
  Slice,
  Select,
  Permute,
  Transpose,
  T,
  Unsqueeze,
  Squeeze,
  SqueezeDim,
  SqueezeDims,
  Diagonal,
  Unfold
};
Tensor view_region(ViewKind kind, const Tensor& x, Region&& region);
// Zeros of region.in_sizes, with g where the region is. Recorded.
Tensor spread_region(const Tensor& g, const Region& region);
// x with the region replaced by src (same shape), a new tensor. Recorded.
Tensor replace_region(const Tensor& x, const Tensor& src, const Region& region);

// The diagonals of a tensor of these sizes, as the last axis.
Region diagonal_region(const Dims& sizes, int64_t offset, int64_t dim0, int64_t dim1);

// A view without the dimensions of size 1.
Tensor squeeze_all(const Tensor& x);
// A view of x's memory, unchecked and unrecorded.
Tensor make_view(const Tensor& x, Dims sizes, Dims strides, int64_t offset);
// x becomes the view v of itself: a view op in place.
Tensor become(const Tensor& x, const Tensor& v);
// Strides with which the memory has that shape, if there are any.
std::optional<Dims> view_strides(IntSpan sizes, IntSpan strides, IntSpan shape);
// Strides with which src is seen in sizes that it broadcasts to.
Dims broadcast_strides(const Tensor& src, const Dims& sizes);
// dst += src where dst has no element twice. src has dst's dtype; it is broadcast.
void add_into(const Tensor& dst, const Tensor& src);
// dst = src, unrecorded, same dtype, for strides of any sign (`flipped` dims of src run backwards).
void copy_flipped(const Tensor& dst, const Tensor& src, IntSpan flipped);
// Start and length of start:end:step over a dimension, as Python counts.
struct Range {
  int64_t start, length;
};
Range clamp_slice(int64_t size, std::optional<int64_t> start, std::optional<int64_t> end,
                  int64_t step);

// Sums a gradient into what the engine already holds, if it holds something and nobody records.
bool add_to_accumulator(Context& ctx, size_t input, const Tensor& g, const Region& region);

}  // namespace eg
