#include "core/iterate.h"

namespace eg {

Walk::Walk(IntSpan shape) : dims_(static_cast<int>(shape.size())) {
  EG_CHECK(shape.size() <= kMaxDims, "a tensor has at most ", kMaxDims, " dimensions, got ",
           shape.size());
  for (int d = 0; d < dims_; ++d) {
    sizes_[d] = shape[dims_ - 1 - d];
    numel_ *= sizes_[d];
  }
}

void Walk::add(char* data, IntSpan sizes, IntSpan strides, size_t item_size) {
  data_[operands_] = data;
  const int own = static_cast<int>(sizes.size());
  for (int d = 0; d < dims_; ++d)
    strides_[d][operands_] = d < own && sizes[own - 1 - d] != 1
                                 ? strides[own - 1 - d] * static_cast<int64_t>(item_size)
                                 : 0;
  ++operands_;
}

void Walk::finish() {
  // Drop dimensions of size 1, then insertion sort by the strides of the first operand that tells dimensions apart.
  int kept = 0;
  for (int d = 0; d < dims_; ++d) {
    if (sizes_[d] == 1) continue;
    if (kept != d) {
      sizes_[kept] = sizes_[d];
      std::copy(strides_[d], strides_[d] + operands_, strides_[kept]);
    }
    ++kept;
  }
  dims_ = kept;
  const auto inner = [&](int a, int b) {  // should a be walked inside b?
    for (int o = 0; o < operands_; ++o) {
      const int64_t x = strides_[a][o], y = strides_[b][o];
      if (x == 0 || y == 0 || x == y) continue;
      return x < y;
    }
    return false;
  };
  for (int i = 1; i < dims_; ++i) {
    for (int j = i; j > 0 && inner(j, j - 1); --j) {
      std::swap(sizes_[j], sizes_[j - 1]);
      for (int o = 0; o < operands_; ++o) std::swap(strides_[j][o], strides_[j - 1][o]);
    }
  }
  // Merge neighbours that every operand walks as one.
  int last = 0;
  for (int d = 1; d < dims_; ++d) {
    bool merge = true;
    for (int o = 0; o < operands_; ++o)
      merge = merge && strides_[d][o] == strides_[last][o] * sizes_[last];
    if (merge) {
      sizes_[last] *= sizes_[d];
    } else if (++last != d) {
      sizes_[last] = sizes_[d];
      std::copy(strides_[d], strides_[d] + operands_, strides_[last]);
    }
  }
  if (dims_ == 0) {
    sizes_[0] = 1;
    std::fill(strides_[0], strides_[0] + operands_, 0);
  }
  dims_ = last + 1;
  // A call costs as much as some ten elements: very short lines give way to the next longer dimension.
  constexpr int64_t kShort = 8;
  if (dims_ > 1 && sizes_[0] < kShort && sizes_[1] >= 4 * sizes_[0]) {
    std::swap(sizes_[0], sizes_[1]);
    for (int o = 0; o < operands_; ++o) std::swap(strides_[0][o], strides_[1][o]);
  }
}

void Walk::run(int64_t begin, int64_t end, FunctionRef<void(char* const*, int64_t)> f) const {
  if (begin >= end) return;
  int64_t at[kMaxDims + 1];
  char* p[kMaxWalked];
  std::copy(data_, data_ + operands_, p);
  int64_t rest = begin;
  for (int d = 0; d < dims_; ++d) {
    at[d] = rest % sizes_[d];
    rest /= sizes_[d];
    for (int o = 0; o < operands_; ++o) p[o] += at[d] * strides_[d][o];
  }
  for (int64_t i = begin; i < end;) {
    const int64_t n = std::min(sizes_[0] - at[0], end - i);
    f(p, n);
    i += n;
    if (i >= end) break;
    // Carry into the outer dimensions.
    for (int o = 0; o < operands_; ++o) p[o] -= at[0] * strides_[0][o];
    at[0] = 0;
    for (int d = 1; d < dims_; ++d) {
      if (++at[d] < sizes_[d]) {
        for (int o = 0; o < operands_; ++o) p[o] += strides_[d][o];
        break;
      }
      for (int o = 0; o < operands_; ++o) p[o] -= (sizes_[d] - 1) * strides_[d][o];
      at[d] = 0;
    }
  }
}

}  // namespace eg
