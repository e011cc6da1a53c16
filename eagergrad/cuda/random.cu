// Random numbers from counters, four words each: the same as the host's for a seed.
#include "kernels/philox.h"
#include "kernels/samples.h"
#include "layouts.h"
#include "prelude.cuh"

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
__device__ void stream(uint64_t seed, uint64_t offset, const RandomPlace* place, int64_t first,
                       int64_t n, T* out, F finish) {
  constexpr int kEach = 16 / sizeof(T);
  using Out = decltype(finish(T()));
  struct alignas(kEach * sizeof(Out)) Whole {
    Out at[kEach];
  };
  if (place) {  // a captured graph
    seed = place->seed;
    offset += place->shift;
  }
  const int64_t begin = first / kEach, counters = (first + n + kEach - 1) / kEach - begin;
  const bool aligned =
      reinterpret_cast<uint64_t>(out + (begin * kEach - first)) % sizeof(Whole) == 0;
  for (EG_ELEMENTS(c, counters)) {
    T made[kEach];
    Source::make(philox(offset + uint64_t(begin + c), seed), made);
    const int64_t at = (begin + c) * kEach - first;
    if (aligned && at >= 0 && at + kEach <= n) {
      Whole whole;
#pragma unroll
      for (int k = 0; k < kEach; ++k) whole.at[k] = finish(made[k]);
      *reinterpret_cast<Whole*>(out + at) = whole;
      continue;
    }
#pragma unroll
    for (int k = 0; k < kEach; ++k)
      if (at + k >= 0 && at + k < n) out[at + k] = finish(made[k]);
  }
}

template <class Source, class T>
__global__ void draw(uint64_t seed, uint64_t offset, const RandomPlace* place, int64_t first,
                     int64_t n, T* out) {
  stream<Source>(seed, offset, place, first, n, out, [](T v) { return v; });
}
__global__ void integers(uint64_t seed, uint64_t offset, const RandomPlace* place, int64_t first,
                         int64_t n, int64_t low, uint64_t range, int64_t* out) {
  stream<BitsOf>(seed, offset, place, first, n, out,
                 [=](int64_t v) { return whole(uint64_t(v), low, range); });
}
__global__ void keep_mask(uint64_t seed, uint64_t offset, const RandomPlace* place, int64_t first,
                          int64_t n, float below, float scale, float* out) {
  stream<UniformOf>(seed, offset, place, first, n, out,
                    [=](float u) { return u < below ? scale : 0.f; });
}

// --- a random order: the exchanges of Fisher and Yates's loop, which goes from the last place to the first ----------------
// Exchange i (of places i and partner[i], -1: done) may be made when no waiting one before it, with a larger i, touches its
// places. They claim them by the round and their number, so that claims of an older round are no obstacle.
__device__ __forceinline__ void claim_places(int64_t i, int64_t j, int round, uint64_t* mark) {
  const unsigned long long claim = uint64_t(round) << 32 | uint64_t(i + 1);
  atomicMax(reinterpret_cast<unsigned long long*>(mark + i), claim);
  atomicMax(reinterpret_cast<unsigned long long*>(mark + j), claim);
}
__device__ __forceinline__ bool exchange_places(int64_t i, int round, int64_t* out,
                                                int64_t* partner, const uint64_t* mark) {
  const int64_t j = partner[i];
  const uint64_t claim = uint64_t(round) << 32 | uint64_t(i + 1);
  if (mark[i] != claim || mark[j] != claim) return false;
  const int64_t kept = out[i];
  out[i] = out[j];
  out[j] = kept;
  partner[i] = -1;
  return true;
}
__device__ inline void add_to(int64_t* p, int64_t n) {
  atomicAdd(reinterpret_cast<unsigned long long*>(p), (unsigned long long)n);
}

__global__ void permute_start(const uint64_t* bits, int64_t n, int64_t* out, int64_t* partner,
                              uint64_t* mark, int64_t* left) {
  int64_t waiting = 0;
  for (EG_ELEMENTS(i, n)) {
    out[i] = i;
    mark[i] = 0;
    const int64_t j = i ? whole(bits[i], 0, uint64_t(i + 1)) : 0;
    partner[i] = j == i ? -1 : j;
    waiting += j != i;
  }
  if (waiting) add_to(left, waiting);
}
__global__ void permute_mark(int64_t n, int round, const int64_t* partner, uint64_t* mark,
                             const int64_t* left) {
  if (*left == 0) return;
  for (EG_ELEMENTS(i, n))
    if (partner[i] >= 0) claim_places(i, partner[i], round, mark);
}
__global__ void permute_exchange(int64_t n, int round, int64_t* out, int64_t* partner,
                                 const uint64_t* mark, int64_t* left) {
  int64_t made = 0;
  for (EG_ELEMENTS(i, n))
    if (partner[i] >= 0) made += exchange_places(i, round, out, partner, mark);
  if (made) add_to(left, -made);
}
// One block, to the end.
__global__ void __launch_bounds__(1024)
    permute_rest(int64_t n, int round, int64_t* out, int64_t* partner, uint64_t* mark,
                 int64_t* left) {
  if (*left == 0) return;
  for (int waiting = 1; waiting; ++round) {
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
      if (partner[i] >= 0) claim_places(i, partner[i], round, mark);
    __syncthreads();
    waiting = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
      if (partner[i] >= 0 && !exchange_places(i, round, out, partner, mark)) waiting = 1;
    waiting = __syncthreads_or(waiting);
  }
}

struct PoissonOf {
  static __device__ double make(double a, double, uint64_t seed) { return poisson_number(a, seed); }
};
struct BinomialOf {
  static __device__ double make(double a, double b, uint64_t seed) {
    return binomial_number(a, b, seed);
  }
};
struct VonMisesOf {
  static __device__ double make(double a, double, uint64_t seed) {
    return von_mises_number(a, seed);
  }
};
struct LogGammaOf {
  static __device__ double make(double a, double, uint64_t seed) {
    return log_gamma_number(a, seed);
  }
};
template <class Of>
__global__ void sample(const double* a, const double* b, const uint64_t* seeds, int64_t n,
                       double* out) {
  for (EG_ELEMENTS(i, n)) out[i] = Of::make(a[i], b ? b[i] : 0.0, seeds[i]);
}
__global__ void log_gamma_slopes(const double* shape, const double* log_z, int64_t n, double* out) {
  for (EG_ELEMENTS(i, n)) out[i] = log_gamma_slope(shape[i], log_z[i]);
}

}  // namespace eg
