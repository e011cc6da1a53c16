// Every pointwise op, forward and backward, from the lines of ops/elementwise.def; and copies, which are the identity.
#include "kernels/vocabulary.h"
#include "layouts.h"
#include "prelude.cuh"

namespace eg {
using namespace vocabulary;

// --- the lines of the table as functions of an element ---------------------------------------------------------
// <name>_y(p, x...) is the value; <name>_g0, _g1, _g2 (p, g, x..., y) are the gradients. p: the op's numbers.
#define EG_VALUE(NAME, COUNT, P0, P1, P2, PARAMETERS, Y)                           \
  struct NAME##_y {                                                                \
    template <class T>                                                             \
    static __device__ __forceinline__ auto apply PARAMETERS {                      \
      [[maybe_unused]] const T P0(COUNT > 0 ? p[0] : 0), P1(COUNT > 1 ? p[1] : 0), \
          P2(COUNT > 2 ? p[2] : 0);                                                \
      return Y;                                                                    \
    }                                                                              \
  };
#define EG_GRADIENT(NAME, COUNT, P0, P1, P2, PARAMETERS, GX)                       \
  struct NAME {                                                                    \
    template <class T>                                                             \
    static __device__ __forceinline__ T apply PARAMETERS {                         \
      [[maybe_unused]] const T P0(COUNT > 0 ? p[0] : 0), P1(COUNT > 1 ? p[1] : 0), \
          P2(COUNT > 2 ? p[2] : 0);                                                \
      return GX;                                                                   \
    }                                                                              \
  };
