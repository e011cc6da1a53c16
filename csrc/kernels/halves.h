// Lines of halves made floats, and back.
#pragma once

#include "kernels/simd.h"

namespace eg {
namespace {

#if defined(__F16C__)
#if defined(__AVX512F__)
constexpr int64_t kHalves = 16;  // (GCC 12 takes forms without a mask for uses of undefined values)
EG_INLINE void cast_halves(float* d, const Half* s) {
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(s));
  store(d, (Vec<float>)_mm512_maskz_cvtph_ps(0xffff, halves));
}
EG_INLINE void cast_halves(Half* d, const float* s) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(d),
                      _mm512_maskz_cvtps_ph(0xffff, (__m512)load(s), _MM_FROUND_TO_NEAREST_INT));
}
#else
constexpr int64_t kHalves = 8;
EG_INLINE void cast_halves(float* d, const Half* s) {
  _mm256_storeu_ps(d, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(s))));
}
EG_INLINE void cast_halves(Half* d, const float* s) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(d),
                   _mm256_cvtps_ph(_mm256_loadu_ps(s), _MM_FROUND_TO_NEAREST_INT));
}
#endif
// By the processor's instructions. The last few go the same way: the bits of NaN do not depend on where it stands.
template <class To, class From>
void cast_halves(To* d, const From* s, int64_t n) {
  int64_t i = 0;
  for (; i + kHalves <= n; i += kHalves) cast_halves(d + i, s + i);
  if (i == n) return;
  From rest[kHalves] = {};
  To out[kHalves];
  for (int64_t k = i; k < n; ++k) rest[k - i] = s[k];
  cast_halves(out, rest);
  for (int64_t k = i; k < n; ++k) d[k] = out[k - i];
}
#endif

#if defined(__AVX512BW__)
// The last few by masks: lines are short.
typedef uint32_t HalfWords __attribute__((vector_size(64)));
EG_INLINE Vec<float> widened(__m256i v) {
  return (Vec<float>)((HalfWords)_mm512_maskz_cvtepu16_epi32(0xffff, v) << 16);
}
EG_INLINE __m256i narrowed(Vec<float> v) {
  const HalfWords u = (HalfWords)v, rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
  const HalfWords r = v != v ? HalfWords{} + 0x7fc0 : rounded;
  return _mm512_maskz_cvtepi32_epi16(0xffff, (__m512i)r);
}
EG_INLINE void widen(float* d, const BFloat16* s, int64_t n) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    store(d + i, widened(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(s + i))));
  if (i == n) return;
  const __mmask16 rest = __mmask16((1 << (n - i)) - 1);
  _mm512_mask_storeu_ps(d + i, rest, (__m512)widened(_mm256_maskz_loadu_epi16(rest, s + i)));
}
[[maybe_unused]] void narrow(BFloat16* d, const float* s, int64_t n) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(d + i), narrowed(load(s + i)));
  if (i == n) return;
  const __mmask16 rest = __mmask16((1 << (n - i)) - 1);
  _mm256_mask_storeu_epi16(d + i, rest, narrowed((Vec<float>)_mm512_maskz_loadu_ps(rest, s + i)));
}
#else
EG_INLINE void widen(float* d, const BFloat16* s, int64_t n) {
  for (int64_t i = 0; i < n; ++i) d[i] = to_float(s[i]);
}
[[maybe_unused]] void narrow(BFloat16* d, const float* s, int64_t n) {
  for (int64_t i = 0; i < n; ++i) d[i] = to_bfloat16(s[i]);
}
#endif
EG_INLINE void widen(float* d, const Half* s, int64_t n) {
#if defined(__F16C__)
  cast_halves(d, s, n);
#else
  for (int64_t i = 0; i < n; ++i) d[i] = to_float(s[i]);
#endif
}

[[maybe_unused]] void narrow(Half* d, const float* s, int64_t n) {
#if defined(__F16C__)
  cast_halves(d, s, n);
#else
  for (int64_t i = 0; i < n; ++i) d[i] = to_half(s[i]);
#endif
}

// One number, where loops do not vectorise: the processor's instruction takes a third of the time of the bits' arithmetic.
EG_INLINE float one_float(Half v) {
#if defined(__F16C__)
  return _cvtsh_ss(v.bits);
#else
  return to_float(v);
#endif
}
EG_INLINE Half one_half(float v) {
#if defined(__F16C__)
  return {_cvtss_sh(v, _MM_FROUND_TO_NEAREST_INT)};
#else
  return to_half(v);
#endif
}

#if defined(__F16C__)
// One vector of halves as floats, and back.
EG_INLINE Vec<float> load_halves(const Half* s) {
  Vec<float> v;
  cast_halves(reinterpret_cast<float*>(&v), s);
  return v;
}
EG_INLINE void store_halves(Half* d, Vec<float> v) {
  cast_halves(d, reinterpret_cast<const float*>(&v));
}
#if defined(__AVX512BW__)
EG_INLINE Vec<float> load_halves(const BFloat16* s) {
  return widened(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(s)));
}
EG_INLINE void store_halves(BFloat16* d, Vec<float> v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(d), narrowed(v));
}
#else
EG_INLINE Vec<float> load_halves(const BFloat16* s) {
  Vec<float> v;
  widen(reinterpret_cast<float*>(&v), s, kLanes<float>);
  return v;
}
EG_INLINE void store_halves(BFloat16* d, Vec<float> v) {
  narrow(d, reinterpret_cast<const float*>(&v), kLanes<float>);
}
#endif
#endif

}  // namespace
}  // namespace eg
