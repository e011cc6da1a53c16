// Random numbers from counters, for one counter: read by the host's kernels and the GPU's.
#pragma once

#include "kernels/vocabulary.h"

namespace eg {
namespace {

struct Words {
  uint32_t w[4];
};

// Philox4x32-10.
EG_INLINE Words philox(uint64_t counter, uint64_t seed) {
  uint32_t c0 = uint32_t(counter), c1 = uint32_t(counter >> 32), c2 = 0, c3 = 0;
  uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t(0xD2511F53u) * c0, b = uint64_t(0xCD9E8D57u) * c2;
    const uint32_t n0 = uint32_t(b >> 32) ^ c1 ^ k0, n2 = uint32_t(a >> 32) ^ c3 ^ k1;
    c1 = uint32_t(b);
    c3 = uint32_t(a);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

EG_INLINE uint64_t joined(uint32_t high, uint32_t low) { return uint64_t(high) << 32 | low; }

// In [0, 1).
EG_INLINE float unit(uint32_t bits) { return float(bits >> 8) * (1.0f / 16777216.0f); }
EG_INLINE double unit(uint64_t bits) { return double(bits >> 11) * (1.0 / 9007199254740992.0); }

// Box and Muller: a radius from one uniform number, which must not be 0, an angle from another.
EG_INLINE float normal_radius(uint32_t bits) {
  return vocabulary::sqrt(-2.0f *
                          vocabulary::log((float(bits >> 8) + 0.5f) * (1.0f / 16777216.0f)));
}
EG_INLINE double normal_radius(uint64_t bits) {
  return vocabulary::sqrt(-2.0 *
                          vocabulary::log((double(bits >> 11) + 0.5) * (1.0 / 9007199254740992.0)));
}
template <class Bits>
EG_INLINE auto normal_angle(Bits bits) {
  return decltype(unit(bits))(6.283185307179586) * unit(bits);
}

// The high word of a product.
EG_INLINE uint64_t high_product(uint64_t a, uint64_t b) {
#if defined(__CUDACC_RTC__)
  return __umul64hi(a, b);
#else
  return uint64_t(static_cast<unsigned __int128>(a) * b >> 64);
#endif
}
// In [low, low + range), exact enough for any range (bias below range / 2^64).
EG_INLINE int64_t whole(uint64_t bits, int64_t low, uint64_t range) {
  return int64_t(uint64_t(low) + high_product(bits, range));
}

}  // namespace
}  // namespace eg
