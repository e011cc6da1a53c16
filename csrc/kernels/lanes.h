// A vector of floats or doubles as one number, for formulas that are templates of what a number is: GCC leaves loops over them
// alone where a formula branches, and unrolls what it does vectorise into ten times the code.
#pragma once

#include <math.h>

#include "kernels/avx512_math.h"
#include "kernels/simd.h"

// In a namespace of their own, where arguments lead to them, so that they hide no functions of numbers.
namespace eg::lanes {
namespace {

template <class T>
struct Lanes {
  typedef decltype(Vec<T>{} < Vec<T>{}) Mask;

  Vec<T> v;

  EG_INLINE Lanes(Vec<T> all) : v(all) {}  // NOLINT: implicit, as the numbers below
  template <class N, class = std::enable_if_t<std::is_arithmetic_v<N>>>
  EG_INLINE Lanes(N n) : v(splat(T(n))) {}  // NOLINT

  friend EG_INLINE Lanes operator+(Lanes a, Lanes b) { return a.v + b.v; }
  friend EG_INLINE Lanes operator-(Lanes a, Lanes b) { return a.v - b.v; }
  friend EG_INLINE Lanes operator*(Lanes a, Lanes b) { return a.v * b.v; }
  friend EG_INLINE Lanes operator/(Lanes a, Lanes b) { return a.v / b.v; }
  friend EG_INLINE Mask operator<(Lanes a, Lanes b) { return a.v < b.v; }
  friend EG_INLINE Mask operator>(Lanes a, Lanes b) { return a.v > b.v; }
};

template <class T>
EG_INLINE Lanes<T> where(typename Lanes<T>::Mask c, Lanes<T> a, Lanes<T> b) {
  return Lanes<T>(c ? a.v : b.v);
}
template <class T>
EG_INLINE Lanes<T> maximum(Lanes<T> a, Lanes<T> b) {
  return Lanes<T>((a.v > b.v) | (a.v != a.v) ? a.v : b.v);
}
template <class T>
EG_INLINE Lanes<T> minimum(Lanes<T> a, Lanes<T> b) {
  return Lanes<T>((a.v < b.v) | (a.v != a.v) ? a.v : b.v);
}
template <class T>
EG_INLINE Lanes<T> abs(Lanes<T> x) {
  return Lanes<T>(x.v < 0 ? -x.v : x.v);
}
template <class T>
EG_INLINE Lanes<T> sign(Lanes<T> x) {
  const Lanes<T> zero(0), one(1);
  return where(x > zero, one, zero) - where(x < zero, one, zero);
}
template <class T>
EG_INLINE Lanes<T> sqrt(Lanes<T> x) {
#if defined(EG_AVX512_MATH)
  if constexpr (sizeof(T) == 4) return Lanes<T>((Vec<T>)sqrt_of((__m512)x.v));
#endif
  Vec<T> y;
  for (int l = 0; l < kLanes<T>; ++l) y[l] = T(::sqrt(x.v[l]));
  return Lanes<T>(y);
}

}  // namespace
}  // namespace eg::lanes
