// Lets long work run without the interpreter's lock, without knowing what an interpreter is.
#pragma once

namespace eg {

struct GilHooks {
  void* (*release)() = nullptr;  // null result: the thread did not hold it
  void (*acquire)(void*) = nullptr;
};
extern GilHooks gil_hooks;

// Long work calls this now and then on the thread that started it; the binding looks for Ctrl-C (at most every 50 ms) and throws.
extern void (*poll_interrupt)();

class ReleaseGil {
 public:
  ReleaseGil() : state_(gil_hooks.release ? gil_hooks.release() : nullptr) {}
  ~ReleaseGil() {
    if (state_) gil_hooks.acquire(state_);
  }
  ReleaseGil(const ReleaseGil&) = delete;

 private:
  void* state_;
};

}  // namespace eg
