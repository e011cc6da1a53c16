// What runs while a profile is on: ops, gradients and the program's own ranges, each with its time.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "core/common.h"
#include "core/site.h"
#include "core/tensor.h"

namespace eg {

struct ProfileEvent {
  std::string name;
  std::vector<Dims> shapes;     // of the tensors that came in, if they were asked for
  Site site;                    // if it was asked for
  int64_t begin = 0, end = -1;  // nanoseconds of a steady clock; end is -1 while it runs
  int64_t memory = 0;           // bytes that live at its end and did not at its begin
  uint64_t thread = 0;
};

extern std::atomic<bool> profiling;

// Drops what an earlier profile recorded.
void start_profile(bool shapes, bool sites);
std::vector<ProfileEvent> stop_profile();

// An event from here to the end of the scope; costs one load and a branch while no profile is on.
class ProfileScope {
 public:
  ProfileScope() = default;
  explicit ProfileScope(const char* name) {
    if (EG_UNLIKELY(profiling.load(std::memory_order_relaxed))) open(name);
  }
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;
  ~ProfileScope() {
    if (EG_UNLIKELY(profile_ != 0)) close();
  }
  bool is_open() const { return EG_UNLIKELY(profile_ != 0); }
  void open(std::string name);
  void operand(const Tensor& t);
  void close();
  // Leaves the event running: `close_profile_event` ends it.
  size_t release() {
    profile_ = 0;
    return event_;
  }

 private:
  uint64_t profile_ = 0;  // which profile the event belongs to; 0: none
  size_t event_ = 0;
};

// Ends an event of the running profile; one of an earlier profile, or already ended, is left alone.
void close_profile_event(uint64_t profile, size_t event);
uint64_t running_profile();

}  // namespace eg
