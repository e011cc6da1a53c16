// exp and erf of float as plain arithmetic without branches: loops over them vectorise at every instruction-set level, and
// elements get the same bits wherever they stand. Largest errors over all floats: exp 1.2 ulp, erf 1.4 ulp (the C library's
// vector functions: 2.5 and 4.0), NaN, infinities and subnormals right. exp takes as long as the library's, erf two thirds.
// tanh is the library's (1.4 ulp) but for AVX-512, for which kernels/avx512_math.h has its own, and a quicker exp.
#pragma once

#include <math.h>

#include "core/common.h"

#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__)
#define EG_AVX512_MATH
extern "C" float eg_tanh(float x)
#if !defined(EG_DEFINES_TANH)
    __attribute__((simd("notinbranch"), const))
#endif
    ;
#endif

namespace eg::float_math {
namespace {

#if defined(EG_AVX512_MATH)
EG_INLINE float tanh(float x) { return eg_tanh(x); }
#else
EG_INLINE float tanh(float x) { return ::tanhf(x); }
#endif

#if defined(__CUDACC__)

EG_INLINE float exp(float x) { return ::expf(x); }
EG_INLINE float erf(float x) { return ::erff(x); }
EG_INLINE float normal_cdf(float x) { return 0.5f * ::erfcf(x * -0.70710678f); }

#else

EG_INLINE float multiply_add(float a, float b, float c) {
#if defined(__FMA__)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}
EG_INLINE int32_t bits_of(float x) {
  int32_t i;
  __builtin_memcpy(&i, &x, sizeof(i));
  return i;
}
EG_INLINE float from_bits(int32_t i) {
  float x;
  __builtin_memcpy(&x, &i, sizeof(x));
  return x;
}
EG_INLINE float polynomial(float, float c) { return c; }
template <class... Rest>
EG_INLINE float polynomial(float x, float c, Rest... rest) {  // c + x * (...)
  return multiply_add(x, polynomial(x, rest...), c);
}

// x = n ln 2 + r. Adding 1.5 * 2^23 rounds to a whole number and leaves it, plus Bias, in the low bits; 355/512 times n is
// exact.
struct Reduced {
  float r;
  int32_t n_plus_bias;  // and bits above the ninth that shifts drop
};
template <int Bias>
EG_INLINE Reduced reduce(float x) {
  constexpr float kRound = 12582912.0f + Bias;
  const float shifted = multiply_add(x, 1.44269504f, kRound), n = shifted - kRound;
  const float r = multiply_add(n, 2.12194440e-4f, multiply_add(n, -0.693359375f, x));
  return {r, bits_of(shifted)};
}

// exp(r) for |r| <= ln 2 / 2; minimax, relative error 0.06 ulp.
EG_INLINE float exp_near_zero(float r) {
  return polynomial(r, 1.0f, 1.0f, 0.49999994f, 0.16666521f, 0.04166829f, 0.008368704f,
                    0.0013818939f);
}
// Where neither x nor the result comes near the ends of the range of float.
EG_INLINE float moderate_exp(float x) {
  const Reduced p = reduce<127>(x);
  return exp_near_zero(p.r) * from_bits(p.n_plus_bias << 23);
}

EG_INLINE float exp(float x) {
  // Both of x itself: GCC makes four operations of them. Results that are 0 come by no arithmetic: underflow takes processors a
  // hundred cycles.
  const bool high = x > 89.0f, low = x < -104.0f;
  x = high ? 89.0f : x;
  x = low ? 0.0f : x;
  const Reduced p = reduce<2 * 127>(x);
  // In two steps: 2^n itself may be beyond the range of float while the result is not.
  const int32_t half = p.n_plus_bias >> 1 << 23;
  const float y = exp_near_zero(p.r) * from_bits(half) * from_bits((p.n_plus_bias << 23) - half);
  return low ? 0.0f : y;
}

// x^b for x > 0, in double arithmetic without branches: log2(x) = e + 2 / ln 2 artanh(s) of the fraction of x between root 1/2 and
// root 2 to 2e-15, and 2^t by a polynomial to 2e-11. 0.51 ulp.
EG_INLINE double polynomial(double, double c) { return c; }
template <class... Rest>
EG_INLINE double polynomial(double x, double c, Rest... rest) {
  return c + x * polynomial(x, rest...);
}
EG_INLINE float power(float x, float b) {
  const bool is_subnormal = x < 0x1p-126f;
  const int32_t bits = bits_of(is_subnormal ? x * 0x1p24f : x);
  const int32_t shifted = bits - 0x3f3504f3;  // the root of 1/2
  const int32_t e = (shifted >> 23) - (is_subnormal ? 24 : 0);
  const double m = double(from_bits((shifted & 0x7fffff) + 0x3f3504f3));
  const double s = (m - 1) / (m + 1), z = s * s;
  const double series =
      polynomial(z, 2.8853900817779268, 2.8853900817779268 / 3, 2.8853900817779268 / 5,
                 2.8853900817779268 / 7, 2.8853900817779268 / 9, 2.8853900817779268 / 11,
                 2.8853900817779268 / 13, 2.8853900817779268 / 15);
  const double t = double(b) * (double(e) + s * series);
  const double high = t > 300 ? 300.0 : t, bounded = high < -300 ? -300.0 : high;
  const double whole = bounded + 0x1.8p52, r = bounded - (whole - 0x1.8p52);
  constexpr double ln2 = 0.69314718055994531;
  const double fraction = polynomial(r * ln2, 1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120,
                                     1.0 / 720, 1.0 / 5040, 1.0 / 40320);
  uint64_t n, y;
  __builtin_memcpy(&n, &whole, sizeof(n));
  __builtin_memcpy(&y, &fraction, sizeof(y));
  y += n << 52;
  double result;
  __builtin_memcpy(&result, &y, sizeof(result));
  return float(result);
}

// 1 - exp(p(|x|)), and an odd polynomial near zero. From 3.93 on, 1 is the nearest float.
EG_INLINE float erf(float x) {
  const float a = __builtin_fabsf(x);
  const bool is_near = a < 0.92f, is_one = a > 3.93f;
  const float b = is_one ? 3.93f : a, z = b * b;
  const float far = 1 - moderate_exp(polynomial(b, -0x1.9a5bdep-13f, -0x1.20af5ap+0f,
                                                -0x1.463cbep-1f, -0x1.a9b442p-4f, 0x1.6c2a9ep-6f,
                                                -0x1.8ee1b4p-9f, 0x1.9ae952p-13f));
  const float near = multiply_add(b,
                                  polynomial(z, 0x1.06eba6p-3f, -0x1.8126eap-2f, 0x1.ce1b0ep-4f,
                                             -0x1.b6939p-6f, 0x1.476884p-8f, -0x1.3ac5a8p-11f),
                                  b);
  return __builtin_copysignf(is_near ? near : far, x);
}

// The normal distribution function to 7e-8, not relatively: for values that are multiplied by x. Half of 2^p(|x|) is the
// smaller of its two sides; below 2^-126 it is 0.
EG_INLINE float normal_cdf(float x) {
  const float a = __builtin_fabsf(x);
  const float p =
      a * polynomial(a, -0x1.26aed4p+0f, -0x1.d63aacp-2f, -0x1.ae0c78p-5f, 0x1.cee88ap-8f,
                     -0x1.1f2d8ap-13f, -0x1.867296p-13f, 0x1.4a52ccp-15f, -0x1.7c7ea8p-19f);
  const bool is_zero = p < -126.0f;
  const float q = is_zero ? -126.0f : p;
  constexpr float kRound = 12582912.0f + 126;
  const float shifted = q + kRound, r = q - (shifted - kRound);
  const float power = polynomial(r, 1.0f, 0x1.62e43p-1f, 0x1.ebfbdcp-3f, 0x1.c6af88p-5f,
                                 0x1.3b2ddcp-7f, 0x1.5f03cap-10f, 0x1.416894p-13f);
  const float half = is_zero ? 0.0f : power * from_bits(bits_of(shifted) << 23);
  return x < 0 ? half : 1 - half;
}

#endif

}  // namespace
}  // namespace eg::float_math
