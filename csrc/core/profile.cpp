#include "core/profile.h"

#include <chrono>
#include <functional>
#include <mutex>
#include <thread>

#include "core/storage.h"

namespace eg {

std::atomic<bool> profiling{false};

namespace {

struct Profile {
  std::mutex mutex;
  std::vector<ProfileEvent> events;
  uint64_t number = 0;
  bool shapes = false, sites = false;
};
Profile& the_profile() {
  static Profile& p = *new Profile;  // events may be recorded while statics are destroyed
  return p;
}

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

void start_profile(bool shapes, bool sites) {
  Profile& p = the_profile();
  const std::lock_guard<std::mutex> lock(p.mutex);
  p.events.clear();
  ++p.number;
  p.shapes = shapes;
  p.sites = sites;
  profiling = true;
}

std::vector<ProfileEvent> stop_profile() {
  Profile& p = the_profile();
  const std::lock_guard<std::mutex> lock(p.mutex);
  profiling = false;
  ++p.number;  // what still runs ends in nobody's profile
  return std::exchange(p.events, {});
}

uint64_t running_profile() {
  Profile& p = the_profile();
  const std::lock_guard<std::mutex> lock(p.mutex);
  return profiling ? p.number : 0;
}

void ProfileScope::open(std::string name) {
  ProfileEvent e;
  e.name = std::move(name);
  e.memory = memory_stats().live;
  e.thread = std::hash<std::thread::id>()(std::this_thread::get_id());
  Profile& p = the_profile();
  const std::lock_guard<std::mutex> lock(p.mutex);
  if (!profiling) return;
  if (p.sites) e.site = Site::here();
  e.begin = now();
  profile_ = p.number;
  event_ = p.events.size();
  p.events.push_back(std::move(e));
}

void ProfileScope::operand(const Tensor& t) {
  Profile& p = the_profile();
  const std::lock_guard<std::mutex> lock(p.mutex);
  if (p.shapes && p.number == profile_) p.events[event_].shapes.push_back(t.sizes());
}

void ProfileScope::close() { close_profile_event(std::exchange(profile_, 0), event_); }

void close_profile_event(uint64_t profile, size_t event) {
  const int64_t end = now(), live = memory_stats().live;
  Profile& p = the_profile();
  const std::lock_guard<std::mutex> lock(p.mutex);
  if (profile != p.number || event >= p.events.size() || p.events[event].end >= 0) return;
  p.events[event].end = end;
  p.events[event].memory = live - p.events[event].memory;
}

}  // namespace eg
