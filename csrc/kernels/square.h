// Squares of as many vectors as a vector has lanes, transposed in registers.
#pragma once

#include <string.h>

#include "kernels/simd.h"

namespace eg {
namespace {

// Swaps the off-diagonal blocks of size S of two rows, S apart, of a square of vectors.
template <class T, int S>
EG_INLINE void exchange(Vec<T>& a, Vec<T>& b) {
  constexpr int n = kLanes<T>;
  static constexpr auto upper = choose<T>([](int l) { return l & S ? n + l - S : l; });
  static constexpr auto lower = choose<T>([](int l) { return l & S ? n + l : l + S; });
  const Vec<T> before = a;
  a = shuffle<upper>(before, b);
  b = shuffle<lower>(before, b);
}

// Lane j of row i for lane i of row j. Each round exchanges two quarters of squares half as large.
template <class T, int half = kLanes<T> / 2>
EG_INLINE void transpose_square(Vec<T>* rows) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes<T>; ++i)
    if (!(i & half)) exchange<T, half>(rows[i], rows[i + half]);
  if constexpr (half > 1) transpose_square<T, half / 2>(rows);
}

template <class T>
EG_INLINE void transpose_square(const T* src, int64_t ld, T* dst, int64_t ld_dst) {
  constexpr int L = kLanes<T>;
  Vec<T> v[L];
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) v[i] = load(src + i * ld);
  transpose_square<T>(v);
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) store(dst + i * ld_dst, v[i]);
}

// The first `count` lanes, those of `rest` or 0 in the others, where only the first may be read or written.
template <class T>
EG_INLINE Vec<T> load_some(const T* p, int64_t count, Vec<T> rest = Vec<T>{}) {
  if (count >= kLanes<T>) return load(p);
  memcpy(&rest, p, size_t(count) * sizeof(T));
  return rest;
}
template <class T>
EG_INLINE void store_some(T* p, Vec<T> v, int64_t count) {
  if (count >= kLanes<T>)
    store(p, v);
  else
    memcpy(p, &v, size_t(count) * sizeof(T));
}
#if defined(__AVX512F__)
EG_INLINE __mmask16 first_lanes(int64_t count) {
  return count >= 16 ? __mmask16(0xffff) : __mmask16((1 << count) - 1);
}
EG_INLINE Vec<float> load_some(const float* p, int64_t count, Vec<float> rest = Vec<float>{}) {
  return Vec<float>(_mm512_mask_loadu_ps((__m512)rest, first_lanes(count), p));
}
EG_INLINE void store_some(float* p, Vec<float> v, int64_t count) {
  _mm512_mask_storeu_ps(p, first_lanes(count), (__m512)v);
}
#endif

// Lanes of a and b by turns, of their first halves or of their second.
template <class T, bool second>
EG_INLINE Vec<T> zip(Vec<T> a, Vec<T> b) {
  constexpr int n = kLanes<T>;
  static constexpr auto both =
      choose<T>([](int l) { return (l % 2 ? n : 0) + l / 2 + (second ? n / 2 : 0); });
  return shuffle<both>(a, b);
}
// to[j * R + i] = from[i * from_row + j] for i < R, j < columns
template <class T, int R>
void interleave(const T* from, int64_t from_row, int64_t columns, T* to) {
  constexpr int L = kLanes<T>, parts = R == 2 ? 2 : 4, width = L / parts;
  static_assert(R >= 2 && R <= 4 && width > 0);
  static constexpr auto threes =
      choose<T>([](int l) { return l < 3 * width ? l / 3 * 4 + l % 3 : 0; });
  for (int64_t j = 0; j < columns; j += L) {
    const int64_t here = columns - j < L ? columns - j : L;
    Vec<T> row[4] = {};
    for (int i = 0; i < R; ++i) row[i] = load_some(from + i * from_row + j, here);
    Vec<T> all[4];
    if constexpr (R == 2) {
      all[0] = zip<T, false>(row[0], row[1]), all[1] = zip<T, true>(row[0], row[1]);
    } else {
      const Vec<T> even[] = {zip<T, false>(row[0], row[2]), zip<T, true>(row[0], row[2])};
      const Vec<T> odd[] = {zip<T, false>(row[1], row[3]), zip<T, true>(row[1], row[3])};
      for (int h = 0; h < 2; ++h) {
        all[2 * h] = zip<T, false>(even[h], odd[h]);
        all[2 * h + 1] = zip<T, true>(even[h], odd[h]);
      }
    }
    int64_t left = here * R;
    for (int p = 0; p < parts && left > 0; ++p, left -= width * R) {
      const Vec<T> v = R == 3 ? shuffle<threes>(all[p]) : all[p];
      store_some(to + (j + p * width) * R, v, left < width * R ? left : width * R);
    }
  }
}

// to[j * to_row + i] = from[i * from_row + j] for i < rows, j < columns
template <class T>
void transpose_matrix(const T* from, int64_t from_row, int64_t rows, int64_t columns, T* to,
                      int64_t to_row) {
  constexpr int L = kLanes<T>;
  if (rows == 1 && to_row == 1) {
    for (int64_t j = 0; j < columns; j += L)
      store_some(to + j, load_some(from + j, columns - j), columns - j);
    return;
  }
  if constexpr (L >= 4) {
    if (rows == to_row && rows == 2) return interleave<T, 2>(from, from_row, columns, to);
    if (rows == to_row && rows == 3) return interleave<T, 3>(from, from_row, columns, to);
    if (rows == to_row && rows == 4) return interleave<T, 4>(from, from_row, columns, to);
  }
  for (int64_t i = 0; i < rows; i += L)
    for (int64_t j = 0; j < columns; j += L) {
      const T* src = from + i * from_row + j;
      T* dst = to + j * to_row + i;
      if (i + L <= rows && j + L <= columns) {
        transpose_square(src, from_row, dst, to_row);
        continue;
      }
      Vec<T> v[L];
#pragma GCC unroll 16
      for (int l = 0; l < L; ++l)
        v[l] = i + l < rows ? load_some(src + l * from_row, columns - j) : Vec<T>{};
      transpose_square<T>(v);
#pragma GCC unroll 16
      for (int l = 0; l < L; ++l)
        if (j + l < columns) store_some(dst + l * to_row, v[l], rows - i);
    }
}

}  // namespace
}  // namespace eg
