// Memory that tensors share: owned through the caching allocator, or borrowed from its owner.
#pragma once

#include <functional>
#include <memory>

#include "core/device.h"
#include "core/site.h"
#include "core/small.h"

namespace eg {

struct MemoryStats {
  int64_t live = 0;         // bytes handed out
  int64_t cached = 0;       // bytes kept for reuse
  int64_t peak = 0;         // highest value of live since the last reset
  int64_t allocations = 0;  // how many were asked for
};
MemoryStats memory_stats();
void reset_peak_memory();
void empty_cache();

// 64-byte aligned blocks, in size classes, kept for reuse. Raises MemoryError naming the size.
void* allocate(size_t bytes);
void deallocate(void* p, size_t bytes);

class Storage;

// Memory that is made when somebody first asks for it: that of a row-sparse gradient (ops/row_sparse.h).
struct DeferredMemory {
  virtual ~DeferredMemory() = default;
  virtual void* memory(const Storage& storage) = 0;
};

class Storage final : public Counted {
 public:
  // Header and data live in one block.
  static Ref<Storage> create(size_t bytes);
  // On a device; the header stays on the host.
  static Ref<Storage> create(size_t bytes, Device device);
  // Foreign memory; `drop` runs when the last tensor over it is gone.
  static Ref<Storage> borrow(void* data, size_t bytes, Device device, bool writable,
                             std::function<void()> drop);
  static Ref<Storage> defer(std::unique_ptr<DeferredMemory> memory, size_t bytes, Device device);

  void* data() const { return EG_LIKELY(data_ != nullptr) ? data_ : deferred_data(); }
  DeferredMemory* deferred() const { return deferred_.get(); }
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  bool writable() const { return writable_; }
  void freeze() { writable_ = false; }
  // Counts writes; a saved tensor remembers the count to notice later ones.
  uint32_t version() const { return version_; }
  const Site& last_write() const { return last_write_; }
  void mark_written() {
    ++version_;
    last_write_ = Site::here();
  }
  // Grows or replaces the memory, as resize_ and set_ need. Contents up to the smaller size are kept.
  void resize(size_t bytes);

 private:
  Storage() = default;
  void destroy() override;
  void* deferred_data() const;
  void release_data();

  void* data_ = nullptr;
  size_t bytes_ = 0;
  size_t block_bytes_ = 0;  // of the block this header starts, if it was allocated as one
  bool own_data_ = false;   // data_ is a block of its own: large, on a device, or resized
  Device device_;
  bool writable_ = true;
  uint32_t version_ = 0;
  Site last_write_;
  std::function<void()> drop_;
  std::unique_ptr<DeferredMemory> deferred_;
};

}  // namespace eg
