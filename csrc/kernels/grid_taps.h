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

// What all points share along a dimension. Chosen here and not for each point: loops over points then vectorise.
template <class T>
struct Line {
  T last;         // pixel
  T span, rim;    // a coordinate is at pixel ((coordinate + 1) * span - rim) / 2
  T scale;        // pixels that a coordinate goes through by one
  T least, turn;  // reflection folds into [least, least + turn]
  T low, high;    // where a pixel is held
  T folds;        // 0 where one place is left

  EG_INLINE Line(int64_t size, const GridShape& s) {
    last = T(size - 1);
    span = s.align_corners ? last : T(size), rim = s.align_corners ? T(0) : T(1);
    scale = span / 2, least = -rim / 2;
    folds = span > 0 ? T(1) : T(0), turn = span > 0 ? span : T(1);
    low = s.padding ? T(0) : T(-INFINITY), high = s.padding ? last : T(INFINITY);
  }
  EG_INLINE T pixel(T coordinate) const { return ((coordinate + 1) * span - rim) / 2; }
};

// Folded where `reflects`, and held inside unless what is outside reads zero. slope: of the result by x.
template <bool reflects, class T>
EG_INLINE T pad_coordinate(T x, const Line<T>& line, T& slope) {
  slope = T(1);
  if constexpr (reflects) {
    const T side = x < line.least ? T(-1) : T(1), v = side * (x - line.least);
    const T turns = vocabulary::floor(v / line.turn), extra = v - turns * line.turn;
    const bool forth = turns - 2 * vocabulary::floor(turns / 2) == T(0);
    slope = (forth ? side : -side) * line.folds;
    x = ((forth ? extra : line.turn - extra) + line.least) * line.folds;
  }
  const bool below = !(x > line.low), above = x >= line.high;
  slope = below | above ? T(0) : slope;
  x = above ? line.high : x;
  return below ? line.low : x;
}

template <class T>
EG_INLINE int32_t inside(T x, const Line<T>& line) {
  const T at = (x >= T(0)) & (x <= line.last) ? x : T(-1);
  return int32_t(at);
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

// Nearest or linear, at a pixel's place that moves by `slope` with the coordinate.
template <int mode, class T>
EG_INLINE Taps<T> taps_near(T at, T slope, const Line<T>& line) {
  Taps<T> t;
  if constexpr (mode == 1) {
    t.count = 1, t.index[0] = inside(vocabulary::round(at), line), t.weight[0] = T(1),
    t.slope[0] = T(0);
    return t;
  }
  const T base = vocabulary::floor(at);
  t.count = 2;
  t.index[0] = inside(base, line), t.index[1] = inside(base + 1, line);
  t.weight[0] = base + 1 - at, t.weight[1] = at - base;
  t.slope[0] = -slope, t.slope[1] = slope;
  return t;
}

// Without branches but by what is the same for all points, so that it vectorises.
template <int mode, bool reflects, class T>
EG_INLINE Taps<T> taps_of_mode(T coordinate, const Line<T>& line) {
  T slope;
  const T x = line.pixel(coordinate);
  if constexpr (mode == 2) {
    Taps<T> t;
    const T base = vocabulary::floor(x);
    cubic(x - base, t.weight, t.slope);
    t.count = 4;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      t.index[i] = inside(pad_coordinate<reflects>(base + T(i - 1), line, slope), line);
      t.slope[i] *= line.scale;
    }
    return t;
  }
  const T at = pad_coordinate<reflects>(x, line, slope);
  return taps_near<mode>(at, slope * line.scale, line);
}
template <bool reflects, class T>
EG_INLINE Taps<T> taps_of_padding(T coordinate, const Line<T>& line, int mode) {
  return mode == 2   ? taps_of_mode<2, reflects>(coordinate, line)
         : mode == 1 ? taps_of_mode<1, reflects>(coordinate, line)
                     : taps_of_mode<0, reflects>(coordinate, line);
}
template <class T>
EG_INLINE Taps<T> taps_of(T coordinate, int64_t size, const GridShape& s) {
  const Line<T> line(size, s);
  return s.padding == 2 ? taps_of_padding<true>(coordinate, line, s.mode)
                        : taps_of_padding<false>(coordinate, line, s.mode);
}

}  // namespace
}  // namespace eg
