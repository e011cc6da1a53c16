// Random numbers from counters, four words each: the same as the host's for a seed.
#include "prelude.cuh"

#include "kernels/philox.h"
#include "layouts.h"

namespace eg {

// What the elements of one counter are; element e of the stream is number e % kEach of counter e / kEach.
struct BitsOf {
  template <class T>
  static __device__ void make(const Words& v, T* out) {
    if constexpr (sizeof(T) == 4) {
      for (int k = 0; k < 4; ++k) out[k] = T(v.w[k]);
    } else {
      for (int k = 0; k < 2; ++k) out[k] = T(joined(v.w[2 * k], v.w[2 * k + 1]));
    }
  }
};
struct UniformOf {
  static __device__ void make(const Words& v, float* out) {
    for (int k = 0; k < 4; ++k) out[k] = unit(v.w[k]);
  }
  static __device__ void make(const Words& v, double* out) {
    for (int k = 0; k < 2; ++k) out[k] = unit(joined(v.w[2 * k], v.w[2 * k + 1]));
  }
};
struct NormalOf {
  template <class T, class Bits>
  static __device__ void pair(Bits a, Bits b, T* out) {
    const T radius = normal_radius(a), angle = normal_angle(b);
    out[0] = radius * vocabulary::cos(angle);
    out[1] = radius * vocabulary::sin(angle);
  }
  static __device__ void make(const Words& v, float* out) {
    pair(v.w[0], v.w[1], out);
    pair(v.w[2], v.w[3], out + 2);
  }
  static __device__ void make(const Words& v, double* out) {
    pair(joined(v.w[0], v.w[1]), joined(v.w[2], v.w[3]), out);
  }
};

// Elements [first, first + n) of a stream, each changed by `finish`.
template <class Source, class T, class F>
__device__ void stream(uint64_t seed, uint64_t offset, const RandomPlace* place, int64_t first, int64_t n, T* out, F finish) {
  constexpr int kEach = 16 / sizeof(T);
  if (place) {  // a captured graph
    seed = place->seed;
    offset += place->shift;
  }
  const int64_t begin = first / kEach, counters = (first + n + kEach - 1) / kEach - begin;
  for (EG_ELEMENTS(c, counters)) {
    T made[kEach];
    Source::make(philox(offset + uint64_t(begin + c), seed), made);
    const int64_t at = (begin + c) * kEach - first;
#pragma unroll
    for (int k = 0; k < kEach; ++k)
      if (at + k >= 0 && at + k < n) out[at + k] = finish(made[k]);
  }
}

template <class Source, class T>
__global__ void draw(uint64_t seed, uint64_t offset, const RandomPlace* place, int64_t first, int64_t n, T* out) {
  stream<Source>(seed, offset, place, first, n, out, [](T v) { return v; });
}
__global__ void integers(uint64_t seed, uint64_t offset, const RandomPlace* place, int64_t first, int64_t n, int64_t low,
                         uint64_t range, int64_t* out) {
  stream<BitsOf>(seed, offset, place, first, n, out,
                 [=](int64_t v) { return whole(uint64_t(v), low, range); });
}
__global__ void keep_mask(uint64_t seed, uint64_t offset, const RandomPlace* place, int64_t first, int64_t n, float below,
                          float scale, float* out) {
  stream<UniformOf>(seed, offset, place, first, n, out,
                    [=](float u) { return u < below ? scale : 0.f; });
}

}  // namespace eg
