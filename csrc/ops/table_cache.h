// Tables of windows and of maps over lines, made once for the numbers that they depend on: of small images they took longer than the
// arithmetic.
#pragma once

#include <array>
#include <memory>
#include <mutex>

#include "core/tensor.h"

namespace eg {

// The numbers that a table depends on, in an order that its maker chooses.
class TableKey {
 public:
  TableKey(std::initializer_list<int64_t> numbers) {
    for (int64_t n : numbers) add(n);
  }
  void add(int64_t number) {
    EG_CHECK(size_ < numbers_.size(), "a table depends on too many numbers");
    numbers_[size_++] = number;
  }
  bool operator==(const TableKey& o) const { return size_ == o.size_ && numbers_ == o.numbers_; }
  size_t hash() const {
    uint64_t h = size_;
    for (size_t i = 0; i < size_; ++i) h = (h ^ uint64_t(numbers_[i])) * 0x9e3779b97f4a7c15ull;
    return size_t(h >> 32);
  }

 private:
  std::array<int64_t, 32> numbers_{};
  size_t size_ = 0;
};

// T tells by is_small() whether it is worth keeping. A table that comes later takes the place of an earlier one. Whoever finds the
// cache in use makes a table of its own: in a forked process nobody may be left to unlock it.
template <class T>
class TableCache {
 public:
  template <class F>
  std::shared_ptr<T> get(const TableKey& key, F make) {
    Slot& slot = slots_[key.hash() % kSlots];
    {
      const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
      if (lock && slot.table && slot.key == key) return slot.table;
    }
    std::shared_ptr<T> made = make();
    if (const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
        lock && made->is_small()) {
      slot.key = key;
      slot.table = made;
    }
    return made;
  }

 private:
  static constexpr size_t kSlots = 128;
  struct Slot {
    TableKey key{};
    std::shared_ptr<T> table;
  };
  std::mutex mutex_;
  std::array<Slot, kSlots> slots_;
};

}  // namespace eg
