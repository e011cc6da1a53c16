// float32 matrices rounded to tiles of bfloat16: Note [Tiles] in amx.h.
#pragma once

#include "kernels/amx.h"

#if defined(EG_AMX)

namespace eg {
namespace {

// Numbers of a row that tiles are read from: rows apart by an odd number of cache lines lie in different sets.
EG_INLINE int64_t tile_row(int64_t steps) { return (steps | 1) * 2 * kPairs; }

EG_AMX EG_INLINE __m512i rounded(Vec<float> low, Vec<float> high) {
  return (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
}
EG_INLINE Vec<float> some_at(const float* p, int64_t from, int64_t n) {
  return from < n ? load_some(p + from, n - from) : Vec<float>{};
}

EG_AMX void round_line(const float* x, int64_t n, BFloat16* to) {
  int64_t i = 0;
  for (; i + 2 * kPairs <= n; i += 2 * kPairs)
    _mm512_storeu_si512(to + i, rounded(load(x + i), load(x + i + kLines)));
  if (i == n) return;
  const __mmask32 real = (__mmask32(1) << (n - i)) - 1;
  _mm512_mask_storeu_epi16(to + i, real, rounded(some_at(x, i, n), some_at(x, i + kLines, n)));
}

// 16 columns of B from lines of w, one a column: tiles from k = 0 on, `step` floats apart.
EG_AMX void round_columns(const float* w, int64_t ld, int64_t lines, int64_t k, float* tiles,
                          int64_t step) {
  for (int64_t p = 0; p < k; p += 2 * kPairs, tiles += step) {
    Vec<float> v[kLines];
    for (int64_t i = 0; i < kLines; ++i) {
      const float* line = w + i * ld;
      v[i] = i < lines ? (Vec<float>)rounded(some_at(line, p, k), some_at(line, p + kLines, k))
                       : Vec<float>{};
    }
    transpose_square<float>(v);
#pragma GCC unroll 16
    for (int64_t i = 0; i < kLines; ++i) store(tiles + i * kPairs, v[i]);
  }
}

// The same of 16 columns of w, whose rows are those of B.
EG_AMX void round_rows(const float* w, int64_t ld, int64_t columns, int64_t k, float* tiles,
                       int64_t step) {
  const auto half = [&](int64_t row) __attribute__((always_inline, target("avx512bf16"))) {
    const Vec<float> v = row < k ? some_at(w + row * ld, 0, columns) : Vec<float>{};
    return _mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)_mm512_cvtneps_pbh((__m512)v));
  };
  for (int64_t p = 0; p < k; p += 2 * kPairs, tiles += step)
    for (int64_t i = 0; i < kPairs; ++i)
      store(tiles + i * kPairs,
            (Vec<float>)((Words)half(p + 2 * i) | (Words)half(p + 2 * i + 1) << 16));
}

}  // namespace
}  // namespace eg

#endif
