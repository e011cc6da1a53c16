// Comparisons that sorting and searching go by, of one element: read by the host's kernels and the GPU's.
#pragma once

#include "core/common.h"

namespace eg {
namespace {

// --- keys: unsigned integers in the order of the elements ----------------------------------------------------
EG_INLINE uint32_t key_of(bool v) { return v; }
EG_INLINE uint32_t key_of(uint8_t v) { return v; }
EG_INLINE uint32_t key_of(int8_t v) { return static_cast<uint32_t>(v + 128); }
EG_INLINE uint32_t key_of(int16_t v) { return static_cast<uint32_t>(v + 32768); }
EG_INLINE uint32_t key_of(int32_t v) { return static_cast<uint32_t>(v) ^ 0x80000000u; }
EG_INLINE uint64_t key_of(int64_t v) { return static_cast<uint64_t>(v) ^ (uint64_t(1) << 63); }
EG_INLINE uint32_t key_of(float v) {
  const uint32_t u = bits::as_uint(v + 0.0f);  // -0 equals 0
  const uint32_t ordered = u ^ ((u >> 31) ? 0xffffffffu : 0x80000000u);
  return v != v ? 0xffffffffu : ordered;
}
EG_INLINE uint64_t key_of(double v) {
  const double plain = v + 0.0;
  uint64_t u;
  std::memcpy(&u, &plain, 8);
  const uint64_t ordered = u ^ ((u >> 63) ? ~uint64_t(0) : uint64_t(1) << 63);
  return v != v ? ~uint64_t(0) : ordered;
}
EG_INLINE uint32_t key_of(Half v) { return key_of(to_float(v)); }
EG_INLINE uint32_t key_of(BFloat16 v) { return key_of(to_float(v)); }
template <class T>
using KeyOf = decltype(key_of(T{}));

template <class T>
EG_INLINE bool equal(T a, T b) {
  return a == b;
}
EG_INLINE bool equal(Half a, Half b) { return to_float(a) == to_float(b); }
EG_INLINE bool equal(BFloat16 a, BFloat16 b) { return to_float(a) == to_float(b); }

// --- search ---------------------------------------------------------------------------------------------------
EG_INLINE float number(Half v) { return to_float(v); }
EG_INLINE float number(BFloat16 v) { return to_float(v); }
EG_INLINE float number(float v) { return v; }
EG_INLINE double number(double v) { return v; }
EG_INLINE int64_t number(int64_t v) { return v; }
template <class T>
EG_INLINE int32_t number(T v) {
  return v;
}

// Halving without branches: `first` moves past every boundary that is before the value. NaN is after all.
template <class T>
EG_INLINE int64_t search_one(const T* b, const int64_t* sorter, int64_t n, T v, bool right) {
  const auto value = number(v);
  int64_t first = 0;
  for (int64_t left = n; left > 0;) {
    const int64_t half = left / 2, mid = first + half;
    const auto at = number(b[sorter ? sorter[mid] : mid]);
    const bool before = right ? !(at > value) : !(at >= value);
    first = before ? mid + 1 : first;
    left = before ? left - half - 1 : half;
  }
  return first;
}

}  // namespace
}  // namespace eg
