// Fixed-width vectors of the instruction-set level being compiled, in GCC's portable vector notation.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

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
