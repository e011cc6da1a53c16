// Errors that a device finds while the host has long gone on.
#pragma once

#include "core/error.h"

namespace eg {

// Note [Late errors]. A kernel that meets a bad index takes 0 instead, and leaves a note where the host can read it without
// waiting. The error is raised when the host next reads a value, waits for the device or starts a backward pass: no op waits
// for its check, nothing is read out of range, and no number that came of a bad index is seen before the error.
struct LateError {
  ErrorKind kind;
  const char* op;    // a literal
  const char* what;  // likewise: "index", or, without a dimension, a sentence
  int64_t dim = -1;
};

struct LateErrors {
  // What a kernel notes for an error of this op at the user's line.
  int64_t (*number)(const LateError& error);
  void (*raise)();
};
// Null until a device is started.
extern const LateErrors* late_errors;

inline void raise_late_errors() {
  if (EG_UNLIKELY(late_errors != nullptr)) late_errors->raise();
}

}  // namespace eg
