#include "kernels/random.h"

#include "kernels/philox.h"
#include "kernels/samples.h"

namespace eg {
namespace {

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
      for (int k = 0; k < 4; ++k) out[4 * i + k] = unit(w[k * n + i]);
  } else {
    for (int64_t i = 0; i < n; ++i)
      for (int k = 0; k < 2; ++k)
        out[2 * i + k] = unit(joined(w[2 * k * n + i], w[(2 * k + 1) * n + i]));
  }
}

// Box and Muller: two uniforms in, two normals out.
template <class T>
void normal_strip(const uint32_t* w, int64_t n, T* out) {
  using vocabulary::cos;
  using vocabulary::sin;
  if constexpr (sizeof(T) == 4) {
    for (int pair = 0; pair < 2; ++pair) {
      float radius[kBlock], angle[kBlock];
      const uint32_t *a = w + 2 * pair * n, *b = w + (2 * pair + 1) * n;
      for (int64_t i = 0; i < n; ++i) radius[i] = normal_radius(a[i]);
      for (int64_t i = 0; i < n; ++i) angle[i] = normal_angle(b[i]);
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
      const double radius = normal_radius(joined(w[i], w[n + i]));
      const double angle = normal_angle(joined(w[2 * n + i], w[3 * n + i]));
      out[2 * i] = radius * cos(angle);
      out[2 * i + 1] = radius * sin(angle);
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
      for (int k = 0; k < 2; ++k) out[2 * i + k] = joined(w[2 * k * n + i], w[(2 * k + 1) * n + i]);
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

void integers(uint64_t seed, uint64_t offset, int64_t first, int64_t n, int64_t low, uint64_t range,
              int64_t* out) {
  fill(seed, offset, first, n, reinterpret_cast<uint64_t*>(out), &bits_strip<uint64_t>);
  for (int64_t i = 0; i < n; ++i) out[i] = whole(uint64_t(out[i]), low, range);
}

void keep_mask(uint64_t seed, uint64_t offset, int64_t first, int64_t n, float below, float scale,
               float* out) {
  fill(seed, offset, first, n, out, &uniform_strip<float>);
  for (int64_t i = 0; i < n; ++i) out[i] = out[i] < below ? scale : 0.f;
}

void permute(const uint64_t* bits, int64_t n, int64_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = i;
  for (int64_t i = n - 1; i > 0; --i) {
    const int64_t j = whole(bits[i], 0, uint64_t(i + 1)), kept = out[i];
    out[i] = out[j];
    out[j] = kept;
  }
}

void sample(Sample what, const double* a, const double* b, const uint64_t* seeds, int64_t n,
            double* out) {
  switch (what) {
    case Sample::Poisson:
      for (int64_t i = 0; i < n; ++i) out[i] = poisson_number(a[i], seeds[i]);
      break;
    case Sample::Binomial:
      for (int64_t i = 0; i < n; ++i) out[i] = binomial_number(a[i], b[i], seeds[i]);
      break;
    case Sample::LogGamma:
      for (int64_t i = 0; i < n; ++i) out[i] = log_gamma_number(a[i], seeds[i]);
      break;
    case Sample::VonMises:
      for (int64_t i = 0; i < n; ++i) out[i] = von_mises_number(a[i], seeds[i]);
  }
}
void slopes(const double* shape, const double* log_z, int64_t n, double* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = log_gamma_slope(shape[i], log_z[i]);
}

}  // namespace

EG_KERNELS(RandomKernels, {&draw, &integers, &keep_mask, &permute, &sample, &slopes})

}  // namespace eg
