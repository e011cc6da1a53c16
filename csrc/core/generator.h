// Counter-based random numbers: the n-th number of a seed is a function of (seed, n) alone, on any device and for
// any number of threads. Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11.
#pragma once

#include <mutex>

#include "core/small.h"

namespace eg {

class Generator final : public Counted {
 public:
  explicit Generator(uint64_t seed = 0) : seed_(seed) {}
  void seed(uint64_t s) {
    std::lock_guard<std::mutex> lock(mutex_);
    seed_ = s;
    offset_ = 0;
  }
  // Reserves `blocks` counters (of four 32-bit words each) and returns the first.
  uint64_t advance(uint64_t blocks) {
    std::lock_guard<std::mutex> lock(mutex_);
    const uint64_t first = offset_;
    offset_ += blocks;
    return first;
  }
  uint64_t initial_seed() const { return seed_; }
  uint64_t offset() const { return offset_; }
  void set_state(uint64_t seed, uint64_t offset) {
    std::lock_guard<std::mutex> lock(mutex_);
    seed_ = seed;
    offset_ = offset;
  }

 private:
  std::mutex mutex_;
  uint64_t seed_;
  uint64_t offset_ = 0;
};

Generator& default_generator();

}  // namespace eg
