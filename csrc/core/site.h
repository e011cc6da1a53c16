// Where in the user's program something happened. The core keeps it opaque; the language binding fills it in.
#pragma once

#include <string>

#include "core/common.h"

namespace eg {

// What a binding provides. Capturing must cost no more than about 0.1 us: resolution to file:line waits until asked for.
struct SiteHooks {
  void* (*capture)(int32_t* instruction) = nullptr;  // a retained code object, or null
  void (*retain)(void* code) = nullptr;
  void (*release)(void* code) = nullptr;
  std::string (*describe)(void* code, int32_t instruction) = nullptr;  // "train.py:14, in step"
  bool (*direct)() =
      nullptr;  // whether the user's program itself calls, and not the package for it
};
extern SiteHooks site_hooks;

class Site {
 public:
  Site() = default;
  static EG_INLINE Site here() {
    Site s;
    if (site_hooks.capture) s.code_ = site_hooks.capture(&s.instruction_);
    return s;
  }
  Site(const Site& o) : code_(o.code_), instruction_(o.instruction_) {
    if (code_) site_hooks.retain(code_);
  }
  Site(Site&& o) noexcept : code_(o.code_), instruction_(o.instruction_) { o.code_ = nullptr; }
  Site& operator=(Site o) noexcept {
    std::swap(code_, o.code_);
    std::swap(instruction_, o.instruction_);
    return *this;
  }
  ~Site() {
    if (code_) site_hooks.release(code_);
  }
  explicit operator bool() const { return code_ != nullptr; }
  void* code() const { return code_; }
  int32_t instruction() const { return instruction_; }
  std::string describe() const {
    return code_ ? site_hooks.describe(code_, instruction_) : "an unknown line";
  }

 private:
  void* code_ = nullptr;
  int32_t instruction_ = -1;
};

}  // namespace eg
