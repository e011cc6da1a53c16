// Copies of a few bytes, which take less than a call of memcpy.
#pragma once

#include <cstring>

#include "kernels/simd.h"

namespace eg {
namespace {

// At least one V: the last one may overlap the one before it.
template <class V>
EG_INLINE void copy_whole(char* dst, const char* src, int64_t bytes) {
  constexpr int64_t size = sizeof(V);
  V v;
  for (int64_t i = 0; i + size <= bytes; i += size) {
    std::memcpy(&v, src + i, sizeof(V));
    std::memcpy(dst + i, &v, sizeof(V));
  }
  if (bytes % size == 0) return;
  std::memcpy(&v, src + bytes - size, sizeof(V));
  std::memcpy(dst + bytes - size, &v, sizeof(V));
}

// f(a value of a type of which `bytes`, at least 1, hold one).
template <class F>
EG_INLINE void visit_whole(int64_t bytes, F&& f) {
  typedef float Four __attribute__((vector_size(16)));
  if (bytes >= kVectorBytes) return f(Vec<float>{});
  if (bytes >= 16) return f(Four{});
  if (bytes >= 8) return f(uint64_t(0));
  if (bytes >= 4) return f(uint32_t(0));
  f(char(0));
}

}  // namespace
}  // namespace eg
