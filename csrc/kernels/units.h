// Elements that are only moved: plain bits of an element's size, whatever its dtype.
#pragma once

#include "core/common.h"

namespace eg {
namespace {

// Structs, not the integers themselves: a uint8_t may alias anything, which keeps loops over it from being vectorised.
struct Bytes1 {
  uint8_t v;
};
struct Bytes2 {
  uint16_t v;
};
struct Bytes4 {
  uint32_t v;
};
struct Bytes8 {
  uint64_t v;
};

// visit_size(item, [&](auto unit) { using T = decltype(unit); ... }): one instantiation a size.
template <class F>
EG_INLINE void visit_size(size_t item, F&& f) {
  switch (item) {
    case 1:
      return f(Bytes1{});
    case 2:
      return f(Bytes2{});
    case 4:
      return f(Bytes4{});
    default:
      return f(Bytes8{});
  }
}

}  // namespace
}  // namespace eg
