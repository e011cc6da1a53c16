// Aligned temporary memory inside a kernel, recycled by the tensor allocator.
#pragma once

#include "core/common.h"

namespace eg {

// core/storage.h (not included: it brings inline functions of the standard library)
void* allocate(size_t bytes);
void deallocate(void* p, size_t bytes);

namespace {

template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t n)
      : bytes_(size_t(n) * sizeof(T) + 64), data_(n ? allocate(bytes_) : nullptr) {}
  ~Scratch() {
    if (data_) deallocate(data_, bytes_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  EG_INLINE T* data() { return static_cast<T*>(data_); }

 private:
  size_t bytes_;
  void* data_;
};

}  // namespace
}  // namespace eg
