// Which elements a sampling coordinate reads, along one dimension: for the kernels of every device.
#pragma once

#include "kernels/grid_shape.h"
#include "kernels/vocabulary.h"

namespace eg {
namespace {

// What one coordinate reads: up to four elements of its dimension, weights, and their derivatives by the coordinate.
template <class T>
struct Taps {
  int64_t count;
  int32_t index[4];  // -1: outside, reads zero
  T weight[4], slope[4];
};

// Folds x into [low / 2, high / 2] by reflection; sign takes the direction.
template <class T>
EG_INLINE T reflect(T x, int64_t low, int64_t high, T& sign) {
  if (low == high) {
    sign = T(0);
    return T(0);
  }
  const T least = T(low) / 2, span = T(high - low) / 2;
  T v = x - least;
  sign = T(1);
  if (v < 0) v = -v, sign = T(-1);
  const T turns = vocabulary::floor(v / span), extra = v - turns * span;
  if (turns - 2 * vocabulary::floor(turns / 2) == T(0)) return extra + least;
  sign = -sign;
  return span - extra + least;
}

// Folded where `reflects`, and held inside unless what is outside reads zero. slope: of the result by x.
template <bool reflects, class T>
EG_INLINE T pad_coordinate(T x, int64_t size, const GridShape& s, T& slope) {
  slope = T(1);
  if constexpr (reflects)
    x = s.align_corners ? reflect(x, 0, 2 * (size - 1), slope)
                        : reflect(x, -1, 2 * size - 1, slope);
  const T low = s.padding ? T(0) : T(-INFINITY), high = s.padding ? T(size - 1) : T(INFINITY);
  const bool below = !(x > low), above = x >= high;
  slope = below | above ? T(0) : slope;
  x = above ? high : x;
  return below ? low : x;
}

template <class T>
EG_INLINE int32_t inside(T x, int64_t size) {
  return (x >= T(0)) & (x <= T(size - 1)) ? int32_t(x) : -1;
}

// Cubic convolution, a = -0.75 (Keys 1981), at distances 1 + t, t, 1 - t, 2 - t.
template <class T>
EG_INLINE void cubic(T t, T* weight, T* slope) {
  const T a = T(-0.75);
  const auto near = [&](T d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  const auto far = [&](T d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
  const auto near_slope = [&](T d) { return (3 * (a + 2) * d - 2 * (a + 3)) * d; };
  const auto far_slope = [&](T d) { return (3 * a * d - 10 * a) * d + 8 * a; };
  weight[0] = far(1 + t), weight[1] = near(t), weight[2] = near(1 - t), weight[3] = far(2 - t);
  slope[0] = far_slope(1 + t), slope[1] = near_slope(t), slope[2] = -near_slope(1 - t);
  slope[3] = -far_slope(2 - t);
}

// Without branches but by what is the same for all points, so that it vectorises.
template <int mode, bool reflects, class T>
EG_INLINE Taps<T> taps_of_mode(T coordinate, int64_t size, const GridShape& s) {
  Taps<T> t;
  const T scale = s.align_corners ? T(size - 1) / 2 : T(size) / 2;
  const T x = s.align_corners ? (coordinate + 1) * scale : ((coordinate + 1) * T(size) - 1) / 2;
  T slope;
  if constexpr (mode == 2) {
    const T base = vocabulary::floor(x);
    cubic(x - base, t.weight, t.slope);
    t.count = 4;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      t.index[i] = inside(pad_coordinate<reflects>(base + T(i - 1), size, s, slope), size);
      t.slope[i] *= scale;
    }
    return t;
  }
  const T at = pad_coordinate<reflects>(x, size, s, slope);
  if constexpr (mode == 1) {
    t.count = 1, t.index[0] = inside(vocabulary::round(at), size), t.weight[0] = T(1),
    t.slope[0] = T(0);
    return t;
  }
  const T base = vocabulary::floor(at);
  t.count = 2;
  t.index[0] = inside(base, size), t.index[1] = inside(base + 1, size);
  t.weight[0] = base + 1 - at, t.weight[1] = at - base;
  t.slope[0] = -slope * scale, t.slope[1] = slope * scale;
  return t;
}
template <bool reflects, class T>
EG_INLINE Taps<T> taps_of_padding(T coordinate, int64_t size, const GridShape& s) {
  return s.mode == 2   ? taps_of_mode<2, reflects>(coordinate, size, s)
         : s.mode == 1 ? taps_of_mode<1, reflects>(coordinate, size, s)
                       : taps_of_mode<0, reflects>(coordinate, size, s);
}
template <class T>
EG_INLINE Taps<T> taps_of(T coordinate, int64_t size, const GridShape& s) {
  return s.padding == 2 ? taps_of_padding<true>(coordinate, size, s)
                        : taps_of_padding<false>(coordinate, size, s);
}

}  // namespace
}  // namespace eg
