// x[items] and x[items] = value, for what a language's subscript holds.
#pragma once

#include <optional>

#include "core/tensor.h"

namespace eg {

struct IndexItem {
  enum class Kind : uint8_t { Int, Slice, None, Ellipsis, Tensor, Bool };
  Kind kind = Kind::Slice;
  int64_t i = 0;                             // Int; Bool: 0 or 1
  std::optional<int64_t> start, stop, step;  // Slice
  eg::Tensor t;                              // Tensor: integers, or a bool or uint8 mask

  static IndexItem integer(int64_t i) { return {Kind::Int, i, {}, {}, {}, {}}; }
};
using IndexItems = SmallVec<IndexItem, 4>;

// Basic items (integers, slices, None, ...) give a view, made by one node; index tensors give a copy. Raises IndexError
// in PyTorch's words.
Tensor get_item(const Tensor& x, const IndexItems& items);
// value is cast and broadcast.
void set_item(const Tensor& self, const IndexItems& items, const Tensor& value);

}  // namespace eg
