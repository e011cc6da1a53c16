// Errors carry the kind of Python exception they become; messages are built only when they are raised.
#pragma once

#include <exception>
#include <sstream>
#include <string>

#include "core/common.h"

namespace eg {

enum class ErrorKind {
  Runtime,
  Type,
  Value,
  Index,
  Key,
  Memory,
  NotImplemented,
  Buffer,
  Interrupt,
  FloatingPoint,
  DeviceMemory  // a RuntimeError too, as PyTorch's
};

class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }
  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  void set_message(std::string m) { message_ = std::move(m); }

 private:
  ErrorKind kind_;
  std::string message_;
};

const char* name(DType t);  // "float32"
std::ostream& operator<<(std::ostream& out, DType t);
std::ostream& operator<<(std::ostream& out, Device d);

template <class... Parts>
std::string str(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
[[noreturn]] __attribute__((noinline, cold)) void fail(ErrorKind kind, const Parts&... parts) {
  throw Error(kind, str(parts...));
}

}  // namespace eg

#define EG_CHECK_KIND(kind, cond, ...)                                        \
  do {                                                                        \
    if (EG_UNLIKELY(!(cond))) ::eg::fail(::eg::ErrorKind::kind, __VA_ARGS__); \
  } while (0)
#define EG_CHECK(cond, ...) EG_CHECK_KIND(Runtime, cond, __VA_ARGS__)
#define EG_CHECK_TYPE(cond, ...) EG_CHECK_KIND(Type, cond, __VA_ARGS__)
#define EG_CHECK_VALUE(cond, ...) EG_CHECK_KIND(Value, cond, __VA_ARGS__)
#define EG_CHECK_INDEX(cond, ...) EG_CHECK_KIND(Index, cond, __VA_ARGS__)
