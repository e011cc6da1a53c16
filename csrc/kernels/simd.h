// Fixed-width vectors of the instruction-set level being compiled, in GCC's portable vector notation.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include <utility>

#include "kernels/registry.h"

namespace eg {
namespace {

#if EG_ISA_LEVEL >= 4
constexpr int kVectorBytes = 64;
#elif EG_ISA_LEVEL == 3
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T>
constexpr int kLanes = kVectorBytes / int(sizeof(T));

template <class T>
struct VecTypes {
  typedef T aligned __attribute__((vector_size(kVectorBytes)));
  typedef T unaligned __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
};
template <class T>
using Vec = typename VecTypes<T>::aligned;

template <class T>
EG_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VecTypes<T>::unaligned*>(p);
}
template <class T>
EG_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VecTypes<T>::unaligned*>(p) = v;
}
template <class T>
EG_INLINE Vec<T> splat(T v) {
  return v - Vec<T>{};
}

// The lanes that a shuffle of one vector or two takes, as load() reads them: constants in memory, since GCC puts together others
// lane by lane in every round of a loop.
template <class T>
struct Choice {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "an index is as wide as a lane");
  std::conditional_t<sizeof(T) == 8, int64_t, int32_t> from[kLanes<T>];
};
// Lane l takes pick(l); those from kLanes<T> on are the second vector's.
template <class T, class F>
constexpr Choice<T> choose(F pick) {
  Choice<T> c = {};
  for (int l = 0; l < kLanes<T>; ++l) c.from[l] = pick(l);
  return c;
}

#if defined(__clang__)
template <const auto& pick, class V, int... l>
EG_INLINE V shuffle_lanes(V a, V b, std::integer_sequence<int, l...>) {
  return __builtin_shufflevector(a, b, pick.from[l]...);
}
template <int by, class V, int... l>
EG_INLINE V turn_lanes(V v, std::integer_sequence<int, l...>) {
  return __builtin_shufflevector(v, v, (l + by) % int(sizeof...(l))...);
}
#endif
// Lane l is lane pick.from[l] of a, behind whose lanes those of b are counted.
template <const auto& pick, class V>
EG_INLINE V shuffle(V a, V b) {
#if defined(__clang__)
  return shuffle_lanes<pick>(a, b, std::make_integer_sequence<int, sizeof(V) / sizeof(a[0])>());
#else
  return __builtin_shuffle(a, b, load(pick.from));
#endif
}
template <const auto& pick, class V>
EG_INLINE V shuffle(V v) {
#if defined(__clang__)
  return shuffle<pick>(v, v);
#else
  return __builtin_shuffle(v, load(pick.from));
#endif
}
// Lane l is lane l + by of v, counted around. Of vectors of any size.
template <int by, class V>
EG_INLINE V turn(V v) {
  constexpr int count = sizeof(V) / sizeof(v[0]);
#if defined(__clang__)
  return turn_lanes<by>(v, std::make_integer_sequence<int, count>());
#else
  decltype(v == v) from;
#pragma GCC unroll 64
  for (int l = 0; l < count; ++l) from[l] = (l + by) % count;
  return __builtin_shuffle(v, from);
#endif
}

// base[at[l]] in each lane, 0 where at[l] is negative.
EG_INLINE Vec<float> gather(const float* base, const int32_t* at) {
#if defined(__AVX512F__)
  const __m512i i = _mm512_loadu_si512(at);
  const __mmask16 inside = _mm512_cmpge_epi32_mask(i, _mm512_setzero_si512());
  return (Vec<float>)_mm512_mask_i32gather_ps(_mm512_setzero_ps(), inside, i, base, 4);
#elif defined(__AVX2__)
  const __m256i i = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  const __m256 inside = _mm256_castsi256_ps(_mm256_cmpgt_epi32(i, _mm256_set1_epi32(-1)));
  return (Vec<float>)_mm256_mask_i32gather_ps(_mm256_setzero_ps(), base, i, inside, 4);
#else
  Vec<float> v;
  for (int l = 0; l < kLanes<float>; ++l) v[l] = at[l] < 0 ? 0.0f : base[at[l]];
  return v;
#endif
}
EG_INLINE Vec<double> gather(const double* base, const int32_t* at) {
#if defined(__AVX512VL__)
  const __m256i i = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  const __mmask8 inside = _mm256_cmpge_epi32_mask(i, _mm256_setzero_si256());
  return (Vec<double>)_mm512_mask_i32gather_pd(_mm512_setzero_pd(), inside, i, base, 8);
#else
  Vec<double> v;
  for (int l = 0; l < kLanes<double>; ++l) v[l] = at[l] < 0 ? 0.0 : base[at[l]];
  return v;
#endif
}

// A store past the caches, for results that are read much later. p is aligned to the vector; other threads see it after
// drain_stores().
template <class T>
EG_INLINE void store_past_caches(T* p, Vec<T> v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(reinterpret_cast<float*>(p), (__m512)v);
#elif defined(__AVX__)
  _mm256_stream_ps(reinterpret_cast<float*>(p), (__m256)v);
#elif defined(__SSE2__)
  _mm_stream_ps(reinterpret_cast<float*>(p), (__m128)v);
#else
  store(p, v);
#endif
}
EG_INLINE void drain_stores() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace
}  // namespace eg
