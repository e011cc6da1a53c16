// Maps of lines and sampling as the vision kernels take them.
#pragma once

#include <cstdint>

namespace eg {

// A sparse (out, in) matrix by rows: row o has the entries first[o] .. first[o + 1].
struct LineEntries {
  int64_t in, out;
  const int32_t *first, *index;
  const void* weight;  // in the type of the values
};
// Row o copies element index[o], or nothing (-1).
struct LineSelection {
  int64_t in, out;
  const int32_t* index;
};

}  // namespace eg
