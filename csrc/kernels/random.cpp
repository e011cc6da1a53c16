#include "kernels/random.h"

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

constexpr int64_t kBlock = 256;  // counters a strip

// Words of counters [first, first + n): lane w of counter i at words[w * n + i].
EG_INLINE void words(uint64_t seed, uint64_t first, int64_t n, uint32_t* out) {
  for (int64_t i = 0; i < n; ++i) {
    const Words v = philox(first + uint64_t(i), seed);
    out[i] = v.w[0];
    out[n + i] = v.w[1];
    out[2 * n + i] = v.w[2];
    out[3 * n + i] = v.w[3];
  }
}

// The four floats of each counter are elements 4 i .. 4 i + 3; the two doubles 2 i, 2 i + 1.
template <class T>
void uniform_strip(const uint32_t* w, int64_t n, T* out) {
  if constexpr (sizeof(T) == 4) {
    for (int64_t i = 0; i < n; ++i)
      for (int k = 0; k < 4; ++k) out[4 * i + k] = float(w[k * n + i] >> 8) * (1.0f / 16777216.0f);
  } else {
    for (int64_t i = 0; i < n; ++i)
      for (int k = 0; k < 2; ++k) {
        const uint64_t bits = uint64_t(w[2 * k * n + i]) << 32 | w[(2 * k + 1) * n + i];
        out[2 * i + k] = double(bits >> 11) * (1.0 / 9007199254740992.0);
      }
  }
}

// Box and Muller: two uniforms in, two normals out.
template <class T>
void normal_strip(const uint32_t* w, int64_t n, T* out) {
  constexpr T two_pi = T(6.283185307179586);
  using vocabulary::cos;
  using vocabulary::log;
  using vocabulary::sin;
  using vocabulary::sqrt;
  if constexpr (sizeof(T) == 4) {
    for (int pair = 0; pair < 2; ++pair) {
      float radius[kBlock], angle[kBlock];
      const uint32_t *a = w + 2 * pair * n, *b = w + (2 * pair + 1) * n;
      for (int64_t i = 0; i < n; ++i)
        radius[i] = sqrt(-2.0f * log((float(a[i] >> 8) + 0.5f) * (1.0f / 16777216.0f)));
      for (int64_t i = 0; i < n; ++i) angle[i] = two_pi * (float(b[i] >> 8) * (1.0f / 16777216.0f));
      float c[kBlock], s[kBlock];
      for (int64_t i = 0; i < n; ++i) c[i] = radius[i] * cos(angle[i]);
      for (int64_t i = 0; i < n; ++i) s[i] = radius[i] * sin(angle[i]);
      for (int64_t i = 0; i < n; ++i) {
        out[4 * i + 2 * pair] = c[i];
        out[4 * i + 2 * pair + 1] = s[i];
      }
    }
  } else {
    for (int64_t i = 0; i < n; ++i) {
      const uint64_t a = uint64_t(w[i]) << 32 | w[n + i],
                     b = uint64_t(w[2 * n + i]) << 32 | w[3 * n + i];
      const double u = (double(a >> 11) + 0.5) * (1.0 / 9007199254740992.0);
      const double v = double(b >> 11) * (1.0 / 9007199254740992.0);
      const double radius = sqrt(-2.0 * log(u));
      out[2 * i] = radius * cos(two_pi * v);
      out[2 * i + 1] = radius * sin(two_pi * v);
    }
  }
}

template <class T>
void bits_strip(const uint32_t* w, int64_t n, T* out) {
  if constexpr (sizeof(T) == 4) {
    for (int64_t i = 0; i < n; ++i)
      for (int k = 0; k < 4; ++k) out[4 * i + k] = w[k * n + i];
  } else {
    for (int64_t i = 0; i < n; ++i)
      for (int k = 0; k < 2; ++k)
        out[2 * i + k] = uint64_t(w[2 * k * n + i]) << 32 | w[(2 * k + 1) * n + i];
  }
}

template <class T, class Make>
EG_INLINE void fill(uint64_t seed, uint64_t offset, int64_t first, int64_t n, T* out, Make make) {
  constexpr int64_t kEach = 16 / sizeof(T);  // elements a counter
  uint32_t w[4 * kBlock];
  T strip[kBlock * kEach];
  int64_t at = first;
  const int64_t end = first + n;
  while (at < end) {
    const int64_t counter = at / kEach, skip = at % kEach;
    int64_t counters = (end - at + skip + kEach - 1) / kEach;
    if (counters > kBlock) counters = kBlock;
    words(seed, offset + uint64_t(counter), counters, w);
    make(w, counters, strip);
    int64_t have = counters * kEach - skip;
    if (have > end - at) have = end - at;
    for (int64_t i = 0; i < have; ++i) out[at - first + i] = strip[skip + i];
    at += have;
  }
}

void draw(Draw what, bool wide, uint64_t seed, uint64_t offset, int64_t first, int64_t n,
          void* out) {
  switch (what) {
    case Draw::Bits32:
      return fill(seed, offset, first, n, static_cast<uint32_t*>(out), &bits_strip<uint32_t>);
    case Draw::Bits64:
      return fill(seed, offset, first, n, static_cast<uint64_t*>(out), &bits_strip<uint64_t>);
    case Draw::Uniform:
      if (wide)
        return fill(seed, offset, first, n, static_cast<double*>(out), &uniform_strip<double>);
      return fill(seed, offset, first, n, static_cast<float*>(out), &uniform_strip<float>);
    case Draw::Normal:
      if (wide)
        return fill(seed, offset, first, n, static_cast<double*>(out), &normal_strip<double>);
      return fill(seed, offset, first, n, static_cast<float*>(out), &normal_strip<float>);
  }
}

}  // namespace

EG_KERNELS(RandomKernels, {&draw})

}  // namespace eg