#define EG_UNARY(NAME, DOMAIN, FLAGS, COUNT, P0, D0, P1, D1, P2, D2, Y, GX) \
  EG_VALUE(NAME, COUNT, P0, P1, P2, (const double* p, T x), Y)              \
  EG_GRADIENT(NAME##_g0, COUNT, P0, P1, P2, (const double* p, T g, T x, T y), GX)
#define EG_BINARY(NAME, DOMAIN, FLAGS, Y, GA, GB)                                  \
  EG_VALUE(NAME, 0, p0, p1, p2, (const double* p, T a, T b), Y)                    \
  EG_GRADIENT(NAME##_g0, 0, p0, p1, p2, (const double* p, T g, T a, T b, T y), GA) \
  EG_GRADIENT(NAME##_g1, 0, p0, p1, p2, (const double* p, T g, T a, T b, T y), GB)
#define EG_TERNARY(NAME, COUNT, P0, D0, Y, GA, GB, GC)                                      \
  EG_VALUE(NAME, COUNT, P0, p1, p2, (const double* p, T a, T b, T c), Y)                    \
  EG_GRADIENT(NAME##_g0, COUNT, P0, p1, p2, (const double* p, T g, T a, T b, T c, T y), GA) \
  EG_GRADIENT(NAME##_g1, COUNT, P0, p1, p2, (const double* p, T g, T a, T b, T c, T y), GB) \
  EG_GRADIENT(NAME##_g2, COUNT, P0, p1, p2, (const double* p, T g, T a, T b, T c, T y), GC)
#include "ops/elementwise.def"

struct where_y {
  template <class T>
  static __device__ __forceinline__ T apply(const double*, T c, T a, T b) {
    return c != T(0) ? a : b;
  }
};
struct copy_y {
  template <class T>
  static __device__ __forceinline__ T apply(const double*, T x) {
    return x;
  }
};

// --- loops -------------------------------------------------------------------------------------------------------

template <class C>
__device__ __forceinline__ C number_of(const LoopInput& in) {
  C value;
  memcpy(&value, in.number, sizeof(C));
  return value;
}
template <class C, class S>
__device__ __forceinline__ C read_flat(const LoopInput& in, int64_t i) {
  return in.data ? cast<C>(static_cast<const S*>(in.data)[i * in.step]) : number_of<C>(in);
}

template <class C, class S>
__device__ __forceinline__ void read_four(C* to, const LoopInput& in, int64_t i) {
  if (in.data && in.step) {
    const Four<S> four = *reinterpret_cast<const Four<S>*>(static_cast<const S*>(in.data) + i);
#pragma unroll
    for (int k = 0; k < 4; ++k) to[k] = cast<C>(four.at[k]);
  } else {
    const C number = read_flat<C, S>(in, 0);
#pragma unroll
    for (int k = 0; k < 4; ++k) to[k] = number;
  }
}

// The op of N values v[input].
template <class F, class C, int N>
__device__ __forceinline__ auto apply(const double* attributes, const C* v) {
  if constexpr (N == 1) {
    return F::template apply<C>(attributes, v[0]);
  } else if constexpr (N == 2) {
    return F::template apply<C>(attributes, v[0], v[1]);
  } else if constexpr (N == 3) {
    return F::template apply<C>(attributes, v[0], v[1], v[2]);
  } else if constexpr (N == 4) {
    return F::template apply<C>(attributes, v[0], v[1], v[2], v[3]);
  } else {
    return F::template apply<C>(attributes, v[0], v[1], v[2], v[3], v[4]);
  }
}

// Dense operands stored as S..., or single numbers. wide: all of them lie so that four elements can be moved at once, which
// is what fills the memory's pipes.
template <class F, class C, class O, class... S>
__global__ void flat(O* out, int64_t n, int wide, LoopInputs in) {
  constexpr int N = sizeof...(S);
  const int64_t fours = wide ? n / 4 : 0;
  for (EG_ELEMENTS(f, fours)) {
    C v[N][4];
    int input = 0;
    ((read_four<C, S>(v[input], in.of[input], f * 4), ++input), ...);
    Four<O> result;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      C one[N];
#pragma unroll
      for (int o = 0; o < N; ++o) one[o] = v[o][k];
      result.at[k] = cast<O>(apply<F, C, N>(in.attributes, one));
    }
    reinterpret_cast<Four<O>*>(out)[f] = result;
  }
  for (EG_ELEMENTS(rest, n - fours * 4)) {
    const int64_t i = fours * 4 + rest;
    C v[N];
    int input = 0;
    ((v[input] = read_flat<C, S>(in.of[input], i), ++input), ...);
    out[i] = cast<O>(apply<F, C, N>(in.attributes, v));
  }
}

// Any strides and any mixture of stored types. I: the integer that counts elements.
template <class F, class C, int N, class I>
__global__ void strided(StridedLoop l) {
  for (I i = I(blockIdx.x) * blockDim.x + threadIdx.x; i < I(l.n); i += I(gridDim.x) * blockDim.x) {
    const char* p[N];
    char* out = l.out;
#pragma unroll
    for (int o = 0; o < N; ++o) p[o] = static_cast<const char*>(l.in.of[o].data);
    I rest = i;
    for (int d = 0; d < l.dims; ++d) {
      const I at = rest % I(l.sizes[d]);
      rest /= I(l.sizes[d]);
      out += at * l.strides[d][0];
#pragma unroll
      for (int o = 0; o < N; ++o) p[o] += at * l.strides[d][o + 1];
    }
    C v[N];
#pragma unroll
    for (int o = 0; o < N; ++o)
      v[o] = l.in.of[o].data ? load_as<C>(p[o], l.in.of[o].dtype) : number_of<C>(l.in.of[o]);
    store_as(out, l.dtype, apply<F, C, N>(l.in.attributes, v));
  }
}

__global__ void zero_bytes(char* p, int64_t n) {
  const int64_t wide = reinterpret_cast<uint64_t>(p) % 16 == 0 ? n / 16 : 0;
  struct alignas(16) Sixteen {
    uint64_t a, b;
  };
  for (EG_ELEMENTS(i, wide)) reinterpret_cast<Sixteen*>(p)[i] = {0, 0};
  for (EG_ELEMENTS(i, n - wide * 16)) p[wide * 16 + i] = 0;
}

__global__ void store_bytes(char* to, int n, CarriedBytes from) {
  for (int i = threadIdx.x; i < n; i += blockDim.x) to[i] = from.bytes[i];
}

}  // namespace eg
