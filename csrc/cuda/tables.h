// Small tables that go with a shape (windows of a pooling, weights of a resizing): uploaded once, kept on the device.
#pragma once

#include <string>

#include "core/tensor.h"

namespace eg::cuda {

// The bytes on the active device.
Tensor device_table(std::string bytes);

// Puts arrays one after the other, each at a multiple of 8 bytes.
class TableBuilder {
 public:
  template <class T, class S>
  size_t add(const S* values, int64_t n) {
    const size_t at = bytes_.size();
    bytes_.resize(at + (size_t(n) * sizeof(T) + 7) / 8 * 8);
    for (int64_t i = 0; i < n; ++i) {
      const T v = static_cast<T>(values[i]);
      std::memcpy(&bytes_[at + size_t(i) * sizeof(T)], &v, sizeof(T));
    }
    return at;
  }
  Tensor finish() { return device_table(std::move(bytes_)); }

 private:
  std::string bytes_;
};

}  // namespace eg::cuda
