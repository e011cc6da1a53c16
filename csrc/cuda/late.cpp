// See Note [Late errors] in core/late.h.
#include "core/late.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

#include "core/site.h"
#include "cuda/launch.h"

namespace eg::cuda {
namespace {

constexpr int kDevices = 64;
constexpr size_t kMostChecks = size_t(1) << 16;  // further lines of a program share one number

struct Check {
  LateError error;
  Site site;
};
using Key = std::tuple<const char*, const char*, int64_t, void*, int32_t>;

struct State {
  std::mutex mutex;
  std::vector<Check> checks;
  std::map<Key, int64_t> numbers;
  volatile LateNote* notes = nullptr;  // one a device
  int devices = 0;
};
State& state() {
  static auto* s = new State;
  return *s;
}

int64_t number(const LateError& error) {
  const Site site = Site::here();
  State& s = state();
  const std::lock_guard<std::mutex> lock(s.mutex);
  const bool known = s.checks.size() < kMostChecks;
  const Key key{error.op, error.what, error.dim, known ? site.code() : nullptr,
                known ? site.instruction() : -1};
  const auto [at, is_new] = s.numbers.emplace(key, int64_t(s.checks.size()) + 1);
  if (is_new) s.checks.push_back({error, known ? site : Site()});
  return at->second;
}

[[noreturn]] void raise(volatile LateNote& note) {
  std::atomic_thread_fence(std::memory_order_acquire);  // the number was written last
  const int64_t value = note.value, size = note.size;
  Check check;
  {
    const std::lock_guard<std::mutex> lock(state().mutex);
    check = state().checks.at(size_t(note.number - 1));
  }
  note.number = 0;
  std::atomic_thread_fence(std::memory_order_release);
  note.claim = 0;
  const LateError& e = check.error;
  const std::string range =
      str(" ", value, " is out of bounds for dimension ", e.dim, " with size ", size);
  fail(e.kind, "[", e.op, "] ", e.what, e.dim < 0 ? std::string() : range, " (",
       check.site.describe(), "; found by the device)");
}

void raise_any() {
  volatile LateNote* const notes = state().notes;
  if (!notes || after_fork())
    return;  // a forked process has no such memory, and may compute on the CPU
  for (int d = 0; d < state().devices; ++d)
    if (EG_UNLIKELY(notes[d].number != 0)) raise(notes[d]);
}

const LateErrors table = {&number, &raise_any};

}  // namespace

void install_late_errors() { late_errors = &table; }

LateNote* late_note() {
  State& s = state();
  if (!s.notes) {
    void* p = nullptr;
    stream_of(active_device.index);  // makes the device the thread's
    check(driver().share(kDevices * sizeof(LateNote), &p), "allocating memory of the host");
    std::memset(p, 0, kDevices * sizeof(LateNote));
    const std::lock_guard<std::mutex> lock(s.mutex);
    s.devices = std::min(driver().device_count, kDevices);
    if (!s.notes) s.notes = static_cast<LateNote*>(p);
  }
  return const_cast<LateNote*>(s.notes) + active_device.index;
}

void after_late_check() {
  // PyTorch's switch for finding the line of an error, too: wait for each check.
  static const bool waits = [] {
    const char* value = std::getenv("CUDA_LAUNCH_BLOCKING");
    return value && *value && *value != '0';
  }();
  if (waits && !capturing()) synchronize();
}

}  // namespace eg::cuda

namespace eg {
const LateErrors* late_errors = nullptr;
}
