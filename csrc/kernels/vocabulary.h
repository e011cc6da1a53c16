// The functions that lines of ops/elementwise.def may use, for one element. Plain float and double
// versions call the C library's, which vectorise where glibc's libmvec has them.
#pragma once

#include <math.h>

#include "core/common.h"
#include "kernels/float_math.h"

namespace eg::vocabulary {
namespace {

template <class T>
EG_INLINE T where(bool c, T a, T b) {
  return c ? a : b;
}

// A mark for the tape; see ops/elementwise.def.
template <class T>
EG_INLINE T piecewise(T slope) {
  return slope;
}

#define EG_MATH1(name)                                   \
  EG_INLINE float name(float x) { return ::name##f(x); } \
  EG_INLINE double name(double x) { return ::name(x); }
#define EG_MATH2(name)                                               \
  EG_INLINE float name(float a, float b) { return ::name##f(a, b); } \
  EG_INLINE double name(double a, double b) { return ::name(a, b); }
EG_INLINE float exp(float x) { return float_math::exp(x); }
EG_INLINE double exp(double x) { return ::exp(x); }
EG_MATH1(exp2)
EG_MATH1(expm1)
EG_MATH1(log)
EG_MATH1(log2)
EG_MATH1(log10)
EG_MATH1(log1p)
EG_MATH1(sqrt)
EG_MATH1(sin)
EG_MATH1(cos)
EG_MATH1(tan)
EG_MATH1(asin)
EG_MATH1(acos)
EG_MATH1(atan)
EG_MATH1(sinh)
EG_MATH1(cosh)
EG_MATH1(asinh)
EG_MATH1(acosh)
EG_MATH1(atanh)
EG_INLINE float tanh(float x) { return float_math::tanh(x); }
EG_INLINE double tanh(double x) { return ::tanh(x); }
EG_INLINE float erf(float x) { return float_math::erf(x); }
EG_INLINE double erf(double x) { return ::erf(x); }
EG_INLINE float normal_cdf(float x) { return float_math::normal_cdf(x); }
EG_INLINE double normal_cdf(double x) { return 0.5 * ::erfc(x * -0.70710678118654752); }
EG_MATH1(erfc)
EG_MATH2(atan2)
EG_MATH2(hypot)
EG_MATH2(copysign)
#if defined(__CUDACC__)
EG_MATH2(nextafter)
#endif
#undef EG_MATH1
#undef EG_MATH2

#define EG_BUILTIN1(name, builtin)                                    \
  EG_INLINE float name(float x) { return __builtin_##builtin##f(x); } \
  EG_INLINE double name(double x) { return __builtin_##builtin(x); }  \
  template <class T, class = std::enable_if_t<std::is_integral_v<T>>> \
  EG_INLINE T name(T x) {                                             \
    return x;                                                         \
  }
EG_BUILTIN1(floor, floor)
EG_BUILTIN1(ceil, ceil)
EG_BUILTIN1(trunc, trunc)
EG_BUILTIN1(round, rint)  // ties to even, as IEEE 754 and PyTorch
#undef EG_BUILTIN1

#if !defined(__CUDACC__)
// What the bits of a number of this size say, as a whole number: the lowest `kBits` are those behind the point.
template <class T>
struct Bits;
template <>
struct Bits<float> {
  using Int = int32_t;
  static constexpr int kBits = 23, kBias = 127, kMost = 255;
  static constexpr float kSmallest = 0x1p-149f;
};
template <>
struct Bits<double> {
  using Int = int64_t;
  static constexpr int kBits = 52, kBias = 1023, kMost = 2047;
  static constexpr double kSmallest = 0x1p-1074;
};
template <class T>
EG_INLINE typename Bits<T>::Int bits_of(T x) {
  typename Bits<T>::Int i;
  __builtin_memcpy(&i, &x, sizeof(i));
  return i;
}
template <class T>
EG_INLINE T number_of(typename Bits<T>::Int i) {
  T x;
  __builtin_memcpy(&x, &i, sizeof(x));
  return x;
}
// The C library's has no vector form.
template <class T>
EG_INLINE T nextafter(T a, T b) {
  const bool grows = (a < b) == (a > 0);
  const T next = number_of<T>(bits_of(a) + (grows ? 1 : -1));
  const T from_zero = copysign(Bits<T>::kSmallest, b);
  const T moved = a == 0 ? from_zero : next;
  return (a != a) | (b != b) ? a + b : a == b ? b : moved;
}
#endif

EG_INLINE float rsqrt(float x) { return 1 / ::sqrtf(x); }
EG_INLINE double rsqrt(double x) { return 1 / ::sqrt(x); }
EG_INLINE float abs(float x) { return __builtin_fabsf(x); }
EG_INLINE double abs(double x) { return __builtin_fabs(x); }
template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
EG_INLINE T abs(T x) {
  if constexpr (std::is_same_v<T, bool> || std::is_unsigned_v<T>) {
    return x;
  } else {
    return x < 0 ? T(-x) : x;
  }
}
template <class T>
EG_INLINE T sign(T x) {
  return T((x > T(0)) - (x < T(0)));
}
template <class T>
EG_INLINE T square(T x) {
  return x * x;
}
template <class T>
EG_INLINE T sigmoid(T x) {
  return 1 / (1 + exp(-x));
}
template <class T>
EG_INLINE T log1pexp(T x) {
  return where(x > 0, x, T(0)) + log1p(exp(-abs(x)));
}
template <class T>
EG_INLINE T logit(T x) {
  return log(x / (1 - x));
}

template <class T>
EG_INLINE bool isposinf(T x) {
  if constexpr (std::is_integral_v<T>)
    return false;
  else
    return x == T(INFINITY);
}
template <class T>
EG_INLINE bool isneginf(T x) {
  if constexpr (std::is_integral_v<T>)
    return false;
  else
    return x == T(-INFINITY);
}
// (glibc's <math.h> defines these as macros in C; in C++ the names are free.)
template <class T>
EG_INLINE bool isinf(T x) {
  return isposinf(x) || isneginf(x);
}
template <class T>
EG_INLINE bool isfinite(T x) {
  if constexpr (std::is_integral_v<T>)
    return true;
  else
    return abs(x) < T(INFINITY);
}
template <class T>
EG_INLINE bool signbit(T x) {
#if defined(__CUDACC__)
  if constexpr (std::is_same_v<T, float>)
    return __builtin_signbitf(x) != 0;
  else if constexpr (std::is_same_v<T, double>)
    return __builtin_signbit(x) != 0;
#else  // (of double, the builtin has no vector form)
  if constexpr (std::is_floating_point_v<T>) return bits_of(x) < 0;
#endif
  else
    return x < T(0);
}

// NaN wins, as in PyTorch and NumPy.
template <class T>
EG_INLINE T maximum(T a, T b) {
  return a > b || a != a ? a : b;
}
template <class T>
EG_INLINE T minimum(T a, T b) {
  return a < b || a != a ? a : b;
}
// NaN loses.
template <class T>
EG_INLINE T fmax(T a, T b) {
  return a >= b || b != b ? a : b;
}
template <class T>
EG_INLINE T fmin(T a, T b) {
  return a <= b || b != b ? a : b;
}

// Python's rules: the remainder has the divisor's sign, division rounds down. Integer division by
// zero is refused before the kernel runs; here it gives 0 so that nothing traps. Likewise for the
// one overflowing quotient.
EG_INLINE float fmod(float a, float b) { return ::fmodf(a, b); }
EG_INLINE double fmod(double a, double b) { return ::fmod(a, b); }
template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
EG_INLINE T fmod(T a, T b) {
  if (b == T(0)) return 0;
  if constexpr (std::is_signed_v<T>)
    if (b == T(-1)) return 0;
  return T(a % b);
}
#if defined(__FMA__) && !defined(__CUDACC__)
// fmod without a loop, as exact: the whole quotient is right or one too large, and a - q * b is then a number of type T. The C
// library's takes twelve times as long.
#define EG_QUICK_FMOD
template <class T>
EG_INLINE bool has_quick_fmod(T a, T b) {
  return abs(a / b) < T(1 << 22) && abs(b) < T(INFINITY);
}
template <class T>
EG_INLINE T quick_fmod(T a, T b) {
  const T q = trunc(a / b);
  T r;
  if constexpr (std::is_same_v<T, float>)
    r = __builtin_fmaf(-q, b, a);
  else
    r = __builtin_fma(-q, b, a);
  r = where(a < 0, -r, r);
  return copysign(where(r < 0, r + abs(b), r), a);
}
#endif
#if defined(__SSE2__) && !defined(__CUDACC__)
// Whole numbers divided as double, which vectorises: exact while both are below 2^52, where the nearest double of a quotient that
// is no whole number does not reach the next one. -1 is left out with 0 for the overflowing quotient's sake.
#define EG_QUICK_DIVISION
template <class T>
EG_INLINE bool has_quick_quotient(T a, T b) {
  constexpr int64_t most = int64_t(1) << 52;
  const bool small = sizeof(T) < 8 || ((int64_t(a) < most) & (int64_t(a) > -most) &
                                       (int64_t(b) < most) & (int64_t(b) > -most));
  return small & (b != T(0)) & (b != T(-1));
}
template <class T>
EG_INLINE T quick_quotient(T a, T b) {
  const double q = double(a) / double(b);
  return T(
      int64_t(where(abs(q) < double(int64_t(1) << 62), q, 0.0)));  // also where it does not fit
}
template <class T>
EG_INLINE T quick_rest(T a, T b) {
  using U = std::make_unsigned_t<T>;
  return T(U(a) - U(quick_quotient(a, b)) * U(b));
}
#endif
template <class T>
EG_INLINE T remainder_of(T r, T b) {  // r: fmod(a, b)
  return r != T(0) && (r < T(0)) != (b < T(0)) ? T(r + b) : r;
}
template <class T>
EG_INLINE T remainder(T a, T b) {
  return remainder_of(fmod(a, b), b);
}
template <class T>
EG_INLINE T quotient_of(T r, T a, T b) {  // r: fmod(a, b)
  T q = (a - r) / b;
  if (r != 0 && (b < 0) != (r < 0)) q -= 1;
  const T f = floor(q), whole = q - f > T(0.5) ? f + 1 : f;
  return q == 0 ? copysign(T(0), a / b) : whole;
}
template <class T>
EG_INLINE T floor_divide(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == T(0)) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (b == T(-1)) return T(0 - a);
      const T q = T(a / b);
      return T(a % b) != 0 && (a < 0) != (b < 0) ? T(q - 1) : q;
    } else {
      return T(a / b);
    }
  } else {
    return b == 0 ? a / b : quotient_of(fmod(a, b), a, b);
  }
}
#if defined(__CUDACC__)
EG_INLINE float pow(float a, float b) { return ::powf(a, b); }
EG_INLINE double pow(double a, double b) { return ::pow(a, b); }
#else
// a^b of the power of |a|, in whatever way that was found for |a| neither 0 nor infinite: what C and IEEE 754 say.
template <class T>
EG_INLINE T signed_power(T a, T b, T power) {
  const T size = abs(a);
  const bool whole = round(b) == b, odd = whole & (round(b * T(0.5)) * 2 != b);
  power = size == 0 ? (b > 0 ? T(0) : T(INFINITY)) : power;
  power = size == T(INFINITY) ? (b > 0 ? T(INFINITY) : T(0)) : power;
  power = (size == 1) & (b == b) ? T(1) : power;
  power = signbit(a) & odd ? -power : power;
  power = (a < 0) & !whole & (size < T(INFINITY)) ? T(NAN) : power;
  power = (a != a) | (b != b) ? T(NAN) : power;
  return (b == 0) | (a == 1) ? T(1) : power;
}
// Of |a|, of 1 where it is 0 or infinite: the C library's vector function leaves its quick path there.
EG_INLINE float power_of_size(float a, float b) {
  const float size = abs(a);
  return float_math::power((size > 0) & (size < INFINITY) ? size : 1.0f, b);
}
EG_INLINE double power_of_size(double a, double b) {
  const double size = abs(a);
  return ::pow((size > 0) & (size < INFINITY) ? size : 1.0, b);
}
EG_INLINE float pow(float a, float b) { return signed_power(a, b, power_of_size(a, b)); }
EG_INLINE double pow(double a, double b) { return signed_power(a, b, power_of_size(a, b)); }
#endif
template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
EG_INLINE T pow(T a, T b) {
  if constexpr (std::is_same_v<T, bool>) {
    return a || !b;
  } else {
    if constexpr (std::is_signed_v<T>) {
      if (b < 0) return a == 1 ? T(1) : a == T(-1) ? T(b % 2 ? -1 : 1) : T(0);
    }
    T result = 1;
    for (T base = a; b; b = T(b >> 1), base = T(base * base))
      if (b & 1) result = T(result * base);
    return result;
  }
}
template <class T>
EG_INLINE T logaddexp(T a, T b) {
  const T m = a > b ? a : b;
  const T d = -abs(a - b);
  return a == b ? a + T(0.6931471805599453) : a != a || b != b ? a + b : m + log1p(exp(d));
}
template <class T>
EG_INLINE T logaddexp2(T a, T b) {
  const T m = a > b ? a : b;
  const T d = -abs(a - b);
  return a == b ? a + 1 : a != a || b != b ? a + b : m + log1p(exp2(d)) * T(1.4426950408889634);
}
template <class T>
EG_INLINE T xlogy(T a, T b) {
  return b != b ? b : a == 0 ? T(0) : a * log(b);
}
template <class T>
EG_INLINE T xlog1py(T a, T b) {
  return b != b ? b : a == 0 ? T(0) : a * log1p(b);
}

template <class T>
EG_INLINE T invert(T a) {
  if constexpr (std::is_same_v<T, bool>)
    return !a;
  else
    return T(~a);
}
// As many bits as T has, or a negative number of them, shift everything out.
template <class T>
EG_INLINE T shift_left(T a, T b) {
  if constexpr (std::is_same_v<T, bool>) {
    return a && !b;
  } else {
    using U = std::make_unsigned_t<T>;
    constexpr U bits = 8 * sizeof(T);
    return U(b) < bits ? T(U(a) << (U(b) % bits)) : T(0);
  }
}
template <class T>
EG_INLINE T shift_right(T a, T b) {
  if constexpr (std::is_same_v<T, bool>) {
    return a && !b;
  } else {
    using U = std::make_unsigned_t<T>;
    constexpr U bits = 8 * sizeof(T);
    return U(b) < bits ? T(a >> (U(b) % bits)) : T(a < T(0) ? -1 : 0);
  }
}
template <class T>
EG_INLINE T gcd(T a, T b) {
  a = abs(a);
  b = abs(b);
  while (b != T(0)) {
    const T r = fmod(a, b);
    a = b;
    b = r;
  }
  return abs(a);  // of the least integer the remainders are negative
}
template <class T>
EG_INLINE T lcm(T a, T b) {
  const T d = gcd(a, b);
  return d == T(0) ? T(0) : abs(T(a / (d == T(0) ? T(1) : d) * b));
}

}  // namespace
}  // namespace eg::vocabulary

#include "kernels/special.h"
